//! JSON, strictly, from slices: a cursor for bodies that arrive in pieces, and a small tree that keeps numbers as text.
//!
//! `serde_json` turns numbers into floats before we can see their digits, keeps the last of two equal keys, and cannot
//! stop in the middle of a body; money must not go through a float, a repeated key must be an error, and a report body
//! does not fit in memory. This module accepts exactly RFC 8259 (the tests compare it with `serde_json` on arbitrary
//! input), builds no tree that is nested beyond [`MAX_DEPTH`] or has more than [`MAX_VALUES`] values, skips a value of
//! any depth without recursion, and knows nothing of Criteo.

use std::borrow::Cow;
use std::collections::HashSet;

/// Deepest nesting of a tree. Criteo's documents have fewer than ten levels.
pub const MAX_DEPTH: usize = 64;
/// Most values in a tree: a value of two bytes takes dozens in memory. Ten thousand ad sets have about half a
/// million.
pub const MAX_VALUES: usize = 2_000_000;
/// Objects with more members than this are searched for repeated keys by hash.
const MANY_MEMBERS: usize = 16;

/// Why a slice could not be read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The slice ended inside a value: more bytes may complete it.
    #[error("the JSON ends too early")]
    Incomplete,
    /// The slice is not JSON.
    #[error("invalid JSON at byte {offset}: {reason}")]
    Invalid {
        /// Offset into the slice the cursor was made from.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The slice is JSON by the grammar, and still no document that anyone should read: asking again brings the same.
    #[error("unusable JSON at byte {offset}: {reason}")]
    Unusable {
        /// Offset into the slice the cursor was made from.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
}

/// A string as it stands between its quotes: valid UTF-8, escapes checked but not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawText<'a> {
    /// The text between the quotes.
    pub raw: &'a str,
    /// Whether it contains escapes.
    pub escaped: bool,
}

impl<'a> RawText<'a> {
    /// The text with escapes resolved. Half of a surrogate pair, which stands for no character, becomes U+FFFD; JSON's
    /// grammar allows it, and names that were cut in the middle of an emoji have it.
    pub fn resolve(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        self.resolve_into(|part, character| {
            text.push_str(part);
            text.extend(character);
        });
        Cow::Owned(text)
    }

    /// Whether an escape is half of a surrogate pair, so that [`Self::resolve`] had to replace it.
    pub fn is_repaired(self) -> bool {
        let mut is_repaired = false;
        self.resolve_into(|_, character| is_repaired |= character == Some(char::REPLACEMENT_CHARACTER));
        is_repaired
    }

    /// Passes on the text piece by piece: what stands as it is, and the character of the escape behind it. An escape that
    /// names U+FFFD is taken for a repaired one.
    fn resolve_into(self, mut take: impl FnMut(&str, Option<char>)) {
        let mut rest = self.raw;
        while self.escaped
            && let Some(at) = rest.find('\\')
        {
            let (character, used) = resolve_escape(&rest[at..]);
            take(&rest[..at], Some(character));
            rest = rest.get(at + used..).unwrap_or_default();
        }
        take(rest, None);
    }
}

/// The character an escape at the start of `text` stands for, and the escape's length in bytes.
fn resolve_escape(text: &str) -> (char, usize) {
    let simple = match text.as_bytes().get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return resolve_unicode_escape(text),
        // A quote, a backslash or a slash: the cursor has seen that the escape is a legal one.
        other => other.map_or(char::REPLACEMENT_CHARACTER, |&byte| char::from(byte)),
    };
    (simple, 2)
}

fn resolve_unicode_escape(text: &str) -> (char, usize) {
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    let first = unit(2).unwrap_or_default();
    if let Some(character) = char::from_u32(u32::from(first)) {
        return (character, 6);
    }
    let second = if text.get(6..8) == Some("\\u") { unit(8) } else { None };
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    pair.map_or((char::REPLACEMENT_CHARACTER, 6), |character| (character, 12))
}

