//! What stdout can show: how wide it is, and whether it takes colour. It prints nothing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

/// Columns of output that no terminal shows.
const DEFAULT_WIDTH: usize = 80;
/// Fewer columns than this are not filled but exceeded.
const LEAST_WIDTH: usize = 40;

/// Where text for people goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Columns of a line.
    pub(super) width: usize,
    /// Whether escape codes for colour are understood.
    pub(super) colour: bool,
}

/// What a colour means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Not settled yet.
    Pending,
    /// Somebody should look at it.
    Bad,
    /// Beside the point.
    Faint,
}

impl Terminal {
    /// Stdout as it is: 80 columns and no colour unless it is a terminal; no colour with `NO_COLOR` (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::plain(DEFAULT_WIDTH);
        }
        let width = console::Term::stdout().size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| columns.into());
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: width.max(LEAST_WIDTH), colour }
    }

    /// So many columns, without colour.
    pub(super) const fn plain(width: usize) -> Self {
        Self { width, colour: false }
    }

    /// The text in the colour of `tone`, where colour is understood.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Pending => "36",
            Tone::Bad => "31;1",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// The words of `text` in lines no wider than the terminal, the second and later ones after `indent` blanks.
    pub(super) fn wrap(self, text: &str, indent: usize) -> String {
        let (mut lines, mut used) = (String::new(), 0);
        let leading = text.len() - text.trim_start().len();
        write!(lines, "{:leading$}", "").expect("a string takes any text");
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if used > 0 && leading + used + 1 + length > self.width {
                write!(lines, "\n{:indent$}", "").expect("a string takes any text");
                used = indent.saturating_sub(leading);
            } else if used > 0 {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
        }
        lines
    }

    /// The text, shortened to what is left of a line after `used` columns.
    pub(super) fn shorten(self, text: &str, used: usize) -> String {
        let room = self.width.saturating_sub(used).max(4);
        if text.chars().count() <= room {
            return text.to_owned();
        }
        let kept: String = text.chars().take(room - 3).collect();
        format!("{}...", kept.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn wrapping_keeps_every_word_and_the_width(
            words in proptest::collection::vec("[a-z]{1,12}", 1..40), width in 40_usize..120, indent in 0_usize..12,
        ) {
            let text = words.join(" ");
            let wrapped = Terminal::plain(width).wrap(&text, indent);
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), words);
            prop_assert!(wrapped.lines().all(|line| line.chars().count() <= width), "{}", wrapped);
            prop_assert!(wrapped.lines().skip(1).all(|line| line.starts_with(&" ".repeat(indent))));
        }
    }

    #[test]
    fn without_colour_nothing_but_the_text_is_printed() {
        assert_eq!(Terminal::plain(80).paint(Tone::Bad, "missing"), "missing");
        assert_eq!(Terminal { width: 80, colour: true }.paint(Tone::Good, "ok"), "\u{1b}[32mok\u{1b}[0m");
    }

    #[test]
    fn text_that_is_too_long_ends_in_dots() {
        assert_eq!(Terminal::plain(40).shorten(&"a".repeat(50), 30), "aaaaaaa...");
        assert_eq!(Terminal::plain(40).shorten("short", 30), "short");
    }
}
