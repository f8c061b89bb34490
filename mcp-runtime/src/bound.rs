//! A function of a running server: checked, compiled, and ready to be called.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Number, Value};

use crate::audit::{Audited, Redaction};
use crate::confirmation::Confirmation;
use crate::function::{Entry, Runnable};
use crate::json::{Node, Object};
use crate::limits::{Gate, Limits, Share, Shared};
use crate::metrics::FunctionFigures;
use crate::output::{OutputType, Shape};
use crate::policy::Policy;
use crate::result_cache::Cached;
use crate::schema::{self, Checker, InputSchema};

/// What the engine needs to run a function, whatever it is the function of.
pub(crate) struct Bound {
    /// For the log.
    pub(crate) name: Cow<'static, str>,
    pub(crate) policy: Policy,
    pub(crate) timeout: Duration,
    pub(crate) checker: Checker,
    /// Inputs for which `null` means absent.
    pub(crate) optional: Vec<&'static str>,
    /// Inputs that are not texts, for callers that can only send texts.
    spelled: Vec<(&'static str, Spelling)>,
    pub(crate) shape: Shape,
    /// Of a tool that asks before it runs.
    pub(crate) confirmation: Option<Confirmation>,
    /// Which arguments are not to be seen.
    pub(crate) redaction: Redaction,
    pub(crate) gate: Option<Box<Gate>>,
    /// The limits that its calls count against in place of those of the server.
    pub(crate) limits: Option<Arc<Shared>>,
    pub(crate) audited: Option<Box<Audited>>,
    pub(crate) figures: Option<Box<FunctionFigures>>,
    /// Of a tool whose answers are kept, or that makes kept ones old.
    pub(crate) cached: Option<Box<Cached>>,
    pub(crate) run: Box<dyn Runnable>,
}

/// What is offered, as far as limits and the audit care.
pub(crate) struct Offered<'a> {
    /// `tool`, `resource` or `prompt`.
    pub(crate) kind: &'static str,
    pub(crate) at: String,
    pub(crate) share: Share,
    /// Of a tool that is not counted with the others.
    pub(crate) limits: Option<Arc<(Cow<'static, str>, Limits)>>,
    pub(crate) read_only: bool,
    /// For how long answers are kept.
    pub(crate) cache: Option<Duration>,
    pub(crate) family: Option<Cow<'static, str>>,
    pub(crate) bound: &'a mut Bound,
}

/// How a value that is not a text is written as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Number,
    Truth,
    /// Any JSON.
    Json,
}

/// The schemas that are published for a function.
pub(crate) struct Published {
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
    /// Name, description and whether it is required, of each input.
    pub(crate) inputs: Vec<(&'static str, Option<&'static str>, bool)>,
}

/// Schemas that were written by hand.
pub(crate) struct Raw {
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
}

/// What is said about a function, whatever it is the function of.
pub(crate) struct Said<'a> {
    pub(crate) name: Cow<'static, str>,
    pub(crate) description: &'a str,
    pub(crate) policy: Option<Policy>,
    pub(crate) timeout: Duration,
    pub(crate) raw: Option<Raw>,
}

