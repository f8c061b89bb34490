//! Tools with schemas written by hand.

use mcp_runtime::prelude::*;
use mcp_runtime::{Policy, Tool};
use serde_json::json;

pub(crate) fn tools() -> ToolSet {
    let all_keywords = Tool::dynamic("json_schema_2020_12_tool", "Takes what a schema with many keywords allows.", Policy::public())
        .input_schema(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
                },
            },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" },
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false,
        }))
        .handler(|_call, arguments| async move { Ok(Content::text(arguments.to_string())) });
    let header = Tool::dynamic(
        "test_custom_header",
        "Takes a value that a header repeats.",
        Policy::public(),
    )
    .input_schema(json!({
        "type": "object",
        "properties": { "value": { "type": "string", "x-mcp-header": "Value" } },
        "additionalProperties": false,
    }))
    .handler(|_call, arguments| async move { Ok(Content::text(arguments.to_string())) });
    ToolSet::new().with(all_keywords).with(header)
}
