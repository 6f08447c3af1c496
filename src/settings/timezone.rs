//! The report time zone: `UTC` or Area/Location of the tz database, nothing else.
//!
//! Criteo also takes offsets and abbreviations, but an offset does not follow daylight saving, an abbreviation is
//! ambiguous, and `Etc/GMT+1` is one hour *behind* UTC. Days cut in the wrong zone are wrong without looking wrong, so
//! those are refused with the reason.

use chrono_tz::{TZ_VARIANTS, Tz};

use super::problem::Invalid;
use super::suggest::nearest;

const REMEDY: &str = "write `UTC` or a name such as `Europe/Paris`";

/// Reads a time zone name.
///
/// # Errors
///
/// A sentence that says why the name is refused and what to write instead.
pub fn parse_timezone(text: &str) -> Result<Tz, String> {
    parse(text).map_err(|invalid| format!("{}; {}", invalid.message, invalid.remedy))
}

pub(super) fn parse(text: &str) -> Result<Tz, Invalid> {
    if text == "UTC" {
        return Ok(Tz::UTC);
    }
    if let Some(reason) = refusal(text) {
        let meant = if means_utc(text) { "write `UTC`" } else { REMEDY };
        return Err(Invalid::new(format!("`{text}` {reason}"), meant));
    }
    match text.parse::<Tz>() {
        Ok(zone) if text.contains('/') => Ok(zone),
        _ => Err(Invalid::new(format!("`{text}` is not a time zone of the tz database"), suggestion(text))),
    }
}

/// Why a spelling that others accept is not accepted here.
fn refusal(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let is_abbreviation = (2..=5).contains(&text.len()) && text.chars().all(|c| c.is_ascii_uppercase());
    if upper.starts_with("ETC/") {
        Some("is an `Etc/` zone, whose sign is the reverse of what it seems (`Etc/GMT+1` is behind UTC)")
    } else if is_offset(&upper) {
        Some("is an offset, which does not follow daylight saving")
    } else if is_abbreviation || (text.parse::<Tz>().is_ok() && !text.contains('/')) {
        Some("is an abbreviation or an alias, which is ambiguous or does not follow daylight saving")
    } else {
        None
    }
}

/// `+01:00`, `-5`, `UTC+1`, `GMT-02:00`.
fn is_offset(upper: &str) -> bool {
    let rest = ["UTC", "GMT"].iter().find_map(|prefix| upper.strip_prefix(prefix)).unwrap_or(upper);
    rest.starts_with(['+', '-', '\u{2212}']) && rest.chars().any(|c| c.is_ascii_digit())
}

fn means_utc(text: &str) -> bool {
    const SPELLINGS: [&str; 8] = ["UTC", "ETC/UTC", "GMT", "ETC/GMT", "ZULU", "UCT", "ETC/UCT", "Z"];
    SPELLINGS.contains(&text.to_ascii_uppercase().as_str())
}

fn suggestion(text: &str) -> String {
    if means_utc(text) {
        return "write `UTC`".to_owned();
    }
    let accepted =
        TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|name| name.contains('/') && !name.starts_with("Etc/"));
    // A bare city is the commonest slip: `Paris`, `New York`.
    let city = text.replace(' ', "_");
    let by_city = accepted
        .clone()
        .find(|name| name.rsplit('/').next().is_some_and(|location| location.eq_ignore_ascii_case(&city)));
    match by_city.or_else(|| nearest(&city, accepted)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => REMEDY.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_and_area_location_are_accepted() {
        for name in ["UTC", "Europe/Paris", "America/Argentina/Buenos_Aires", "Australia/Lord_Howe"] {
            assert_eq!(parse(name).unwrap().name(), name);
        }
    }

    #[test]
    fn offsets_abbreviations_and_reversed_signs_are_refused_with_the_reason() {
        for (name, reason) in [
            ("+01:00", "daylight saving"),
            ("UTC+1", "daylight saving"),
            ("GMT-02:00", "daylight saving"),
            ("PST", "abbreviation"),
            ("CET", "abbreviation"),
            ("EST5EDT", "abbreviation"),
            ("Etc/GMT+1", "reverse"),
        ] {
            let message = parse_timezone(name).unwrap_err();
            assert!(message.contains(reason), "{name}: {message}");
            assert!(message.contains("write `UTC`"), "{name}: {message}");
        }
    }

    #[test]
    fn the_nearest_name_is_suggested_whatever_the_case() {
        for (typed, meant) in [
            ("europe/paris", "`Europe/Paris`"),
            ("Europe/Pariss", "`Europe/Paris`"),
            ("Paris", "`Europe/Paris`"),
            ("New York", "`America/New_York`"),
            ("utc", "`UTC`"),
            ("GMT", "`UTC`"),
            ("Etc/UTC", "`UTC`"),
        ] {
            let message = parse_timezone(typed).unwrap_err();
            assert!(message.contains(meant), "{typed}: {message}");
        }
    }
}