/// A scalar, or the fact that something nested stood there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// The digits as they stand.
    Number(&'a str),
    /// A string.
    Text(RawText<'a>),
    /// An object or array; the cursor stands on its first byte.
    Nested,
}

/// A position in a slice of JSON.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    /// As much of the slice as is UTF-8, checked once for all strings in it.
    text: &'a str,
    position: usize,
    /// What it means to arrive at the end of `text`.
    end: JsonError,
}

impl<'a> Cursor<'a> {
    /// Starts at `position` of `bytes`.
    pub fn new(bytes: &'a [u8], position: usize) -> Self {
        let (text, end) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, JsonError::Incomplete),
            Err(error) => {
                let offset = error.valid_up_to();
                let end = match error.error_len() {
                    // The first bytes of a character: the next piece of a body may complete it.
                    None => JsonError::Incomplete,
                    Some(_) => JsonError::Invalid { offset, reason: "the text is not UTF-8" },
                };
                (std::str::from_utf8(&bytes[..offset]).unwrap_or_default(), end)
            }
        };
        Self { text, position, end }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Offset of the next unread byte.
    pub fn position(&self) -> usize {
        self.position
    }

    /// An error at the current position.
    pub fn invalid(&self, reason: &'static str) -> JsonError {
        JsonError::Invalid { offset: self.position, reason }
    }

    /// An error at the current position, about something that the grammar allows.
    pub fn unusable(&self, reason: &'static str) -> JsonError {
        JsonError::Unusable { offset: self.position, reason }
    }

    /// Moves past white space.
    #[inline]
    pub fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes().get(self.position) {
            self.position += 1;
        }
    }

    /// The next byte, left in place.
    pub fn peek(&self) -> Result<u8, JsonError> {
        self.bytes().get(self.position).copied().ok_or(self.end)
    }

    /// The next byte after white space, left in place.
    #[inline]
    pub fn peek_token(&mut self) -> Result<u8, JsonError> {
        self.skip_whitespace();
        self.peek()
    }

    /// Moves past `byte` if it is next.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.bytes().get(self.position) == Some(&byte);
        self.position += usize::from(found);
        found
    }

    /// Moves past white space and `byte`, which must be next.
    pub fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), JsonError> {
        if self.peek_token()? != byte {
            return Err(self.invalid(reason));
        }
        self.position += 1;
        Ok(())
    }

    /// Moves past `literal` if it is next, byte for byte: how a predicted `"Key":` is recognised.
    #[inline]
    pub fn take_literal(&mut self, literal: &[u8]) -> bool {
        let end = self.position + literal.len();
        let found = self.bytes().get(self.position..end) == Some(literal);
        if found {
            self.position = end;
        }
        found
    }

    /// A key and its colon; the cursor ends before the value.
    pub fn key(&mut self) -> Result<RawText<'a>, JsonError> {
        if self.peek_token()? != b'"' {
            return Err(self.invalid("expected a key"));
        }
        let key = self.string()?;
        self.expect(b':', "expected `:`")?;
        Ok(key)
    }

    /// A string without escapes that begins right here, between its quotes; where there is none, or it is not whole, the
    /// cursor stays. Nearly every value of a report is one, and this is the short way to it.
    #[inline]
    pub fn plain_string(&mut self) -> Option<&'a str> {
        if self.bytes().get(self.position) != Some(&b'"') {
            return None;
        }
        let start = self.position + 1;
        let end = find_special(self.bytes(), start)?;
        if self.bytes()[end] != b'"' {
            return None;
        }
        let text = self.text.get(start..end)?;
        self.position = end + 1;
        Some(text)
    }

    /// A string, the cursor standing on its opening quote.
    pub fn string(&mut self) -> Result<RawText<'a>, JsonError> {
        let start = self.position + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = find_special(self.bytes(), at).ok_or(self.end)?;
            match self.bytes()[at] {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    at += self.escape_length(at)?;
                }
                _ => return Err(JsonError::Invalid { offset: at, reason: "a control character in a string" }),
            }
        }
        self.position = at + 1;
        // Both ends stand at an ASCII character, hence at the boundary of one.
        let raw = self.text.get(start..at).ok_or(self.end)?;
        Ok(RawText { raw, escaped })
    }

    /// Length of the escape at `at`, which must be a legal one.
    fn escape_length(&self, at: usize) -> Result<usize, JsonError> {
        let invalid = Err(JsonError::Invalid { offset: at, reason: "an unknown escape" });
        match *self.bytes().get(at + 1).ok_or(self.end)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(2),
            b'u' => {
                for offset in 2..6 {
                    if !self.bytes().get(at + offset).ok_or(self.end)?.is_ascii_hexdigit() {
                        return invalid;
                    }
                }
                Ok(6)
            }
            _ => invalid,
        }
    }

    /// A number by RFC 8259's grammar. A number that touches the end of the slice is incomplete.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.position;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        self.peek()?;
        self.text.get(start..self.position).ok_or(self.end)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.invalid("expected a digit"));
        }
        while self.bytes().get(self.position).is_some_and(u8::is_ascii_digit) {
            self.position += 1;
        }
        Ok(())
    }

    fn literal(&mut self, literal: &'static [u8]) -> Result<(), JsonError> {
        let rest = &self.bytes()[self.position..];
        if rest.len() < literal.len() && literal.starts_with(rest) {
            return Err(self.end);
        }
        if self.take_literal(literal) { Ok(()) } else { Err(self.invalid("expected a value")) }
    }

    /// The scalar that follows, or [`Scalar::Nested`] with the cursor left on its bracket.
    #[inline]
    pub fn scalar(&mut self) -> Result<Scalar<'a>, JsonError> {
        Ok(match self.peek_token()? {
            b'"' => Scalar::Text(self.string()?),
            b'{' | b'[' => Scalar::Nested,
            b'n' => self.literal(b"null").map(|()| Scalar::Null)?,
            b't' => self.literal(b"true").map(|()| Scalar::Boolean(true))?,
            b'f' => self.literal(b"false").map(|()| Scalar::Boolean(false))?,
            _ => Scalar::Number(self.number()?),
        })
    }

    /// Moves past one whole value, checking its grammar, and returns its text.
    ///
    /// Nothing is built and nothing recurses: however deep the value is, it takes a byte of memory a level. Keys may
    /// repeat and `\u` escapes may be half of a pair, since nobody is going to read them.
    pub fn skip_value(&mut self) -> Result<&'a [u8], JsonError> {
        self.skip_whitespace();
        let start = self.position;
        let mut closers = Vec::new();
        loop {
            if self.scalar()? == Scalar::Nested && self.open(&mut closers)? {
                continue;
            }
            loop {
                let Some(&closer) = closers.last() else { return Ok(&self.bytes()[start..self.position]) };
                let next = self.peek_token()?;
                if next != b',' && next != closer {
                    return Err(self.invalid("expected `,` or the end of the list"));
                }
                self.position += 1;
                if next == b',' {
                    if closer == b'}' {
                        self.key()?;
                    }
                    break;
                }
                closers.pop();
            }
        }
    }

    /// Moves into the object or array that starts here, up to its first value; false if it is empty and left again.
    fn open(&mut self, closers: &mut Vec<u8>) -> Result<bool, JsonError> {
        let is_object = self.peek()? == b'{';
        let closer = if is_object { b'}' } else { b']' };
        self.position += 1;
        if self.peek_token()? == closer {
            self.position += 1;
            return Ok(false);
        }
        if is_object {
            self.key()?;
        }
        closers.push(closer);
        Ok(true)
    }
}

