//! Rows of a report, and the bytes they become.
//!
//! Bodies are written straight to bytes, row by row, because a capped statistics report has a hundred thousand of them.
//! All ways to spell a report wrongly or unusually are here; the values come from elsewhere and are never changed
//! unless a fault says so.

use serde_json::{Value as Json, json};

use super::faults::{Envelope, FaultKind, KeyCase, ValueStyle};
use super::wire::camel;

/// A column as Criteo names it, in `PascalCase`.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) numeric: bool,
}

/// The text of a cell by row and column.
pub(super) type Cells = Box<dyn Fn(usize, usize) -> String + Send + Sync>;

/// A report before it is spelled.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: usize,
    pub(super) cell: Cells,
    /// What `Total` says, by column.
    pub(super) total: Vec<(usize, String)>,
    /// The `type` of elements of `data`.
    pub(super) kind: &'static str,
    pub(super) envelope: Envelope,
    pub(super) keys: KeyCase,
}

impl Table {
    /// The same table with the rows that a fault leaves.
    pub(super) fn shortened(self, fault: &FaultKind) -> Self {
        match fault {
            FaultKind::RowCap(cap) => Self { rows: self.rows.min(*cap), ..self },
            FaultKind::AbsentRows(advertiser) => self.without(advertiser),
            _ => self,
        }
    }

    /// Without an advertiser's rows, unless the table has totals by day and advertiser.
    fn without(self, advertiser: &str) -> Self {
        let dimensions = self.columns.iter().filter(|column| !column.numeric);
        let are_totals = dimensions
            .map(|column| column.name.as_str())
            .all(|name| matches!(name, "Day" | "AdvertiserId" | "Advertiser" | "AdvertiserName" | "Currency"));
        let id = self.columns.iter().position(|column| column.name == "AdvertiserId");
        let Some(id) = id.filter(|_| !are_totals) else { return self };
        let left: Vec<usize> = (0..self.rows).filter(|row| (self.cell)(*row, id) != advertiser).collect();
        let cell = self.cell;
        Self { rows: left.len(), cell: Box::new(move |row, column| cell(left[row], column)), ..self }
    }

    /// The rows as maps from column to text.
    pub(super) fn maps(&self) -> Vec<std::collections::BTreeMap<String, String>> {
        let named =
            |row: usize| self.columns.iter().enumerate().map(move |(at, column)| (column, (self.cell)(row, at)));
        (0..self.rows).map(|row| named(row).map(|(column, text)| (column.name.clone(), text)).collect()).collect()
    }

    /// The body, as spelled by the faults.
    pub(super) fn body(&self, faults: &[FaultKind], trailer: &[(&str, Json)]) -> Vec<u8> {
        let mut writer = Writer { table: self, faults, keys: self.keys, style: ValueStyle::Strings, out: Vec::new() };
        let mut envelope = self.envelope;
        let mut rows = self.rows;
        for fault in faults {
            match fault {
                FaultKind::Envelope(other) => envelope = *other,
                FaultKind::Keys(case) => writer.keys = *case,
                FaultKind::Values(style) => writer.style = *style,
                FaultKind::DropOneRow => rows = rows.saturating_sub(1),
                FaultKind::OkWithErrors => rows = 0,
                _ => {}
            }
        }
        writer.document(envelope, rows, trailer);
        writer.out
    }
}

