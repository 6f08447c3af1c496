//! Report bodies, as they stream in, to typed rows of partitions.
//!
//! [`ReportDecoder`] takes chunks of any size. It walks the envelope (see `envelope`), predicts the order of
//! keys from the row before, and puts every value straight into its typed column. Nothing is kept as JSON.
//! Spelling does not matter (keys in any case, numbers as text or as numbers, `null` or empty text for absent);
//! meaning does: a value that is not what its column says makes its day unusable, with an error that names table, column,
//! row and text. The other days of the same body are not affected.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::columns::{Rows, Value};
use super::envelope::{Envelope, Event, ObjectKind, StepError};
use super::excerpt::excerpt;
use super::numeric::{self, NumericError};
use super::partitions::{Partition, Partitions};
use super::time::WireTime;
use crate::catalog::{Column, ColumnType, DaySource, Origin, Table};
use crate::dates::DateRange;
use crate::json::{Cursor, JsonError, RawText, Scalar};
use crate::unicode::Repair;

/// Largest single row, or other piece of a body that has to be looked at whole.
pub const MAX_PIECE_BYTES: usize = 1 << 20;
/// Longest white space between two pieces: some servers send it to keep a connection alive, and it costs no memory.
pub const MAX_BLANK_BYTES: usize = 64 << 20;
/// Longest text of a cell. Names in Criteo's interface end at a few hundred characters.
pub const MAX_TEXT_BYTES: usize = 64 << 10;
/// Most memory for the rows of one response: 100,000 rows of all 227 metrics, the largest that Criteo sends, take two
/// thirds of it. Only a report without a row cap can honestly have more, and is then requested in parts.
pub const MAX_HELD_BYTES: usize = 256 << 20;
/// Bytes of the body after which the rows are weighed again.
const WEIGH_INTERVAL: u64 = 1 << 20;
/// Longest key that is predicted for the next row.
const MAX_PREDICTED_KEY: usize = 256;
/// Bytes of the next chunk that are tried first to complete a piece: more than a row has.
const LEAST_ADDED_BYTES: usize = 4096;
/// Unknown field names remembered for the warning.
const MAX_UNKNOWN_FIELDS: usize = 20;

/// Why a report body was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body is something other than JSON, an HTML page for instance.
    #[error("the response is not JSON; it starts with `{excerpt}`")]
    NotJson {
        /// The first characters.
        excerpt: String,
    },
    /// The body breaks JSON's rules.
    #[error("{reason} at byte {offset} of the response")]
    Malformed {
        /// Where, in the whole body.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The body is JSON by the grammar, and still nothing that anyone should read.
    #[error("{reason} at byte {offset} of the response, after row {rows}")]
    Unusable {
        /// Where, in the whole body.
        offset: u64,
        /// Whole rows before it.
        rows: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The body ended before its JSON did.
    #[error("the response ends in the middle of its JSON, after {bytes} bytes")]
    Cut {
        /// Length of the body.
        bytes: u64,
    },
    /// One row, or one value beside the rows, is larger than [`MAX_PIECE_BYTES`].
    #[error("a row, or a value beside the rows, is larger than {MAX_PIECE_BYTES} bytes, after row {rows}")]
    TooLarge {
        /// Whole rows before it.
        rows: u64,
    },
    /// White space, and nothing else, for [`MAX_BLANK_BYTES`].
    #[error("nothing but white space for {} MiB, after row {rows}", MAX_BLANK_BYTES >> 20)]
    Blank {
        /// Whole rows before it.
        rows: u64,
    },
    /// The rows take more memory than [`MAX_HELD_BYTES`]: fewer of them may do.
    #[error("the first {rows} rows of the response take more than {} MiB", MAX_HELD_BYTES >> 20)]
    TooMuch {
        /// Rows so far.
        rows: u64,
    },
    /// JSON, but none of the shapes a report is known to have.
    #[error("the response has an unknown shape: {found}")]
    UnknownEnvelope {
        /// What was there instead of rows.
        found: String,
    },
    /// A row lacks a field that identifies it.
    #[error("row {row} of the response for table `{table}` lacks the field `{field}`")]
    MissingField {
        /// Table.
        table: String,
        /// Row, from 1.
        row: u64,
        /// Criteo's name of the field.
        field: String,
    },
    /// A value is not what its column says.
    #[error("table `{table}`, column `{column}`, row {row} of the response: `{text}` is {reason}")]
    Value {
        /// Table.
        table: String,
        /// Column.
        column: String,
        /// Row, from 1.
        row: u64,
        /// The offending text, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A row of a day that was not requested.
    #[error("row {row} of the response for table `{table}` is of {day}, which is outside {asked}")]
    DayOutside {
        /// Table.
        table: String,
        /// Row, from 1.
        row: u64,
        /// The row's day.
        day: NaiveDate,
        /// What was requested.
        asked: DateRange,
    },
}

impl DecodeError {
    /// Whether asking again may bring a better answer: a broken body may, a misfit value will not.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotJson { .. } | Self::Malformed { .. } | Self::Cut { .. })
    }
}

/// Where a column's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filler {
    /// A field of the row.
    Field(usize),
    /// The field, or the requested currency where Criteo sends none.
    Currency(usize),
    /// The row's day.
    Day,
    /// Whether disclosed placements were requested.
    Disclosed,
}

