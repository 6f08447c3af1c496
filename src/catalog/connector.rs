//! The connector's declaration: what can be called, with which scope, under which limits. It holds facts about Criteo's
//! API and no behaviour; the client decides what to do with them.

use std::sync::LazyLock;

use chrono::NaiveDate;
use serde::Deserialize;

use super::{CatalogError, RereadAges};

const FILE: &str = "connectors/criteo/connector.toml";

static CONNECTOR: LazyLock<Connector> = LazyLock::new(|| {
    Connector::parse(include_str!("../../connectors/criteo/connector.toml"))
        .expect("the compiled-in connector declaration is parsed by a test")
});

/// One of the three pull jobs; each uses exactly one Read scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Report tables (`MarketingSolutions_Analytics_Read`).
    Analytics,
    /// Advertisers, campaigns and ad sets (`MarketingSolutions_Campaign_Read`).
    Campaigns,
    /// Creatives, ads and coupons (`MarketingSolutions_Creative_Read`).
    Creatives,
}

impl Job {
    /// The job's name on the command line and in output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Analytics => "analytics",
            Self::Campaigns => "campaigns",
            Self::Creatives => "creatives",
        }
    }
}

/// Which of the two rate limits a call counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaClass {
    /// The reporting endpoints: 40 calls a minute.
    Report,
    /// Everything else: 250 calls a minute.
    Default,
}

/// The endpoints this connector can call, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointId {
    /// `POST statistics/report`
    StatisticsReport,
    /// `POST placements/report`
    PlacementsReport,
    /// `POST transactions/report`
    TransactionsReport,
    /// `GET advertisers/me`
    AdvertisersMe,
    /// `GET marketing-solutions/me`
    ApplicationMe,
    /// `POST marketing-solutions/campaigns/search`
    CampaignsSearch,
    /// `POST marketing-solutions/ad-sets/search`
    AdSetsSearch,
    /// `GET marketing-solutions/ad-sets/{ad-set-id}/category-bids`
    AdSetCategoryBids,
    /// `GET marketing-solutions/ad-sets/{ad-set-id}/display-multipliers`
    AdSetDisplayMultipliers,
    /// `GET marketing-solutions/advertisers/{advertiser-id}/ads`
    Ads,
    /// `GET marketing-solutions/advertisers/{advertiser-id}/creatives`
    Creatives,
    /// `GET marketing-solutions/advertisers/{advertiser-id}/coupons`
    Coupons,
}

/// The three reports: each has its own fields and its own request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// `POST statistics/report`
    Statistics,
    /// `POST placements/report`
    Placements,
    /// `POST transactions/report`
    Transactions,
}

impl Report {
    /// The report's name in declarations and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Statistics => "statistics",
            Self::Placements => "placements",
            Self::Transactions => "transactions",
        }
    }
}

/// How the day of a report's rows is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowDay {
    /// The requested time dimension: `Day` or `Hour`.
    Dimension,
    /// A field of every row that is an instant.
    Instant(String),
    /// Rows have no date: one day is requested at a time.
    Requested,
}

/// Which date of a row the requested range filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateFilter {
    /// The row's day.
    RowDay,
    /// Not documented: rows of other days may come, and rows of the range may be missing.
    Undocumented,
}

/// How one advertiser's day is divided into smaller requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// Groups of ad sets.
    AdSet,
    /// One request per environment.
    Environment,
    /// One request per type of event.
    EventType,
}

/// How a report's totals by advertiser are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TotalsBy {
    /// A range is one request, with a total per day.
    PerDay,
    /// A range is one request, with one total for all of its days.
    PerRange,
    /// Criteo has no totals of it.
    None,
}

/// What is known of a report endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportFacts {
    /// Which report: its fields and its request body.
    pub report: Report,
    /// Whether dimensions and metrics are chosen.
    pub selectable: bool,
    /// How a row's day is known.
    pub row_day: RowDay,
    /// What the requested dates filter.
    pub date_filter: DateFilter,
    /// Age in days of the newest day that the report has; 0 is today.
    pub newest_age: u32,
    /// Whether undisclosed rows have to be requested separately.
    pub has_undisclosed: bool,
    /// How one advertiser's day is divided when it reaches the row cap, in this order.
    pub divisions: Vec<Division>,
    /// How totals are requested.
    pub totals: TotalsBy,
}

impl ReportFacts {
    /// Whether rows carry their day; otherwise each day is a request of its own.
    pub fn has_day(&self) -> bool {
        self.row_day != RowDay::Requested
    }

