//! Schemas of `OpenAPI` 3.0 as JSON Schema, closed.
//!
//! The two differ in what matters here in four ways:
//!
//! - `nullable: true` becomes a `null` among the types, and among the values of an `enum`; where the schema refers to
//!   or is composed of others, which cannot be widened from outside, it becomes an `anyOf` with `null`.
//! - Objects that list properties without a word about others are closed: what Criteo does not list is refused. Objects
//!   that list none are free-form, in both.
//! - `format` is left out. Criteo declares `date-time` where it wants, and serves, plain dates.
//! - Notes for people (`description`, `example`, `default`, `readOnly`, `x-…`) are left out.
//!
//! References stay as they are: the components keep their place in the document that is validated against.

use serde_json::{Map, Value, json};

/// Keywords that refer to or combine other schemas.
const COMPOSITIONS: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];

/// The JSON Schema that accepts what an `OpenAPI` schema means, and nothing beyond the properties it lists.
pub fn json_schema(schema: &Value) -> Value {
    // `additionalProperties` may also be true or false.
    let Some(keywords) = schema.as_object() else { return schema.clone() };
    let mut translated = Map::new();
    for (keyword, value) in keywords {
        let value = match keyword.as_str() {
            "nullable" | "format" | "description" | "example" | "default" | "readOnly" => continue,
            extension if extension.starts_with("x-") => continue,
            "properties" => named(value),
            "items" | "additionalProperties" | "not" => json_schema(value),
            "allOf" | "anyOf" | "oneOf" => each(value),
            _ => value.clone(),
        };
        translated.insert(keyword.clone(), value);
    }
    if translated.contains_key("properties") && !translated.contains_key("additionalProperties") {
        translated.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if keywords.get("nullable") == Some(&Value::Bool(true)) { or_null(translated) } else { translated.into() }
}

/// Schemas by name, where a name may look like a keyword.
pub fn named(schemas: &Value) -> Value {
    let schemas = schemas.as_object().expect("schemas by name");
    schemas.iter().map(|(name, schema)| (name.clone(), json_schema(schema))).collect()
}

fn each(schemas: &Value) -> Value {
    schemas.as_array().expect("a list of schemas").iter().map(json_schema).collect()
}

fn or_null(mut schema: Map<String, Value>) -> Value {
    if COMPOSITIONS.iter().any(|keyword| schema.contains_key(*keyword)) {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    }
    schema.into()
}

#[test]
fn null_joins_the_type_and_the_values_of_an_enumeration() {
    let schema = json!({"type": "string", "enum": ["a"], "nullable": true, "format": "uri"});
    assert_eq!(json_schema(&schema), json!({"type": ["string", "null"], "enum": ["a", null]}));
    assert_eq!(json_schema(&json!({"type": "string", "nullable": false})), json!({"type": "string"}));
}

#[test]
fn null_stands_beside_references_and_compositions() {
    for schema in [json!({"$ref": "#/x"}), json!({"type": "object", "allOf": [{"$ref": "#/x"}]})] {
        let mut nullable = schema.clone();
        nullable["nullable"] = json!(true);
        assert_eq!(json_schema(&nullable), json!({"anyOf": [schema, {"type": "null"}]}));
    }
}

#[test]
fn objects_that_list_properties_are_closed_at_every_depth() {
    let inner = json!({"type": "object", "properties": {"nullable": {"type": "boolean"}}});
    let list = json!({"type": "array", "items": inner});
    let closed =
        json!({"type": "object", "properties": {"nullable": {"type": "boolean"}}, "additionalProperties": false});
    assert_eq!(json_schema(&list), json!({"type": "array", "items": closed}));
    let map = json!({"type": "object", "additionalProperties": inner});
    assert_eq!(json_schema(&map), json!({"type": "object", "additionalProperties": closed}));
    for open in [json!({"type": "object"}), json!({"type": "object", "properties": {}, "additionalProperties": true})] {
        assert_eq!(json_schema(&open), open);
    }
}
