//! Tables for a configuration: built-in tables with what the user changed, and custom statistics reports.
//!
//! The rules. Both halves of an id and name pair are always requested, `AdvertiserId` always (rows are split and
//! attributed by it), and the time dimension follows from the grain. A row is identified by the day or hour and the ids
//! of its dimensions, so configured dimensions change the primary key, with a warning. Names are matched without regard
//! to case and sent as Criteo spells them; an unknown one is sent as written. Nothing here talks to Criteo.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::contracts::{self, CommonColumns, Contract, Shape};
use super::fields::FieldCatalogue;
use super::problem::nearest;
use super::{
    CatalogError, Column, Connector, DaySource, EndpointId, Extract, Field, FieldKind, Grain, Job, Report, ReportFacts,
    RowDay, Table, TableDeclaration, Warning,
};

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse().expect("the compiled-in schemas are parsed by a test"));

/// The name of the partition folders, which no column may have: BigQuery refuses a path key that is also a column.
const PARTITION_KEY: &str = "dt";
/// The dimension of hours.
const HOUR: &str = "Hour";
/// Longest custom report name: it becomes a table and a folder.
pub const MAX_REPORT_NAME: usize = 63;

/// What a configuration changes about a built-in table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOverrides {
    /// Whether to pull it without being told to.
    pub enabled: Option<bool>,
    /// Days re-read by every pull.
    pub lookback_days: Option<u32>,
    /// Metrics instead of the table's own (report tables only).
    pub metrics: Option<Vec<String>>,
    /// Dimensions instead of the table's own (report tables only).
    pub dimensions: Option<Vec<String>>,
}

/// A statistics report that the user defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomReport {
    /// Name of table and folder.
    pub name: String,
    /// Day or hour.
    pub grain: Grain,
    /// Dimensions beside the time and the advertiser.
    pub dimensions: Vec<String>,
    /// Metrics, at least one.
    pub metrics: Vec<String>,
}

/// Every table contract and field catalogue compiled into this program.
#[derive(Debug)]
pub struct Catalog {
    common: CommonColumns,
    statistics: FieldCatalogue,
    placements: FieldCatalogue,
    transactions: FieldCatalogue,
    tables: Vec<(TableDeclaration, Contract)>,
}

