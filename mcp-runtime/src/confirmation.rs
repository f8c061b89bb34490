//! `confirm = "Delete {hostname}?"`: a tool that runs only after a person agreed.
//!
//! Behind the guard and before the body, [`confirmed`] asks. A client that can be asked is asked
//! with a form. Any other gets the question as an error, with a token: the same call with that
//! token runs, once. Either way one yes is one run: what proves it is spent in the [`Store`]
//! before the body begins, and where it cannot be spent nothing runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::call::{BackChannel, Call};
use crate::client::Needed;
use crate::clock::Clock;
use crate::confirm::{self, Confirm, ConfirmError};
use crate::digest::{hex, of_arguments, random};
use crate::error::{ToolError, ToolResult};
use crate::input::Problem;
use crate::json::{Node, Object};
use crate::rounds::{self, Mark, Rounds};
use crate::store::{Store, StoreError};

/// The input that carries the token. It never reaches the function.
pub(crate) const TOKEN: &str = "confirm_token";
/// How long a token is good for, unless said otherwise.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);
/// Characters of a question as a person sees it.
const MAX_TEXT: usize = 500;
/// Characters of one value in it.
const MAX_VALUE: usize = 100;
/// Under which the form is asked for. No author's question is called so.
const QUESTION: &str = "mcp.confirm";

/// What the tools of a server confirm with.
pub(crate) struct Desk {
    tokens: Confirm,
    clock: Clock,
    store: Arc<dyn Store>,
    life: Duration,
}

/// How one tool asks.
pub(crate) struct Confirmation {
    tool: String,
    question: Question,
    /// What stands for an input that was left out.
    defaults: HashMap<String, Value>,
    desk: Arc<Desk>,
}

/// A call that has not been confirmed yet.
pub(crate) struct Pending {
    tool: String,
    text: String,
    /// Of the arguments, without the token.
    arguments: String,
    token: Option<String>,
    desk: Arc<Desk>,
}