/// How a row's day is known: [`DaySource`] with positions of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowDay {
    Field(usize),
    Instant(usize),
    Requested,
}

/// How the rows of one report table are read; made once a table and shared by its requests.
#[derive(Debug)]
pub struct ReportLayout {
    table: String,
    timezone: Tz,
    currency: String,
    /// Criteo's names of the fields that are read.
    fields: Vec<String>,
    /// Fields of the primary key: a row without one cannot be told from others.
    identifying: Vec<usize>,
    by_name: HashMap<String, usize>,
    columns: Vec<(Column, Filler)>,
    keys: Vec<usize>,
    /// The column that rows are told apart by.
    day_column: usize,
    day: RowDay,
}

/// Columns that are filled when the file is written, not from the response.
pub const PULLED_AT: &str = "_pulled_at";
/// The column by which rows are told apart by advertiser.
pub const ADVERTISER_ID: &str = "advertiser_id";

impl ReportLayout {
    /// The layout of `table`'s rows for reports in `timezone` and `currency`; `None` for tables that are not reports.
    pub fn new(table: &Table, timezone: Tz, currency: &str) -> Option<Self> {
        let mut layout = Self {
            table: table.name.clone(),
            timezone,
            currency: currency.to_owned(),
            fields: Vec::new(),
            identifying: Vec::new(),
            by_name: HashMap::new(),
            columns: Vec::new(),
            keys: Vec::new(),
            day_column: 0,
            day: RowDay::Requested,
        };
        for column in table.columns.iter().filter(|column| column.origin != Origin::PulledAt) {
            let identifies = table.primary_key.contains(&column.name);
            let filler = layout.filler(column, identifies)?;
            if identifies {
                layout.keys.push(layout.columns.len());
            }
            if filler == Filler::Day {
                layout.day_column = layout.columns.len();
            }
            layout.columns.push((column.clone(), filler));
        }
        let day = table.columns.iter().find_map(|column| match &column.origin {
            Origin::Day(source) => Some(source),
            _ => None,
        });
        layout.day = layout.row_day(day?);
        Some(layout)
    }

    /// `None` for what only resources have.
    fn filler(&mut self, column: &Column, identifies: bool) -> Option<Filler> {
        Some(match &column.origin {
            Origin::Field(name) | Origin::Hour(name) => Filler::Field(self.field(name, identifies)),
            Origin::Currency(name) => Filler::Currency(self.field(name, identifies)),
            Origin::Day(source) => {
                if let DaySource::Field(name) = source {
                    self.field(name, identifies);
                }
                Filler::Day
            }
            Origin::Disclosed => Filler::Disclosed,
            Origin::Pointer(_) | Origin::SnapshotDate | Origin::Parent(_) | Origin::Extra | Origin::PulledAt => {
                return None;
            }
        })
    }

    fn field(&mut self, name: &str, identifies: bool) -> usize {
        let index = self.fields.len();
        self.fields.push(name.to_owned());
        if identifies {
            self.identifying.push(index);
        }
        *self.by_name.entry(name.to_ascii_lowercase()).or_insert(index)
    }

