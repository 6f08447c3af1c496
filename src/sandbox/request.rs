//! Reading report requests as strictly as the specification states them.
//!
//! A property that the specification does not have is refused, because it closes the report schemas
//! (`additionalProperties: false`); so are wrong types. Metric and dimension names are matched without regard to case
//! (API.md 3.1). Which fault comes first when there are several is not known.

use std::collections::BTreeSet;

use chrono::{Months, NaiveDate};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::names;
use super::problem::Problem;
use super::world::World;

/// A JSON object that was requested properties.
pub(super) struct Request<'a>(&'a Map<String, Value>);

impl<'a> Request<'a> {
    /// A flat request (API.md 3.1).
    pub(super) fn flat(body: &'a Value, allowed: &[&str]) -> Result<Self, Problem> {
        let object = body.as_object().ok_or_else(|| Problem::invalid("The request body must be a JSON object."))?;
        closed(object, allowed)?;
        Ok(Self(object))
    }

    /// The attributes of the one element of `data` (API.md 3.2 and 3.3).
    pub(super) fn wrapped(body: &'a Value, allowed: &[&str]) -> Result<Self, Problem> {
        let outer = Self::flat(body, &["data"])?;
        let [element] = outer.0.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default() else {
            return Err(Problem::required("The data array must have exactly one element."));
        };
        let element = Self::flat(element, &["type", "attributes"])?;
        let attributes = element.0.get("attributes").ok_or_else(|| Problem::required("attributes is required."))?;
        Self::flat(attributes, allowed)
    }

    /// The property, unless it is missing or null.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, if given.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        let wrong = || Problem::invalid(format!("{name} must be a string."));
        self.get(name).map(|value| value.as_str().ok_or_else(wrong)).transpose()
    }

    /// A list of texts, if given.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, Problem> {
        let wrong = || Problem::invalid(format!("{name} must be an array of strings."));
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(wrong)?;
        list.iter().map(|item| item.as_str().ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
    }

    /// A text with commas, as a list, if given.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<&'a str>>, Problem> {
        Ok(self.text(name)?.map(|text| text.split(',').collect()))
    }

    /// A flag, if given.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let wrong = || Problem::invalid(format!("{name} must be a boolean."));
        self.get(name).map(|value| value.as_bool().ok_or_else(wrong)).transpose()
    }

    /// The advertisers requested; none is refused (API.md 3.4).
    pub(super) fn advertiser_ids(&self) -> Result<Vec<&'a str>, Problem> {
        let ids = self.list("advertiserIds")?.unwrap_or_default();
        if ids.iter().all(|id| id.trim().is_empty()) {
            return Err(Problem::required("At least one advertiser id must be provided."));
        }
        match ids.iter().find(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit())) {
            Some(id) => Err(Problem::invalid(format!("\"{id}\" is not a valid advertiser id."))),
            None => Ok(ids),
        }
    }

    /// Names that must be known, at least one; doubles count once.
    pub(super) fn chosen<T>(&self, name: &str, find: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
        let names = self.texts(name)?.ok_or_else(|| Problem::required(format!("{name} is required.")))?;
        let mut seen = BTreeSet::new();
        let fresh = names.into_iter().filter(|name| seen.insert(name.to_lowercase()));
        let unknown = |value: &str| Problem::invalid(format!("\"{value}\" is not a valid value for {name}."));
        fresh.map(|value| find(value).ok_or_else(|| unknown(value))).collect()
    }

    /// The range, both ends included (API.md 3.5), and refused when it begins before the retention limit.
    pub(super) fn range(&self, today: NaiveDate, months: u32) -> Result<(NaiveDate, NaiveDate), Problem> {
        let (Some(start), Some(end)) = (self.text("startDate")?, self.text("endDate")?) else {
            return Err(Problem::required("Start date and end date are required."));
        };
        let from = iso_date(start).ok_or_else(|| Problem::date_format("start date"))?;
        let to = iso_date(end).ok_or_else(|| Problem::date_format("end date"))?;
        if from > to {
            return Err(Problem::dates_crossed());
        }
        if from < today.checked_sub_months(Months::new(months)).unwrap_or_default() {
            return Err(Problem::too_old(if months == 24 { "two years" } else { "three months" }));
        }
        Ok((from, to))
    }

    /// The time zone, UTC unless given (API.md 3.6).
    pub(super) fn zone(&self) -> Result<Tz, Problem> {
        let name = self.text("timezone")?.unwrap_or("UTC");
        zone_named(name).ok_or_else(|| Problem::invalid(format!("\"{name}\" is not a valid timezone.")))
    }

    /// The currency and its rate (API.md 3.7).
    pub(super) fn currency(&self) -> Result<(String, i64), Problem> {
        let code = self.text("currency")?.ok_or_else(|| Problem::required("currency is required."))?;
        let rate = names::rate(code).ok_or_else(|| Problem::invalid(format!("\"{code}\" is not a valid currency.")))?;
        Ok((code.to_owned(), rate))
    }

    /// Refuses formats other than JSON, which are real but not simulated.
    pub(super) fn json_only(&self) -> Result<(), Problem> {
        match self.text("format")? {
            None | Some("json") => Ok(()),
            Some(other @ ("csv" | "excel" | "xml")) => {
                Err(Problem::invalid(format!("The sandbox has no {other} reports, although Criteo has.")))
            }
            Some(other) => Err(Problem::invalid(format!("\"{other}\" is not a valid format."))),
        }
    }
}

fn closed(object: &Map<String, Value>, allowed: &[&str]) -> Result<(), Problem> {
    match object.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(Problem::invalid(format!("Could not find member \"{key}\" on the request."))),
        None => Ok(()),
    }
}

/// The date of an ISO 8601 text whose time and zone are ignored (API.md 3.5).
fn iso_date(text: &str) -> Option<NaiveDate> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
    (rest.is_empty() || rest.starts_with('T')).then_some(date)
}

/// A zone of the tz database, or one of the abbreviations seen live (API.md 3.6).
pub(super) fn zone_named(name: &str) -> Option<Tz> {
    match name {
        "PST" => Some(Tz::PST8PDT),
        name => name.parse().ok(),
    }
}

/// The advertisers among `ids` that exist; one without consent fails all (API.md 3.4).
pub(super) fn consented(world: &World, lost: &BTreeSet<String>, ids: &[&str]) -> Result<BTreeSet<usize>, Problem> {
    let known = world.known(ids);
    let refused = |at: &usize| !world.advertisers[*at].consented || lost.contains(&world.advertisers[*at].id);
    if known.iter().any(refused) { Err(Problem::no_consent()) } else { Ok(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_the_dossier_says() {
        let day = NaiveDate::from_ymd_opt(2026, 6, 4);
        for text in ["2026-06-04", "2026-06-04T04:00:00.000Z", "2026-06-04T00:00:00.0000000+00:00"] {
            assert_eq!(iso_date(text), day);
        }
        for text in ["2026-6-4", "2026-06-04 10:00", "04/06/2026", "2026-06-31", "2026-06-0é"] {
            assert_eq!(iso_date(text), None);
        }
    }
}