/// Binds a function to its state. Reports every problem, not only the first.
pub(crate) fn bind<A, S>(
    entry: Entry<A, S>,
    said: Said<'_>,
    state: Arc<S>,
) -> Result<(A, Bound, Published), Vec<String>> {
    let mut problems = Vec::new();
    if said.description.trim().is_empty() {
        problems.push("a model chooses by the description, and this one has none".to_owned());
    }
    match &said.policy {
        None => problems.push("nobody said who may call it: give it a policy".to_owned()),
        Some(policy) => problems.extend(
            policy
                .problem()
                .map(|problem| format!("its policy {problem}")),
        ),
    }
    if said.timeout.is_zero() {
        problems.push("its timeout is zero".to_owned());
    }
    let run = (entry.bind)(state);
    let (schema, shape, output) = match said.raw {
        Some(raw) => (raw_schema(raw.input), Shape::Raw, raw.output),
        None => {
            let (shape, output) = match run.output() {
                OutputType::Value(describe) => schema::of_output(describe),
                OutputType::Free => (Shape::Free, None),
            };
            (schema::of_inputs(&run.inputs()), shape, output)
        }
    };
    let compiled = schema.and_then(|schema| {
        let checker = compile(&schema)
            .map_err(|problem| vec![format!("the schema of its arguments {problem}")])?;
        Ok((schema, checker))
    });
    if let Some(output) = &output
        && let Err(error) = jsonschema::draft202012::meta::validate(output)
    {
        problems.push(format!(
            "the schema of its result is not a schema of JSON Schema 2020-12: {error}"
        ));
    }
    let (schema, checker) = match compiled {
        Ok(compiled) => compiled,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let specs = run.inputs();
    let published = Published {
        inputs: specs
            .iter()
            .map(|spec| (spec.name, spec.description, spec.required))
            .collect(),
        output,
        input: schema.published,
    };
    let bound = Bound {
        name: said.name,
        policy: said.policy.unwrap_or_else(|| Policy::nobody().clone()),
        timeout: said.timeout,
        optional: specs
            .iter()
            .filter(|spec| !spec.required)
            .map(|spec| spec.name)
            .collect(),
        spelled: specs
            .iter()
            .filter_map(|spec| Some((spec.name, spelling(&published.input, spec.name)?)))
            .collect(),
        redaction: Redaction::of(&published.input),
        gate: None,
        limits: None,
        audited: None,
        figures: None,
        cached: None,
        checker,
        shape,
        confirmation: None,
        run,
    };
    Ok((entry.about, bound, published))
}

fn raw_schema(input: Value) -> Result<InputSchema, Vec<String>> {
    if input.get("type").is_none_or(|kind| kind != "object") {
        return Err(vec![
            "the schema of its arguments must say `\"type\": \"object\"` at its root".to_owned(),
        ]);
    }
    Ok(InputSchema {
        published: input.clone(),
        checked: input,
    })
}

fn compile(schema: &InputSchema) -> Result<Checker, String> {
    let checker = Checker::new(&schema.checked)?;
    // What clients see has to be as sound as what is checked.
    jsonschema::draft202012::meta::validate(&schema.published)
        .map_err(|error| format!("is not a schema of JSON Schema 2020-12: {error}"))?;
    Ok(checker)
}

fn spelling(schema: &Value, name: &str) -> Option<Spelling> {
    let kind = schema
        .get("properties")?
        .get(name)?
        .get("type")
        .and_then(Value::as_str);
    match kind {
        Some("string") => None,
        Some("integer" | "number") => Some(Spelling::Number),
        Some("boolean") => Some(Spelling::Truth),
        // An enum without a type is one of texts.
        None => None,
        Some(_) => Some(Spelling::Json),
    }
}

impl Bound {
    /// Reads texts as what the inputs are: the arguments of prompts and the variables of URIs have
    /// no other types. What cannot be read stays a text, and the check says what it should be.
    pub(crate) fn read_spelled<'a>(
        &self,
        arguments: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    ) -> Object<'a> {
        let read = |name: &str, text: Cow<'a, str>| {
            let spelling = self
                .spelled
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, spelling)| *spelling);
            let node = match spelling {
                None => None,
                Some(Spelling::Truth) => text.parse().ok().map(Node::Bool),
                Some(Spelling::Number) => text
                    .parse()
                    .map(|n: i64| Number::from(n))
                    .ok()
                    .or_else(|| Number::from_f64(text.parse().ok()?))
                    .map(Node::Number),
                Some(Spelling::Json) => crate::json::parse(text.as_bytes())
                    .ok()
                    .map(Node::into_owned),
            };
            node.unwrap_or(Node::String(text))
        };
        Object(
            arguments
                .into_iter()
                .map(|(name, text)| {
                    let node = read(&name, text);
                    (name, node)
                })
                .collect(),
        )
    }
}
