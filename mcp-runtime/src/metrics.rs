//! Figures for operators, in the text format of Prometheus.
//!
//! Every series exists before the first request: it belongs to something that was registered, or to
//! a fixed list. A name that a client sends is never a label, so no client makes more of them. To
//! count is to add to a number in memory; only registering and rendering take a lock.

mod figures;
mod function;
mod serve;
mod store;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::Store;

pub(crate) use self::figures::{Auth, Figures, InFlight, SessionEnd, StreamEnd, TaskFigure};
pub(crate) use self::function::{FunctionFigures, Metered};

/// Upper bounds of durations, in seconds.
pub(crate) const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Series of one name. More are counted, and not shown.
const MAX_SERIES: usize = 10_000;

/// What a server counts and measures. Clones are the same figures; several servers of one process
/// may share them.
///
/// ```
/// use mcp_runtime::prelude::*;
/// use mcp_runtime::Metrics;
///
/// /// Add two numbers.
/// #[mcp_tool(public, read_only)]
/// fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// # fn main() -> mcp_runtime::Result {
/// let metrics = Metrics::new();
/// let service = Server::new(tools![add]).metrics(&metrics).build()?;
/// assert!(metrics.render().contains("mcp_tool_calls_total{tool=\"add\",outcome=\"ok\"} 0\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Families>>);

type Families = BTreeMap<String, Family>;

/// All series of one name.
struct Family {
    kind: Kind,
    help: &'static str,
    /// By their labels, as they are written.
    series: BTreeMap<String, Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Series {
    cell: Cell,
    /// Not shown while it is zero.
    quiet: bool,
}

#[derive(Clone)]
enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Read(Arc<dyn Fn() -> f64 + Send + Sync>),
    Histogram(Histogram),
}

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that grows and shrinks.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

/// How often values fell into which range, and their sum.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Ranges>);

#[derive(Debug)]
struct Ranges {
    /// The largest value of each range but the last one, ascending.
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Metrics {
    /// The type of [`render`](Self::render), for a `Content-Type` header.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// No figures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// All figures, in the text format of Prometheus (version 0.0.4).
    pub fn render(&self) -> String {
        text::render(&self.families())
    }

    /// A counter of this name and these labels; the same one for whoever asks again. Names of
    /// counters end in `_total`. Register where the server is put together, not where it counts,
    /// and never with a label that comes from outside.
    pub fn counter(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        self.count(name, help, labels, false)
    }

    /// A counter that is not shown before it has counted something.
    pub(crate) fn quiet_counter(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Counter {
        self.count(name, help, labels, true)
    }

    fn count(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        quiet: bool,
    ) -> Counter {
        let new = || Cell::Counter(Counter::default());
        match self.register(name, help, Kind::Counter, labels, quiet, new) {
            Cell::Counter(counter) => counter,
            _ => Counter::default(),
        }
    }

    /// A gauge of this name and these labels; the same one for whoever asks again.
    pub fn gauge(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        let new = || Cell::Gauge(Gauge::default());
        match self.register(name, help, Kind::Gauge, labels, false, new) {
            Cell::Gauge(gauge) => gauge,
            _ => Gauge::default(),
        }
    }

    /// A gauge that is read when the figures are. `read` must be quick; what is no number is left
    /// out. The first one registered stays.
    pub fn gauge_of(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let new = || Cell::Read(Arc::new(read));
        self.register(name, help, Kind::Gauge, labels, false, new);
    }

    /// A counter that something else counts, read like [`gauge_of`](Self::gauge_of).
    pub fn counter_of(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        let new = || Cell::Read(Arc::new(read));
        self.register(name, help, Kind::Counter, labels, false, new);
    }

    /// A histogram of this name and these labels; the same one for whoever asks again. `bounds`
    /// are the largest values of the ranges, ascending; above the last one there is one more.
    pub fn histogram(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&str, &str)],
        bounds: &'static [f64],
    ) -> Histogram {
        let new = || Cell::Histogram(Histogram::new(bounds));
        match self.register(name, help, Kind::Histogram, labels, true, new) {
            Cell::Histogram(histogram) => histogram,
            _ => Histogram::new(bounds),
        }
    }

    /// A histogram of durations in seconds, from a millisecond to a minute.
    pub fn durations(&self, name: &str, help: &'static str, labels: &[(&str, &str)]) -> Histogram {
        self.histogram(name, help, labels, SECONDS)
    }

    /// The same store, with its operations counted and timed. What a server is given with
    /// [`Server::store`](crate::Server::store) is counted anyway.
    #[must_use]
    pub fn over_store(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(store::Measured::new(store, self))
    }

    fn register(
        &self,
        name: &str,
        help: &'static str,
        kind: Kind,
        labels: &[(&str, &str)],
        quiet: bool,
        new: impl FnOnce() -> Cell,
    ) -> Cell {
        let name = text::name(name);
        let mut families = self.families();
        let family = families.entry(name.clone()).or_insert_with(|| Family {
            kind,
            help,
            series: BTreeMap::new(),
        });
        let labels = text::labels(labels);
        if family.kind != kind {
            tracing::error!(target: "mcp::metrics", name, ?kind, known = ?family.kind, "one name for two kinds of figures: the second is not shown");
            return new();
        }
        if let Some(known) = family.series.get(&labels) {
            return known.cell.clone();
        }
        let cell = new();
        if family.series.len() < MAX_SERIES {
            let series = Series {
                cell: cell.clone(),
                quiet,
            };
            family.series.insert(labels, series);
        } else {
            tracing::error!(target: "mcp::metrics", name, "too many series of one name: more are not shown");
        }
        cell
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Counter {
    /// Counts one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// What has been counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// As many as this.
    pub fn set(&self, number: i64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self(Arc::new(Ranges {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts one value.
    pub fn observe(&self, value: f64) {
        let Ranges {
            bounds,
            counts,
            sum,
        } = &*self.0;
        let range = bounds.iter().position(|bound| value <= *bound);
        counts[range.unwrap_or(bounds.len())].fetch_add(1, Ordering::Relaxed);
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Counts one duration, in seconds.
    pub fn took(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// How many values there were.
    pub fn get(&self) -> u64 {
        let counts = self.0.counts.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
