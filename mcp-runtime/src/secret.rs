//! What the model sends and nobody is to see.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

/// A value that never shows itself: not in `Debug` or `Display`, not in logs, not in the audit log.
/// As the type of an input it makes that input secret, as
/// `#[arg(secret)]` does, and inside of one its member; its schema says `writeOnly`.
///
/// ```
/// use mcp_runtime::Secret;
/// use mcp_runtime::prelude::*;
///
/// /// Change the password.
/// #[mcp_tool(authenticated)]
/// fn change_password(password: Secret<String>) -> ToolResult<()> {
///     assert_eq!(format!("{password} {password:?}"), "*** ***");
///     let _new: &str = password.expose();
///     Ok(())
/// }
/// ```
///
/// It cannot be serialized: a secret is no default, no example and no result.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, no longer hidden.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Secret<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Secret_{}", T::schema_name()).into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("{}::Secret<{}>", module_path!(), T::schema_id()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert("writeOnly".into(), true.into());
        let is_text = schema.get("type").is_some_and(|kind| kind == "string");
        if is_text && schema.get("format").is_none() {
            schema.insert("format".into(), "password".into());
        }
        schema
    }
}

/// Whether a value of the type has something in it that is not to be seen.
pub(crate) fn is_in<T: JsonSchema>() -> bool {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    crate::audit::has_secret(schema.as_value())
}
