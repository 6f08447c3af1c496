//! The last line of defence for secrets: whatever somebody else said is searched for them before it is shown.
//!
//! A secret cannot be printed by mistake (see `secret`), but it is sent to a server, and a server, or a proxy that
//! explains what it received, may say it back: in an error's description, in a page, in a header. So every secret that
//! is sent or received is remembered here, and removed from what others said before that is cut to a message, and once
//! more from everything printed, logged or recorded. Only whole secrets are found: as they are, through up to three layers
//! of escapes (percent-encoding, JSON, HTML, in any spelling of them and mixed), and in forms and base64.
//!
//! This is state of the process, because a secret must not appear wherever the text came from. It decides nothing.

use std::borrow::Cow;
use std::ops::Range;
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
    let mut shown = without_escaped(text, &all);
    for spelling in all.iter().flat_map(|remembered| &remembered.spellings) {
        if shown.contains(spelling.expose_secret()) {
            shown = Cow::Owned(shown.replace(spelling.expose_secret(), REDACTED));
        }
    }
    shown
}

/// `text` without the secrets in it, whatever escapes they are written in.
fn without_escaped<'t>(text: &'t str, all: &[Remembered]) -> Cow<'t, str> {
    if all.is_empty() || !text.contains(['%', '&', '\\']) {
        return Cow::Borrowed(text);
    }
    let mut found = Vec::new();
    let mut layer = Unescaped::original(text);
    for _ in 0..MAX_LAYERS {
        let Some(below) = layer.less_one_layer() else { break };
        layer = below;
        for known in all {
            layer.find(known.secret.expose_secret().as_bytes(), &mut found);
        }
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range: &Range<usize>| (range.start, std::cmp::Reverse(range.end)));
    let (mut shown, mut at) = (String::new(), 0);
    for range in found.into_iter().filter(|range| range.start < range.end) {
        if range.start >= at {
            shown.push_str(text.get(at..range.start).unwrap_or_default());
            shown.push_str(REDACTED);
        }
        at = at.max(range.end);
    }
    shown.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Layers of escapes that are looked through: an encoder's output inside another one's, inside a third one's.
const MAX_LAYERS: usize = 3;

/// Text with its escapes replaced by what they stand for, and where each byte of it begins in the original.
struct Unescaped {
    bytes: Vec<u8>,
    /// One more than there are bytes: the last is the end of the original.
    origins: Vec<usize>,
}

impl Unescaped {
    fn original(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), origins: (0..=text.len()).collect() }
    }

    /// One layer of escapes less; `None` if there is none left.
    fn less_one_layer(&self) -> Option<Self> {
        let mut less = Self { bytes: Vec::new(), origins: Vec::new() };
        let mut at = 0;
        while at < self.bytes.len() {
            let (character, length) = escape(&self.bytes[at..]).unwrap_or((Escaped::Byte(self.bytes[at]), 1));
            let mut buffer = [0; 4];
            let bytes: &[u8] = match character {
                Escaped::Byte(byte) => {
                    buffer[0] = byte;
                    &buffer[..1]
                }
                Escaped::Character(character) => character.encode_utf8(&mut buffer).as_bytes(),
            };
            less.bytes.extend(bytes);
            less.origins.extend(bytes.iter().map(|_| self.origins[at]));
            at += length;
        }
        less.origins.push(self.origins[self.bytes.len()]);
        (less.bytes.len() < self.bytes.len()).then_some(less)
    }

    /// Where in the original a secret stands.
    fn find(&self, secret: &[u8], found: &mut Vec<Range<usize>>) {
        let mut from = 0;
        while let Some(at) = self.bytes[from..].windows(secret.len()).position(|window| window == secret) {
            let (begin, end) = (from + at, from + at + secret.len());
            found.push(self.origins[begin]..self.origins[end]);
            from = end;
        }
    }
}

enum Escaped {
    Byte(u8),
    Character(char),
}

