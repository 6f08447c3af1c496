//! The table contracts of `schemas/`, parsed: what a file may say, and what it means. Unknown keys are errors. Nothing
//! here knows the configuration.

use serde::Deserialize;

use super::{CatalogError, Column, ColumnType, Connector, DaySource, Grain, Mode, Origin, Parent, TableDeclaration};

/// Columns that many tables share, in `schemas/common.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommonColumns {
    day: RawShared,
    hour: RawShared,
    snapshot_date: RawShared,
    currency: RawShared,
    #[serde(rename = "_extra")]
    extra: RawShared,
    #[serde(rename = "_pulled_at")]
    pulled_at: RawShared,
}

impl CommonColumns {
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, CatalogError> {
        toml::from_str(text).map_err(|source| CatalogError::declaration(file, source))
    }

    pub(super) fn day(&self, source: DaySource) -> Column {
        self.day.column("day", Origin::Day(source))
    }

    pub(super) fn hour(&self, field: &str) -> Column {
        self.hour.column("hour", Origin::Hour(field.to_owned()))
    }

    pub(super) fn snapshot_date(&self) -> Column {
        self.snapshot_date.column("snapshot_date", Origin::SnapshotDate)
    }

    pub(super) fn currency(&self) -> Column {
        self.currency.column("currency", Origin::Currency("Currency".to_owned()))
    }

    pub(super) fn extra(&self) -> Column {
        self.extra.column("_extra", Origin::Extra)
    }

    pub(super) fn pulled_at(&self) -> Column {
        self.pulled_at.column("_pulled_at", Origin::PulledAt)
    }
}

/// One file of `schemas/tables/`.
#[derive(Debug)]
pub(super) struct Contract {
    pub(super) description: String,
    pub(super) primary_key: Vec<String>,
    pub(super) partition_by: String,
    pub(super) shape: Shape,
}

/// What the columns of a table come from.
#[derive(Debug)]
pub(super) enum Shape {
    /// Dimensions and metrics that can be chosen.
    Report { grain: Grain, dimensions: Vec<String>, metrics: Vec<String>, added: Vec<Column> },
    /// A report whose fields are fixed.
    FixedReport { fields: Vec<String> },
    /// Attributes of a resource.
    Entity { columns: Vec<Column>, not_stored: Vec<String> },
}

impl Contract {
    /// Reads the contract of a declared table; the endpoint decides which keys the file has.
    pub(super) fn parse(file: &str, text: &str, declaration: &TableDeclaration) -> Result<Self, CatalogError> {
        let error = |source| CatalogError::declaration(file, source);
        let report = Connector::get().endpoint(declaration.endpoint).report();
        Ok(match report.map(|report| report.selectable) {
            Some(true) => toml::from_str::<RawReport>(text).map_err(error)?.into_contract(),
            Some(false) => toml::from_str::<RawFixedReport>(text).map_err(error)?.into_contract(),
            None => toml::from_str::<RawEntity>(text).map_err(error)?.into_contract(file)?,
        })
    }
}

/// The text of every table contract, by name.
const CONTRACTS: [(&str, &str); 14] = [
    ("ad_statistics_daily", include_str!("../../schemas/tables/ad_statistics_daily.toml")),
    ("ad_set_statistics_hourly", include_str!("../../schemas/tables/ad_set_statistics_hourly.toml")),
    ("device_statistics_daily", include_str!("../../schemas/tables/device_statistics_daily.toml")),
    ("placements_daily", include_str!("../../schemas/tables/placements_daily.toml")),
    ("placement_categories_daily", include_str!("../../schemas/tables/placement_categories_daily.toml")),
    ("transactions", include_str!("../../schemas/tables/transactions.toml")),
    ("advertisers", include_str!("../../schemas/tables/advertisers.toml")),
    ("campaigns", include_str!("../../schemas/tables/campaigns.toml")),
    ("ad_sets", include_str!("../../schemas/tables/ad_sets.toml")),
    ("ad_set_category_bids", include_str!("../../schemas/tables/ad_set_category_bids.toml")),
    ("ad_set_display_multipliers", include_str!("../../schemas/tables/ad_set_display_multipliers.toml")),
    ("creatives", include_str!("../../schemas/tables/creatives.toml")),
    ("ads", include_str!("../../schemas/tables/ads.toml")),
    ("coupons", include_str!("../../schemas/tables/coupons.toml")),
];

