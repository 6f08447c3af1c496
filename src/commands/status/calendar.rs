//! The calendar: one line a table, one character a day, a column a week. Plain ASCII: it must read the same in a log file as
//! in a terminal, where colour only repeats what the characters say.

use std::collections::BTreeMap;

use chrono::{Datelike, Days, NaiveDate};

use super::coverage::DayState;
use crate::commands::terminal::{Terminal, Tone};

/// Weeks shown at most and at least.
const WEEKS: std::ops::RangeInclusive<usize> = 4..=13;
/// Days of a week and the blank after it.
const WEEK_WIDTH: usize = 8;

/// What each character means.
pub(super) const LEGEND: &str = "# final   + provisional   ! mismatch   . missing   (blank: not requested)";

/// Draws the weeks up to the one of `last`, Monday first, for each table.
pub(super) fn draw<'t>(
    last: NaiveDate,
    terminal: Terminal,
    tables: impl Iterator<Item = (&'t str, &'t BTreeMap<NaiveDate, DayState>)>,
) -> String {
    let tables: Vec<_> = tables.collect();
    let width = tables.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let weeks =
        weeks(last, (terminal.width.saturating_sub(width + 1) / WEEK_WIDTH).clamp(*WEEKS.start(), *WEEKS.end()));
    let mut text = String::new();
    let heads = weeks.iter().map(|monday| format!("{:WEEK_WIDTH$}", monday.format("%m-%d").to_string()));
    push_line(&mut text, &format!("{:width$}  {}", "", heads.collect::<String>()));
    for (name, days) in tables {
        let cells: Vec<_> = weeks.iter().map(|monday| week(*monday, days)).collect();
        push_line(&mut text, &format!("{name:width$}  {}", painted(cells.join(" ").trim_end(), terminal)));
    }
    text
}

/// The Mondays, oldest first.
fn weeks(last: NaiveDate, count: usize) -> Vec<NaiveDate> {
    let this = last.checked_sub_days(Days::new(last.weekday().num_days_from_monday().into())).unwrap_or(last);
    (0..count as u64).rev().filter_map(|week| this.checked_sub_days(Days::new(7 * week))).collect()
}

fn week(monday: NaiveDate, days: &BTreeMap<NaiveDate, DayState>) -> String {
    monday.iter_days().take(7).map(|day| days.get(&day).map_or(' ', |state| symbol(*state))).collect()
}

/// Runs of one symbol in its colour.
fn painted(cells: &str, terminal: Terminal) -> String {
    let cells: Vec<char> = cells.chars().collect();
    let runs = cells.chunk_by(|one, next| one == next).map(|run| {
        let text: String = run.iter().collect();
        match run.first() {
            Some('#') => terminal.paint(Tone::Good, &text),
            Some('+') => terminal.paint(Tone::Pending, &text),
            Some('!' | '.') => terminal.paint(Tone::Bad, &text),
            _ => text,
        }
    });
    runs.collect()
}

fn symbol(state: DayState) -> char {
    match state {
        DayState::Final => '#',
        DayState::Provisional => '+',
        DayState::Mismatch => '!',
        DayState::Missing => '.',
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dates::DateRange;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn the_calendar_shows_as_many_weeks_as_fit_a_character_a_day() {
        let fill =
            |from, to, state| DateRange::new(day(from), day(to)).expect("a range").days().map(move |day| (day, state));
        let mut long: BTreeMap<_, _> = fill("2026-01-01", "2026-10-22", DayState::Final).collect();
        long.extend(fill("2026-10-23", "2026-11-21", DayState::Provisional));
        long.insert(day("2026-10-14"), DayState::Mismatch);
        long.extend(fill("2026-11-20", "2026-11-21", DayState::Missing));
        let short: BTreeMap<_, _> = fill("2026-11-16", "2026-11-21", DayState::Provisional).collect();
        let drawn = |width: usize| {
            let tables = [("ad_statistics_daily", &long), ("mine", &short)].into_iter();
            draw(day("2026-11-21"), Terminal::plain(width), tables)
        };
        let expected = concat!(
            "                     09-14   09-21   09-28   10-05   10-12   10-19   10-26   11-02   11-09   11-16\n",
            "ad_statistics_daily  ####### ####### ####### ####### ##!#### ####+++ +++++++ +++++++ +++++++ ++++..\n",
            "mine                                                                                         ++++++\n",
        );
        assert_eq!(drawn(100), expected);
        let narrow = drawn(80);
        assert!(narrow.lines().all(|line| line.len() <= 80), "{narrow}");
        assert!(narrow.starts_with("                     10-05   10-12 "), "{narrow}");
        let coloured = draw(day("2026-11-21"), Terminal { width: 80, colour: true }, [("mine", &short)].into_iter());
        assert!(coloured.ends_with("\u{1b}[36m++++++\u{1b}[0m\n"), "{coloured}");
    }
}
