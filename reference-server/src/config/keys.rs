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
    /// Entries with keys of their own (`[[auth.issuer]]`), or names with values.
    Toml,
}

/// Every key, like `platform.founding_cap`.
pub fn known() -> BTreeMap<String, Kind> {
    let mut keys = BTreeMap::new();
    collect(&schema(), "", &mut keys);
    keys
}

/// The keys of the entries of a list like `auth.issuer`.
pub fn of_entries(list: &str) -> Vec<String> {
    let schema = schema();
    let found = list
        .split('.')
        .fold(&schema, |above, name| &above["properties"][name]);
    let keys = found["items"]["properties"].as_object();
    keys.into_iter()
        .flat_map(|keys| keys.keys().cloned())
        .collect()
}

fn schema() -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let generator = settings.into_generator();
    generator.into_root_schema_for::<Config>().to_value()
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
    if schema["items"].get("properties").is_some() || kinds.contains("object") {
        Kind::Toml
    } else if kinds.contains("array") {
        Kind::List
    } else if kinds.contains("integer") || kinds.contains("number") {
        Kind::Number
    } else if kinds.contains("boolean") {
        Kind::Flag
    } else {
        Kind::Text
    }
}
