//! Asking the human, or the model, in the middle of a call: the same in every revision.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::{BackChannel, Call};
use crate::client::Needed;
use crate::error::{ToolError, ToolResult};
use crate::rounds::Rounds;
use crate::schema;

/// How long a client over a session has for its answer.
const MAX_WAIT: Duration = Duration::from_secs(10 * 60);

/// What a person did with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elicited<T> {
    /// Answered it.
    Accepted(T),
    /// Said no.
    Declined,
    /// Closed it without a choice.
    Cancelled,
}

impl<T> Elicited<T> {
    /// The answer, if there is one.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(answer) => Some(answer),
            Self::Declined | Self::Cancelled => None,
        }
    }
}

/// A question to the human in front of the client, to be awaited.
///
/// The function may run again from its beginning before the answer is there, so what must happen
/// once belongs behind the question.
#[must_use = "a question is asked when it is awaited"]
pub struct Elicit<'call, T> {
    call: &'call Call,
    key: Option<String>,
    message: String,
    schema: Option<Value>,
    answer: PhantomData<fn() -> T>,
}

/// A request to the model of the client, to be awaited.
#[must_use = "a question is asked when it is awaited"]
pub struct Sample<'call> {
    call: &'call Call,
    key: Option<String>,
    params: Value,
}

/// What the model of the client said.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    /// The text of the first piece of text; empty when there is none.
    pub text: String,
    /// Everything, as the client sent it.
    pub raw: Value,
}

/// A root of the client's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its URI.
    pub uri: String,
    /// Its name, where it has one.
    pub name: Option<String>,
}

/// The answer that [`IntoFuture`] of a question gives.
pub type Asking<'call, T> = Pin<Box<dyn Future<Output = ToolResult<T>> + Send + 'call>>;

impl Call {
    /// Asks the human to fill in a form with the fields of `T`: flat, of texts, numbers, truths
    /// and choices.
    ///
    /// # Errors
    /// When the client cannot ask, or does not answer.
    pub fn elicit<T: DeserializeOwned + JsonSchema + Send>(
        &self,
        message: impl Into<String>,
    ) -> Elicit<'_, T> {
        Elicit {
            call: self,
            key: None,
            message: message.into(),
            schema: None,
            answer: PhantomData,
        }
    }

    /// Sends the human to a web page, for what must not pass through the client: secrets, payments.
    ///
    /// # Errors
    /// When the client cannot do that, or does not answer.
    pub async fn elicit_url(&self, message: &str, url: &str) -> ToolResult<Elicited<()>> {
        let mut params = json!({ "mode": "url", "message": message, "url": url });
        if !self.inner().reach.revision.is_modern() {
            params["elicitationId"] = json!(self.request_id());
        }
        let key = self.next_key("elicitation");
        let answer = self
            .ask(&key, Needed::ElicitUrl, "elicitation/create", &params)
            .await?;
        Ok(match answer.get("action").and_then(Value::as_str) {
            Some("accept") => Elicited::Accepted(()),
            Some("decline") => Elicited::Declined,
            _ => Elicited::Cancelled,
        })
    }

    /// Asks the model of the client to go on from a prompt, with at most `max_tokens` tokens.
    ///
    /// # Errors
    /// When the client cannot do that, or refuses.
    pub fn sample(&self, prompt: impl Into<String>, max_tokens: u32) -> Sample<'_> {
        let params = json!({
            "messages": [{ "role": "user", "content": { "type": "text", "text": prompt.into() } }],
            "maxTokens": max_tokens,
        });
        Sample {
            call: self,
            key: None,
            params,
        }
    }

    /// The roots of the client's file system that it shares.
    ///
    /// # Errors
    /// When the client shares none.
    pub async fn roots(&self) -> ToolResult<Vec<Root>> {
        self.roots_as(None).await
    }

    #[doc(hidden)]
    pub async fn roots_as(&self, key: Option<&str>) -> ToolResult<Vec<Root>> {
        let key = key.map_or_else(|| self.next_key("roots"), str::to_owned);
        loop {
            let answer = self
                .ask(&key, Needed::Roots, "roots/list", &json!({}))
                .await?;
            let Some(roots) = answer.get("roots").and_then(Value::as_array) else {
                self.ask_again(&key)?;
                continue;
            };
            let text =
                |root: &Value, name| root.get(name).and_then(Value::as_str).map(str::to_owned);
            return Ok(roots
                .iter()
                .filter_map(|root| {
                    Some(Root {
                        uri: text(root, "uri")?,
                        name: text(root, "name"),
                    })
                })
                .collect());
        }
    }

    fn next_key(&self, kind: &str) -> String {
        let number = self.inner().questions.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{kind}_{number}")
    }

    /// Puts a question to the client, over whatever way there is.
    async fn ask(
        &self,
        key: &str,
        needed: Needed,
        method: &str,
        params: &Value,
    ) -> ToolResult<Value> {
        if let Some(required) = self.inner().reach.client.lacks(needed) {
            return Err(ToolError::missing_capability(required));
        }
        match &self.inner().back {
            BackChannel::None => Err(ToolError::new(
                "This needs to ask the client something, and this connection cannot: it takes a client that keeps a session and accepts text/event-stream, and a server that streams.",
            )
            .code("no_back_channel")),
            BackChannel::Session(session) => {
                let _waiting = Waiting::begin(&self.inner().asking);
                let answer = session.ask(&self.inner().outbox, method, params);
                match tokio::time::timeout(MAX_WAIT, answer).await.ok().flatten() {
                    Some(Ok(result)) => Ok(result),
                    Some(Err(error)) => Err(ToolError::new("The client refused to answer.")
                        .code("client_refused")
                        .caused_by(error.to_string())),
                    None => Err(ToolError::new("The client does not answer.").code("client_unreachable")),
                }
            }
            BackChannel::Rounds(rounds) => in_rounds(rounds, key, method, params).await,
            BackChannel::Task(channel) => match channel.task() {
                Some(task) => {
                    let _waiting = Waiting::begin(&self.inner().asking);
                    task.ask(key, json!({ "method": method, "params": params })).await
                }
                None => in_rounds(&channel.rounds, key, method, params).await,
            },
        }
    }

    /// Makes the next [`ask`](Self::ask) of this key a question again.
    fn ask_again(&self, key: &str) -> ToolResult<()> {
        let asked = self.inner().asked_again.fetch_add(1, Ordering::Relaxed);
        if asked >= 8 {
            return Err(ToolError::new(
                "The client keeps sending answers that do not fit the question.",
            )
            .code("unusable_answer"));
        }
        match &self.inner().back {
            BackChannel::Rounds(rounds) => rounds.forget(key),
            BackChannel::Task(channel) => channel.rounds.forget(key),
            BackChannel::None | BackChannel::Session(_) => {}
        }
        Ok(())
    }
}

