//! Pieces of foreign text, fit for a message.

use crate::redaction::redact;

/// The start of a text, short enough for a message, on one line, without a secret or anything a terminal would obey.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 80;
    let text = redact(text);
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut short = String::new();
    for character in text.chars().take(LIMIT) {
        let reorders = matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || reorders {
            short.extend(character.escape_unicode());
        } else {
            short.push(character);
        }
    }
    if text.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn only_what_is_cut_ends_in_an_ellipsis() {
        let padded = format!("{}short{}", " ".repeat(60), " ".repeat(60));
        assert_eq!(excerpt(&padded), "short");
        assert_eq!(excerpt(&"x".repeat(80)), "x".repeat(80));
        assert_eq!(excerpt(&"x".repeat(81)), format!("{}…", "x".repeat(80)));
    }
}