    fn row_day(&self, source: &DaySource) -> RowDay {
        let field = |name: &str| self.by_name.get(&name.to_ascii_lowercase()).copied();
        match source {
            DaySource::Field(name) => field(name).map(RowDay::Field),
            DaySource::Instant(name) => field(name).map(RowDay::Instant),
            DaySource::Requested => None,
        }
        .unwrap_or(RowDay::Requested)
    }

    /// Whether the report's rows carry their day; those that do not must be requested one day at a time.
    pub fn has_day(&self) -> bool {
        self.day != RowDay::Requested
    }

    /// Positions of the primary key among the columns of [`Self::empty_rows`].
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The columns of [`Self::empty_rows`]: the table's, without `_pulled_at`.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(column, _)| column)
    }

    /// The advertisers that have rows among these, each with how many.
    pub fn advertisers<'p>(&self, rows: Partition<'p>) -> impl Iterator<Item = (&'p str, u64)> + use<'p> {
        let column = self.columns().position(|column| column.name == ADVERTISER_ID);
        let counts = column.map(|column| rows.sums_by_text(column, &[])).unwrap_or_default();
        counts.into_iter().map(|(id, count, _)| (id, count))
    }

    /// These rows by day.
    pub fn by_day(&self, rows: Rows) -> Partitions {
        Partitions::by_day(rows, self.day_column)
    }

    /// Rows of this table, none yet.
    pub fn empty_rows(&self) -> Rows {
        Rows::new(self.columns.iter().map(|(column, _)| &column.column_type)).expect("report columns are flat")
    }
}

/// What a request fixed that its rows do not repeat.
#[derive(Clone, Debug)]
pub struct RequestedRows {
    /// Days, in the report time zone.
    pub days: DateRange,
    /// For placements: whether disclosed or undisclosed ones were requested.
    pub disclosed: Option<bool>,
    /// Take every row as one of this single day, whatever date it carries (transactions, see `pull::analytics`).
    pub day_is_given: bool,
}

/// A body that was read to its end.
#[derive(Debug)]
pub struct DecodedReport {
    /// Rows by day, without those of unusable days.
    pub partitions: Partitions,
    /// Days with a row that cannot be stored. Nothing may be published for them.
    pub unusable_days: BTreeMap<NaiveDate, UnusableDay>,
    /// Rows in all, those of unusable days included.
    pub rows: u64,
    /// Bytes of the body.
    pub bytes: u64,
    /// The body's `errors`, as JSON text, if it had any.
    pub errors: Option<Vec<u8>>,
    /// The body's `warnings`, as JSON text, if it had any.
    pub warnings: Option<Vec<u8>>,
    /// Fields that came unasked and are not stored.
    pub unknown_fields: BTreeSet<String>,
    /// Columns with text that is not Unicode, each with the first such text as it is stored.
    pub repaired: BTreeMap<String, String>,
}

/// A day with at least one row that cannot be stored.
#[derive(Debug)]
pub struct UnusableDay {
    /// Rows of the day that cannot be stored.
    pub misfit_rows: u64,
    /// Why the first of them cannot: table, column, row and text.
    pub error: DecodeError,
}

/// Reads one report body.
#[derive(Debug)]
pub struct ReportDecoder {
    layout: Arc<ReportLayout>,
    asked: RequestedRows,
    /// Length of the body so far.
    bytes: u64,
    repair: Repair,
    buffer: Vec<u8>,
    /// Bytes of repaired text that were consumed before `buffer`.
    consumed: u64,
    /// White space before the piece that `buffer` begins with.
    blank: usize,
    /// Length of `buffer` at which the piece in it, which is read from its start each time, is worth another look.
    look_again_at: usize,
    weigh_at: u64,
    max_held: usize,
    envelope: Envelope,
    keys: KeyPrediction,
    sink: Sink,
}