/// The answer that came with the request, or none in this run.
async fn in_rounds(rounds: &Rounds, key: &str, method: &str, params: &Value) -> ToolResult<Value> {
    match rounds.answer(key, || json!({ "method": method, "params": params })) {
        Some(answer) => Ok(answer),
        // The supervisor of the call sees the open question and ends this run.
        None => std::future::pending().await,
    }
}

/// Counts a question while it waits. The deadline of the tool does not run meanwhile.
struct Waiting<'call>(&'call AtomicU32);

impl<'call> Waiting<'call> {
    fn begin(asking: &'call AtomicU32) -> Self {
        asking.fetch_add(1, Ordering::Relaxed);
        Self(asking)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'call, T: DeserializeOwned + JsonSchema + Send> Elicit<'call, T> {
    /// Names the question. Needed where the order of questions is not the same in every run.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Asks with this form instead of the one made from `T`.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(schema);
        self
    }

    async fn ask(self) -> ToolResult<Elicited<T>> {
        let Self {
            call,
            key,
            message,
            schema,
            ..
        } = self;
        let key = key.unwrap_or_else(|| call.next_key("elicitation"));
        let schema = schema.unwrap_or_else(schema::of_form::<T>);
        let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
        loop {
            let answer = call
                .ask(&key, Needed::ElicitForm, "elicitation/create", &params)
                .await?;
            match answer.get("action").and_then(Value::as_str) {
                Some("decline") => return Ok(Elicited::Declined),
                Some("cancel") => return Ok(Elicited::Cancelled),
                Some("accept") => {
                    let content = answer.get("content").cloned().unwrap_or_else(|| json!({}));
                    if schema::accepts(&schema, &content)
                        && let Ok(answer) = serde_json::from_value(content)
                    {
                        return Ok(Elicited::Accepted(answer));
                    }
                }
                _ => {}
            }
            call.ask_again(&key)?;
        }
    }
}

impl<'call, T: DeserializeOwned + JsonSchema + Send + 'call> IntoFuture for Elicit<'call, T> {
    type Output = ToolResult<Elicited<T>>;
    type IntoFuture = Asking<'call, Elicited<T>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ask())
    }
}

impl Sample<'_> {
    /// Names the question. Needed where the order of questions is not the same in every run.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What the model is to be, said before the prompt.
    pub fn system(mut self, prompt: impl Into<String>) -> Self {
        self.params["systemPrompt"] = json!(prompt.into());
        self
    }

    /// Adds any further parameter of `sampling/createMessage`.
    pub fn param(mut self, name: &str, value: impl Serialize) -> Self {
        self.params[name] = json!(value);
        self
    }

    async fn ask(self) -> ToolResult<Sampled> {
        let Self { call, key, params } = self;
        let key = key.unwrap_or_else(|| call.next_key("sampling"));
        let needed = if params.get("tools").is_some() {
            Needed::SamplingTools
        } else {
            Needed::Sampling
        };
        loop {
            let raw = call
                .ask(&key, needed, "sampling/createMessage", &params)
                .await?;
            let pieces = match raw.get("content") {
                Some(Value::Array(pieces)) => pieces.iter().collect(),
                Some(piece @ Value::Object(_)) => vec![piece],
                _ => {
                    call.ask_again(&key)?;
                    continue;
                }
            };
            let text = pieces
                .into_iter()
                .find_map(|piece| piece.get("text").and_then(Value::as_str));
            return Ok(Sampled {
                text: text.unwrap_or_default().to_owned(),
                raw,
            });
        }
    }
}

impl<'call> IntoFuture for Sample<'call> {
    type Output = ToolResult<Sampled>;
    type IntoFuture = Asking<'call, Sampled>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ask())
    }
}
