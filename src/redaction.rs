//! The last line of defence for secrets: whatever somebody else said is searched for them before it is shown.
//!
//! A secret cannot be printed by mistake (see `secret`), but it is sent to a server, and a server, or a proxy that
//! explains what it received, may say it back: in an error's description, in a page, in a header. So every secret that
//! is sent or received is remembered here, and removed from what others said before that is cut to a message, and once
//! more from everything printed, logged or recorded. Only whole secrets are found, as they are or in the spellings
//! that forms, JSON, percent-encoding and base64 give them.
//!
//! This is state of the process, because a secret must not appear wherever the text came from. It decides nothing.

use std::borrow::Cow;
use std::sync::{PoisonError, RwLock};

use crate::secret::{ExposeSecret, SecretString};

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";
/// Shorter secrets are not searched for: they are not secrets of Criteo's, and may be parts of ordinary words.
const MIN_LENGTH: usize = 8;
/// Secrets remembered; the oldest go first. A run gets a new access token every quarter of an hour.
const MAX_REMEMBERED: usize = 200;

static REMEMBERED: RwLock<Vec<Remembered>> = RwLock::new(Vec::new());

struct Remembered {
    secret: SecretString,
    spellings: Vec<SecretString>,
}

/// Remembers a secret for the life of the process.
pub fn remember(secret: &SecretString) {
    let text = secret.expose_secret();
    if text.len() < MIN_LENGTH {
        return;
    }
    let is_known = |known: &[Remembered]| known.iter().any(|known| known.secret.expose_secret() == text);
    if is_known(&REMEMBERED.read().unwrap_or_else(PoisonError::into_inner)) {
        return;
    }
    let remembered = Remembered { secret: secret.clone(), spellings: spellings(text) };
    let mut all = REMEMBERED.write().unwrap_or_else(PoisonError::into_inner);
    if !is_known(&all) {
        // The first one is the client's own, which is sent again and again.
        if all.len() >= MAX_REMEMBERED {
            all.remove(1);
        }
        all.push(remembered);
    }
}

/// `text` without any secret that was remembered.
pub fn redact(text: &str) -> Cow<'_, str> {
    let all = REMEMBERED.read().unwrap_or_else(PoisonError::into_inner);
    let mut shown = Cow::Borrowed(text);
    for spelling in all.iter().flat_map(|remembered| &remembered.spellings) {
        if shown.contains(spelling.expose_secret()) {
            shown = Cow::Owned(shown.replace(spelling.expose_secret(), REDACTED));
        }
    }
    shown
}

/// Each way a secret is written that is not part of another way.
fn spellings(secret: &str) -> Vec<SecretString> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*~".contains(&byte);
    let encoded = |space: &str, digits: fn(u8) -> String, kept: &[u8]| -> String {
        let spell = |byte: u8| match byte {
            b' ' => space.to_owned(),
            byte if plain(byte) && !kept.contains(&byte) => char::from(byte).to_string(),
            byte => digits(byte),
        };
        secret.bytes().map(spell).collect()
    };
    let upper = |byte: u8| format!("%{byte:02X}");
    let lower = |byte: u8| format!("%{byte:02x}");
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"');
    let mut all = vec![
        secret.to_owned(),
        json.to_owned(),
        json.replace('/', "\\/"),
        // A form's spelling escapes `~`, that of an address does not.
        encoded("+", upper, b"~"),
        encoded("+", lower, b"~"),
        encoded("%20", upper, b"*"),
        encoded("%20", lower, b"*"),
    ];
    all.extend(base64(secret.as_bytes()));
    all.sort();
    all.dedup();
    // A longer spelling may contain a shorter one, whose removal would leave its ends.
    all.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    all.into_iter().map(SecretString::from).collect()
}

/// The part of a base64 text that depends on `bytes` only, in both alphabets, wherever in the encoded text they begin:
/// alone, or behind a client id and a colon.
fn base64(bytes: &[u8]) -> Vec<String> {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut all = Vec::new();
    for alphabet in [STANDARD, URL_SAFE] {
        for offset in 0..3 {
            let bits = |position: usize| {
                // Bits of the secret, the first of which has the number 8 * offset.
                let bit = position.checked_sub(8 * offset)?;
                bytes.get(bit / 8).map(|byte| (byte >> (7 - bit % 8)) & 1)
            };
            let letter = |position: usize| {
                let six = (0..6).map(|bit| bits(6 * position + bit)).collect::<Option<Vec<u8>>>()?;
                let index = six.into_iter().fold(0, |value, bit| (value << 1) | usize::from(bit));
                Some(char::from(alphabet[index]))
            };
            let letters = (bytes.len() + offset) * 8 / 6;
            all.push((0..letters).filter_map(letter).collect());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr\"t+with/sl~sh 100%=odd&end";

    #[test]
    fn a_secret_is_removed_in_every_spelling_and_the_rest_stays() {
        remember(&SecretString::from(SECRET));
        for spelt in [
            SECRET.to_owned(),
            r#"s3cr\"t+with/sl~sh 100%=odd&end"#.to_owned(),
            r#"s3cr\"t+with\/sl~sh 100%=odd&end"#.to_owned(),
            "s3cr%22t%2Bwith%2Fsl%7Esh+100%25%3Dodd%26end".to_owned(),
            "s3cr%22t%2bwith%2fsl~sh%20100%25%3dodd%26end".to_owned(),
            // By another program: alone, and behind `me:` and `id:`.
            "czNjciJ0K3dpdGgvc2x+c2ggMTAwJT1vZGQmZW5k".to_owned(),
        ] {
            assert_eq!(redact(&format!("you sent {spelt}, twice {spelt}.")), "you sent [redacted], twice [redacted].");
        }
        assert_eq!(redact("nothing to hide"), "nothing to hide");
    }

    #[test]
    fn a_secret_inside_longer_base64_is_removed_up_to_the_letters_it_shares() {
        remember(&SecretString::from("hunter2hunter2"));
        for (before, encoded) in
            [("", "aHVudGVyMmh1bnRlcjI="), ("m:", "bTpodW50ZXIyaHVudGVyMg=="), ("me:", "bWU6aHVudGVyMmh1bnRlcjI=")]
        {
            let shown = redact(encoded);
            assert!(shown.contains("[redacted]") && shown.len() < before.len() + 20, "{shown}");
        }
    }

    #[test]
    fn what_is_too_short_to_be_a_secret_does_not_blank_ordinary_words() {
        remember(&SecretString::from("report"));
        assert_eq!(redact("the report failed"), "the report failed");
    }
}
