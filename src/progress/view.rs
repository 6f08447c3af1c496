//! What is said of a run under way: one line at any width, and when it will be over. Pure.

use std::time::Duration;

/// Calls of one class, and the limit that they are under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Made so far.
    pub done: u64,
    /// Planned in all.
    pub planned: u64,
    /// Allowed in a minute.
    pub per_minute: u32,
}

/// A run at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Since the first planned call.
    pub elapsed: Duration,
    /// Partitions that are published or confirmed.
    pub partitions: u64,
    /// Partitions planned.
    pub planned_partitions: u64,
    /// Rows in the partitions.
    pub rows: u64,
    /// By limit.
    pub calls: Vec<Calls>,
    /// What is waited for, in words that "in 12 s" can follow, and how long still.
    pub waiting: Option<(String, Duration)>,
}

/// Seconds between two windows of a rate limit: a minute, and the margin that `http::quota` keeps.
const WINDOW_SECS: f64 = 62.0;
/// A bar narrower than this shows nothing, a wider one no more.
const BAR_WIDTHS: std::ops::RangeInclusive<usize> = 10..=30;
const BETWEEN: &str = "  ";

impl View {
    /// Calls made.
    pub fn calls_done(&self) -> u64 {
        self.calls.iter().map(|calls| calls.done).sum()
    }

    /// Calls that there will be, as far as is known.
    pub fn calls_expected(&self) -> u64 {
        self.calls.iter().map(|calls| calls.done.max(calls.planned)).sum()
    }

    /// How long the run will still take. The quota gives calls in bursts, so neither the speed so far nor the quota alone
    /// tells: the later of the two ends counts. Once the planned calls are made nobody knows: what is left may be published in a
    /// moment, or have to be fetched in parts.
    pub fn remaining(&self) -> Option<Duration> {
        let (done, expected) = (self.calls_done(), self.calls_expected());
        if done >= expected {
            return None;
        }
        let elapsed = self.elapsed.as_secs_f64();
        let by_quota = self.calls.iter().map(|calls| Self::ends_by_quota(*calls) - elapsed).fold(0.0, f64::max);
        let by_speed = if done == 0 { 0.0 } else { elapsed * number(expected.saturating_sub(done)) / number(done) };
        let secs = by_quota.max(by_speed);
        (secs >= 1.0).then(|| Duration::try_from_secs_f64(secs).ok()).flatten()
    }

    /// When the last call of a class can be sent, in seconds since the first: as many as the limit at once, a window later the
    /// next.
    fn ends_by_quota(calls: Calls) -> f64 {
        let windows = calls.planned.max(calls.done).saturating_sub(1) / u64::from(calls.per_minute.max(1));
        number(windows) * WINDOW_SECS
    }

    /// One line, never wider than `width` columns. What does not fit is left out: rows first, what is waited for last.
    pub fn line(&self, width: usize) -> String {
        let partitions = format!("{}/{} partitions", self.partitions, self.planned_partitions);
        let calls = format!("{}/{} calls", self.calls_done(), self.calls_expected());
        let remaining = self.remaining().map(|left| format!("about {} left", approximate(left)));
        let waiting = self.waiting.as_ref().map(|(what, left)| format!("{what} in {}", exact(*left)));
        // In the order of the line, each with its rank: the highest goes first.
        let mut pieces: Vec<(u8, String)> =
            vec![(4, clock(self.elapsed)), (0, partitions), (3, calls), (5, format!("{} rows", short(self.rows)))];
        pieces.extend(remaining.map(|text| (2, text)));
        pieces.extend(waiting.map(|text| (1, text)));
        while pieces.len() > 1 && columns(&pieces) > width {
            let last = pieces.iter().map(|(rank, _)| *rank).max();
            if last == Some(1) {
                break;
            }
            pieces.retain(|(rank, _)| Some(*rank) != last);
        }
        let room = width.saturating_sub(columns(&pieces) + BETWEEN.len());
        if room >= *BAR_WIDTHS.start() {
            pieces.insert(1.min(pieces.len()), (6, self.bar(room.min(*BAR_WIDTHS.end()))));
        }
        let line = pieces.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(BETWEEN);
        cut(&line, width)
    }

    /// A bar of so many columns, brackets included.
    fn bar(&self, width: usize) -> String {
        let inner = width.saturating_sub(2);
        let planned = usize::try_from(self.planned_partitions).unwrap_or(usize::MAX).max(1);
        let done = usize::try_from(self.partitions).unwrap_or(usize::MAX).min(planned);
        let filled = inner.saturating_mul(done) / planned;
        format!("[{}{}]", "=".repeat(filled), " ".repeat(inner - filled))
    }
}

fn columns(pieces: &[(u8, String)]) -> usize {
    let texts: usize = pieces.iter().map(|(_, text)| text.chars().count()).sum();
    texts + BETWEEN.len() * pieces.len().saturating_sub(1)
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width).collect()
}

/// A count as a number to calculate with; what is lost of it beyond nine quadrillion does not matter here.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn number(count: u64) -> f64 {
    count as f64
}

