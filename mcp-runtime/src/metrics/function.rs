//! The figures of one tool, resource or prompt.

use std::time::Instant;

use super::{Counter, Histogram, Metrics};
use crate::bound::Bound;
use crate::call;
use crate::error::Refusal;
use crate::output::Outcome;

/// The words of [`call::word`] and [`Refusal::word`], the most frequent first.
const OUTCOMES: [&str; 16] = [
    "ok",
    "failed",
    "invalid_arguments",
    "asks",
    "cancelled",
    "timeout",
    "rate_limited",
    "insufficient_scope",
    "forbidden",
    "unauthenticated",
    "unknown",
    "panic",
    "internal",
    "audit_unavailable",
    "result_too_large",
    "other",
];
const CANCELLED: usize = 4;

/// Made when the server is built, so that a call only has to add.
pub(crate) struct FunctionFigures {
    calls: [Counter; OUTCOMES.len()],
    duration: Histogram,
}

impl FunctionFigures {
    /// `kind` is `tool`, `resource` or `prompt`.
    pub(crate) fn new(metrics: &Metrics, kind: &'static str, name: &str) -> Self {
        let (calls, duration) = match kind {
            "resource" => ("mcp_resource_reads_total", "mcp_resource_duration_seconds"),
            "prompt" => ("mcp_prompt_gets_total", "mcp_prompt_duration_seconds"),
            _ => ("mcp_tool_calls_total", "mcp_tool_duration_seconds"),
        };
        let (how_many, how_long) = match kind {
            "resource" => (
                "Reads of resources by how they ended.",
                "How long reads of resources took, from the policy to the result.",
            ),
            "prompt" => (
                "Prompts that were asked for, by how that ended.",
                "How long prompts took, from the policy to the result.",
            ),
            _ => (
                "Calls of tools by how they ended.",
                "How long calls of tools took, from the policy to the result.",
            ),
        };
        let counter = |outcome| {
            let labels = [(kind, name), ("outcome", outcome)];
            // The good case stands from the start: a rate of nothing is zero, not absent.
            match outcome {
                "ok" => metrics.counter(calls, how_many, &labels),
                _ => metrics.quiet_counter(calls, how_many, &labels),
            }
        };
        Self {
            calls: OUTCOMES.map(counter),
            duration: metrics.durations(duration, how_long, &[(kind, name)]),
        }
    }
}

/// Counts one call when it is over; one that is dropped was cancelled. Nothing, where nobody counts.
pub(crate) struct Metered<'call>(Option<(&'call FunctionFigures, Instant)>);

impl<'call> Metered<'call> {
    pub(crate) fn begin(bound: &'call Bound) -> Self {
        let figures = bound.figures.as_deref();
        Self(figures.map(|figures| (figures, Instant::now())))
    }

    pub(crate) fn refused(self, refusal: &Refusal) {
        self.end_as(|| refusal.word());
    }

    pub(crate) fn ended(self, outcome: &Outcome) {
        self.end_as(|| call::word(outcome));
    }

    fn end_as(mut self, word: impl FnOnce() -> &'static str) {
        if let Some((figures, since)) = self.0.take() {
            figures.add(index(word()), since);
        }
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        if let Some((figures, since)) = self.0.take() {
            figures.add(CANCELLED, since);
        }
    }
}

impl FunctionFigures {
    fn add(&self, outcome: usize, since: Instant) {
        self.calls[outcome].count();
        self.duration.took(since.elapsed());
    }
}

fn index(word: &str) -> usize {
    let known = OUTCOMES.iter().position(|outcome| *outcome == word);
    known.unwrap_or(OUTCOMES.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_series_of_its_own() {
        let refusals = [
            Refusal::Unknown,
            Refusal::Forbidden,
            Refusal::InvalidArguments(Vec::new()),
            Refusal::AuditUnavailable,
            Refusal::TimedOut { seconds: 1.0 },
            Refusal::Panicked,
            Refusal::ResultTooLarge,
            Refusal::InsufficientScope { scopes: Vec::new() },
        ];
        for refusal in refusals {
            assert_eq!(OUTCOMES[index(refusal.word())], refusal.word());
        }
        for word in [
            "ok",
            "asks",
            "internal",
            "failed",
            "unauthenticated",
            "rate_limited",
        ] {
            assert_eq!(OUTCOMES[index(word)], word);
        }
        assert_eq!(OUTCOMES[CANCELLED], "cancelled");
    }
}