impl ReportDecoder {
    /// A decoder for the answer to one request.
    pub fn new(layout: Arc<ReportLayout>, asked: RequestedRows) -> Self {
        let sink = Sink::new(&layout);
        let keys = KeyPrediction::default();
        Self {
            layout,
            asked,
            bytes: 0,
            repair: Repair::default(),
            buffer: Vec::new(),
            consumed: 0,
            blank: 0,
            look_again_at: 0,
            weigh_at: WEIGH_INTERVAL,
            max_held: MAX_HELD_BYTES,
            envelope: Envelope::default(),
            keys,
            sink,
        }
    }

    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.sink.count()
    }

    /// The table that the rows are of.
    pub fn table(&self) -> &str {
        &self.layout.table
    }

    /// Takes the next piece of the body.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.bytes += chunk.len() as u64;
        let text = self.repair.feed(chunk);
        self.sink.notes.is_watching |= self.repair.is_repaired();
        self.feed_text(&text)
    }

    /// Takes the next piece of the body, which is UTF-8 up to its last whole character.
    fn feed_text(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        let mut rest = text;
        while !self.buffer.is_empty() && !rest.is_empty() {
            rest = self.complete_buffer(rest)?;
        }
        if !rest.is_empty() {
            let used = self.read_complete_pieces(rest)?;
            self.buffer.extend_from_slice(&rest[used..]);
        }
        self.check_size()?;
        if self.consumed >= self.weigh_at {
            self.weigh_at = self.consumed + WEIGH_INTERVAL;
            self.weigh()?;
        }
        Ok(())
    }

    /// Adds to the piece that the last chunk began only as much as may complete it, so that most of a body is read where
    /// it lies. Returns what is still to be read.
    fn complete_buffer<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], DecodeError> {
        let began = self.buffer.len();
        let added = chunk.len().min(began.max(LEAST_ADDED_BYTES));
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(&chunk[..added]);
        if buffer.len() < self.look_again_at {
            self.buffer = buffer;
            return Ok(&chunk[added..]);
        }
        let used = self.read_complete_pieces(&buffer)?;
        if used >= began {
            buffer.clear();
            self.buffer = buffer;
            return Ok(&chunk[used - began..]);
        }
        buffer.drain(..used);
        self.buffer = buffer;
        self.check_size()?;
        Ok(&chunk[added..])
    }

    fn check_size(&self) -> Result<(), DecodeError> {
        let is_too_large = self.buffer.len() > MAX_PIECE_BYTES;
        if is_too_large { Err(DecodeError::TooLarge { rows: self.rows() }) } else { Ok(()) }
    }

    /// The body has ended.
    pub fn finish(mut self) -> Result<DecodedReport, DecodeError> {
        let bytes = self.bytes;
        let last = self.repair.finish();
        self.sink.notes.is_watching |= self.repair.is_repaired();
        self.feed_text(last)?;
        // What waited for more, and a body of nothing but a number or a word, can be judged now.
        self.look_again_at = 0;
        self.feed_text(b" ")?;
        self.weigh()?;
        if !self.envelope.is_finished() {
            return Err(DecodeError::Cut { bytes });
        }
        let Self { layout, envelope, sink, keys, .. } = self;
        let (errors, warnings) = envelope.into_notices();
        let rows = sink.count();
        let mut partitions = layout.by_day(sink.rows);
        for day in sink.unusable_days.keys() {
            partitions.remove(*day);
        }
        let (unusable_days, unknown_fields, repaired) = (sink.unusable_days, keys.unknown, sink.notes.repaired);
        Ok(DecodedReport { partitions, unusable_days, rows, bytes, errors, warnings, unknown_fields, repaired })
    }

    fn weigh(&self) -> Result<(), DecodeError> {
        let is_too_much = self.sink.rows.held_bytes() > self.max_held;
        if is_too_much { Err(DecodeError::TooMuch { rows: self.rows() }) } else { Ok(()) }
    }

    /// Reads what is complete in `bytes`, which follow those consumed so far, and returns how much that was.
    fn read_complete_pieces(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let used = self.read_pieces(bytes)?;
        self.consumed += used as u64;
        let left = bytes.len() - used;
        self.look_again_at = (left + left / 2).min(MAX_PIECE_BYTES);
        Ok(used)
    }

    fn read_pieces(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        let Self { layout, asked, consumed, blank, envelope, keys, sink, .. } = self;
        let mut cells: Vec<Option<Scalar<'_>>> = vec![None; layout.fields.len()];
        let mut cursor = Cursor::new(bytes, 0);
        let mut used = 0;
        loop {
            cursor.skip_whitespace();
            *blank += cursor.position() - used;
            if *blank > MAX_BLANK_BYTES {
                return Err(DecodeError::Blank { rows: sink.count() });
            }
            used = cursor.position();
            let step =
                envelope.step(&mut cursor, |cursor, may_descend| keys.read(cursor, layout, &mut cells, may_descend));
            let end = match &step {
                Ok(Event::NeedMore) | Err(StepError::Json(JsonError::Incomplete)) => return Ok(used),
                Err(StepError::Json(JsonError::Invalid { offset, .. } | JsonError::Unusable { offset, .. })) => *offset,
                Ok(_) | Err(StepError::Shape(_)) => cursor.position(),
            };
            // Judged here and not by what the buffer holds, so that it does not matter how the body was cut to pieces.
            if end.saturating_sub(used) > MAX_PIECE_BYTES {
                return Err(DecodeError::TooLarge { rows: sink.count() });
            }
            *blank = 0;
            match step {
                Ok(Event::Progress) => used = end,
                Ok(Event::Row) => {
                    used = end;
                    sink.push(layout, asked, &cells)?;
                }
                Ok(Event::NeedMore) | Err(StepError::Json(JsonError::Incomplete)) => return Ok(used),
                Err(StepError::Json(JsonError::Invalid { offset, reason })) => {
                    return Err(malformed(bytes, *consumed, offset, reason));
                }
                Err(StepError::Json(JsonError::Unusable { offset, reason })) => {
                    let offset = *consumed + offset as u64;
                    return Err(DecodeError::Unusable { offset, rows: sink.count(), reason });
                }
                Err(StepError::Shape(found)) => return Err(DecodeError::UnknownEnvelope { found }),
            }
        }
    }
}

