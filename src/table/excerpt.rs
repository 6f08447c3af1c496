//! Pieces of foreign text, fit for a message.

use crate::redaction::redact;

/// The start of a text, short enough for a message, on one line, without a secret or anything a terminal would obey.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 80;
    let text = redact(text);
    let visible = text.trim_start_matches('\u{feff}').trim().chars().take(LIMIT);
    let mut short = String::new();
    for character in visible {
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