/// Every declared table with its contract, in the order of the declaration.
pub(super) fn compiled_in(connector: &Connector) -> Result<Vec<(TableDeclaration, Contract)>, CatalogError> {
    let contract = |declaration: &TableDeclaration| {
        let file = format!("schemas/tables/{}.toml", declaration.name);
        let Some((_, text)) = CONTRACTS.iter().find(|(name, _)| *name == declaration.name) else {
            return Err(CatalogError::Inconsistent { file, detail: "the declared table has no contract".to_owned() });
        };
        Ok((declaration.clone(), Contract::parse(&file, text, declaration)?))
    };
    if let Some((name, _)) =
        CONTRACTS.iter().find(|(name, _)| !connector.tables.iter().any(|table| table.name == *name))
    {
        let file = format!("schemas/tables/{name}.toml");
        return Err(CatalogError::Inconsistent { file, detail: "the connector does not declare the table".to_owned() });
    }
    connector.tables.iter().map(contract).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReport {
    description: String,
    grain: Grain,
    primary_key: Vec<String>,
    partition_by: String,
    dimensions: Vec<String>,
    metrics: Vec<String>,
    #[serde(default)]
    added: Vec<RawAdded>,
}

impl RawReport {
    fn into_contract(self) -> Contract {
        Contract {
            description: self.description,
            primary_key: self.primary_key,
            partition_by: self.partition_by,
            shape: Shape::Report {
                grain: self.grain,
                dimensions: self.dimensions,
                metrics: self.metrics,
                added: self.added.into_iter().map(RawAdded::into_column).collect(),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFixedReport {
    description: String,
    primary_key: Vec<String>,
    partition_by: String,
    fields: Vec<String>,
}

impl RawFixedReport {
    fn into_contract(self) -> Contract {
        Contract {
            description: self.description,
            primary_key: self.primary_key,
            partition_by: self.partition_by,
            shape: Shape::FixedReport { fields: self.fields },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntity {
    description: String,
    primary_key: Vec<String>,
    partition_by: String,
    #[serde(default)]
    not_stored: Vec<String>,
    columns: Vec<RawColumn>,
}

impl RawEntity {
    fn into_contract(self, file: &str) -> Result<Contract, CatalogError> {
        let columns = self.columns.into_iter().map(|column| column.into_column(file)).collect::<Result<_, _>>()?;
        Ok(Contract {
            description: self.description,
            primary_key: self.primary_key,
            partition_by: self.partition_by,
            shape: Shape::Entity { columns, not_stored: self.not_stored },
        })
    }
}

/// A column that every table of a kind has; its name is the key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShared {
    #[serde(rename = "type")]
    column_type: ColumnType,
    #[serde(default)]
    mode: Mode,
    description: String,
}

impl RawShared {
    fn column(&self, name: &str, origin: Origin) -> Column {
        Column {
            name: name.to_owned(),
            column_type: self.column_type.clone(),
            mode: self.mode,
            origin,
            description: self.description.clone(),
            additive: false,
        }
    }
}

/// A column that the connector adds to one report table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdded {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
    #[serde(default)]
    mode: Mode,
    origin: AddedOrigin,
    description: String,
}

/// What a column that the connector adds is filled with.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AddedOrigin {
    Disclosed,
}

impl RawAdded {
    fn into_column(self) -> Column {
        Column {
            name: self.name,
            column_type: self.column_type,
            mode: self.mode,
            origin: match self.origin {
                AddedOrigin::Disclosed => Origin::Disclosed,
            },
            description: self.description,
            additive: false,
        }
    }
}

/// A column of an entity table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    name: String,
    #[serde(rename = "type")]
    column_type: ColumnType,
    #[serde(default)]
    mode: Mode,
    source: Option<String>,
    parent: Option<Parent>,
    #[serde(default)]
    personal_data: bool,
    description: String,
    #[serde(default)]
    fields: Vec<RawColumn>,
}

impl RawColumn {
    fn into_column(self, file: &str) -> Result<Column, CatalogError> {
        let fields = self.fields.into_iter().map(|field| field.into_column(file)).collect::<Result<Vec<_>, _>>()?;
        let inconsistent = |detail: &str| {
            Err(CatalogError::Inconsistent {
                file: file.to_owned(),
                detail: format!("column `{}` {detail}", self.name),
            })
        };
        let column_type = match self.column_type {
            ColumnType::Record(_) if fields.is_empty() => return inconsistent("is a record without fields"),
            ColumnType::Record(_) => ColumnType::Record(fields),
            _ if !fields.is_empty() => return inconsistent("has fields but is not a record"),
            scalar => scalar,
        };
        let origin = match (self.source, self.parent) {
            (Some(pointer), None) => Origin::Pointer(pointer),
            (None, Some(parent)) => Origin::Parent(parent),
            (None, None) => return inconsistent("has neither `source` nor `parent`"),
            (Some(_), Some(_)) => return inconsistent("has both `source` and `parent`"),
        };
        if self.personal_data && !self.description.contains("Personal data") {
            return inconsistent("is personal data and its description does not say so");
        }
        Ok(Column {
            name: self.name,
            column_type,
            mode: self.mode,
            origin,
            description: self.description,
            additive: false,
        })
    }
}
