//! "Did you mean": the nearest of a list of known names. It only suggests; nothing is ever corrected silently.

/// The candidate nearest to what was typed, if any is near enough to be a slip. Case does not count as a difference.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let allowed_edits = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= allowed_edits)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// A remedy for an unknown name: the nearest known one, or all of them.
pub(super) fn remedy(typed: &str, candidates: &[&str]) -> String {
    match nearest(typed, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known here: {}", quoted(candidates)),
    }
}

/// `a`, `b`, `c`, each in backticks.
pub(super) fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        assert_eq!(nearest("curency", ["currency", "output"]), Some("currency"));
        assert_eq!(nearest("lookbakc_days", ["keep_days", "lookback_days"]), Some("lookback_days"));
        assert_eq!(nearest("EUROPE/paris", ["Europe/Paris"]), Some("Europe/Paris"));
    }

    #[test]
    fn something_else_entirely_gets_no_suggestion() {
        assert_eq!(nearest("colour", ["currency", "output"]), None);
        assert!(remedy("colour", &["currency", "output"]).contains("`currency`, `output`"));
    }
}
