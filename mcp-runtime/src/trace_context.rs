//! Which trace a call belongs to (W3C Trace Context, level 1).
//!
//! A client names its trace in the header `traceparent` or in `_meta.traceparent`. Only the two ids
//! are taken, and only if they are written to the letter; anything else begins a new trace. That a
//! client wants its trace recorded decides nothing here, and `tracestate` and `baggage` are not read
//! at all: they are free text that nobody here asked for.

use std::cell::RefCell;
use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::call::Call;
use crate::wire::headers::Once;

/// The header of requests over HTTP, and the member of `_meta`.
pub(crate) const TRACEPARENT: &str = "traceparent";
/// The same as the name of a header: looking it up by its text would read the text each time.
static HEADER: HeaderName = HeaderName::from_static(TRACEPARENT);

/// A span of a trace: one call, or one request that a call makes.
///
/// ```
/// use mcp_runtime::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let theirs = TraceContext::parse(header).unwrap();
/// let ours = theirs.child();
/// assert_eq!(ours.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(ours.parent_id().unwrap().to_string(), "00f067aa0ba902b7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    parent: Option<u64>,
}

/// The id of a trace: 32 lowercase hexadecimal digits, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The id of a span: 16 lowercase hexadecimal digits, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

impl TraceContext {
    /// The first span of a new trace, with random ids.
    pub fn new() -> Self {
        Self {
            trace: (1..)
                .map(|_| rand::random())
                .find(|id| *id != 0)
                .unwrap_or(1),
            span: span_id(),
            parent: None,
        }
    }

    /// The span that somebody else's `traceparent` names. `None` unless it is written as the
    /// standard has it: nothing is guessed.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let (known, rest) = traceparent.as_bytes().split_at_checked(55)?;
        let (version, trace) = (hex(&known[..2])?, hex(&known[3..35])?);
        let (span, flags) = (hex(&known[36..52])?, hex(&known[53..]));
        let in_place = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        // Later versions may have more behind what we know.
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-') && rest.len() <= 200,
        };
        let valid = in_place && ends && flags.is_some() && trace != 0 && span != 0;
        valid.then_some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            parent: None,
        })
    }

    /// The span that the head of a request names, if it names exactly one.
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        Self::parse(Once::of(headers, &HEADER).value()?.to_str().ok()?)
    }

    /// The call that runs here, for code that has no [`Call`] at hand. `None` outside of calls, and
    /// in tasks and threads that a call has started.
    pub fn current() -> Option<Self> {
        HERE.with_borrow(|call| call.as_ref().map(Call::trace))
    }

    /// A new span of the same trace, under this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            trace: self.trace,
            span: span_id(),
            parent: Some(self.span),
        }
    }

    /// Which trace this is.
    pub fn trace_id(&self) -> TraceId {
        TraceId(self.trace)
    }

    /// Which span of it.
    pub fn span_id(&self) -> SpanId {
        SpanId(self.span)
    }

    /// The span above it; `None` for the first of a trace.
    pub fn parent_id(&self) -> Option<SpanId> {
        self.parent.map(SpanId)
    }

    /// As the header `traceparent` of a request that this span makes. `sampled` says whether we
    /// record it.
    pub fn to_header(&self, sampled: bool) -> String {
        let flags = u8::from(sampled);
        format!("00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

impl TraceId {
    /// Sixteen bytes, as OpenTelemetry has it.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// Eight bytes, as OpenTelemetry has it.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

thread_local! {
    /// The call that is being polled on this thread.
    static HERE: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// Makes a call the current one of this thread, until it is dropped.
pub(crate) struct Here(Option<Call>);

impl Here {
    pub(crate) fn enter(call: &Call) -> Self {
        Self(HERE.replace(Some(call.clone())))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // Dropped outside of the borrow: the last clone of a call runs code of its own.
        drop(HERE.replace(self.0.take()));
    }
}

fn span_id() -> u64 {
    (1..)
        .map(|_| rand::random())
        .find(|id| *id != 0)
        .unwrap_or(1)
}

/// A number of lowercase hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_to_the_letter_is_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, valid) in [
            (good.to_owned(), true),
            (good.replace("-01", "-00"), true),
            (good.replacen("00", "cc", 1), true),
            (
                format!("{}-what-comes-later", good.replacen("00", "01", 1)),
                true,
            ),
            (format!("{}.", good.replacen("00", "01", 1)), false),
            (format!("{good}-more"), false),
            (good.replacen("00", "ff", 1), false),
            (good.to_uppercase(), false),
            (
                good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
                false,
            ),
            (good.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (good.replace("-01", "-0g"), false),
            (good.replace('-', "_"), false),
            (good.replace("4b", "+b"), false),
            (good[..54].to_owned(), false),
            (format!(" {good}"), false),
            (good.replace("4bf9", "ä9"), false),
            (String::new(), false),
            ("0".repeat(1 << 16), false),
        ] {
            assert_eq!(TraceContext::parse(&text).is_some(), valid, "{text:.80}");
        }
        let read = TraceContext::parse(good).unwrap();
        assert_eq!(read.to_header(true), good);
        let child = read.child();
        assert_eq!(child.parent_id(), Some(read.span_id()));
        assert_ne!(child.span_id(), read.span_id());
        assert_eq!(child.trace_id(), read.trace_id());
    }
}
