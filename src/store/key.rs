//! The name of a file in an output: where it lies below the root, never where the root is.

use std::fmt;

/// A name below the root of an output. Its invariants:
///
/// - it is not empty, and its parts are separated by one `/` each;
/// - no part is empty, `.` or `..`, so that it can lead nowhere else;
/// - no part has a control character or a backslash, which file systems and stores read differently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be the name of a file in an output")]
pub struct InvalidKey(pub String);

impl Key {
    /// The key of this text.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = text.into();
        let is_plain = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.chars().any(|c| c.is_control() || c == '\\')
        };
        if text.split('/').all(is_plain) { Ok(Self(text)) } else { Err(InvalidKey(text)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_nowhere_but_below_the_root() {
        for good in ["a", "_ledger/ledger.json", "t/dt=2026-01-01/data.parquet", "a b/é+%"] {
            assert_eq!(Key::new(good).expect("a key").as_str(), good);
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "a/../b", "..", "a\\b", "a\nb", "a/\0"] {
            assert_eq!(Key::new(bad), Err(InvalidKey(bad.to_owned())));
        }
    }
}