/// Waits until a person agreed to this call. Called behind the guard.
pub(crate) async fn confirmed(call: &Call) -> ToolResult<()> {
    let Some(pending) = call.inner().confirmation.get() else {
        return Err(ToolError::internal(
            "a tool asks for a confirmation and has no question",
        ));
    };
    let back = &call.inner().back;
    let rounds = match back {
        BackChannel::Rounds(rounds) => Some(rounds),
        // Confirmed before it becomes a task.
        BackChannel::Task(channel) => Some(&channel.rounds),
        BackChannel::Session(_) | BackChannel::None => None,
    };
    // The function runs again from its beginning: somebody may have agreed in an earlier round.
    if let Some(rounds) = rounds
        && let Some(Mark { id, agreed: true }) = rounds.mark()
    {
        return pending.desk.go_on(rounds, &id).await;
    }
    let asks = call
        .inner()
        .reach
        .client
        .lacks(Needed::ElicitForm)
        .is_none()
        && !matches!(back, BackChannel::None);
    if asks {
        return pending.ask(call, rounds).await;
    }
    pending.redeem(call).await?;
    if let Some(rounds) = rounds {
        rounds.set_mark(Mark::new(true));
    }
    Ok(())
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Agreement {
    confirm: bool,
}

impl Pending {
    /// Asks the person in front of the client.
    async fn ask(&self, call: &Call, rounds: Option<&Rounds>) -> ToolResult<()> {
        let asked = rounds.map(|rounds| {
            rounds.mark().map_or_else(
                || {
                    // An answer to a question that nobody was asked.
                    rounds.forget(QUESTION);
                    rounds.set_mark(Mark::new(false))
                },
                |mark| mark.id,
            )
        });
        let form = json!({
            "type": "object",
            "properties": { "confirm": {
                "type": "boolean",
                "title": "Yes, do it",
                "description": "Without it, nothing is done.",
            } },
            "required": ["confirm"],
        });
        let answer = call
            .elicit::<Agreement>(self.text.as_str())
            .key(QUESTION)
            .schema(form)
            .await?;
        let agreed = answer.accepted().is_some_and(|answer| answer.confirm);
        if !agreed {
            return Err(ToolError::new(
                "The user did not confirm this, so nothing was done. Do not call again unless they ask for it.",
            )
            .code("not_confirmed"));
        }
        match (rounds, asked) {
            (Some(rounds), Some(id)) => self.desk.go_on(rounds, &id).await,
            _ => Ok(()),
        }
    }

    /// Uses the token up, or answers with a new one.
    async fn redeem(&self, call: &Call) -> ToolResult<()> {
        let owner = call.caller().owner();
        let Some(token) = &self.token else {
            return Err(self.required(&owner)?);
        };
        let tokens = &self.desk.tokens;
        let opened = tokens
            .open(&owner, &self.tool, token)
            .map_err(|error| self.refused(error))?;
        let told: Told =
            serde_json::from_value(opened.payload().clone()).map_err(|_| self.not_good())?;
        if !tokens.vouches(&told.arguments, &self.sealed(&told.nonce)) {
            return Err(self.not_good());
        }
        // Every call is an execution of its own.
        tokens
            .redeem(&opened, call.request_id())
            .await
            .map_err(|error| self.refused(error))
    }

    /// The answer to a call without a token.
    fn required(&self, owner: &str) -> ToolResult<ToolError> {
        let nonce = hex(&random::<16>());
        let told = Told {
            // A digest of its own would tell whoever sees the token what short secrets were sent.
            arguments: self.desk.tokens.voucher(&self.sealed(&nonce)),
            nonce,
        };
        let told = json!({ "arguments": told.arguments, "nonce": told.nonce });
        let issued = self
            .desk
            .tokens
            .issue(owner, &self.tool, &told, self.desk.life)
            .map_err(|error| self.refused(error))?;
        let (tool, text, token) = (&self.tool, &self.text, issued.token);
        let until = issued.expires_at.to_string();
        let message = format!(
            "Nothing is done yet: a person has to agree first. Show the user this question, word for word:\n\
             {text}\n\
             Only if they say yes, call `{tool}` again with exactly the same arguments and with \
             `{TOKEN}` set to the token below. It is good for one call, until {until}.\n\
             {token}"
        );
        Ok(ToolError::new(message)
            .code("confirmation_required")
            .data(json!({ "preview": text, TOKEN: token, "expires_at": until })))
    }

    fn sealed(&self, nonce: &str) -> String {
        format!("{nonce}|{}", self.arguments)
    }

    fn refused(&self, error: ConfirmError) -> ToolError {
        match error {
            ConfirmError::Expired => ToolError::new(format!(
                "{TOKEN} has expired, so nothing was done. Call again without it, show the user the new question, and confirm sooner."
            ))
            .code("confirm_token_expired"),
            ConfirmError::AlreadyUsed => used(),
            ConfirmError::Store(error) => unavailable(error),
            // A token of somebody else is answered like one that never was.
            ConfirmError::InvalidFormat
            | ConfirmError::InvalidSignature
            | ConfirmError::PayloadMismatch
            | ConfirmError::OwnerMismatch => self.not_good(),
            error => ToolError::internal(error),
        }
    }

    fn not_good(&self) -> ToolError {
        ToolError::new(format!(
            "{TOKEN} is not good for this call, so nothing was done. It is good for the tool and for exactly the arguments \
             that it was issued for, and only as a whole. To get one for these arguments, call `{}` without it.",
            self.tool
        ))
        .code("confirm_token_invalid")
    }
}

/// What a token says.
#[derive(Deserialize)]
struct Told {
    arguments: String,
    nonce: String,
}

impl Desk {
    pub(crate) fn new(
        keys: confirm::Keys,
        clock: Clock,
        store: Arc<dyn Store>,
        life: Duration,
    ) -> Self {
        Self {
            tokens: Confirm::new(keys, clock.clone(), Arc::clone(&store)),
            clock,
            store,
            life,
        }
    }

    /// Lets the body run on the strength of what `id` stands for, which is good for nothing more.
    /// What the client is given next, if the body asks something too, has an id of its own.
    async fn go_on(&self, rounds: &Rounds, id: &str) -> ToolResult<()> {
        let key = format!("mcp:confirm:agreed:{id}");
        let forget_at = self
            .clock
            .now()
            .checked_add(rounds::LIFETIME * 2)
            .map_err(ToolError::internal)?;
        match self.store.put_if_absent(&key, b"", forget_at).await {
            Ok(true) => {
                rounds.set_mark(Mark::new(true));
                Ok(())
            }
            Ok(false) => Err(used()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

fn used() -> ToolError {
    ToolError::new(
        "This confirmation was used before, so nothing was done this time. To do it once more, call again without it and ask the user anew.",
    )
    .code("confirm_token_used")
}

fn unavailable(error: StoreError) -> ToolError {
    ToolError::new(
        "The server cannot tell whether this was confirmed before, so nothing was done. Try again later with the same arguments.",
    )
    .code("confirmation_unavailable")
    .caused_by(error)
}

impl Confirmation {
    /// How `tool` asks `text`. `inputs` are those that it may show, `defaults` what stands for
    /// them when they are left out.
    pub(crate) fn new(
        tool: &str,
        text: &str,
        inputs: &Inputs<'_>,
        desk: &Arc<Desk>,
    ) -> Result<Self, Vec<String>> {
        let question = Question::parse(text).map_err(|why| vec![why])?;
        let problems: Vec<String> = question
            .names()
            .filter_map(|name| inputs.problem(name))
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            tool: tool.to_owned(),
            defaults: inputs.defaults(&question),
            question,
            desk: Arc::clone(desk),
        })
    }

    /// Takes the token out of the arguments: the function does not know of it.
    pub(crate) fn take_token(arguments: &mut Object<'_>) -> Result<Option<String>, Problem> {
        match arguments.take(TOKEN) {
            None | Some(Node::Null) => Ok(None),
            Some(Node::String(token)) => Ok(Some(token.into_owned())),
            Some(_) => Err(Problem {
                pointer: format!("/{TOKEN}"),
                rule: "type".into(),
                message: "must be a string: the token as it was given".into(),
            }),
        }
    }

    /// The call with these arguments, yet to be confirmed.
    pub(crate) fn of(&self, arguments: &Object<'_>, token: Option<String>) -> Pending {
        Pending {
            tool: self.tool.clone(),
            text: self.question.ask(arguments, &self.defaults),
            arguments: of_arguments(arguments),
            token,
            desk: Arc::clone(&self.desk),
        }
    }
}

/// The properties of a published schema, as far as a question may show them.
pub(crate) struct Inputs<'a>(pub(crate) Option<&'a Map<String, Value>>);

impl Inputs<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0?.get(name)
    }

    fn problem(&self, name: &str) -> Option<String> {
        let Some(schema) = self.get(name) else {
            return Some(format!(
                "its confirmation shows `{{{name}}}`, and there is no such argument"
            ));
        };
        (schema.get("writeOnly") == Some(&Value::Bool(true))).then(|| {
            format!("its confirmation would show `{{{name}}}`, which is a secret (`writeOnly`)")
        })
    }

    fn defaults(&self, question: &Question) -> HashMap<String, Value> {
        let default = |name: &str| Some((name.to_owned(), self.get(name)?.get("default")?.clone()));
        question.names().filter_map(default).collect()
    }
}