fn malformed(bytes: &[u8], consumed: u64, offset: usize, reason: &'static str) -> DecodeError {
    if consumed + offset as u64 <= 3 {
        return DecodeError::NotJson { excerpt: excerpt(&String::from_utf8_lossy(bytes)) };
    }
    DecodeError::Malformed { offset: consumed + offset as u64, reason }
}

/// The keys of the row before, in order: nearly always those of the next row.
#[derive(Debug, Default)]
struct KeyPrediction {
    expected: Vec<ExpectedKey>,
    unknown: BTreeSet<String>,
}

#[derive(Debug)]
struct ExpectedKey {
    /// The key as it stands between two values without white space: `,"Key":`.
    literal: Vec<u8>,
    raw: String,
    field: Key,
}

/// What stands next in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// A field that is read.
    Field(usize),
    /// A field that came unasked.
    Unknown,
    /// No further key.
    End,
}

impl KeyPrediction {
    /// Reads one object, the cursor standing on its `{`, into `cells`.
    fn read<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        layout: &ReportLayout,
        cells: &mut [Option<Scalar<'a>>],
        may_descend: bool,
    ) -> Result<ObjectKind, StepError> {
        cells.fill(None);
        cursor.expect(b'{', "expected an object")?;
        for position in 0.. {
            let field = match self.key(cursor, layout, position)? {
                Key::Field(field) => Some(field),
                Key::Unknown => None,
                Key::End => break,
            };
            if let Some(cell) = field.and_then(|field| cells.get_mut(field))
                && cell.is_none()
                && let Some(raw) = cursor.plain_string()
            {
                *cell = Some(Scalar::Text(RawText { raw, escaped: false }));
                continue;
            }
            let value = cursor.scalar()?;
            match (field, value) {
                (Some(field), _) if cells[field].is_some() => {
                    return Err(cursor.unusable("a key appears twice in one row").into());
                }
                (Some(_), Scalar::Nested) => {
                    return Err(StepError::Shape("a value of a row is an object or a list".to_owned()));
                }
                (Some(field), value) => cells[field] = Some(value),
                (None, Scalar::Nested) if may_descend && self.is_rows(position) && cursor.take(b'[') => {
                    return Ok(ObjectKind::RowsInside);
                }
                (None, Scalar::Nested) => {
                    cursor.skip_value()?;
                }
                (None, _) => {}
            }
        }
        Ok(ObjectKind::Row)
    }

