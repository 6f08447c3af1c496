//! The fields of the report endpoints: names, types, columns and pairs. A catalogue is a hint, not a gate: Criteo edits
//! its list under a stable version, so a name that is missing here is typed by its spelling and still sent.

use heck::ToSnakeCase;
use serde::Deserialize;

use super::{CatalogError, Column, ColumnType, Mode, Origin};

/// Whether a field groups rows or is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Groups rows.
    Dimension,
    /// Is measured.
    Metric,
}

impl FieldKind {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Dimension => Self::Metric,
            Self::Metric => Self::Dimension,
        }
    }
}

impl std::fmt::Display for FieldKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dimension => "dimension",
            Self::Metric => "metric",
        })
    }
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A number of things.
    Count,
    /// Money in the currency of the report.
    Currency,
    /// Money in euro, whatever the currency of the report.
    #[serde(rename = "EUR")]
    Eur,
    /// A fraction.
    Ratio,
    /// Documented as a percentage.
    Percent,
    /// A fraction or a percentage: Criteo does not say.
    Unconfirmed,
    /// Text.
    Label,
}

/// How sure the type and meaning of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Documented, or seen by several clients.
    High,
    /// Derived from names and prose.
    Medium,
    /// Hardly documented.
    Low,
    /// Not in the catalogue: guessed from the name.
    #[serde(skip)]
    Guessed,
}

/// One dimension or metric of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// As Criteo spells it.
    pub name: String,
    /// Dimension or metric.
    pub kind: FieldKind,
    /// Column it is stored in.
    pub column: String,
    /// Type of that column.
    pub column_type: ColumnType,
    /// What it is measured in; none for dimensions.
    pub unit: Option<Unit>,
    /// What it is.
    pub description: String,
    /// Whether sums over rows mean something.
    pub additive: bool,
    /// The other half of an id and name pair.
    pub paired_with: Option<String>,
    /// Whether a name tells rows apart beside its id.
    pub identity: bool,
    /// How sure this is.
    pub confidence: Confidence,
}

impl Field {
    /// A field that no catalogue lists, typed by its name (the rule is in docs/reference/tables.md).
    pub(super) fn guessed(name: &str, kind: FieldKind) -> Self {
        let column_type = match kind {
            FieldKind::Dimension => ColumnType::String,
            FieldKind::Metric => guessed_metric_type(name),
        };
        Self {
            name: name.to_owned(),
            kind,
            column: name.to_snake_case(),
            column_type,
            unit: None,
            description: format!("The report's {kind} {name}, which this version does not know; typed by its name."),
            additive: false,
            paired_with: None,
            identity: false,
            confidence: Confidence::Guessed,
        }
    }

    /// Whether the field is part of what identifies a row: ids, and dimensions that have none. Calendar dimensions are
    /// not: they follow from the day.
    pub(super) fn identifies(&self) -> bool {
        let calendar = matches!(self.column_type, ColumnType::Date | ColumnType::Timestamp);
        let name_of_id = self.paired_with.is_some() && !self.name.ends_with("Id") && !self.identity;
        self.kind == FieldKind::Dimension && !calendar && !name_of_id
    }

    fn origin(&self) -> Origin {
        let name = self.name.clone();
        if self.column == CURRENCY { Origin::Currency(name) } else { Origin::Field(name) }
    }

    /// The column the field is stored in.
    pub(super) fn to_column(&self) -> Column {
        let unit = match self.unit {
            Some(Unit::Currency) => " In the currency of the row.",
            Some(Unit::Ratio) => " A ratio.",
            Some(Unit::Count | Unit::Eur | Unit::Percent | Unit::Unconfirmed | Unit::Label) | None => "",
        };
        Column {
            name: self.column.clone(),
            column_type: self.column_type.clone(),
            mode: Mode::Nullable,
            origin: self.origin(),
            description: format!("{}{unit}", self.description),
            additive: self.additive,
        }
    }
}

/// Column of the currency, in every report table.
const CURRENCY: &str = "currency";

/// Criteo's naming decides: rates, returns and costs of sale are ratios; anything else (sales, money, counts) is
/// decimal, which holds every number exactly.
fn guessed_metric_type(name: &str) -> ColumnType {
    let ratio = ["Rate", "Roas", "ReturnOn", "CostOf", "Cvr"].iter().any(|part| name.contains(part));
    let cost_of_sale = name.match_indices("Cos").any(|(at, part)| !name[at + part.len()..].starts_with('t'));
    if ratio || cost_of_sale { ColumnType::Float } else { ColumnType::Numeric }
}

/// All fields of one report.
#[derive(Debug)]
pub(super) struct FieldCatalogue {
    pub(super) fields: Vec<Field>,
}

impl FieldCatalogue {
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, CatalogError> {
        let raw: RawCatalogue = toml::from_str(text).map_err(|source| CatalogError::declaration(file, source))?;
        Ok(Self { fields: raw.fields.into_iter().map(RawField::into_field).collect() })
    }

    /// The field called `name`, whatever its case.
    pub(super) fn find(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The names of all fields of one kind.
    pub(super) fn names(&self, kind: FieldKind) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| field.kind == kind).map(|field| field.name.as_str())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalogue {
    fields: Vec<RawField>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    name: String,
    kind: FieldKind,
    #[serde(rename = "type")]
    column_type: ColumnType,
    unit: Option<Unit>,
    column: Option<String>,
    description: String,
    #[serde(default)]
    additive: bool,
    paired_with: Option<String>,
    #[serde(default)]
    identity: bool,
    confidence: Confidence,
}

impl RawField {
    fn into_field(self) -> Field {
        Field {
            column: self.column.unwrap_or_else(|| self.name.to_snake_case()),
            name: self.name,
            kind: self.kind,
            column_type: self.column_type,
            unit: self.unit,
            description: self.description,
            additive: self.additive,
            paired_with: self.paired_with,
            identity: self.identity,
            confidence: self.confidence,
        }
    }
}