impl Catalog {
    /// The catalogue compiled into this program.
    pub fn get() -> &'static Self {
        &CATALOG
    }

    pub(super) fn parse() -> Result<Self, CatalogError> {
        macro_rules! fields {
            ($file:literal) => {
                FieldCatalogue::parse($file, include_str!(concat!("../../", $file)))
            };
        }
        Ok(Self {
            common: CommonColumns::parse("schemas/common.toml", include_str!("../../schemas/common.toml"))?,
            statistics: fields!("schemas/fields/statistics.toml")?,
            placements: fields!("schemas/fields/placements.toml")?,
            transactions: fields!("schemas/fields/transactions.toml")?,
            tables: contracts::compiled_in(Connector::get())?,
        })
    }

    /// The names of the built-in tables, in the order of the documentation.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(declaration, _)| declaration.name.as_str())
    }

    /// The field of a report called `name`, whatever its case.
    pub fn field(&self, report: Report, name: &str) -> Option<&Field> {
        self.catalogue(report).find(name)
    }

    /// All fields of a report, dimensions first.
    pub fn fields(&self, report: Report) -> &[Field] {
        &self.catalogue(report).fields
    }

    /// The built-in table called `name`, as the configuration wants it.
    pub fn resolve(&self, name: &str, overrides: &TableOverrides) -> Result<(Table, Vec<Warning>), CatalogError> {
        let Some((declaration, contract)) = self.tables.iter().find(|(declaration, _)| declaration.name == name) else {
            return Err(CatalogError::UnknownTable { name: name.to_owned(), nearest: nearest(name, self.tables()) });
        };
        let report = || {
            let report = Connector::get().endpoint(declaration.endpoint).report();
            report.expect("a report contract has a report endpoint")
        };
        let (columns, extract, primary_key, warnings) = match &contract.shape {
            Shape::Report { grain, dimensions, metrics, added } => {
                let request = ReportShape {
                    table: name,
                    facts: report(),
                    grain: *grain,
                    dimensions: overrides.dimensions.as_deref().unwrap_or(dimensions),
                    metrics: overrides.metrics.as_deref().unwrap_or(metrics),
                    added,
                    contract_key: &contract.primary_key,
                };
                self.report(&request)?
            }
            Shape::FixedReport { fields } => {
                refuse_choice(name, overrides)?;
                let extract = Extract::Report { grain: Grain::Day, dimensions: Vec::new(), metrics: Vec::new() };
                (self.fixed_report_columns(report(), fields)?, extract, contract.primary_key.clone(), Vec::new())
            }
            Shape::Entity { columns, not_stored } => {
                refuse_choice(name, overrides)?;
                let extract = Extract::Entity { not_stored: not_stored.clone() };
                (self.entity_columns(columns), extract, contract.primary_key.clone(), Vec::new())
            }
        };
        let mut table = Table {
            name: name.to_owned(),
            job: declaration.job,
            endpoint: declaration.endpoint,
            description: contract.description.clone(),
            primary_key,
            partition_by: contract.partition_by.clone(),
            columns,
            extract,
            enabled: declaration.enabled,
            reread_ages: declaration.reread_ages.clone(),
        };
        table.apply(overrides);
        Ok((table, warnings))
    }

    /// A custom statistics report as a table.
    pub fn custom_report(&self, custom: &CustomReport) -> Result<(Table, Vec<Warning>), CatalogError> {
        let name = custom.name.as_str();
        if !is_report_name(name) {
            return Err(CatalogError::InvalidReportName { name: name.to_owned() });
        }
        if self.tables().any(|table| table == name) {
            return Err(CatalogError::ReservedReportName { name: name.to_owned() });
        }
        let endpoint = EndpointId::StatisticsReport;
        let request = ReportShape {
            table: name,
            facts: Connector::get().endpoint(endpoint).report().expect("it is a report"),
            grain: custom.grain,
            dimensions: &custom.dimensions,
            metrics: &custom.metrics,
            added: &[],
            contract_key: &[],
        };
        let (columns, extract, primary_key, warnings) = self.report(&request)?;
        let table = Table {
            name: name.to_owned(),
            job: Job::Analytics,
            endpoint,
            description: "A custom statistics report of this configuration.".to_owned(),
            primary_key,
            partition_by: "day".to_owned(),
            columns,
            extract,
            enabled: true,
            reread_ages: None,
        };
        Ok((table, warnings))
    }

    fn catalogue(&self, report: Report) -> &FieldCatalogue {
        match report {
            Report::Statistics => &self.statistics,
            Report::Placements => &self.placements,
            Report::Transactions => &self.transactions,
        }
    }

    fn report(&self, request: &ReportShape<'_>) -> Result<ResolvedReport, CatalogError> {
        let mut selection =
            Selection { request, catalogue: self.catalogue(request.facts.report), warnings: Vec::new() };
        let dimensions = selection.dimensions()?;
        let metrics = selection.metrics()?;
        let mut warnings = selection.warnings;

        let columns = self.report_columns(request, &dimensions, &metrics);
        request.check_columns(&columns)?;
        let primary_key = request.primary_key(&dimensions);
        if !request.contract_key.is_empty() && primary_key != request.contract_key {
            let (table, primary_key) = (request.table.to_owned(), primary_key.clone());
            warnings.push(Warning::PrimaryKeyChanged { table, primary_key });
        }
        let time = request.time_dimension().map(str::to_owned);
        let extract = Extract::Report {
            grain: request.grain,
            dimensions: time.into_iter().chain(dimensions.into_iter().map(|field| field.name)).collect(),
            metrics: metrics.into_iter().map(|field| field.name).collect(),
        };
        Ok((columns, extract, primary_key, warnings))
    }

    fn report_columns(&self, request: &ReportShape<'_>, dimensions: &[Field], metrics: &[Field]) -> Vec<Column> {
        let day = day_source(&request.facts.row_day, request.grain);
        let mut columns = match request.grain {
            Grain::Day => vec![self.common.day(day)],
            Grain::Hour => vec![self.common.day(day), self.common.hour(HOUR)],
        };
        columns.extend(dimensions.iter().map(Field::to_column));
        columns.extend_from_slice(request.added);
        columns.push(self.common.currency());
        columns.extend(metrics.iter().map(Field::to_column));
        columns.push(self.common.pulled_at());
        columns
    }

    fn fixed_report_columns(&self, facts: &ReportFacts, fields: &[String]) -> Result<Vec<Column>, CatalogError> {
        let mut columns = vec![self.common.day(day_source(&facts.row_day, Grain::Day))];
        for name in fields {
            let field = self.catalogue(facts.report).find(name).ok_or_else(|| CatalogError::Inconsistent {
                file: "schemas/tables/transactions.toml".to_owned(),
                detail: format!("`{name}` is not a field of the report"),
            })?;
            columns.push(field.to_column());
        }
        columns.push(self.common.pulled_at());
        Ok(columns)
    }

    fn entity_columns(&self, attributes: &[Column]) -> Vec<Column> {
        let mut columns = vec![self.common.snapshot_date()];
        columns.extend_from_slice(attributes);
        columns.extend([self.common.extra(), self.common.pulled_at()]);
        columns
    }
}