/// The first quote, backslash or control character at or after `at`: where a string ends or needs a closer look.
///
/// Eight bytes at a time. In each test a byte's highest bit ends up set if the byte matches; a borrow may set it in later
/// bytes too, so only the first is taken (Bit Twiddling Hacks, "Determine if a word has a byte less than n").
#[inline]
fn find_special(bytes: &[u8], mut at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    /// `limits` is the limit, at most 0x80, in each byte.
    const fn is_below(word: u64, limits: u64) -> u64 {
        word.wrapping_sub(limits) & !word & HIGHS
    }
    while let Some((word, _)) = bytes.get(at..)?.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let quote = is_below(word ^ QUOTES, ONES);
        let backslash = is_below(word ^ BACKSLASHES, ONES);
        let found = quote | backslash | is_below(word, ONES * 0x20);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|position| at + position)
}

/// A parsed document: numbers keep their digits, objects their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// A number's text.
    Number(&'a str),
    /// A string, escapes resolved.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object; keys are distinct.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a whole document: a byte-order mark is skipped, anything after the value is an error.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, JsonError> {
        Self::parse_noting_repairs(bytes).map(|(value, _)| value)
    }

    /// [`Self::parse`], and whether a text had half of a surrogate pair.
    pub fn parse_noting_repairs(bytes: &'a [u8]) -> Result<(Self, bool), JsonError> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        // A top-level number has nothing behind it that would tell its end; Criteo sends none.
        let mut cursor = Cursor::new(bytes, 0);
        let mut reader = TreeReader { cursor: &mut cursor, values: 0, is_repaired: false };
        let (value, is_repaired) = (reader.value(0)?, reader.is_repaired);
        cursor.skip_whitespace();
        if cursor.position < bytes.len() {
            return Err(cursor.invalid("text after the end of the document"));
        }
        Ok((value, is_repaired))
    }

    /// The member `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value at a JSON pointer (RFC 6901, without `~` escapes: Criteo's names have none); objects only.
    pub fn pointer(&self, pointer: &str) -> Option<&Json<'a>> {
        pointer.split('/').skip(1).try_fold(self, |value, name| value.get(name))
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The first text with U+FFFD at any depth, and the name of the member that has it.
    pub fn find_repaired(&self) -> Option<(&str, &str)> {
        self.find_repaired_in("")
    }

    fn find_repaired_in<'j>(&'j self, name: &'j str) -> Option<(&'j str, &'j str)> {
        match self {
            Json::Text(text) => text.contains(char::REPLACEMENT_CHARACTER).then_some((name, text)),
            Json::Array(elements) => elements.iter().find_map(|element| element.find_repaired_in(name)),
            Json::Object(members) => members.iter().find_map(|(name, value)| value.find_repaired_in(name)),
            Json::Null | Json::Boolean(_) | Json::Number(_) => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }
}

