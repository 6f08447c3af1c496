//! The shapes a report's JSON comes in, walked byte by byte.
//!
//! Criteo publishes no response schema for its reports. Seen or reported in the wild, and accepted: an object with
//! `Rows` and `Total` in either order, a bare array of rows, `data[].attributes.rows`, and `data[].attributes` being
//! the row itself. Anything else is an error, never "no rows". An object may carry `errors` and `warnings`.

use super::excerpt::excerpt;
use crate::json::{BYTE_ORDER_MARK, Cursor, JsonError};

/// Why the envelope could not go on.
#[derive(Debug)]
pub(super) enum StepError {
    Json(JsonError),
    Shape(String),
}

impl From<JsonError> for StepError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// What a row's object turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// A row; its cells are filled, the cursor stands behind it.
    Row,
    /// A wrapper whose `rows` array starts here; the cursor stands behind the bracket.
    RowsInside,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A piece of envelope; call again.
    Progress,
    /// A row; its cells are filled.
    Row,
    /// Nothing more can be read from this buffer; white space up to the cursor is consumed.
    NeedMore,
}

/// Where in the document the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// Members of the top-level object.
    Top,
    /// Elements of an array of rows.
    Rows,
    /// Elements of `data`.
    Data,
    /// Members of an element of `data`.
    Element,
    /// Members of an `attributes` object that follow its `rows`.
    Attributes,
}

/// The walker.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    stack: Vec<Frame>,
    /// No member or element of the innermost frame has been read yet.
    fresh: bool,
    started: bool,
    mark_skipped: bool,
    has_rows: bool,
    /// An element of `data` has shown its `attributes`.
    has_attributes: bool,
    members: Vec<String>,
    errors: Option<Vec<u8>>,
    warnings: Option<Vec<u8>>,
}