/// Columns, what to request, what identifies a row, and what to tell the user.
type ResolvedReport = (Vec<Column>, Extract, Vec<String>, Vec<Warning>);

/// What a report table is made from.
struct ReportShape<'a> {
    table: &'a str,
    facts: &'static ReportFacts,
    grain: Grain,
    dimensions: &'a [String],
    metrics: &'a [String],
    added: &'a [Column],
    contract_key: &'a [String],
}

impl ReportShape<'_> {
    /// The dimension of time to request; `None` where the report has none.
    fn time_dimension(&self) -> Option<&'static str> {
        (self.facts.row_day == RowDay::Dimension).then(|| time_dimension(self.grain))
    }

    /// The day or hour, then ids in the order of the contract, further ids as configured, then added columns.
    fn primary_key(&self, dimensions: &[Field]) -> Vec<String> {
        let time = match self.grain {
            Grain::Day => "day",
            Grain::Hour => "hour",
        };
        let position = |column: &str| self.contract_key.iter().position(|key| key == column).unwrap_or(usize::MAX);
        let mut ids: Vec<&str> =
            dimensions.iter().filter(|field| field.identifies()).map(|field| field.column.as_str()).collect();
        ids.sort_by_key(|column| position(column));
        let added = self.added.iter().map(|column| column.name.as_str()).filter(|name| position(name) != usize::MAX);
        std::iter::once(time).chain(ids).chain(added).map(str::to_owned).collect()
    }

    fn check_columns(&self, columns: &[Column]) -> Result<(), CatalogError> {
        let table = || self.table.to_owned();
        let mut seen = BTreeSet::new();
        for column in columns {
            if column.name == PARTITION_KEY {
                let field = column.source().unwrap_or_default().to_owned();
                return Err(CatalogError::ReservedColumn { table: table(), field, column: column.name.clone() });
            }
            if !seen.insert(&column.name) {
                return Err(CatalogError::DuplicateColumn { table: table(), column: column.name.clone() });
            }
        }
        Ok(())
    }
}

/// Turns configured names into fields and collects what to tell the user.
struct Selection<'a> {
    request: &'a ReportShape<'a>,
    catalogue: &'a FieldCatalogue,
    warnings: Vec<Warning>,
}