    /// Reads the key at `position`, with the comma before it, or the end of the object.
    fn key(&mut self, cursor: &mut Cursor<'_>, layout: &ReportLayout, position: usize) -> Result<Key, StepError> {
        let expected = self.expected.get(position);
        if let Some(expected) = expected
            && cursor.take_literal(&expected.literal)
        {
            return Ok(expected.field);
        }
        if !another_member(cursor, position)? {
            return Ok(Key::End);
        }
        let key = cursor.key()?;
        if let Some(expected) = expected
            && expected.raw == key.raw
        {
            return Ok(expected.field);
        }
        let name = key.resolve();
        let field = layout.by_name.get(&name.to_ascii_lowercase()).map_or(Key::Unknown, |&field| Key::Field(field));
        if field == Key::Unknown && self.unknown.len() < MAX_UNKNOWN_FIELDS {
            self.unknown.insert(excerpt(&name));
        }
        let comma = if position > 0 { "," } else { "" };
        let literal = format!("{comma}\"{}\":", key.raw).into_bytes();
        let expected = ExpectedKey { literal, raw: key.raw.to_owned(), field };
        if expected.literal.len() > MAX_PREDICTED_KEY {
            self.expected.truncate(position);
        } else if position < self.expected.len() {
            self.expected[position] = expected;
        } else if position == self.expected.len() && position <= 2 * layout.fields.len() {
            self.expected.push(expected);
        }
        Ok(field)
    }

    /// Whether the unknown key at `position` is `rows`, in any case.
    fn is_rows(&mut self, position: usize) -> bool {
        let is_rows = self.expected.get(position).is_some_and(|key| key.raw.eq_ignore_ascii_case("rows"));
        if is_rows {
            self.unknown.retain(|name| !name.eq_ignore_ascii_case("rows"));
            self.expected.clear();
        }
        is_rows
    }
}

/// Before the member at `position`: past the comma, if there must be one (true), or past the closing brace (false).
fn another_member(cursor: &mut Cursor<'_>, position: usize) -> Result<bool, JsonError> {
    match cursor.peek_token()? {
        b'}' => Ok(!cursor.take(b'}')),
        b',' if position > 0 => Ok(cursor.take(b',')),
        _ if position == 0 => Ok(true),
        _ => Err(cursor.invalid("expected `,` or `}`")),
    }
}

/// Where rows go.
#[derive(Debug)]
struct Sink {
    rows: Rows,
    /// How the row before spelled its day, and which that is: nearly always the next row's too.
    last_day: Option<(String, NaiveDate)>,
    unusable_days: BTreeMap<NaiveDate, UnusableDay>,
    notes: TextNotes,
}

/// Texts that are not as Criteo sent them.
#[derive(Debug, Default)]
struct TextNotes {
    /// Bytes of the body were replaced, so that every U+FFFD is worth a note.
    is_watching: bool,
    repaired: BTreeMap<String, String>,
}

impl TextNotes {
    fn note(&mut self, column: &Column, text: &str) {
        if !self.repaired.contains_key(&column.name) {
            self.repaired.insert(column.name.clone(), excerpt(text));
        }
    }
}

impl Sink {
    fn new(layout: &ReportLayout) -> Self {
        let (rows, notes) = (layout.empty_rows(), TextNotes::default());
        Self { rows, last_day: None, unusable_days: BTreeMap::new(), notes }
    }

    fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    fn push(
        &mut self,
        layout: &ReportLayout,
        asked: &RequestedRows,
        cells: &[Option<Scalar<'_>>],
    ) -> Result<(), DecodeError> {
        let row = RowContext { layout, asked, cells, row: self.count() + 1 };
        let mut misfit = row.check_identified().err();
        let day = match self.day(&row) {
            Ok(day) => day,
            // Whose day is not known cannot be held against a day.
            Err(error) => return Err(misfit.unwrap_or(error)),
        };
        for (index, (column, filler)) in layout.columns.iter().enumerate() {
            if let Err(error) = row.store(&mut self.rows, &mut self.notes, index, (column, *filler), day) {
                // The row is counted, since it may be the one at the cap, and dropped with its day.
                let _is_always_stored = self.rows.push_value(index, Value::Null);
                misfit.get_or_insert(error);
            }
        }
        self.rows.finish_row();
        if let Some(error) = misfit {
            self.mark_unusable(day, error);
        }
        Ok(())
    }

    fn mark_unusable(&mut self, day: NaiveDate, error: DecodeError) {
        let day = self.unusable_days.entry(day).or_insert(UnusableDay { misfit_rows: 0, error });
        day.misfit_rows += 1;
    }

    fn day(&mut self, row: &RowContext<'_, '_>) -> Result<NaiveDate, DecodeError> {
        let text = row.day_text();
        if let (Some(text), Some((spelling, day))) = (text, &self.last_day)
            && text == spelling
        {
            return Ok(*day);
        }
        let day = row.day()?;
        self.last_day = text.map(|text| (text.to_owned(), day));
        Ok(day)
    }
}

/// One row on its way into the columns.
struct RowContext<'r, 'a> {
    layout: &'r ReportLayout,
    asked: &'r RequestedRows,
    cells: &'r [Option<Scalar<'a>>],
    row: u64,
}

