//! The keys that exist, found by looking at [`Config`] itself.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    Flag,
    List,
}

/// Every key, like `platform.founding_cap`.
pub fn known() -> BTreeMap<String, Kind> {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value();
    let mut keys = BTreeMap::new();
    collect(&schema, "", &mut keys);
    keys
}

fn collect(schema: &Value, above: &str, keys: &mut BTreeMap<String, Kind>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        if schema.get("properties").is_some() {
            collect(schema, &key, keys);
        } else {
            keys.insert(key, kind(schema));
        }
    }
}

fn kind(schema: &Value) -> Kind {
    let kinds = schema["type"].to_string();
    if kinds.contains("array") {
        Kind::List
    } else if kinds.contains("integer") || kinds.contains("number") {
        Kind::Number
    } else if kinds.contains("boolean") {
        Kind::Flag
    } else {
        Kind::Text
    }
}
