//! How often: so many in so much time, and how many of them at once.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::Quota;

/// How often something may happen. `10/min, burst 2` is one every six seconds, and two at once
/// after a while of nothing.
///
/// ```
/// use std::time::Duration;
/// use mcp_runtime::Rate;
///
/// let rate: Rate = "10/min, burst 2".parse()?;
/// assert_eq!(rate, Rate::new(10, Duration::from_secs(60)).burst(2));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
    burst: u32,
}

impl Rate {
    /// `count` in every `per`, and as many of them at once. A rate of nothing is refused when the
    /// server is built.
    pub fn new(count: u32, per: Duration) -> Self {
        Self {
            count,
            per,
            burst: count,
        }
    }

    /// How many may come at once.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// The time between two, in the long run.
    pub fn interval(self) -> Duration {
        self.per / self.count.max(1)
    }

    /// How many may come at once after a while of nothing.
    pub fn at_once(self) -> u32 {
        self.burst
    }

    /// What the limiter keeps to; an error says why nothing could.
    pub(crate) fn quota(self) -> Result<Quota, String> {
        let zero = || format!("the rate {self} lets nobody in: allow one or more");
        let (Some(_), Some(burst)) = (NonZeroU32::new(self.count), NonZeroU32::new(self.burst))
        else {
            return Err(zero());
        };
        if self.window() > Duration::from_secs(366 * 86_400) {
            return Err(format!(
                "the rate {self} takes more than a year to come back: make its burst smaller"
            ));
        }
        Quota::with_period(self.interval())
            .map(|quota| quota.allow_burst(burst))
            .ok_or_else(|| format!("the rate {self} is faster than the clock: leave it out"))
    }

    /// How long it takes until a caller that used all of it has all of it again.
    pub(crate) fn window(self) -> Duration {
        self.interval().saturating_mul(self.burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, seconds)| Duration::from_secs(*seconds) == self.per);
        match unit {
            Some((unit, _)) => write!(f, "{}/{unit}", self.count)?,
            None => write!(f, "{}/{:?}", self.count, self.per)?,
        }
        if self.burst == self.count {
            return Ok(());
        }
        write!(f, ", burst {}", self.burst)
    }
}

/// Units with their seconds; of two for one length, the one to write comes first.
const UNITS: &[(&str, u64)] = &[
    ("s", 1),
    ("sec", 1),
    ("min", 60),
    ("hour", 3_600),
    ("day", 86_400),
];

impl FromStr for Rate {
    type Err = String;

    /// Reads `60/min` or `60/min, burst 10`; units are `s`, `sec`, `min`, `hour` and `day`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rate: write it like `10/min` or `10/min, burst 2`");
        let (rate, burst) = match text.split_once(',') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (count, unit) = rate.trim().split_once('/').ok_or_else(wrong)?;
        let seconds = UNITS
            .iter()
            .find(|(known, _)| *known == unit.trim())
            .map(|(_, seconds)| *seconds)
            .ok_or_else(wrong)?;
        let number = |text: &str| whole(text.trim()).ok_or_else(wrong);
        let rate = Self::new(number(count)?, Duration::from_secs(seconds));
        let rate = match burst {
            None => rate,
            Some(burst) => {
                let burst = burst.trim().strip_prefix("burst ").ok_or_else(wrong)?;
                rate.burst(number(burst)?)
            }
        };
        rate.quota().map(|_| rate)
    }
}

fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for text in [
            "10/min",
            "10/min, burst 2",
            "1/s",
            "3/hour",
            "5/day, burst 50",
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
        }
        assert_eq!("7/sec".parse(), Ok(Rate::new(7, Duration::from_secs(1))));
        for text in [
            "",
            "10",
            "10/",
            "/min",
            "10/minute",
            "-1/min",
            "+1/min",
            "1.5/s",
            "0/min",
            "10/min, burst 0",
            "10/min, 2",
            "10/min burst 2",
            "10/min, burst",
            "99999999999/min",
            "1/day, burst 4294967295",
            "4294967295/s, burst 1, burst 2",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