impl Selection<'_> {
    /// The advertiser, then the configured dimensions, each pair as id and name, without the time and the currency,
    /// which come by themselves.
    fn dimensions(&mut self) -> Result<Vec<Field>, CatalogError> {
        let mut chosen: Vec<Field> = Vec::new();
        for name in std::iter::once("AdvertiserId").chain(self.request.dimensions.iter().map(String::as_str)) {
            match name.to_ascii_lowercase().as_str() {
                "day" | "currency" => continue,
                "hour" if self.request.grain == Grain::Hour => continue,
                "hour" => return Err(CatalogError::HourInDailyTable { table: self.request.table.to_owned() }),
                _ => {}
            }
            let field = self.field(name, FieldKind::Dimension)?;
            let partner = field.paired_with.as_deref().and_then(|partner| self.catalogue.find(partner)).cloned();
            let (first, second) = match partner {
                Some(partner) if partner.name.ends_with("Id") => (partner, Some(field)),
                partner => (field, partner),
            };
            push_new(&mut chosen, first);
            if let Some(second) = second {
                push_new(&mut chosen, second);
            }
        }
        Ok(chosen)
    }

    fn metrics(&mut self) -> Result<Vec<Field>, CatalogError> {
        let mut chosen = Vec::new();
        for name in self.request.metrics {
            let field = self.field(name, FieldKind::Metric)?;
            push_new(&mut chosen, field);
        }
        if chosen.is_empty() {
            return Err(CatalogError::NoMetrics { table: self.request.table.to_owned() });
        }
        Ok(chosen)
    }

    /// The listed field, or a guessed one with a warning.
    fn field(&mut self, name: &str, kind: FieldKind) -> Result<Field, CatalogError> {
        let table = self.request.table.to_owned();
        if let Some(field) = self.catalogue.find(name) {
            if field.kind != kind {
                return Err(CatalogError::WrongKind { table, field: field.name.clone(), kind: field.kind });
            }
            return Ok(field.clone());
        }
        if !is_field_name(name) {
            return Err(CatalogError::InvalidField { table, field: name.to_owned() });
        }
        let field = Field::guessed(name, kind);
        let warning = Warning::UnknownField {
            table,
            field: name.to_owned(),
            column: field.column.clone(),
            column_type: field.column_type.clone(),
            nearest: nearest(name, self.catalogue.names(kind)),
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
        Ok(field)
    }
}

fn push_new(chosen: &mut Vec<Field>, field: Field) {
    if !chosen.iter().any(|other| other.name.eq_ignore_ascii_case(&field.name)) {
        chosen.push(field);
    }
}

fn refuse_choice(table: &str, overrides: &TableOverrides) -> Result<(), CatalogError> {
    let key = match (&overrides.metrics, &overrides.dimensions) {
        (Some(_), _) => "metrics",
        (None, Some(_)) => "dimensions",
        (None, None) => return Ok(()),
    };
    Err(CatalogError::FixedColumns { table: table.to_owned(), key })
}

fn is_field_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The dimension that divides time.
fn time_dimension(grain: Grain) -> &'static str {
    match grain {
        Grain::Day => "Day",
        Grain::Hour => HOUR,
    }
}

/// Where the rows' day comes from when the report is requested with this grain.
fn day_source(row_day: &RowDay, grain: Grain) -> DaySource {
    match (row_day, grain) {
        (RowDay::Dimension, Grain::Day) => DaySource::Field(time_dimension(grain).to_owned()),
        (RowDay::Dimension, Grain::Hour) => DaySource::Instant(time_dimension(grain).to_owned()),
        (RowDay::Instant(field), Grain::Day | Grain::Hour) => DaySource::Instant(field.clone()),
        (RowDay::Requested, Grain::Day | Grain::Hour) => DaySource::Requested,
    }
}

/// Whether a custom report can have this name: lower-case letters, digits and `_`, a letter first, at most
/// [`MAX_REPORT_NAME`] characters.
pub fn is_report_name(name: &str) -> bool {
    name.len() <= MAX_REPORT_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