impl RowContext<'_, '_> {
    fn check_identified(&self) -> Result<(), DecodeError> {
        match self.layout.identifying.iter().find(|&&field| self.cells[field].is_none()) {
            None => Ok(()),
            Some(&field) => Err(DecodeError::MissingField {
                table: self.layout.table.clone(),
                row: self.row,
                field: self.layout.fields[field].clone(),
            }),
        }
    }

    /// The field that the day is read from, as it stands, where that alone decides the day.
    fn day_text(&self) -> Option<&str> {
        let (RowDay::Field(field) | RowDay::Instant(field)) = self.layout.day else { return None };
        match self.cells[field] {
            Some(Scalar::Text(text)) if !text.escaped => Some(text.raw),
            _ => None,
        }
    }

    fn day(&self) -> Result<NaiveDate, DecodeError> {
        let day = match self.layout.day {
            RowDay::Requested => self.asked.days.from(),
            RowDay::Field(field) => self.wire_time(field)?.date(),
            RowDay::Instant(field) => self.wire_time(field)?.day_in(self.layout.timezone),
        };
        if self.asked.day_is_given {
            return Ok(self.asked.days.from());
        }
        if self.asked.days.contains(day) {
            return Ok(day);
        }
        let (table, row, asked) = (self.layout.table.clone(), self.row, self.asked.days);
        Err(DecodeError::DayOutside { table, row, day, asked })
    }

    fn wire_time(&self, field: usize) -> Result<WireTime, DecodeError> {
        let text = match self.cells[field] {
            Some(Scalar::Text(text)) => text.resolve(),
            _ => "".into(),
        };
        WireTime::parse(&text).ok_or_else(|| self.misfit(&self.layout.fields[field], &text, "not a date"))
    }

    fn store(
        &self,
        rows: &mut Rows,
        notes: &mut TextNotes,
        index: usize,
        (column, filler): (&Column, Filler),
        day: NaiveDate,
    ) -> Result<(), DecodeError> {
        let cell = match filler {
            Filler::Day => return self.put(rows, index, column, Value::Date(day.to_epoch_days())),
            Filler::Disclosed => {
                let value = self.asked.disclosed.map_or(Value::Null, Value::Boolean);
                return self.put(rows, index, column, value);
            }
            Filler::Field(field) | Filler::Currency(field) => &self.cells[field],
        };
        match cell {
            Some(Scalar::Text(RawText { raw, .. }) | Scalar::Number(raw)) if raw.len() > MAX_TEXT_BYTES => {
                Err(self.misfit(&column.name, raw, &format!("longer than {MAX_TEXT_BYTES} bytes")))
            }
            Some(Scalar::Text(RawText { raw, escaped: false })) if !raw.is_empty() => {
                if notes.is_watching && raw.contains(char::REPLACEMENT_CHARACTER) {
                    notes.note(column, raw);
                }
                if store_plain(rows, index, &column.column_type, raw) {
                    return Ok(());
                }
                let value = self.text_value(column, raw)?;
                self.put(rows, index, column, value)
            }
            Some(Scalar::Text(text)) if !text.raw.is_empty() => {
                let resolved = text.resolve();
                if text.is_repaired() || (notes.is_watching && resolved.contains(char::REPLACEMENT_CHARACTER)) {
                    notes.note(column, &resolved);
                }
                let value = self.text_value(column, &resolved)?;
                self.put(rows, index, column, value)
            }
            Some(Scalar::Number(digits)) => self.store_number(rows, index, column, digits),
            Some(Scalar::Boolean(value)) => self.store_boolean(rows, index, column, *value),
            _ if matches!(filler, Filler::Currency(_)) => {
                self.put(rows, index, column, Value::Text(&self.layout.currency))
            }
            _ => self.put(rows, index, column, Value::Null),
        }
    }

