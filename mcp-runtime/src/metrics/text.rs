//! How figures are written: the text format of Prometheus, version 0.0.4.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::{Cell, Families, Family, Histogram, Kind, Series};

pub(super) fn render(families: &Families) -> String {
    let mut text = String::with_capacity(16 << 10);
    for (name, family) in families {
        if family.series.values().any(Series::is_shown) {
            write_family(&mut text, name, family);
        }
    }
    text
}

/// A name that every reader takes: what does not belong into one becomes `_`.
pub(super) fn name(name: &str) -> String {
    let fits = |(at, c): (usize, char)| match c {
        'a'..='z' | 'A'..='Z' | '_' | ':' => c,
        '0'..='9' if at > 0 => c,
        _ => '_',
    };
    name.chars().enumerate().map(fits).collect()
}

/// `tool="add",outcome="ok"`
pub(super) fn labels(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (at, (label, value)) in labels.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&name(label));
        text.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c if c.is_control() => text.push('\u{fffd}'),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text
}

impl Series {
    fn is_shown(&self) -> bool {
        !self.quiet
            || match &self.cell {
                Cell::Counter(counter) => counter.get() > 0,
                Cell::Histogram(histogram) => histogram.get() > 0,
                Cell::Gauge(_) | Cell::Read(_) => true,
            }
    }
}

fn write_family(text: &mut String, name: &str, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a string does not fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, series) in &family.series {
        if series.is_shown() {
            write_series(text, name, labels, &series.cell);
        }
    }
}

fn write_series(text: &mut String, name: &str, labels: &str, cell: &Cell) {
    match cell {
        Cell::Counter(counter) => line(text, name, labels, counter.get()),
        Cell::Gauge(gauge) => line(text, name, labels, gauge.get()),
        Cell::Read(read) => {
            let value = read();
            if value.is_finite() {
                line(text, name, labels, value);
            }
        }
        Cell::Histogram(histogram) => write_histogram(text, name, labels, histogram),
    }
}

/// The count is that of the ranges, whatever is added meanwhile.
fn write_histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let ranges = &*histogram.0;
    let comma = if labels.is_empty() { "" } else { "," };
    let mut so_far = 0;
    for (at, count) in ranges.counts.iter().enumerate() {
        so_far += count.load(Ordering::Relaxed);
        let bound = ranges.bounds.get(at);
        let bound = bound.map_or_else(|| "+Inf".to_owned(), f64::to_string);
        let labels = format!("{labels}{comma}le=\"{bound}\"");
        line(text, &format!("{name}_bucket"), &labels, so_far);
    }
    let sum = f64::from_bits(ranges.sum.load(Ordering::Relaxed));
    line(text, &format!("{name}_sum"), labels, sum);
    line(text, &format!("{name}_count"), labels, so_far);
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}
