//! The columns of the entity tables against the attributes that Criteo documents.

use std::collections::BTreeMap;

use criteo_source::catalog::{Catalog, Column, ColumnType, Connector, Extract, Mode, TableOverrides};
use serde_json::Value;

use super::specification;

/// A schema with its reference followed; the one `allOf` in use has a single member.
fn resolved<'a>(openapi: &'a Value, mut schema: &'a Value) -> &'a Value {
    loop {
        if let Some(reference) = schema["$ref"].as_str() {
            schema = openapi.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere");
        } else if let Some(only) = schema.get("allOf").and_then(|all| all.as_array()).and_then(|all| all.first()) {
            schema = only;
        } else {
            return schema;
        }
    }
}

/// Every leaf of a schema as a path, `[]` after a list, with its type and format.
fn leaves(openapi: &Value, schema: &Value, path: &str, into: &mut BTreeMap<String, (String, String)>) {
    let schema = resolved(openapi, schema);
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            leaves(openapi, property, &format!("{path}/{name}"), into);
        }
    } else if schema["type"] == "array" {
        leaves(openapi, &schema["items"], &format!("{path}[]"), into);
    } else {
        let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
        into.insert(path.to_owned(), (text("type"), text("format")));
    }
}

fn column_leaves<'a>(columns: &'a [Column], prefix: &str, into: &mut BTreeMap<String, &'a Column>) {
    for column in columns {
        let Some(source) = column.source() else { continue };
        let list = if column.mode == Mode::Repeated { "[]" } else { "" };
        let path = format!("{prefix}{source}{list}");
        match &column.column_type {
            ColumnType::Record(fields) => column_leaves(fields, &path, into),
            _ => assert!(into.insert(path, column).is_none(), "{} repeats a source", column.name),
        }
    }
}

#[test]
fn every_attribute_that_criteo_documents_is_stored_or_left_out_on_purpose() {
    let Some(specification) = specification() else { return };
    for name in Catalog::get().tables() {
        let (table, _) = Catalog::get().resolve(name, &TableOverrides::default()).expect("a built-in table");
        let Extract::Entity { not_stored } = &table.extract else { continue };
        let openapi = &specification.document;
        let operation = specification.operation(Connector::get().endpoint(table.endpoint));
        let response = resolved(openapi, operation.response());
        let resource = &resolved(openapi, &response["properties"]["data"])["items"];

        let mut documented = BTreeMap::new();
        leaves(openapi, resource, "", &mut documented);
        let mut stored = BTreeMap::new();
        column_leaves(&table.columns, "", &mut stored);

        for pointer in documented.keys() {
            let known = stored.contains_key(pointer) || not_stored.contains(pointer);
            assert!(known, "{}: {pointer} is neither stored nor in not_stored", table.name);
        }
        for pointer in stored.keys().map(String::as_str).chain(not_stored.iter().map(String::as_str)) {
            assert!(documented.contains_key(pointer), "{}: {pointer} is not in the OpenAPI", table.name);
        }
        for (pointer, column) in stored {
            let (kind, format) = &documented[&pointer];
            assert!(fits(&column.column_type, kind, format), "{}: {pointer} is {kind} {format}", table.name);
        }
    }
}

fn fits(column_type: &ColumnType, kind: &str, format: &str) -> bool {
    match (kind, format) {
        ("string", "date") => *column_type == ColumnType::Date,
        ("string", "date-time") => *column_type == ColumnType::Timestamp,
        ("string", _) => matches!(column_type, ColumnType::String | ColumnType::Timestamp),
        ("number", _) => matches!(column_type, ColumnType::Numeric | ColumnType::Float),
        ("integer", _) => *column_type == ColumnType::Integer,
        ("boolean", _) => *column_type == ColumnType::Boolean,
        ("object", _) => *column_type == ColumnType::Json,
        _ => false,
    }
}
