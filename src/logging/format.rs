//! The shape of a log line: that of `tracing-subscriber`, with the run's identifier in every line, and in JSON with the
//! fields of the spans around the event beside its own.

use std::fmt::{self, Write as _};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The run of this process.
static RUN_ID: OnceLock<String> = OnceLock::new();

/// From now on lines carry this identifier; there is one run per process.
pub(super) fn set_run_id(run_id: &str) {
    let _ = RUN_ID.set(run_id.to_owned());
}

pub(super) fn run_id() -> Option<&'static str> {
    RUN_ID.get().map(String::as_str)
}

/// A line of another format, finished in this way.
pub(super) struct Finished<F> {
    pub(super) format: F,
    pub(super) finish: fn(&str) -> String,
}

impl<S, N, F> FormatEvent<S, N> for Finished<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&(self.finish)(&line))
    }
}

/// A text line with the run's identifier at its end.
pub(super) fn text_line(line: &str) -> String {
    let run_id = run_id().map(|run_id| format!(" run_id={run_id}")).unwrap_or_default();
    format!("{}{run_id}\n", line.trim_end())
}

/// A JSON line, flattened.
pub(super) fn json_line(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => format!("{}\n", in_order(flat(fields))),
        _ => line.to_owned(),
    }
}

/// The fields of the event, those of the spans around it that it has not itself, innermost first, and the run's identifier.
fn flat(mut fields: Map<String, Value>) -> Map<String, Value> {
    let spans = match fields.remove("spans") {
        Some(Value::Array(spans)) => spans,
        _ => Vec::new(),
    };
    for span in spans.into_iter().rev() {
        let Value::Object(span) = span else { continue };
        for (name, value) in span.into_iter().filter(|(name, _)| name != "name") {
            fields.entry(name).or_insert(value);
        }
    }
    if let Some(run_id) = run_id() {
        fields.insert("run_id".to_owned(), run_id.into());
    }
    fields
}

/// One line of JSON: what every line has comes first.
pub(super) fn in_order(mut fields: Map<String, Value>) -> String {
    let first = ["timestamp", "level", "run_id", "message"];
    let first = first.into_iter().filter_map(|name| Some((name.to_owned(), fields.remove(name)?)));
    let first: Vec<(String, Value)> = first.collect();
    let mut line = String::from("{");
    for (name, value) in first.into_iter().chain(fields) {
        if line.len() > 1 {
            line.push(',');
        }
        write!(line, "{}:{value}", Value::String(name)).expect("a string takes any text");
    }
    line.push('}');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn fields_of_spans_stand_beside_those_of_the_event_which_count_for_more() {
        let event = json!({
            "message": "trying again", "days": "2026-11-01",
            "spans": [{"name": "outer", "table": "ads", "days": "all"}, {"name": "report", "table": "placements_daily"}],
        });
        let line = flat(object(event));
        assert_eq!(line["table"], json!("placements_daily"));
        assert_eq!(line["days"], json!("2026-11-01"));
        assert!(!line.contains_key("name") && !line.contains_key("spans"), "{line:?}");
    }

    #[test]
    fn what_every_line_has_comes_first_and_names_and_values_are_escaped() {
        let line = in_order(object(json!({"a\"b": 1, "message": "x\ny", "level": "INFO", "timestamp": "t"})));
        assert_eq!(line, r#"{"timestamp":"t","level":"INFO","message":"x\ny","a\"b":1}"#);
    }
}
