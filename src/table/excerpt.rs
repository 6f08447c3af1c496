//! Pieces of foreign text, fit for a message.

/// The start of a text, short enough for a message, on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 80;
    let visible = text.trim_start_matches('\u{feff}').trim().chars().take(LIMIT);
    let mut short = String::new();
    for character in visible {
        if character.is_control() { short.extend(character.escape_debug()) } else { short.push(character) }
    }
    if text.chars().nth(LIMIT).is_some() {
        short.push('…');
    }
    short
}
