//! Query parameters: read, checked and bounded, all problems at once.

use std::ops::RangeInclusive;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query as Pairs};
use axum::http::{StatusCode, Uri};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::Problem;
use super::db::millis;

/// The days that may be asked about: more than anybody means, and far from the ends of the calendar.
const DAYS: RangeInclusive<Date> = Date::constant(1900, 1, 1)..=Date::constant(2199, 12, 31);

/// The parameters of one request. Every reader takes its parameter out; [`finish`](Self::finish)
/// refuses what is left, because a misspelt filter would silently widen the answer.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    problems: Problems,
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let mut problems = Problems::default();
        let pairs = match Pairs::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Pairs(pairs)) => pairs,
            Err(_) => {
                problems.add("query", "is not a well-formed query string");
                Vec::new()
            }
        };
        Self { pairs, problems }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(at);
        if value.chars().any(char::is_control) {
            self.problems.add(name, "must not have control characters");
            return None;
        }
        Some(value)
    }

    pub(super) fn int(
        &mut self,
        name: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> i64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(n) if range.contains(&n) => n,
            _ => {
                let (low, high) = range.into_inner();
                let rule = format!("must be a whole number from {low} to {high}");
                self.problems.add(name, rule);
                default
            }
        }
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Option<bool> {
        match self.text(name)?.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => {
                self.problems.add(name, "must be true or false");
                None
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

    /// `start_date` and `end_date`.
    pub(super) fn dates(&mut self) -> (Option<Date>, Option<Date>) {
        (self.date("start_date"), self.date("end_date"))
    }

    fn date(&mut self, name: &'static str) -> Option<Date> {
        let text = self.text(name)?;
        match read_day(&text) {
            Ok(day) => Some(day),
            Err(rule) => {
                self.problems.add(name, rule);
                None
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in self.pairs {
            let rule = "is unknown here, or given twice";
            self.problems.add_unknown(&name, "query", rule);
        }
        self.problems.finish()
    }
}

/// Everything wrong with a request's parameters. Names rules, never repeats values.
#[derive(Default)]
pub(super) struct Problems(Vec<Value>);

impl Problems {
    pub(super) fn add(&mut self, parameter: &str, rule: impl Into<String>) {
        self.0
            .push(json!({ "parameter": parameter, "message": rule.into() }));
    }

    /// A name is the caller's text: shown only when it can be nothing but a name.
    pub(super) fn add_unknown(&mut self, name: &str, whole: &str, rule: &str) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if (1..=40).contains(&name.len()) && name.bytes().all(plain) {
            self.add(name, rule);
        } else {
            self.add(whole, "has a part of unknown name");
        }
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some(first) = self.0.first() else {
            return Ok(());
        };
        let (name, rule) = (first["parameter"].as_str(), first["message"].as_str());
        let message = format!(
            "`{}` {}",
            name.unwrap_or_default(),
            rule.unwrap_or_default()
        );
        Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            message,
        )
        .details(json!({ "problems": self.0 })))
    }
}

/// Whole UTC days, both ends included; a missing end is open.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Window {
    pub(super) start: Option<Date>,
    pub(super) end: Option<Date>,
}

impl Window {
    pub(super) fn new(start: Option<Date>, end: Option<Date>) -> Result<Self, Problem> {
        if matches!((start, end), (Some(start), Some(end)) if start > end) {
            return Err(Problem::bad_request(
                "start_date_after_end_date",
                "start_date must not lie after end_date.",
            ));
        }
        Ok(Self { start, end })
    }

    /// `[from, to)` in milliseconds.
    pub(super) fn millis(self) -> (i64, i64) {
        let from = self.start.and_then(midnight).unwrap_or(i64::MIN);
        let to = self.end.and_then(|day| midnight(day.tomorrow().ok()?));
        (from, to.unwrap_or(i64::MAX))
    }
}

/// A day as the contract writes it, or the rule that the text breaks.
pub(super) fn read_day(text: &str) -> Result<Date, String> {
    // jiff reads more forms of a date than the contract names.
    let date: Option<Date> = (text.len() == 10).then(|| text.parse().ok()).flatten();
    match date {
        None => Err("must be a date such as 2026-01-31".to_owned()),
        Some(date) if DAYS.contains(&date) => Ok(date),
        Some(_) => Err(format!(
            "must be a date from {} to {}",
            DAYS.start(),
            DAYS.end()
        )),
    }
}

/// The UTC day of an instant.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// The day `n` days before.
pub(super) fn days_before(date: Date, n: i32) -> Date {
    date.saturating_sub(n.days())
}

fn midnight(date: Date) -> Option<i64> {
    let zoned = date.to_zoned(TimeZone::UTC).ok()?;
    Some(millis(zoned.timestamp()))
}

/// The last part of a path, decoded.
pub(super) fn path_text(
    name: &'static str,
    path: Result<Path<String>, PathRejection>,
) -> Result<String, Problem> {
    let text = path
        .map(|Path(text)| text.trim().to_owned())
        .unwrap_or_default();
    let mut problems = Problems::default();
    let fits = (1..=254).contains(&text.chars().count());
    if !fits || text.chars().any(char::is_control) {
        let rule = "must have 1 to 254 characters in UTF-8, none of them control ones";
        problems.add(name, rule);
    }
    problems.finish()?;
    Ok(text)
}