/// `1:02:03`, or `2:03`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Seconds that have begun count: nobody waits 0 seconds.
fn exact(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// `40 s`, `6 min`, `1 h 20 min`: as exact as a forecast is.
fn approximate(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..55 => format!("{} s", seconds.div_ceil(5).max(1) * 5),
        55..3570 => format!("{} min", (seconds + 30) / 60),
        _ => {
            let minutes = (seconds + 150) / 300 * 5;
            if minutes.is_multiple_of(60) {
                format!("{} h", minutes / 60)
            } else {
                format!("{} h {} min", minutes / 60, minutes % 60)
            }
        }
    }
}

/// `999`, `12.3 k`, `4.5 M`.
fn short(count: u64) -> String {
    for (unit, name) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] {
        if count >= unit {
            return format!("{}.{} {name}", count / unit, count % unit * 10 / unit);
        }
    }
    count.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn view() -> View {
        View {
            elapsed: seconds(65),
            partitions: 40,
            planned_partitions: 127,
            rows: 1_234_567,
            calls: vec![
                Calls { done: 50, planned: 90, per_minute: 40 },
                Calls { done: 3, planned: 10, per_minute: 250 },
            ],
            waiting: Some(("quota: next call".to_owned(), Duration::from_millis(11_200))),
        }
    }

    #[test]
    fn a_wide_line_has_everything_and_a_narrow_one_what_matters_most() {
        let line = |width| view().line(width);
        assert_eq!(
            line(120),
            "1:05  [=======                ]  40/127 partitions  53/100 calls  1.2 M rows  about 1 min left  quota: next call in 12 s"
        );
        assert_eq!(
            line(93),
            "1:05  40/127 partitions  53/100 calls  1.2 M rows  about 1 min left  quota: next call in 12 s"
        );
        assert_eq!(line(81), "1:05  40/127 partitions  53/100 calls  about 1 min left  quota: next call in 12 s");
        assert_eq!(line(80), "40/127 partitions  53/100 calls  about 1 min left  quota: next call in 12 s");
        assert_eq!(line(61), "40/127 partitions  about 1 min left  quota: next call in 12 s");
        assert_eq!(line(50), "40/127 partitions  quota: next call in 12 s");
        assert_eq!(line(30), "40/127 partitions  quota: next");
        assert_eq!(line(9), "40/127 pa");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            width in 0_usize..300, done in 0_u64..2000, planned in 0_u64..2000, partitions in 0_u64..2000,
            planned_partitions in 0_u64..2000, rows in any::<u64>(), elapsed in 0_u64..1_000_000, wait in 0_u64..1000,
            what in "[a-zé ]{0,60}",
        ) {
            let calls = vec![Calls { done, planned, per_minute: 40 }];
            let waiting = (!what.is_empty()).then(|| (what, seconds(wait)));
            let view =
                View { elapsed: seconds(elapsed), partitions, planned_partitions, rows, calls, waiting };
            let line = view.line(width);
            prop_assert!(line.chars().count() <= width, "{}", line);
            prop_assert!(!line.contains('\n'));
        }
    }

    /// A run of `planned` calls under a limit of 40 a minute that sends each window's calls at once, as it is after `elapsed`.
    fn under_quota(planned: u64, elapsed: u64) -> View {
        let windows = elapsed / 62 + 1;
        let done = (windows * 40).min(planned);
        let calls = vec![Calls { done, planned, per_minute: 40 }];
        View { elapsed: seconds(elapsed), partitions: done, planned_partitions: planned, calls, ..View::default() }
    }

    #[test]
    fn the_end_that_is_forecast_holds_through_the_bursts_of_a_quota() {
        for planned in [90, 200, 1000] {
            let end = (planned - 1) / 40 * 62;
            for elapsed in (3..end).step_by(7) {
                let left = under_quota(planned, elapsed).remaining().map_or(0, |left| left.as_secs());
                let (forecast, slack) = (elapsed + left, 62 + end / 10);
                assert!(
                    forecast + 1 >= end && forecast <= end + slack,
                    "{planned} calls end at {end}: at {elapsed} {forecast}"
                );
            }
        }
    }

    #[test]
    fn without_a_quota_in_the_way_the_speed_so_far_tells() {
        let calls = vec![Calls { done: 10, planned: 30, per_minute: 100_000 }];
        let view = View { elapsed: seconds(100), planned_partitions: 3, calls, ..View::default() };
        assert_eq!(view.remaining(), Some(seconds(200)));
    }

    #[test]
    fn once_the_planned_calls_are_made_no_end_is_promised() {
        let calls = vec![Calls { done: 21, planned: 20, per_minute: 40 }];
        let view = View { elapsed: seconds(60), partitions: 10, planned_partitions: 15, calls, ..View::default() };
        assert_eq!((view.calls_expected(), view.remaining()), (21, None));
        assert!(!view.line(120).contains("left"), "{}", view.line(120));
    }

    #[test]
    fn durations_and_counts_are_said_as_people_say_them() {
        assert_eq!([0, 59, 61, 3723].map(|secs| clock(seconds(secs))), ["0:00", "0:59", "1:01", "1:02:03"]);
        let about = [1, 12, 54, 60, 400, 3569, 3600, 5000].map(|secs| approximate(seconds(secs)));
        assert_eq!(about, ["5 s", "15 s", "55 s", "1 min", "7 min", "59 min", "1 h", "1 h 25 min"]);
        assert_eq!([999, 12_345, 4_560_000].map(short), ["999", "12.3 k", "4.5 M"]);
        assert_eq!([Duration::from_millis(200), seconds(119), seconds(121)].map(exact), ["1 s", "119 s", "3 min"]);
    }
}