/// Says in a published schema how to use the token.
pub(crate) fn publish(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    properties[TOKEN] = json!({
        "type": "string",
        "writeOnly": true,
        "description": "Leave this out at first. When the answer is the error `confirmation_required`, show its question \
                        to the user, and only if they agree call again with the same arguments and with its token here.",
    });
}

/// A question with inputs in braces.
struct Question(Vec<Piece>);

enum Piece {
    Text(String),
    Input(String),
}

impl Question {
    /// Reads `Delete {hostname}?`; `{{` and `}}` are braces.
    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("its confirmation asks nothing: write a question".to_owned());
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (brace, behind) = rest[at..].split_at(1);
            plain.push_str(&rest[..at]);
            if let Some(behind) = behind.strip_prefix(brace) {
                plain.push_str(brace);
                rest = behind;
                continue;
            }
            let (name, behind) = behind
                .split_once('}')
                .filter(|(name, _)| brace == "{" && !name.is_empty() && !name.contains('{'))
                .ok_or(
                    "its confirmation has a brace that is neither `{name}` nor doubled".to_owned(),
                )?;
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Input(name.to_owned()));
            rest = behind;
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Input(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The question about these arguments, as a person may see it.
    fn ask(&self, arguments: &Object<'_>, defaults: &HashMap<String, Value>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(plain) => text.push_str(&visible(plain)),
                Piece::Input(name) => {
                    let sent = arguments.get(name).map(Node::to_value);
                    let value = sent.as_ref().or_else(|| defaults.get(name));
                    text.push_str(&shortened(&visible(&shown(value)), MAX_VALUE));
                }
            }
        }
        shortened(&text, MAX_TEXT)
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "(nothing)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if !items.is_empty() => {
            let list: Vec<String> = items.iter().map(|item| shown(Some(item))).collect();
            let list = list.join(", ");
            // Whoever agrees must know that there is more than they see.
            if list.chars().count() > MAX_VALUE {
                format!("{} in all: {list}", items.len())
            } else {
                list
            }
        }
        Some(other) => other.to_string(),
    }
}

