//! JSON bodies: read, checked and bounded, all problems at once.

use std::ops::RangeInclusive;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::answer::Problem;
use super::query::{Problems, read_day};

/// A hundred addresses and a note fit several times.
pub(super) const LIMIT: usize = 256 * 1024;

/// The members of the object a request carries, taken out one by one like the parameters of a
/// [`Query`](super::query::Query).
pub(super) struct Fields {
    members: Map<String, Value>,
    pub(super) problems: Problems,
}

impl Fields {
    pub(super) fn of(body: Result<Bytes, BytesRejection>) -> Result<Self, Problem> {
        let bytes = body.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let message = format!("The body must not be larger than {LIMIT} bytes.");
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            } else {
                Problem::bad_request("body_unreadable", "The body did not arrive whole.")
                    .caused_by(rejection)
            }
        })?;
        let mut problems = Problems::default();
        let members = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
            problems.add("body", "must be a JSON object");
            Map::new()
        });
        Ok(Self { members, problems })
    }

    /// Absent and null are the same.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.problems.add(name, "must be a text");
                None
            }
        }
    }

    pub(super) fn required_text(&mut self, name: &'static str) -> String {
        if !self.members.contains_key(name) {
            self.problems.add(name, "is missing");
        }
        self.text(name).unwrap_or_default()
    }

    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        serde_json::from_value(value).unwrap_or_else(|_| {
            self.problems.add(name, "must be a list of texts");
            Vec::new()
        })
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.problems.add(name, "must be true or false");
                default
            }
        }
    }

    pub(super) fn int(
        &mut self,
        name: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> i64 {
        let Some(value) = self.take(name) else {
            return default;
        };
        match value.as_i64() {
            Some(n) if range.contains(&n) => n,
            _ => {
                let (low, high) = range.into_inner();
                let rule = format!("must be a whole number from {low} to {high}");
                self.problems.add(name, rule);
                default
            }
        }
    }

    pub(super) fn one_of(
        &mut self,
        name: &'static str,
        allowed: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(name)?;
        let known = allowed.iter().find(|one| **one == text).copied();
        if known.is_none() {
            let rule = format!("must be one of {}", allowed.join(", "));
            self.problems.add(name, rule);
        }
        known
    }

    pub(super) fn required_one_of(
        &mut self,
        name: &'static str,
        allowed: &[&'static str],
    ) -> &'static str {
        if !self.members.contains_key(name) {
            self.problems.add(name, "is missing");
        }
        self.one_of(name, allowed).unwrap_or_default()
    }

    /// A day that has to be there.
    pub(super) fn required_day(&mut self, name: &'static str) -> Option<Date> {
        let text = self.text(name).unwrap_or_default();
        match read_day(&text) {
            Ok(day) => Some(day),
            Err(rule) => {
                self.problems.add(name, rule);
                None
            }
        }
    }

    /// A text for people, of 1 to 2000 characters.
    pub(super) fn note(&mut self, name: &'static str) -> String {
        let note = self.required_text(name).trim().to_owned();
        let written = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if !(1..=2_000).contains(&note.chars().count()) || !note.chars().all(written) {
            let rule = "must have 1 to 2000 characters, none of them control ones";
            self.problems.add(name, rule);
        }
        note
    }

    pub(super) fn finish(mut self) -> Result<(), Problem> {
        for name in self.members.keys() {
            self.problems.add_unknown(name, "body", "is unknown here");
        }
        self.problems.finish()
    }
}
