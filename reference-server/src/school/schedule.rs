//! When a class takes place, as people write it: `Mon, Wed 18:00-19:30`, or each day with its own
//! times, `Mon 18:00-19:00, Wed 10:00-11:00`.

const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// What could be read of a schedule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule(Vec<Slot>);

/// A span of time on a day of the week.
#[derive(Debug, PartialEq, Eq)]
struct Slot {
    day: usize,
    /// Minutes since midnight.
    from: u32,
    to: u32,
}

impl Schedule {
    /// A text that names days and spans of time; anything else is not understood.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut slots = Vec::new();
        for group in groups(parts(&pieces(text))?) {
            for &day in &group.days {
                let spans = group.spans.iter().filter(|(from, to)| from < to);
                slots.extend(spans.map(|&(from, to)| Slot { day, from, to }));
            }
        }
        (!slots.is_empty()).then_some(Self(slots))
    }

    fn meets(&self, other: &Self) -> bool {
        let meets_one = |one: &Slot| other.0.iter().any(|two| one.meets(two));
        self.0.iter().any(meets_one)
    }
}

impl Slot {
    fn meets(&self, other: &Self) -> bool {
        self.day == other.day && self.from < other.to && other.from < self.to
    }
}

/// Whether nobody can be at both. Schedules that are not understood meet when they are the same
/// text.
pub(super) fn conflict(one: &str, two: &str) -> bool {
    match (Schedule::read(one), Schedule::read(two)) {
        (Some(one), Some(two)) => one.meets(&two),
        _ => one.trim().to_lowercase() == two.trim().to_lowercase(),
    }
}

/// The words of a schedule.
#[derive(Clone, Copy)]
enum Piece {
    Day(usize),
    Time(u32),
    Dash,
    Other,
}

fn pieces(text: &str) -> Vec<Piece> {
    let text = text.to_lowercase().replace(['-', '–', '—'], " - ");
    let words = text.split(|c: char| c.is_whitespace() || [',', '/', '+', ';'].contains(&c));
    let piece = |word: &str| match (time(word), day(word)) {
        _ if word == "-" => Piece::Dash,
        (Some(time), _) => Piece::Time(time),
        (_, Some(day)) => Piece::Day(day),
        _ => Piece::Other,
    };
    words.filter(|word| !word.is_empty()).map(piece).collect()
}

/// What a schedule names.
enum Part {
    Days(Vec<usize>),
    Span(u32, u32),
}

fn parts(mut pieces: &[Piece]) -> Option<Vec<Part>> {
    use Piece::{Dash, Day, Time};
    let mut parts = Vec::new();
    loop {
        let (part, rest) = match pieces {
            [] => return Some(parts),
            // Nobody knows what three in a row mean.
            [Day(_), Dash, Day(_), Dash, Day(_), ..]
            | [Time(_), Dash, Time(_), Dash, Time(_), ..] => return None,
            [Day(from), Dash, Day(to), rest @ ..] => (Some(Part::Days(days(*from, *to))), rest),
            [Time(from), Dash, Time(to), rest @ ..] => (Some(Part::Span(*from, *to)), rest),
            [Day(day), rest @ ..] => (Some(Part::Days(vec![*day])), rest),
            [_, rest @ ..] => (None, rest),
        };
        parts.extend(part);
        pieces = rest;
    }
}

/// From one day to the other, both included, if need be across the end of the week.
fn days(from: usize, to: usize) -> Vec<usize> {
    let more = (to + 7 - from) % 7;
    (from..=from + more).map(|day| day % 7).collect()
}

/// Days, and the times that go with them.
#[derive(Default)]
struct Group {
    days: Vec<usize>,
    spans: Vec<(u32, u32)>,
}

/// Whatever a text begins with, days or times, each of its groups begins with.
fn groups(parts: Vec<Part>) -> Vec<Group> {
    let is_days = |part: &Part| matches!(part, Part::Days(_));
    let days_first = parts.first().is_some_and(is_days);
    let (mut groups, mut group) = (Vec::<Group>::new(), Group::default());
    for part in parts {
        let complete = !group.days.is_empty() && !group.spans.is_empty();
        if complete && is_days(&part) == days_first {
            groups.push(std::mem::take(&mut group));
        }
        match part {
            Part::Days(days) => group.days.extend(days),
            Part::Span(from, to) => group.spans.push((from, to)),
        }
    }
    // What stands alone at the end belongs to what is before it.
    if let Some(before) = groups.last() {
        if group.days.is_empty() {
            group.days.clone_from(&before.days);
        }
        if group.spans.is_empty() {
            group.spans.clone_from(&before.spans);
        }
    }
    groups.push(group);
    groups
}

/// `mon`, `tues`, `thursdays`
fn day(word: &str) -> Option<usize> {
    let letters: String = word.chars().filter(|c| c.is_alphabetic()).collect();
    let stem = letters.strip_suffix('s').unwrap_or(&letters);
    let mut days = DAYS.iter();
    days.position(|day| stem.len() >= 3 && day.starts_with(stem))
}

/// As [`minutes`]; a day ends at `24:00`.
fn time(word: &str) -> Option<u32> {
    match word {
        "24:00" => Some(24 * 60),
        _ => minutes(word),
    }
}

/// `18:00` as minutes since midnight.
pub(super) fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let two =
        |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !two(hours) || minutes.len() != 2 || !two(minutes) {
        return None;
    }
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::conflict;

    #[test]
    fn schedules_meet_on_a_day_at_a_time() {
        let rows = [
            ("Mon 18:00-19:30", "Mondays 19:00-20:00", true),
            ("Mon, Wed 18:00-19:30", "Tue-Thu 19:29–20:00", true),
            ("Mon 18:00-19:30", "Mon 19:30-20:00", false),
            ("Mon 18:00-19:30", "Tue 18:00-19:30", false),
            ("by arrangement", " By arrangement", true),
            ("by arrangement", "Mon 18:00-19:30", false),
            // Times before their days, and what is left over.
            ("18:00-19:00 Mon, 10:00-11:00 Wed", "Mon 10:00-11:00", false),
            ("18:00-19:00 Mon, 10:00-11:00 Wed", "Wed 10:00-11:00", true),
            ("18:00-19:00 Mon, 10:00-11:00", "Mon 10:00-11:00", true),
            ("Mon 18:00-19:00, Wed", "Wed 18:00-19:00", true),
            (
                "Mon 9:00-10:00 and 14:00-15:00, Wed 9:00-10:00",
                "Mon 14:30-15:00",
                true,
            ),
            (
                "Mon 9:00-10:00 and 14:00-15:00, Wed 9:00-10:00",
                "Wed 14:30-15:00",
                false,
            ),
            // Dashes of all kinds.
            ("Sat - Mon 10:00 — 11:00", "Sun 10:00-11:00", true),
            ("Sat - Mon 10:00 — 11:00", "Tue 10:00-11:00", false),
            ("Mon - 18:00-19:00", "Mon 18:00-19:00", true),
            ("Mon-Wed-Fri 18:00-19:00", "Mon 18:00-19:00", false),
            // Not on one day: as a text.
            ("Mon 22:00-01:00", "mon 22:00-01:00", true),
            ("Mon 22:00-01:00", "Mon 22:30-23:00", false),
            ("Mon 24:00-24:00", "Mon 00:00-24:00", false),
        ];
        for (one, two, expected) in rows {
            assert_eq!(conflict(one, two), expected, "{one} / {two}");
            assert_eq!(conflict(two, one), expected, "{two} / {one}");
        }
    }
}