impl Envelope {
    /// Whether the document has been read to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.started && self.stack.is_empty()
    }

    /// The `errors` and `warnings`, as JSON text.
    pub(super) fn into_notices(self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (self.errors, self.warnings)
    }

    /// Reads one piece at the cursor. `read_object` reads a row, or finds that it is a wrapper.
    pub(super) fn step<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        read_object: impl FnOnce(&mut Cursor<'a>, bool) -> Result<ObjectKind, StepError>,
    ) -> Result<Event, StepError> {
        cursor.skip_whitespace();
        match cursor.peek() {
            Ok(_) => {}
            Err(JsonError::Incomplete) => return Ok(Event::NeedMore),
            Err(error) => return Err(error.into()),
        }
        let Some(&frame) = self.stack.last() else { return self.start(cursor) };
        match frame {
            Frame::Top | Frame::Element | Frame::Attributes => self.member(frame, cursor, read_object),
            Frame::Rows | Frame::Data => self.element(frame, cursor, read_object),
        }
    }

    fn start(&mut self, cursor: &mut Cursor<'_>) -> Result<Event, StepError> {
        if self.started {
            return Err(cursor.invalid("text after the end of the JSON").into());
        }
        if !self.mark_skipped && BYTE_ORDER_MARK.starts_with(&[cursor.peek()?]) {
            for &byte in BYTE_ORDER_MARK {
                cursor.peek()?;
                if !cursor.take(byte) {
                    return Err(cursor.invalid("a broken byte-order mark").into());
                }
            }
            self.mark_skipped = true;
            return Ok(Event::Progress);
        }
        let frame = match cursor.peek()? {
            b'{' => Frame::Top,
            b'[' => Frame::Rows,
            b'"' | b'0'..=b'9' | b'-' | b't' | b'f' | b'n' => {
                cursor.skip_value()?;
                return Err(StepError::Shape("a single value".to_owned()));
            }
            _ => return Err(cursor.invalid("expected JSON").into()),
        };
        let bracket = cursor.peek()?;
        cursor.take(bracket);
        self.started = true;
        self.has_rows = frame == Frame::Rows;
        self.push(frame);
        Ok(Event::Progress)
    }

    fn push(&mut self, frame: Frame) {
        self.stack.push(frame);
        self.fresh = true;
    }

    /// Past the separator before the next item (true), or past the end of the frame (false).
    fn next_item(&mut self, cursor: &mut Cursor<'_>, close: u8) -> Result<bool, JsonError> {
        let next = cursor.peek_token()?;
        if next == close {
            cursor.take(close);
            return Ok(false);
        }
        if !self.fresh {
            if next != b',' {
                return Err(cursor.invalid("expected `,` or the end of the list"));
            }
            cursor.take(b',');
            cursor.peek_token()?;
        }
        Ok(true)
    }

    fn pop(&mut self) -> Result<Event, StepError> {
        let frame = self.stack.pop();
        self.fresh = false;
        if frame == Some(Frame::Element) && !self.has_attributes {
            return Err(StepError::Shape("an element of `data` without `attributes`".to_owned()));
        }
        if self.stack.is_empty() && !self.has_rows && self.errors.is_none() {
            let members = if self.members.is_empty() { "nothing".to_owned() } else { self.members.join("`, `") };
            return Err(StepError::Shape(format!("an object with `{members}`, but neither `Rows` nor `data`")));
        }
        Ok(Event::Progress)
    }

    fn element<'a>(
        &mut self,
        frame: Frame,
        cursor: &mut Cursor<'a>,
        read_object: impl FnOnce(&mut Cursor<'a>, bool) -> Result<ObjectKind, StepError>,
    ) -> Result<Event, StepError> {
        if !self.next_item(cursor, b']')? {
            return self.pop();
        }
        if cursor.peek()? != b'{' {
            let value = cursor.skip_value()?;
            let text = excerpt(&String::from_utf8_lossy(value));
            return Err(StepError::Shape(format!("`{text}` where a row was expected")));
        }
        if frame == Frame::Data {
            cursor.take(b'{');
            self.has_attributes = false;
            self.push(Frame::Element);
            return Ok(Event::Progress);
        }
        read_object(cursor, false)?;
        self.fresh = false;
        Ok(Event::Row)
    }

    fn member<'a>(
        &mut self,
        frame: Frame,
        cursor: &mut Cursor<'a>,
        read_object: impl FnOnce(&mut Cursor<'a>, bool) -> Result<ObjectKind, StepError>,
    ) -> Result<Event, StepError> {
        if !self.next_item(cursor, b'}')? {
            return self.pop();
        }
        let key = cursor.key()?;
        // Spelt with escapes it is the same key.
        let key = key.resolve();
        let is = |name: &str| key.eq_ignore_ascii_case(name);
        let next = cursor.peek_token()?;
        match frame {
            Frame::Top if is("rows") => self.open_list(cursor, "Rows", Frame::Rows),
            Frame::Top if is("data") => self.open_list(cursor, "data", Frame::Data),
            Frame::Element if is("attributes") && next == b'{' => self.attributes(cursor, read_object),
            Frame::Element if is("attributes") => Err(StepError::Shape("`attributes` is not an object".to_owned())),
            _ => {
                let value = cursor.skip_value()?;
                self.fresh = false;
                if frame == Frame::Top {
                    self.note(&key, value);
                }
                Ok(Event::Progress)
            }
        }
    }

    fn open_list(&mut self, cursor: &mut Cursor<'_>, name: &str, frame: Frame) -> Result<Event, StepError> {
        if self.has_rows {
            return Err(StepError::Shape(format!("`{name}` beside another list of rows")));
        }
        if !cursor.take(b'[') {
            return Err(StepError::Shape(format!("`{name}` is not a list")));
        }
        self.fresh = false;
        self.has_rows = true;
        self.push(frame);
        Ok(Event::Progress)
    }

    fn attributes<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        read_object: impl FnOnce(&mut Cursor<'a>, bool) -> Result<ObjectKind, StepError>,
    ) -> Result<Event, StepError> {
        if self.has_attributes {
            return Err(cursor.unusable("a key appears twice in one object").into());
        }
        let kind = read_object(cursor, true)?;
        self.has_attributes = true;
        self.fresh = false;
        if kind == ObjectKind::Row {
            return Ok(Event::Row);
        }
        self.push(Frame::Attributes);
        self.push(Frame::Rows);
        Ok(Event::Progress)
    }

    /// Keeps what stands beside the rows as far as it matters: errors, warnings, and names for the message.
    fn note(&mut self, key: &str, value: &[u8]) {
        let is_empty = matches!(value, b"null") || value.iter().all(|byte| b"[] \t\r\n".contains(byte));
        if key.eq_ignore_ascii_case("errors") && !is_empty {
            self.errors = Some(value.to_vec());
        } else if key.eq_ignore_ascii_case("warnings") && !is_empty {
            self.warnings = Some(value.to_vec());
        }
        if self.members.len() < 10 {
            self.members.push(excerpt(key));
        }
    }
}