/// What the escape at the beginning of `bytes` stands for, and its length: `%2B`, `&#43;`, `&#x2b;`, `&plus;`, `\u002b`,
/// `\x2b`, `\/`.
fn escape(bytes: &[u8]) -> Option<(Escaped, usize)> {
    match bytes {
        [b'%', high, low, ..] => Some((Escaped::Byte(hex(&[*high, *low])?.try_into().ok()?), 3)),
        [b'&', b'#', b'x' | b'X', rest @ ..] => numeric(rest, 3, 16),
        [b'&', b'#', rest @ ..] => numeric(rest, 2, 10),
        [b'&', rest @ ..] => named(rest),
        [b'\\', b'u', digits @ ..] => unicode(digits),
        [b'\\', b'x', high, low, ..] => Some((Escaped::Byte(hex(&[*high, *low])?.try_into().ok()?), 4)),
        [b'\\', b'n', ..] => Some((Escaped::Byte(b'\n'), 2)),
        [b'\\', b't', ..] => Some((Escaped::Byte(b'\t'), 2)),
        [b'\\', other, ..] if other.is_ascii_punctuation() => Some((Escaped::Byte(*other), 2)),
        _ => None,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u32::from_str_radix(text, 16).ok()
}

fn numeric(rest: &[u8], prefix: usize, radix: u32) -> Option<(Escaped, usize)> {
    const MAX_DIGITS: usize = 8;
    let digits = rest.iter().take(MAX_DIGITS).take_while(|digit| char::from(**digit).is_digit(radix)).count();
    let number = u32::from_str_radix(std::str::from_utf8(&rest[..digits]).ok()?, radix).ok()?;
    let semicolon = usize::from(rest.get(digits) == Some(&b';'));
    Some((Escaped::Character(char::from_u32(number)?), prefix + digits + semicolon))
}

/// The entities of HTML for characters that secrets have.
fn named(rest: &[u8]) -> Option<(Escaped, usize)> {
    const NAMES: [(&str, char); 35] = [
        ("amp", '&'),
        ("AMP", '&'),
        ("lt", '<'),
        ("LT", '<'),
        ("gt", '>'),
        ("GT", '>'),
        ("quot", '"'),
        ("QUOT", '"'),
        ("apos", '\''),
        ("plus", '+'),
        ("sol", '/'),
        ("equals", '='),
        ("percnt", '%'),
        ("num", '#'),
        ("commat", '@'),
        ("colon", ':'),
        ("semi", ';'),
        ("comma", ','),
        ("excl", '!'),
        ("quest", '?'),
        ("lpar", '('),
        ("rpar", ')'),
        ("lsqb", '['),
        ("rsqb", ']'),
        ("lcub", '{'),
        ("rcub", '}'),
        ("verbar", '|'),
        ("bsol", '\\'),
        ("dollar", '$'),
        ("ast", '*'),
        ("Hat", '^'),
        ("lowbar", '_'),
        ("grave", '`'),
        ("period", '.'),
        ("nbsp", ' '),
    ];
    let end = rest.iter().take(8).position(|byte| *byte == b';')?;
    let name = std::str::from_utf8(&rest[..end]).ok()?;
    let (_, character) = NAMES.iter().find(|(known, _)| *known == name)?;
    Some((Escaped::Character(*character), end + 2))
}

/// The digits behind `\u`: four of them, eight with another `\u` in between for a pair of surrogates.
fn unicode(digits: &[u8]) -> Option<(Escaped, usize)> {
    let first = hex(digits.get(..4)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some((Escaped::Character(character), 6));
    }
    let [b'\\', b'u', second @ ..] = digits.get(4..)? else { return None };
    let units = [u16::try_from(first).ok()?, u16::try_from(hex(second.get(..4)?)?).ok()?];
    let character = char::decode_utf16(units).next()?.ok()?;
    Some((Escaped::Character(character), 12))
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
    fn escapes_of_every_kind_and_mixed_hide_no_secret() {
        remember(&SecretString::from("aB+c/d&e<f==\u{1f511}\"x"));
        for spelt in [
            "aB+c/d&amp;e&lt;f==\u{1f511}&quot;x",
            "aB&#43;c/d&#38;e&#60;f==&#128273;&#34;x",
            "aB&#x2b;c&#x2F;d&#X26;e&#x3c;f&#061;&#61&#x1F511;\"x",
            "aB&plus;c&sol;d&amp;e&lt;f&equals;&equals;\u{1f511}&quot;x",
            r#"aB\u002bc\/d\u0026e\u003Cf==\ud83d\uDD11\"x"#,
            r"aB\x2bc/d\x26e<f==%F0%9F%94%91%22x",
            "aB%2Bc/d%26e%3cf%3D%3d%f0%9f%94%91%22x",
            // Twice, and by different encoders.
            "aB%252Bc/d%2526e%253Cf==%25F0%259F%2594%2591%2522x",
            "aB&amp;#43;c/d&amp;amp;e&amp;lt;f==\u{1f511}&amp;quot;x",
            r"aB\\u002bc/d\\u0026amp;e\\u003cf==\\ud83d\\udd11\\u0022x",
        ] {
            assert_eq!(
                redact(&format!("<{spelt}> & <{spelt}>, 100 %")),
                "<[redacted]> & <[redacted]>, 100 %",
                "{spelt}"
            );
        }
        for harmless in ["&nosuch; %zz \\q \\u00 &#; &#xg; %", "caf%C3", "\\ud83d alone"] {
            assert_eq!(redact(harmless), harmless);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_secret_in_any_mixture_of_escapes_is_removed(
            secret in "[a-zA-Z0-9+/=&<>\"'%\u{e9} -]{8,24}",
            layers in proptest::collection::vec(proptest::collection::vec(0..7_usize, 24 * 20), 1..=2),
        ) {
            let secret = format!("zq{secret}qz");
            remember(&SecretString::from(secret.as_str()));
            let mut spelt = secret;
            for kinds in layers {
                let each = spelt.chars().zip(kinds.iter().cycle()).map(|(letter, kind)| escaped(letter, *kind));
                spelt = each.collect();
            }
            let shown = redact(&format!("you sent {spelt}!")).into_owned();
            proptest::prop_assert_eq!(shown, "you sent [redacted]!");
        }
    }

    /// A character as an encoder may write it; those that begin an escape are never left alone.
    fn escaped(letter: char, kind: usize) -> String {
        let number = u32::from(letter);
        let percent = || letter.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        match kind {
            0 => format!("&#{number};"),
            1 => format!("&#x{number:X};"),
            2 => format!("\\u{number:04x}"),
            3 => percent(),
            _ if "%&\\".contains(letter) => percent(),
            _ => letter.to_string(),
        }
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
