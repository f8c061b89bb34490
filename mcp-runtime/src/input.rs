//! What the model sends: one declaration that is schema, check and error message.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::{self, DeserializeOwned, Visitor};
use serde_json::{Number, Value};

use crate::json::{Node, Object, ReadError};
use crate::secret;

/// A type that a tool can take from the model: `Deserialize` and `JsonSchema`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an input of a tool",
    label = "the model cannot send this",
    note = "an input needs `Deserialize` and `JsonSchema`; what the server lends is taken by reference, like `&{Self}`"
)]
pub trait ToolInput: DeserializeOwned + JsonSchema + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema + Send + 'static> ToolInput for T {}

/// One input of a tool: its name, its type and its constraints.
pub struct Input<T> {
    pub(crate) spec: InputSpec,
    read: fn(&Node<'_>) -> Result<T, ReadError>,
    read_default: fn(&Value) -> Result<T, ReadError>,
    read_nothing: fn() -> Option<T>,
}

/// What an [`Input`] says about itself, apart from its type.
pub(crate) struct InputSpec {
    pub(crate) name: &'static str,
    pub(crate) description: Option<&'static str>,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) required: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) default: Option<Value>,
    pub(crate) examples: Vec<Value>,
    pub(crate) secret: bool,
    /// Something in a value of its type is not to be seen.
    pub(crate) holds_secrets: bool,
    /// What went wrong while the declaration was read; reported when the server is built.
    pub(crate) problems: Vec<String>,
}

/// A constraint of `#[arg(…)]`.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Minimum(Number),
    Maximum(Number),
    Below(Number),
    MinLen(usize),
    MaxLen(usize),
    Pattern(&'static str),
    Format(&'static str),
}

/// Declares an input. What absence means is asked of the type itself: one whose `Deserialize`
/// takes nothing for an answer (`Option`) may be left out, under any alias.
pub fn input<T: ToolInput>(name: &'static str) -> Input<T> {
    Input {
        spec: InputSpec {
            name,
            description: None,
            schema: |generator| generator.subschema_for::<T>(),
            required: nothing::<T>().is_none(),
            rules: Vec::new(),
            default: None,
            examples: Vec::new(),
            secret: false,
            holds_secrets: secret::is_in::<T>(),
            problems: Vec::new(),
        },
        read: |node| {
            // The node outlives the value: a `DeserializeOwned` borrows nothing from it.
            T::deserialize(node)
        },
        read_default: |value| T::deserialize(value).map_err(de::Error::custom),
        read_nothing: nothing::<T>,
    }
}

impl<T> Input<T> {
    /// The description that the model reads.
    #[must_use]
    pub fn describe(mut self, text: &'static str) -> Self {
        self.spec.description = Some(text);
        self
    }

    /// The value is `n` or more.
    #[must_use]
    pub fn at_least(self, n: impl Limit) -> Self {
        self.number(n, Rule::Minimum)
    }

    /// The value is `n` or less.
    #[must_use]
    pub fn at_most(self, n: impl Limit) -> Self {
        self.number(n, Rule::Maximum)
    }

    /// The value is less than `n`.
    #[must_use]
    pub fn below(self, n: impl Limit) -> Self {
        self.number(n, Rule::Below)
    }

    /// At least `n` characters, elements or members.
    #[must_use]
    pub fn min_len(self, n: usize) -> Self {
        self.rule(Rule::MinLen(n))
    }

    /// At most `n` characters, elements or members.
    #[must_use]
    pub fn max_len(self, n: usize) -> Self {
        self.rule(Rule::MaxLen(n))
    }

    /// Fewer than `n` characters, elements or members.
    #[must_use]
    pub fn shorter_than(self, n: usize) -> Self {
        self.rule(Rule::MaxLen(n.saturating_sub(1)))
    }

    /// The text matches this regular expression somewhere.
    #[must_use]
    pub fn pattern(self, regex: &'static str) -> Self {
        self.rule(Rule::Pattern(regex))
    }

    /// The text has this format of JSON Schema.
    #[must_use]
    pub fn format(self, name: &'static str) -> Self {
        self.rule(Rule::Format(name))
    }

    /// The value when the model sends none, written as a literal.
    #[must_use]
    pub fn default_literal(self, value: impl Serialize) -> Self {
        self.default_json(&value)
    }

    /// The value when the model sends none.
    #[must_use]
    pub fn default_value(self, value: T) -> Self
    where
        T: Publish,
    {
        self.default_json(&value)
    }

    /// `T::default()` when the model sends nothing.
    #[must_use]
    pub fn default_of_type(self) -> Self
    where
        T: Publish + Default,
    {
        self.default_json(&T::default())
    }

    /// An example for the model, written as a literal.
    #[must_use]
    pub fn example_literal(self, value: impl Serialize) -> Self {
        self.example_json(&value)
    }

    /// An example for the model.
    #[must_use]
    pub fn example_value(self, value: T) -> Self
    where
        T: Publish,
    {
        self.example_json(&value)
    }

    /// The value is never logged, audited or echoed.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.spec.secret = true;
        self
    }

    fn rule(mut self, rule: Rule) -> Self {
        self.spec.rules.push(rule);
        self
    }

    fn number(mut self, n: impl Limit, rule: fn(Number) -> Rule) -> Self {
        match n.limit() {
            Some(n) => self.spec.rules.push(rule(n)),
            None => self
                .spec
                .problems
                .push("a limit of its range is not a number that JSON can carry".into()),
        }
        self
    }

    fn default_json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.spec.default = Some(value),
            Err(error) => self
                .spec
                .problems
                .push(format!("its default does not serialize: {error}")),
        }
        self.spec.required = false;
        self
    }

    fn example_json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => self.spec.examples.push(value),
            Err(error) => self
                .spec
                .problems
                .push(format!("its example does not serialize: {error}")),
        }
        self
    }

    fn read(&self, arguments: &Object<'_>, problems: &mut Vec<Problem>) -> Option<T> {
        let value = match (arguments.get(self.spec.name), &self.spec.default) {
            (Some(node), _) => (self.read)(node),
            (None, Some(default)) => (self.read_default)(default),
            (None, None) => (self.read_nothing)().ok_or_else(|| de::Error::custom("missing")),
        };
        value
            .inspect_err(|error| {
                tracing::debug!(input = self.spec.name, cause = %if self.spec.secret || self.spec.holds_secrets { "secret" } else { &error.detail }, "input refused by its type");
                problems.push(Problem::refused_by_type(self.spec.name, error));
            })
            .ok()
    }
}