struct Writer<'a> {
    table: &'a Table,
    faults: &'a [FaultKind],
    keys: KeyCase,
    style: ValueStyle,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn string(&mut self, text: &str) {
        serde_json::to_writer(&mut self.out, text).expect("text can be written to memory");
    }

    fn document(&mut self, envelope: Envelope, rows: usize, trailer: &[(&str, Json)]) {
        match envelope {
            Envelope::TotalRows => {
                self.raw("{\"Total\":");
                self.total();
                self.raw(",\"Rows\":");
                self.rows(rows, "", "");
                self.close(trailer);
            }
            Envelope::RowsTotal => {
                self.raw("{\"Rows\":");
                self.rows(rows, "", "");
                self.raw(",\"Total\":");
                self.total();
                self.close(trailer);
            }
            Envelope::LowerRows => {
                self.raw("{\"rows\":");
                self.rows(rows, "", "");
                self.close(trailer);
            }
            Envelope::BareArray => self.rows(rows, "", ""),
            Envelope::DataAttributesRows => {
                self.raw(&format!("{{\"data\":[{{\"type\":\"{}\",\"attributes\":{{\"rows\":", self.table.kind));
                self.rows(rows, "", "");
                self.raw("}}]");
                self.close(trailer);
            }
            Envelope::DataAttributes => {
                let before = format!("{{\"type\":\"{}\",\"attributes\":", self.table.kind);
                self.raw("{\"data\":");
                self.rows(rows, &before, "}");
                self.close(trailer);
            }
            Envelope::Columns => self.columns(rows),
        }
    }

    fn close(&mut self, trailer: &[(&str, Json)]) {
        for (key, value) in trailer {
            self.raw(&format!(",\"{key}\":{value}"));
        }
        self.raw("}");
    }

    fn total(&mut self) {
        let table = self.table;
        self.raw("{");
        for (position, (column, text)) in table.total.iter().enumerate() {
            self.raw(if position == 0 { "" } else { "," });
            self.key(*column);
            self.value(*column, text);
        }
        self.raw("}");
    }

    fn rows(&mut self, rows: usize, before: &str, after: &str) {
        self.raw("[");
        for row in 0..rows {
            self.raw(if row == 0 { "" } else { "," });
            self.raw(before);
            self.row(row);
            self.raw(after);
        }
        self.raw("]");
    }

    fn columns(&mut self, rows: usize) {
        let names: Vec<&str> = self.table.columns.iter().map(|column| column.name.as_str()).collect();
        self.raw(&format!("{{\"columns\":{},\"data\":[", json!(names)));
        for row in 0..rows {
            let texts: Vec<String> = (0..names.len()).map(|column| (self.table.cell)(row, column)).collect();
            self.raw(if row == 0 { "" } else { "," });
            self.raw(&json!(texts).to_string());
        }
        self.raw("]}");
    }

    fn row(&mut self, row: usize) {
        self.raw("{");
        let columns = self.table.columns.len();
        let missing = usize::from(row == 0 && self.faults.contains(&FaultKind::MissingAttribute));
        for column in 0..columns - missing {
            self.raw(if column == 0 { "" } else { "," });
            self.key(column);
            if row > 0 || !self.spoiled(column) {
                let text = (self.table.cell)(row, column);
                self.value(column, &text);
            }
        }
        self.additions(row);
        self.raw("}");
    }

    fn additions(&mut self, row: usize) {
        for fault in self.faults {
            match fault {
                FaultKind::ExtraField => self.raw(",\"SandboxNew\":\"1\",\"sandboxNested\":{\"a\":[1,null,\"}\"]}"),
                FaultKind::DuplicateKey if row == 0 => {
                    self.raw(",");
                    self.key(0);
                    self.raw("\"duplicate\"");
                }
                FaultKind::DeepNesting(depth) if row == 0 => self.raw(&deep(*depth)),
                _ => {}
            }
        }
    }

    /// Writes the value of a first-row cell that a fault takes over.
    fn spoiled(&mut self, column: usize) -> bool {
        let columns = &self.table.columns;
        let first = |wanted: &dyn Fn(&Column) -> bool| columns.iter().position(wanted) == Some(column);
        let first_number = first(&|column| column.numeric);
        let first_name = first(&|column| !column.numeric && is_name(&column.name));
        let first_choice = first(&|column| is_choice(&column.name));
        for fault in self.faults {
            match fault {
                FaultKind::HugeNumber if first_number => self.raw(&format!("\"{}\"", "9".repeat(400))),
                FaultKind::BadNumber(text) if first_number => self.string(text),
                FaultKind::HugeString(bytes) if first_name => self.raw(&format!("\"{}\"", "x".repeat(*bytes))),
                FaultKind::HalfSurrogate if first_name => self.out.extend_from_slice(b"\"Sale \\ud83d\""),
                FaultKind::InvalidUtf8 if first_name => self.out.extend_from_slice(b"\"caf\xE9 \xFF\xFE\""),
                FaultKind::UnknownEnum if first_choice => self.raw("\"Toaster\""),
                _ => continue,
            }
            return true;
        }
        false
    }

    fn key(&mut self, column: usize) {
        let name = &self.table.columns[column].name;
        let case = match (self.keys, column % 3) {
            (KeyCase::Mixed, 0) => KeyCase::Camel,
            (KeyCase::Mixed, 1) => KeyCase::Pascal,
            (KeyCase::Mixed, _) => KeyCase::Upper,
            (case, _) => case,
        };
        let key = match case {
            KeyCase::Camel => camel(name),
            KeyCase::Upper => name.to_uppercase(),
            KeyCase::Lower => name.to_lowercase(),
            KeyCase::Pascal | KeyCase::Mixed => name.clone(),
        };
        self.string(&key);
        self.raw(":");
    }

    fn value(&mut self, column: usize, text: &str) {
        let numeric = self.table.columns[column].numeric;
        let absent = if numeric { text.bytes().all(|byte| matches!(byte, b'0' | b'.')) } else { text == "Unknown" };
        match self.style {
            ValueStyle::Numbers if numeric => self.raw(text),
            ValueStyle::Exponents if numeric => self.raw(&with_exponent(text)),
            ValueStyle::NullForAbsent if absent => self.raw("null"),
            ValueStyle::EmptyForAbsent if absent => self.raw("\"\""),
            ValueStyle::NotANumberForZero if absent && numeric => self.raw("\"NaN\""),
            ValueStyle::NoLeadingZero if numeric && text.starts_with("0.") => self.string(&text[1..]),
            _ => self.string(text),
        }
    }
}

