//! Periods by name, and how they are cut into days, weeks and months.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::platform::query::Window;

/// The days of a period, the last of which is today unless its name says otherwise. Weeks begin on
/// Monday.
pub(in super::super) fn period(name: &str, today: Date) -> Window {
    let month = today.first_of_month();
    let (start, end) = match name {
        "yesterday" => (before(today, 1), before(today, 1)),
        "this_week" => (week(today), today),
        "last_7_days" => (before(today, 6), today),
        "last_30_days" => (before(today, 29), today),
        "this_month" => (month, today),
        "last_month" => {
            let end = before(month, 1);
            (end.first_of_month(), end)
        }
        "this_quarter" => (quarter(today), today),
        _ => (today, today),
    };
    Window {
        start: Some(start),
        end: Some(end),
    }
}

/// The days to compare with.
pub(super) fn compared(name: &str, (start, end): (Date, Date)) -> (Date, Date) {
    match name {
        "same_period_last_month" => (
            start.saturating_sub(1.month()),
            end.saturating_sub(1.month()),
        ),
        "same_period_last_year" => (start.saturating_sub(1.year()), end.saturating_sub(1.year())),
        _ => {
            let days = (end - start).get_days() + 1;
            (before(start, days), before(start, 1))
        }
    }
}

/// The first day of the day, week or month that a day lies in.
pub(super) fn bucket(by: &str, date: Date) -> Date {
    match by {
        "week" => week(date),
        "month" => date.first_of_month(),
        _ => date,
    }
}

/// The first day of the one after; none where the calendar ends.
pub(super) fn next(by: &str, start: Date) -> Option<Date> {
    let step = match by {
        "week" => 7.days(),
        "month" => 1.month(),
        _ => 1.day(),
    };
    start.checked_add(step).ok()
}

/// The first day of the one that lies `n` before.
pub(super) fn earlier(by: &str, start: Date, n: i64) -> Date {
    match by {
        "week" => start.saturating_sub((7 * n).days()),
        "month" => start.saturating_sub(n.months()),
        _ => start.saturating_sub(n.days()),
    }
}

fn week(date: Date) -> Date {
    before(date, i32::from(date.weekday().to_monday_zero_offset()))
}

fn quarter(date: Date) -> Date {
    let back = (date.month() - 1) % 3;
    date.first_of_month()
        .saturating_sub(i64::from(back).months())
}

fn before(date: Date, days: i32) -> Date {
    date.saturating_sub(days.days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    #[test]
    fn periods_by_name() {
        // A Wednesday in the last quarter.
        let today = date("2026-11-04");
        let rows = [
            ("today", "2026-11-04", "2026-11-04"),
            ("yesterday", "2026-11-03", "2026-11-03"),
            ("this_week", "2026-11-02", "2026-11-04"),
            ("last_7_days", "2026-10-29", "2026-11-04"),
            ("last_30_days", "2026-10-06", "2026-11-04"),
            ("this_month", "2026-11-01", "2026-11-04"),
            ("last_month", "2026-10-01", "2026-10-31"),
            ("this_quarter", "2026-10-01", "2026-11-04"),
        ];
        for (name, start, end) in rows {
            let window = period(name, today);
            let expected = (Some(date(start)), Some(date(end)));
            assert_eq!((window.start, window.end), expected, "{name}");
        }
    }

    #[test]
    fn the_next_one_begins_later_or_is_none() {
        for (by, after) in [
            ("day", "2026-02-01"),
            ("week", "2026-02-07"),
            ("month", "2026-02-28"),
        ] {
            assert_eq!(next(by, date("2026-01-31")), Some(date(after)), "{by}");
            assert_eq!(next(by, Date::MAX), None, "{by}");
        }
    }

    #[test]
    fn what_a_period_is_compared_with() {
        let march = (date("2026-03-01"), date("2026-03-31"));
        let rows = [
            ("previous_period", "2026-01-29", "2026-02-28"),
            ("same_period_last_month", "2026-02-01", "2026-02-28"),
            ("same_period_last_year", "2025-03-01", "2025-03-31"),
        ];
        for (name, start, end) in rows {
            assert_eq!(compared(name, march), (date(start), date(end)), "{name}");
        }
    }
}
