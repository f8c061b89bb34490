//! JSON Schema that every client accepts, made from Rust types.
//!
//! One schema has two faces: what is *published*, and what arguments are *checked* against. They
//! differ in one point: an optional member may be sent as `null`, which models do and which the
//! published schema does not say, because some clients refuse a list of types.

mod check;
mod constrain;
mod portable;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

pub(crate) use self::check::Checker;
use crate::input::InputSpec;
use crate::output::Shape;

/// The schema of a tool's arguments.
pub(crate) struct InputSchema {
    pub(crate) published: Value,
    pub(crate) checked: Value,
}

/// Builds the schema of the arguments from the declared inputs. Errors say what is wrong with
/// which input.
pub(crate) fn of_inputs(specs: &[&InputSpec]) -> Result<InputSchema, Vec<String>> {
    let mut problems = Vec::new();
    let mut generator = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let mut properties = Map::new();
    for spec in specs {
        let mut schema = object((spec.schema)(&mut generator));
        if let Some(text) = spec.description {
            schema.insert("description".into(), json!(text));
        }
        if properties
            .insert(spec.name.to_owned(), Value::Object(schema))
            .is_some()
        {
            problems.push(format!("input `{}` is declared twice", spec.name));
        }
    }
    let definitions = definitions(generator);
    for spec in specs {
        let Some(Value::Object(schema)) = properties.get_mut(spec.name) else {
            continue;
        };
        for problem in
            spec.problems
                .iter()
                .cloned()
                .chain(constrain::apply(spec, schema, &definitions))
        {
            problems.push(format!("input `{}`: {problem}", spec.name));
        }
    }
    let required: Vec<&str> = specs
        .iter()
        .filter(|s| s.required)
        .map(|s| s.name)
        .collect();
    let mut checked = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        checked["required"] = json!(required);
    }
    if !definitions.is_empty() {
        checked["$defs"] = Value::Object(definitions);
    }
    portable::simplify(&mut checked);
    portable::close_objects(&mut checked);
    portable::inline(&mut checked);
    let mut published = checked.clone();
    portable::hide_nulls(&mut published);
    portable::simplify(&mut published);
    portable::inline(&mut published);
    for spec in specs {
        problems.extend(
            constrain::examples(spec, &checked)
                .into_iter()
                .map(|problem| format!("input `{}`: {problem}", spec.name)),
        );
    }
    if problems.is_empty() {
        Ok(InputSchema { published, checked })
    } else {
        Err(problems)
    }
}

/// The shape of a result and the schema that is published for it.
pub(crate) fn of_output(describe: fn(&mut SchemaGenerator) -> Schema) -> (Shape, Option<Value>) {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator();
    let root = object(describe(&mut generator));
    let definitions = definitions(generator);
    let resolved = resolve(&root, &definitions);
    let shape = match resolved.get("type").and_then(Value::as_str) {
        Some("null") => return (Shape::Nothing, None),
        // A union at the root is an object too, but clients refuse it there.
        Some("object")
            if !["oneOf", "anyOf", "allOf"]
                .iter()
                .any(|k| resolved.contains_key(*k)) =>
        {
            Shape::Object
        }
        Some("string") if resolved.keys().all(|key| key == "type") => Shape::Text,
        _ => Shape::Wrapped,
    };
    let mut schema = if shape == Shape::Object {
        // A root that is only a reference takes the place of what it refers to.
        resolved.clone()
    } else {
        let wrapped =
            json!({ "type": "object", "properties": { "result": root }, "required": ["result"] });
        wrapped.as_object().cloned().unwrap_or_default()
    };
    if !definitions.is_empty() {
        schema.insert("$defs".into(), Value::Object(definitions));
    }
    let mut schema = Value::Object(schema);
    portable::simplify(&mut schema);
    portable::inline(&mut schema);
    admit_errors(&mut schema);
    (shape, Some(schema))
}

/// A failed call has structured content too: a code, a message, and what belongs to them. There
/// are clients that hold it against the output schema all the same, and show their own complaint
/// instead of our remedy when it does not fit. So what a result requires is required of results.
fn admit_errors(schema: &mut Value) {
    let Value::Object(schema) = schema else {
        return;
    };
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    if let Some(required) = schema.remove("required") {
        schema.insert("if".into(), json!({ "required": ["code", "message"] }));
        schema.insert("else".into(), json!({ "required": required }));
    }
}

/// The form of a question with the fields of `T`: flat, and without what forms do not know.
pub(crate) fn of_form<T: schemars::JsonSchema>() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_deserialize()
        .into_generator();
    let root = object(generator.subschema_for::<T>());
    let definitions = definitions(generator);
    let mut schema = resolve(&root, &definitions).clone();
    if !definitions.is_empty() {
        schema.insert("$defs".into(), Value::Object(definitions));
    }
    let mut schema = Value::Object(schema);
    portable::simplify(&mut schema);
    portable::hide_nulls(&mut schema);
    portable::inline(&mut schema);
    if let Value::Object(schema) = &mut schema {
        for keyword in ["title", "description", "$defs", "additionalProperties"] {
            schema.remove(keyword);
        }
        schema.entry("properties").or_insert_with(|| json!({}));
    }
    schema
}

/// Whether `content` fits a schema that was made by hand or from a type. One that cannot be
/// checked accepts nothing.
pub(crate) fn accepts(schema: &Value, content: &Value) -> bool {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .offline()
        .build(schema)
        .is_ok_and(|validator| validator.is_valid(content))
}

/// Follows a reference into `$defs`, once.
pub(crate) fn resolve<'a>(
    schema: &'a Map<String, Value>,
    definitions: &'a Map<String, Value>,
) -> &'a Map<String, Value> {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(portable::definition_name)
        .and_then(|name| definitions.get(&*name))
        .and_then(Value::as_object)
        .unwrap_or(schema)
}

fn definitions(mut generator: SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

fn object(schema: Schema) -> Map<String, Value> {
    match schema.to_value() {
        Value::Object(object) => object,
        // `false`: nothing is acceptable. `true`: everything is.
        Value::Bool(false) => Map::from_iter([("not".to_owned(), json!({}))]),
        _ => Map::new(),
    }
}