/// A value that can stand in the published schema, as a default or an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be published as a default or an example",
    label = "not `Serialize`",
    note = "derive `serde::Serialize` for it: the schema shows the value to the model"
)]
pub trait Publish: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Publish for T {}

/// A number that can limit a range.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot limit a range",
    label = "not a number",
    note = "a range begins and ends with a number, or a constant that is one"
)]
pub trait Limit {
    /// The number, if JSON can carry it.
    fn limit(self) -> Option<Number>;
}

macro_rules! limits {
    ($($int:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl Limit for $int {
            fn limit(self) -> Option<Number> {
                i64::try_from(self).map(Number::from).or_else(|_| u64::try_from(self).map(Number::from)).ok()
            }
        }
    )*};
}
limits!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

#[diagnostic::do_not_recommend]
impl Limit for f64 {
    fn limit(self) -> Option<Number> {
        Number::from_f64(self)
    }
}

#[diagnostic::do_not_recommend]
impl Limit for f32 {
    fn limit(self) -> Option<Number> {
        Number::from_f64(self.into())
    }
}

/// All inputs of a tool, as a tuple of [`Input`]s.
pub trait Inputs: Send + Sync + 'static {
    /// The values in the order of the parameters.
    type Values: Send;

    #[doc(hidden)]
    #[expect(
        private_interfaces,
        reason = "sealed: only tuples of inputs implement it"
    )]
    fn specs(&self) -> Vec<&InputSpec>;

    #[doc(hidden)]
    #[expect(
        private_interfaces,
        reason = "sealed: only tuples of inputs implement it"
    )]
    fn read(&self, arguments: &Object<'_>) -> Result<Self::Values, Vec<Problem>>;
}

macro_rules! tuples {
    ($($($name:ident)*;)*) => {$(
        #[expect(private_interfaces, reason = "sealed: only tuples of inputs implement it")]
        #[allow(non_snake_case, unused_variables, unused_mut, clippy::allow_attributes, reason = "the empty tuple uses less")]
        impl<$($name: Send + 'static),*> Inputs for ($(Input<$name>,)*) {
            type Values = ($($name,)*);

            fn specs(&self) -> Vec<&InputSpec> {
                let ($($name,)*) = self;
                vec![$(&$name.spec),*]
            }

            fn read(&self, arguments: &Object<'_>) -> Result<Self::Values, Vec<Problem>> {
                let ($($name,)*) = self;
                let mut problems = Vec::new();
                $(let $name = $name.read(arguments, &mut problems);)*
                match ($($name,)*) {
                    ($(Some($name),)*) => Ok(($($name,)*)),
                    #[allow(unreachable_patterns, clippy::allow_attributes, reason = "the empty tuple always matches")]
                    _ => Err(problems),
                }
            }
        }
    )*};
}
tuples! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
    A B C D E F G H I;
    A B C D E F G H I J;
    A B C D E F G H I J K;
    A B C D E F G H I J K L;
    A B C D E F G H I J K L M;
    A B C D E F G H I J K L M N;
    A B C D E F G H I J K L M N O;
    A B C D E F G H I J K L M N O P;
}

/// What is wrong with one argument: where, which rule, and how to mend it. Never the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// JSON pointer into the arguments.
    pub pointer: String,
    /// The keyword of JSON Schema that is not satisfied.
    pub rule: Cow<'static, str>,
    /// What is wrong and what to send instead.
    pub message: String,
}

impl Problem {
    fn refused_by_type(name: &str, error: &ReadError) -> Self {
        let message = match &error.expected {
            Some(expected) => format!("must be {expected}"),
            None => "is not a value of its type: read the description of the argument".to_owned(),
        };
        Self {
            pointer: format!("/{name}{}", error.pointer),
            rule: "type".into(),
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            if self.pointer.is_empty() {
                "/"
            } else {
                &self.pointer
            },
            self.message
        )
    }
}

/// Asks a type what it makes of an absent member, the way serde's derive does.
fn nothing<T: DeserializeOwned>() -> Option<T> {
    struct Nothing;
    impl<'de> de::Deserializer<'de> for Nothing {
        type Error = de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("absent"))
        }
        fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            visitor.visit_none()
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
            unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }
    T::deserialize(Nothing).ok()
}