impl std::fmt::Display for Json<'_> {
    /// Compact JSON text; numbers exactly as they came.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Boolean(value) => write!(f, "{value}"),
            Json::Number(digits) => f.write_str(digits),
            Json::Text(text) => write_quoted(f, text),
            Json::Array(elements) => {
                f.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (index, (key, value)) in members.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write_quoted(f, key)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_quoted(f: &mut std::fmt::Formatter<'_>, text: &str) -> std::fmt::Result {
    f.write_str(&serde_json::to_string(text).map_err(|_| std::fmt::Error)?)
}

/// U+FEFF in UTF-8; Criteo's bodies have been seen with and without it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads values recursively.
struct TreeReader<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    /// Values read so far.
    values: usize,
    /// A text had half of a surrogate pair.
    is_repaired: bool,
}

impl<'a> TreeReader<'_, 'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.cursor.unusable("nested too deeply"));
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.cursor.unusable("too many values in one document"));
        }
        Ok(match self.cursor.scalar()? {
            Scalar::Null => Json::Null,
            Scalar::Boolean(value) => Json::Boolean(value),
            Scalar::Number(digits) => Json::Number(digits),
            Scalar::Text(text) => {
                self.is_repaired |= text.is_repaired();
                Json::Text(text.resolve())
            }
            Scalar::Nested if self.cursor.take(b'[') => self.array(depth)?,
            Scalar::Nested => {
                self.cursor.position += 1;
                self.object(depth)?
            }
        })
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let mut elements = Vec::new();
        if self.cursor.peek_token()? == b']' {
            self.cursor.position += 1;
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            if !self.more(b']')? {
                return Ok(Json::Array(elements));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let mut members: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        // Comparing each key with each is fastest for the few keys that objects have, and takes for ever with many.
        let mut many: HashSet<Cow<'a, str>> = HashSet::new();
        if self.cursor.peek_token()? == b'}' {
            self.cursor.position += 1;
            return Ok(Json::Object(members));
        }
        loop {
            let key = self.cursor.key()?.resolve();
            let value = self.value(depth + 1)?;
            if members.len() == MANY_MEMBERS {
                many.extend(members.iter().map(|(known, _)| known.clone()));
            }
            let is_known = if members.len() < MANY_MEMBERS {
                members.iter().any(|(known, _)| *known == key)
            } else {
                !many.insert(key.clone())
            };
            if is_known {
                return Err(self.cursor.unusable("a key appears twice in one object"));
            }
            members.push((key, value));
            if !self.more(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    /// After an element: past a comma (true) or past `close` (false).
    fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        let next = self.cursor.peek_token()?;
        if next != b',' && next != close {
            return Err(self.cursor.invalid("expected `,` or the end of the list"));
        }
        self.cursor.position += 1;
        Ok(next == b',')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..8)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn to_serde(json: &Json<'_>) -> serde_json::Value {
        serde_json::from_str(&json.to_string()).expect("our own text is JSON")
    }

    proptest! {
        #[test]
        fn arbitrary_documents_mean_what_serde_json_says(value in arbitrary_json(), pretty in any::<bool>()) {
            let wrapped = serde_json::json!([value]);
            let text = if pretty { serde_json::to_string_pretty(&wrapped) } else { serde_json::to_string(&wrapped) };
            let text = text.expect("a value serializes");
            let parsed = Json::parse(text.as_bytes()).expect("valid JSON parses");
            let reread: serde_json::Value = serde_json::from_str(&text).expect("serde_json reads its own text");
            prop_assert_eq!(to_serde(&parsed), reread);
        }

        #[test]
        fn arbitrary_bytes_are_accepted_exactly_when_serde_json_accepts_them(text in r#"[\[\]{}",:0-9eE+\-. \\ntrufalsb/]{0,40}"#) {
            let wrapped = format!("[{text}]");
            let ours = Json::parse(wrapped.as_bytes());
            // serde_json reads numbers into floats and refuses what does not fit; we keep the text.
            let theirs = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&wrapped)
                .map_err(|error| error.to_string());
            let mut cursor = Cursor::new(wrapped.as_bytes(), 0);
            let skipped = cursor.skip_value().is_ok() && cursor.position() == wrapped.len();
            prop_assert_eq!(skipped, theirs.is_ok(), "{:?}", theirs);
            if let Err(JsonError::Unusable { .. }) = ours {
                return Ok(());
            }
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }

        #[test]
        fn every_proper_prefix_is_incomplete(value in arbitrary_json()) {
            let text = serde_json::to_string(&serde_json::json!({"a": value})).expect("a value serializes");
            for end in 0..text.len() {
                prop_assert_eq!(Json::parse(&text.as_bytes()[..end]).err(), Some(JsonError::Incomplete));
                prop_assert_eq!(Cursor::new(&text.as_bytes()[..end], 0).skip_value(), Err(JsonError::Incomplete));
            }
            prop_assert_eq!(Cursor::new(text.as_bytes(), 0).skip_value(), Ok(text.as_bytes()));
        }
    }

    fn reason(text: &str) -> Option<&'static str> {
        match Json::parse(text.as_bytes()) {
            Err(JsonError::Unusable { reason, .. }) => Some(reason),
            _ => None,
        }
    }

    #[test]
    fn a_repeated_key_is_refused_among_few_and_among_many() {
        let twice = Some("a key appears twice in one object");
        assert_eq!(reason(r#"{"a":1,"a":2}"#), twice);
        assert_eq!(reason(r#"{"a":1,"\u0061":2}"#), twice);
        for count in [MANY_MEMBERS - 1, MANY_MEMBERS, MANY_MEMBERS + 1, 100_000] {
            let members: Vec<String> = (0..count).map(|number| format!("\"{number}\":0")).collect();
            let members = members.join(",");
            assert!(Json::parse(format!("{{{members}}}").as_bytes()).is_ok(), "{count}");
            for repeated in [0, count / 2, count - 1] {
                assert_eq!(reason(&format!("{{{members},\"{repeated}\":1}}")), twice, "{repeated} of {count}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_end_of_a_string_is_found_wherever_it_stands(text in r#"[a-zé😀\x00-\x1f"\\\\!#\[\]~]{0,40}"#, at in 0_usize..50) {
            let slowly = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let expected = text.as_bytes().get(at..).and_then(|rest| Some(at + rest.iter().position(slowly)?));
            prop_assert_eq!(find_special(text.as_bytes(), at), expected);
        }

        #[test]
        fn bytes_that_are_not_utf8_are_refused_unless_more_may_complete_them(bytes in prop::collection::vec(any::<u8>(), 0..6)) {
            let document = [b"[\"".as_slice(), &bytes, b"\"]"].concat();
            let theirs = serde_json::from_slice::<serde_json::Value>(&document);
            prop_assert_eq!(Json::parse(&document).is_ok(), theirs.is_ok());
        }
    }

    #[test]
    fn a_plain_string_is_taken_only_when_it_is_whole_and_has_no_escapes() {
        let mut cursor = Cursor::new("\"é: 1.50\" ".as_bytes(), 0);
        assert_eq!((cursor.plain_string(), cursor.position()), (Some("é: 1.50"), 10));
        for text in ["\"12", "\"a\\n\"", "\"a\nb\"", " \"a\"", "1", ""] {
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            assert_eq!((cursor.plain_string(), cursor.position()), (None, 0), "{text}");
        }
    }

    #[test]
    fn half_a_character_at_the_end_is_incomplete_and_a_broken_one_is_not_json() {
        assert_eq!(Json::parse(b"[\"\xC3"), Err(JsonError::Incomplete));
        let broken = JsonError::Invalid { offset: 2, reason: "the text is not UTF-8" };
        assert_eq!(Json::parse(b"[\"\xC3\"]"), Err(broken));
        assert_eq!(Json::parse(b"\xFF"), Err(JsonError::Invalid { offset: 0, reason: "the text is not UTF-8" }));
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused_as_a_tree_and_skipped_at_any_depth() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(reason(&deep), Some("nested too deeply"));
        let whole = format!("{deep}{}", "]".repeat(1_000_000));
        assert_eq!(Cursor::new(whole.as_bytes(), 0).skip_value(), Ok(whole.as_bytes()));
        assert_eq!(Cursor::new(deep.as_bytes(), 0).skip_value(), Err(JsonError::Incomplete));
        let crossed = format!("{deep}}}");
        assert!(matches!(Cursor::new(crossed.as_bytes(), 0).skip_value(), Err(JsonError::Invalid { .. })));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        assert_eq!(Cursor::new(objects.as_bytes(), 0).skip_value(), Ok(objects.as_bytes()));
    }

    #[test]
    fn a_document_of_millions_of_tiny_values_is_refused_before_it_fills_the_memory() {
        let zeros = "0,".repeat(MAX_VALUES);
        assert_eq!(reason(&format!("[{zeros}0]")), Some("too many values in one document"));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = Json::parse(br#"{"id":123456789012345678901234567890,"x":1.10E+05}"#).expect("valid");
        assert_eq!(json.get("id"), Some(&Json::Number("123456789012345678901234567890")));
        assert_eq!(json.get("x"), Some(&Json::Number("1.10E+05")));
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (text, expected, is_repaired) in [
            (r"\ud83d\ude00", "😀", false),
            (r"Sale \ud83d", "Sale \u{fffd}", true),
            (r"\ude00\ud83d!", "\u{fffd}\u{fffd}!", true),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀", true),
            (r"\ud83d\n", "\u{fffd}\n", true),
            (r"\ud83dx\\\/", "\u{fffd}x\\/", true),
            (r"\u00e9\\ud83d", "é\\ud83d", false),
        ] {
            let document = format!("[\"{text}\"]");
            assert_eq!(Json::parse(document.as_bytes()), Ok(Json::Array(vec![Json::Text(expected.into())])), "{text}");
            let raw = RawText { raw: text, escaped: true };
            assert_eq!(raw.is_repaired(), is_repaired, "{text}");
        }
    }
}
