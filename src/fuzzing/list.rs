//! Lists of resources: JSON trees that say themselves again, and tables of whatever is in them.

use std::sync::LazyLock;

use chrono::{DateTime, NaiveDate};

use crate::catalog::{Catalog, Parent, Table, TableOverrides};
use crate::json::{Cursor, Json, JsonError};
use crate::table::entity::{Resource, entity_batch};

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let catalog = Catalog::get();
    let all = catalog.tables().map(|name| catalog.resolve(name, &TableOverrides::default()).expect("a table").0);
    all.filter(|table| !table.is_report()).collect()
});

/// A page of a list, read as one of each table.
pub fn list(bytes: &[u8]) {
    let json = match Json::parse(bytes) {
        Ok(json) => json,
        Err(JsonError::Incomplete) => return,
        Err(JsonError::Invalid { offset, .. } | JsonError::Unusable { offset, .. }) => {
            assert!(offset <= bytes.len(), "{offset} of {}", bytes.len());
            return;
        }
    };
    let text = json.to_string();
    // A number may go on after the last byte, as far as the reader knows; no document of ours is one.
    if !matches!(json, Json::Number(_)) {
        assert_eq!(Json::parse(text.as_bytes()).as_ref(), Ok(&json), "a tree says itself again");
        assert_eq!(Cursor::new(text.as_bytes(), 0).skip_value(), Ok(text.as_bytes()));
    }
    let data = json.get("data").and_then(Json::as_array).unwrap_or_default();
    let context = || vec![(Parent::Advertiser, "1".to_owned()), (Parent::AdSet, "2".to_owned())];
    let resources: Vec<_> = data.iter().map(|json| Resource { json: json.clone(), context: context() }).collect();
    for table in TABLES.iter() {
        match entity_batch(table, &resources, NaiveDate::default(), DateTime::UNIX_EPOCH) {
            Ok(batch) => assert_eq!(batch.num_rows(), resources.len(), "{}", table.name),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains(&format!("table `{}`, column `", table.name)), "{said}");
            }
        }
    }
}