    /// Whether Criteo has totals that sums can be compared with.
    pub fn has_totals(&self) -> bool {
        self.totals != TotalsBy::None
    }
}

/// What one request for a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListScope {
    /// Everything the app can see.
    Account,
    /// The advertisers named in the body.
    Search,
    /// The advertiser in the path.
    Advertiser,
    /// The ad set in the path.
    AdSet,
}

/// What an endpoint returns.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum EndpointKind {
    /// Rows of a report.
    Report(ReportFacts),
    /// Resources.
    List {
        /// What one request is about.
        per: ListScope,
    },
}

/// HTTP method of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

/// How an endpoint hands out long lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Pagination {
    /// Everything in one response.
    #[default]
    None,
    /// `limit` and `offset` query parameters, until an empty page.
    Offset {
        /// Items requested at a time.
        limit: u32,
    },
}

/// One endpoint as declared in `connector.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Which one.
    pub id: EndpointId,
    /// HTTP method.
    pub method: Method,
    /// Path below `/{version}/`, with `{advertiser-id}` or `{ad-set-id}` as the only placeholders.
    pub path: String,
    /// OAuth scope, or `None` where Criteo asks for none.
    pub scope: Option<String>,
    /// Which rate limit it counts against.
    pub quota: QuotaClass,
    /// What it returns.
    pub kind: EndpointKind,
    /// Rows at which a response must be taken as cut, where Criteo documents a number.
    pub row_cap: Option<u64>,
    /// How many months back Criteo keeps data, where it documents a number.
    pub history_months: Option<u32>,
    /// Paging.
    #[serde(default)]
    pub pagination: Pagination,
}

impl Endpoint {
    /// What is known of the report; `None` for lists.
    pub fn report(&self) -> Option<&ReportFacts> {
        match &self.kind {
            EndpointKind::Report(facts) => Some(facts),
            EndpointKind::List { .. } => None,
        }
    }

    /// What one request for the list is about; `None` for reports.
    pub fn list_scope(&self) -> Option<ListScope> {
        match &self.kind {
            EndpointKind::Report(_) => None,
            EndpointKind::List { per } => Some(*per),
        }
    }
}

/// The scope that a job needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The job.
    pub job: Job,
    /// The scope's name in Criteo's `OpenAPI`.
    pub name: String,
    /// What the partner portal calls it.
    pub permission: String,
    /// The list that proves the permission when it is read; `None` where a report does.
    pub proven_by: Option<EndpointId>,
}

/// Where a built-in table comes from and whether it is pulled by default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableDeclaration {
    /// Name: table, folder and schema file.
    pub name: String,
    /// Job it belongs to.
    pub job: Job,
    /// Where it comes from.
    pub endpoint: EndpointId,
    /// Whether it is pulled without being named.
    pub enabled: bool,
    /// Ages at which a day is read again, where the configuration's `lookback_days` does not fit.
    pub reread_ages: Option<RereadAges>,
}

/// The connector's declaration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connector {
    /// `https://api.criteo.com`
    pub base_url: String,
    /// API version, the first path segment.
    pub api_version: String,
    /// First day on which that version is deprecated: time to move to the next one.
    pub api_version_deprecated: NaiveDate,
    /// First day on which that version may be gone.
    pub api_version_sunset: NaiveDate,
    /// Path of the token endpoint, unversioned.
    pub token_path: String,
    /// The Read scope of each job.
    pub scopes: Vec<Scope>,
    /// All endpoints.
    pub endpoints: Vec<Endpoint>,
    /// All built-in tables, in the order of the documentation.
    pub tables: Vec<TableDeclaration>,
}

impl Connector {
    /// The list of advertisers that every run reads first, and that is also a table.
    pub const PORTFOLIO: EndpointId = EndpointId::AdvertisersMe;

    /// The declaration compiled into this program.
    pub fn get() -> &'static Self {
        &CONNECTOR
    }

    /// Reads a declaration; an unknown key is an error that names it.
    pub(super) fn parse(text: &str) -> Result<Self, CatalogError> {
        toml::from_str(text).map_err(|source| CatalogError::declaration(FILE, source))
    }

    /// The endpoint called `id`; every identifier is declared.
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        self.endpoints.iter().find(|endpoint| endpoint.id == id).expect("a test proves that every endpoint is declared")
    }

    /// The one Read scope that `job` needs.
    pub fn scope(&self, job: Job) -> &Scope {
        self.scopes.iter().find(|scope| scope.job == job).expect("a test proves that every job has a scope")
    }
}
