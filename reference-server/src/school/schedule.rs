//! When a class takes place, as people write it: `Mon, Wed 18:00-19:30`.

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What could be read of a schedule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    days: [bool; 7],
    /// Minutes since midnight.
    from: u32,
    to: u32,
}

impl Schedule {
    /// A text that names days and one span of time; anything else is not understood.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.to_lowercase().replace(['–', '—'], "-");
        let mut days = [false; 7];
        let mut span = None;
        for word in text
            .split([' ', ',', '/', '+', ';'])
            .filter(|word| !word.is_empty())
        {
            if let Some((from, to)) = word.split_once('-')
                && let (Some(from), Some(to)) = (minutes(from), minutes(to))
            {
                span = Some((from, to));
            } else if let Some((from, to)) = word.split_once('-')
                && let (Some(from), Some(to)) = (day(from), day(to))
                && from <= to
            {
                days[from..=to].fill(true);
            } else if let Some(day) = day(word) {
                days[day] = true;
            }
        }
        let (from, to) = span.filter(|(from, to)| from < to)?;
        days.contains(&true).then_some(Self { days, from, to })
    }

    fn meets(&self, other: &Self) -> bool {
        let same_day = self
            .days
            .iter()
            .zip(other.days)
            .any(|(one, two)| *one && two);
        same_day && self.from < other.to && other.from < self.to
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

fn day(word: &str) -> Option<usize> {
    let letters: String = word.chars().filter(|c| c.is_alphabetic()).collect();
    let full = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    (0..7).find(|&at| {
        let stem = letters.strip_suffix('s').unwrap_or(&letters);
        letters == DAYS[at]
            || letters == full[at]
            || stem == full[at]
            || letters == DAYS[at].to_owned() + "s"
    })
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
        ];
        for (one, two, expected) in rows {
            assert_eq!(conflict(one, two), expected, "{one} / {two}");
            assert_eq!(conflict(two, one), expected, "{two} / {one}");
        }
    }
}
