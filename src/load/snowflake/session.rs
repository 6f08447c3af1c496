//! One session at Snowflake: a statement, its rows as text. It knows no statement of ours.

use std::collections::HashMap;

use adbc_core::{Connection as _, Statement as _};
use adbc_driver_manager::{ManagedConnection, ManagedDriver};
use arrow::array::{Array as _, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use super::driver;
use crate::load::error::{LoadError, LoadErrorKind};
use crate::settings::load::SnowflakeSettings;

/// SQLSTATE of "insufficient privileges" and of "does not exist or not authorized".
const NOT_AUTHORIZED: [&str; 3] = ["42501", "42S02", "02000"];
const GRANTS: &str =
    "grant the role USAGE on warehouse, database and schema, and CREATE TABLE, CREATE VIEW on the schema";

/// A row: column names in lower case, values as text; null is absent.
pub(super) type Row = HashMap<String, String>;

/// A session; dropping it ends it, and with it its transaction and its temporary tables.
pub(super) struct Session {
    connection: ManagedConnection,
    /// The library must outlive the connection.
    _driver: ManagedDriver,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    pub(super) async fn start(settings: &SnowflakeSettings) -> Result<Self, LoadError> {
        let settings = settings.clone();
        on_thread(move || {
            let mut driver = driver::find(settings.driver.as_deref())?;
            let connection = driver::connect(&mut driver, &settings)?;
            Ok(Self { connection, _driver: driver })
        })
        .await
    }

    /// Executes one statement.
    pub(super) async fn run(&self, sql: &str) -> Result<Vec<Row>, LoadError> {
        // Snowflake takes one statement a request, without what ends it in a script.
        let sql = sql.trim_end().trim_end_matches(';').to_owned();
        let mut connection = self.connection.clone();
        on_thread(move || execute(&mut connection, &sql)).await
    }
}

/// The driver blocks; signals are still obeyed meanwhile.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    let ended = |error| LoadError::new(LoadErrorKind::Failed, format!("Snowflake's driver ended: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

fn execute(connection: &mut ManagedConnection, sql: &str) -> Result<Vec<Row>, LoadError> {
    let mut statement = connection.new_statement().map_err(|error| failed(&error))?;
    statement.set_sql_query(sql).map_err(|error| failed(&error))?;
    let reader = statement.execute().map_err(|error| failed(&error))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        rows.extend(text_rows(&batch).map_err(|error| unreadable(&error))?);
    }
    Ok(rows)
}

fn text_rows(batch: &RecordBatch) -> Result<Vec<Row>, ArrowError> {
    let schema = batch.schema();
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let name = field.name().to_lowercase();
        for (index, row) in rows.iter_mut().enumerate().filter(|(index, _)| column.is_valid(*index)) {
            row.insert(name.clone(), array_value_to_string(column, index)?);
        }
    }
    Ok(rows)
}

fn failed(error: &adbc_core::error::Error) -> LoadError {
    // Whatever Snowflake refuses has an SQLSTATE. (Its own number does not come through the driver manager.)
    let state: String = error.sqlstate.iter().map(|&c| char::from(c.cast_unsigned())).collect();
    if state.chars().all(|c| matches!(c, '\0' | '0')) {
        return LoadError::new(LoadErrorKind::Lost, format!("the connection to Snowflake broke: {}", error.message));
    }
    let failure = LoadError::new(LoadErrorKind::Failed, format!("Snowflake refused a statement: {}", error.message));
    if NOT_AUTHORIZED.contains(&state.as_str()) { failure.with_remedy(GRANTS) } else { failure }
}

fn unreadable(error: &ArrowError) -> LoadError {
    LoadError::new(LoadErrorKind::Lost, format!("Snowflake's response could not be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Decimal128Array, StringArray};

    use super::*;

    #[test]
    fn numbers_are_read_whichever_type_they_come_in_and_null_is_absent() {
        let decimal = Decimal128Array::from(vec![Some(30), None]).with_precision_and_scale(38, 0).expect("a decimal");
        let columns: Vec<(&str, ArrayRef)> =
            vec![("ROWS", Arc::new(decimal)), ("file", Arc::new(StringArray::from(vec!["a", "b"])))];
        let rows = text_rows(&RecordBatch::try_from_iter(columns).expect("a batch")).expect("readable");
        assert_eq!(rows[0].get("rows").map(String::as_str), Some("30"));
        assert_eq!((rows[1].get("rows"), rows[1].get("file").map(String::as_str)), (None, Some("b")));
    }
}