/// Without what a terminal or a text field would act upon instead of showing it: controls, and
/// the marks that turn the direction of writing around or take no room.
fn visible(text: &str) -> String {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}' | '\u{61c}');
    text.chars()
        .filter(|c| !hidden(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &str, arguments: &str) -> String {
        let question = Question::parse(question).expect(question);
        let arguments = crate::json::parse(arguments.as_bytes()).expect(arguments);
        let defaults = HashMap::from([("kind".to_owned(), json!("soft"))]);
        question.ask(arguments.as_object().expect("an object"), &defaults)
    }

    #[test]
    fn a_question_shows_values_and_nothing_that_hides() {
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(5000));
        let many: Vec<u32> = (0..200).collect();
        let many = json!({ "a": many }).to_string();
        for (question, arguments, text) in [
            ("Delete {a}?", r#"{"a": "web-1"}"#, "Delete web-1?"),
            ("Pay {a} {{cents}}?", r#"{"a": 5}"#, "Pay 5 {cents}?"),
            ("{a}{a}", r#"{"a": true}"#, "truetrue"),
            (
                "Invite {a}?",
                r#"{"a": ["ann", "bob"]}"#,
                "Invite ann, bob?",
            ),
            ("{a}", r#"{"a": {"b": [1]}}"#, r#"{"b":[1]}"#),
            ("{a}/{kind}", "{}", "(nothing)/soft"),
            ("{a}", r#"{"a": "x\n\u001b[2J\u202ey\u200b"}"#, "x  [2Jy"),
        ] {
            assert_eq!(ask(question, arguments), text, "{question} {arguments}");
        }
        assert_eq!(ask("{a}?", &long).chars().count(), MAX_VALUE + 1);
        assert_eq!(ask(&"{a}".repeat(20), &long).chars().count(), MAX_TEXT);
        assert!(ask("{a}", &many).starts_with("200 in all: 0, 1, 2"));
    }

    #[test]
    fn a_question_that_cannot_be_read_is_no_question() {
        for text in ["", " ", "{", "}", "{}", "{a", "a}", "{{}", "{a{b}}"] {
            assert!(Question::parse(text).is_err(), "{text:?}");
        }
    }
}