/// An additional member with an array this deep.
pub(super) fn deep(depth: usize) -> String {
    format!(",\"sandboxDeep\":{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn is_name(column: &str) -> bool {
    column.ends_with("Name") || ["Advertiser", "Campaign", "Adset", "Ad", "Placement", "Category"].contains(&column)
}

fn is_choice(column: &str) -> bool {
    ["Device", "Os", "Environment", "EventType", "Goal", "Channel", "AdChannel", "MarketingObjective"].contains(&column)
}

/// The same number as digits and a power of ten.
fn with_exponent(text: &str) -> String {
    if text.contains(['E', 'e']) {
        return text.to_owned();
    }
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let sign = if text.starts_with('-') { "-" } else { "" };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    format!("{sign}{}E-{decimals}", if digits.is_empty() { "0" } else { digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |name: &str, numeric| Column { name: name.to_owned(), numeric };
        Table {
            columns: vec![column("Campaign", false), column("Clicks", true)],
            rows: 2,
            cell: Box::new(|row, column| if column == 0 { format!("c{row}\"") } else { (row * 10).to_string() }),
            total: vec![(1, "10".to_owned())],
            kind: "Report",
            envelope: Envelope::TotalRows,
            keys: KeyCase::Pascal,
        }
    }

    fn body(faults: &[FaultKind]) -> String {
        String::from_utf8_lossy(&table().body(faults, &[])).into_owned()
    }

    #[test]
    fn statistics_are_total_and_rows_of_strings() {
        let expected =
            r#"{"Total":{"Clicks":"10"},"Rows":[{"Campaign":"c0\"","Clicks":"0"},{"Campaign":"c1\"","Clicks":"10"}]}"#;
        assert_eq!(body(&[]), expected);
    }

    #[test]
    fn every_envelope_case_and_style_is_json() {
        let envelopes = [
            "rows-total",
            "total-rows",
            "lower-rows",
            "bare-array",
            "data-attributes-rows",
            "data-attributes",
            "columns",
        ];
        for envelope in envelopes {
            for keys in ["pascal", "camel", "upper", "lower", "mixed"] {
                for values in ["strings", "numbers", "exponents", "null", "empty", "nan", "no-leading-zero"] {
                    let texts = [format!("envelope({envelope})"), format!("keys({keys})"), format!("values({values})")];
                    let faults = texts.map(|text| text.parse::<super::super::Fault>().expect("a fault").kind);
                    assert!(serde_json::from_str::<Json>(&body(&faults)).is_ok(), "{envelope} {keys} {values}");
                }
            }
        }
    }

    #[test]
    fn exponents_keep_every_digit() {
        assert_eq!(with_exponent("12.340000000000001"), "12340000000000001E-15");
        assert_eq!(with_exponent("0"), "0E-0");
    }
}