    fn put(&self, rows: &mut Rows, index: usize, column: &Column, value: Value<'_>) -> Result<(), DecodeError> {
        if rows.push_value(index, value) {
            return Ok(());
        }
        Err(self.misfit(&column.name, &format!("{value:?}"), "not of the column's type"))
    }

    /// A JSON number: an identifier keeps its digits, a measure is read from them.
    fn store_number(&self, rows: &mut Rows, index: usize, column: &Column, digits: &str) -> Result<(), DecodeError> {
        if column.column_type != ColumnType::String {
            let value = self.text_value(column, digits)?;
            return self.put(rows, index, column, value);
        }
        let plain = if digits.contains(['.', 'e', 'E']) { numeric::parse_integer(digits).ok() } else { None };
        match plain {
            Some(whole) => self.put(rows, index, column, Value::Text(&whole.to_string())),
            None => self.put(rows, index, column, Value::Text(digits)),
        }
    }

    fn store_boolean(&self, rows: &mut Rows, index: usize, column: &Column, value: bool) -> Result<(), DecodeError> {
        match column.column_type {
            ColumnType::Boolean => self.put(rows, index, column, Value::Boolean(value)),
            ColumnType::String => self.put(rows, index, column, Value::Text(if value { "true" } else { "false" })),
            _ => Err(self.misfit(&column.name, &value.to_string(), "not of the column's type")),
        }
    }

    fn text_value<'t>(&self, column: &Column, text: &'t str) -> Result<Value<'t>, DecodeError> {
        let misfit = |reason: &str| self.misfit(&column.name, text, reason);
        let number = |error: NumericError| misfit(&error.to_string());
        Ok(match column.column_type {
            ColumnType::String | ColumnType::Json => Value::Text(text),
            ColumnType::Integer | ColumnType::Numeric | ColumnType::Float if !column.additive && is_undefined(text) => {
                Value::Null
            }
            ColumnType::Integer => Value::Integer(numeric::parse_integer(text).map_err(number)?),
            ColumnType::Numeric => Value::Numeric(numeric::parse_numeric(text).map_err(number)?),
            ColumnType::Float => Value::Float(numeric::parse_float(text).map_err(number)?),
            ColumnType::Boolean => Value::Boolean(parse_boolean(text).ok_or_else(|| misfit("neither true nor false"))?),
            ColumnType::Date => {
                let time = WireTime::parse(text).ok_or_else(|| misfit("not a date"))?;
                Value::Date(time.date().to_epoch_days())
            }
            ColumnType::Timestamp => {
                let time = WireTime::parse(text).ok_or_else(|| misfit("not a time"))?;
                Value::Timestamp(time.instant(self.layout.timezone).timestamp_micros())
            }
            ColumnType::Record(_) => return Err(misfit("not an object")),
        })
    }

    fn misfit(&self, column: &str, text: &str, reason: &str) -> DecodeError {
        DecodeError::Value {
            table: self.layout.table.clone(),
            column: column.to_owned(),
            row: self.row,
            text: excerpt(text),
            reason: reason.to_owned(),
        }
    }
}

/// Stores text that is what nearly all text is: a name, or a number that fits its column. `false`, and nothing is stored,
/// for the rest.
#[inline]
fn store_plain(rows: &mut Rows, index: usize, column_type: &ColumnType, text: &str) -> bool {
    match column_type {
        ColumnType::String => rows.push_value(index, Value::Text(text)),
        ColumnType::Integer => {
            numeric::parse_integer(text).is_ok_and(|value| rows.push_value(index, Value::Integer(value)))
        }
        ColumnType::Numeric => {
            numeric::parse_numeric(text).is_ok_and(|value| rows.push_value(index, Value::Numeric(value)))
        }
        _ => false,
    }
}

/// `NaN` or an infinity: a quotient whose divisor is zero. Taken as absent in measures that are not sums; how Criteo
/// spells an undefined ratio is not documented.
fn is_undefined(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity" | "∞" | "-∞")
}

/// `True`/`False` and `Yes`/`No` (Criteo docs, Transaction IDs page), in any case.
fn parse_boolean(text: &str) -> Option<bool> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("true") || is("yes") {
        return Some(true);
    }
    (is("false") || is("no")).then_some(false)
}

#[cfg(test)]
mod tests;
