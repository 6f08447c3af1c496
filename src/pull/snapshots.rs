//! The campaigns and creatives jobs: what exists today, as one snapshot per table.
//!
//! Criteo's resources carry no time of change, so every snapshot is a full read. A list that fails for one advertiser or ad
//! set is narrowed to that part: the others are published, the part is reported, and its rows stay as an earlier snapshot of
//! today had them. Tables are read one after the other, so that what one finds out about an advertiser costs the next no more
//! than a probe, and published together at the end of the run, so that they agree on who is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::SubsecRound;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tokio::sync::OnceCell;
use tracing::{Instrument, error_span};

use super::context::Run;
use super::portfolio::id_of;
use super::publish::{SnapshotRows, publish_snapshot};
use super::summary::{Code, Notice};
use crate::catalog::{Catalog, EndpointId, ListScope, Parent, Table, TableOverrides};
use crate::criteo::{FetchError, FetchErrorKind, ListRequest, ResourceSink, search_body};
use crate::dates::DateRange;
use crate::json::Json;
use crate::table::entity::Resource;
use crate::table::entity_rows::EntityRows;

/// Advertisers in one search. The number that Criteo takes is not documented; this one keeps a response with hundreds of ad
/// sets of each to a few megabytes.
const SEARCH_BATCH: usize = 10;
/// Lists of one table under way at once.
const CONCURRENT_LISTS: usize = 8;
/// Attempts at a list of an advertiser for which another list failed, or at a part of what failed as a whole.
const PROBE_ATTEMPTS: u32 = 3;
/// Lists without an answer before any had one, until the endpoint counts as unavailable for everybody.
const MAX_OUTAGES: usize = CONCURRENT_LISTS;

/// The entity tables of one run; they share the ad sets.
pub(super) struct Snapshots<'r> {
    run: &'r Run,
    ad_sets: OnceCell<Fetched>,
}

/// What was fetched for a table.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    rows: EntityRows,
    /// Advertisers whose lists were read to their end.
    answered: BTreeSet<String>,
    failed_ad_sets: BTreeSet<String>,
    /// The ad sets, where these are what was searched.
    ad_sets: Vec<OwnedAdSet>,
    failures: Vec<(ListPart, FetchError)>,
    /// Lists that were read.
    lists: usize,
    calls: u64,
}

#[derive(Clone, Debug)]
struct OwnedAdSet {
    id: String,
    advertiser: Option<String>,
}

/// The smallest part of a table that a list can be requested for.
#[derive(Clone, Debug)]
struct ListPart {
    ad_set: Option<String>,
    advertiser: Option<String>,
}

impl ListPart {
    fn of_advertiser(advertiser: &str) -> Self {
        Self { ad_set: None, advertiser: Some(advertiser.to_owned()) }
    }

    fn parent_id(&self) -> Option<String> {
        self.ad_set.clone().or_else(|| self.advertiser.clone())
    }

    fn what(&self, table: &str) -> String {
        match (&self.ad_set, &self.advertiser) {
            (Some(ad_set), _) => format!("`{table}` of ad set {ad_set}"),
            (None, Some(advertiser)) => format!("`{table}` of advertiser {advertiser}"),
            (None, None) => format!("`{table}`"),
        }
    }

    fn context(&self) -> Vec<(Parent, String)> {
        let ad_set = self.ad_set.iter().map(|id| (Parent::AdSet, id.clone()));
        ad_set.chain(self.advertiser.iter().map(|id| (Parent::Advertiser, id.clone()))).collect()
    }
}

/// Receives the resources of one list.
struct PartRows {
    rows: EntityRows,
    context: Vec<(Parent, String)>,
    /// Only these identifiers, where the list holds more than was requested.
    only: Option<BTreeSet<String>>,
    ad_sets: Vec<OwnedAdSet>,
    keeps_ad_sets: bool,
}

impl ResourceSink for PartRows {
    fn take(&mut self, resources: Vec<Json<'_>>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let is_wanted =
            |json: &Json<'_>| self.only.as_ref().is_none_or(|only| id_of(json).is_some_and(|id| only.contains(&id)));
        let wanted = resources.into_iter().filter(is_wanted);
        let resources: Vec<Resource<'_>> =
            wanted.map(|json| Resource { json, context: self.context.clone() }).collect();
        if self.keeps_ad_sets {
            self.ad_sets.extend(resources.iter().filter_map(|resource| {
                let advertiser = resource.json.pointer("/attributes/advertiserId").and_then(Json::as_text);
                Some(OwnedAdSet { id: id_of(&resource.json)?, advertiser: advertiser.map(str::to_owned) })
            }));
        }
        Ok(self.rows.push(&resources)?)
    }
}

impl<'r> Snapshots<'r> {
    /// Nothing read yet.
    pub(super) fn new(run: &'r Run) -> Self {
        Self { run, ad_sets: OnceCell::new() }
    }

    /// Fetches these tables, one after the other; what fails is noted in the run.
    pub(super) async fn fetch<'t>(&self, tables: &'t [Arc<Table>]) -> Vec<(&'t Arc<Table>, Fetched)> {
        let mut all = Vec::new();
        for table in tables {
            tokio::select! {
                fetched = self.fetch_table(table) => match fetched {
                    Ok(fetched) => all.push((table, fetched)),
                    Err(error) => self.fail(table, &error),
                },
                () = self.run.cancellation.cancelled() => {
                    let stopped = (Code::Interrupted, "the run was stopped");
                    let (code, reason) = self.run.stopped_because().unwrap_or(stopped);
                    self.not_taken(table, code, &format!("{reason} before all of it was fetched"));
                }
            }
        }
        all
    }

    /// Publishes what was fetched. Whoever was refused by any request of the run is missing from every table that has no rows
    /// of it: searches leave such advertisers out without a word.
    pub(super) async fn publish(&self, fetched: Vec<(&Arc<Table>, Fetched)>) {
        let refused = self.run.roster.excluded_everywhere();
        for (table, Fetched { rows, mut answered, failed_ad_sets, calls, .. }) in fetched {
            answered.retain(|advertiser| !refused.contains(advertiser));
            answered.extend(rows.advertisers());
            if answered.is_empty() && !refused.is_empty() {
                self.not_taken(table, Code::NotRefreshed, "every advertiser was refused");
                continue;
            }
            publish_snapshot(self.run, table, SnapshotRows { rows, answered, failed_ad_sets, calls }).await;
        }
    }

    fn fail(&self, table: &Table, error: &FetchError) {
        let notice = error.notice().table(&table.name).days(self.today());
        self.run.journal.fail(match error.kind() {
            FetchErrorKind::Unavailable | FetchErrorKind::DeadlinePassed => notice.remedy(again_today(table)),
            _ => notice,
        });
    }

    fn not_taken(&self, table: &Table, code: Code, reason: &str) {
        let message = format!("the snapshot of `{}` was not taken: {reason}", table.name);
        let notice = Notice::new(code, message).table(&table.name).days(self.today());
        self.run.journal.fail(notice.remedy(again_today(table)));
    }

    fn today(&self) -> DateRange {
        DateRange::single(self.run.settings.as_of)
    }

    async fn fetch_table(&self, table: &Arc<Table>) -> Result<Fetched, FetchError> {
        let scope = table.endpoint().list_scope().expect("an entity table comes from a list");
        match scope {
            ListScope::Account => self.portfolio(table),
            ListScope::Search if table.endpoint == EndpointId::AdSetsSearch => self.ad_sets().await.cloned(),
            ListScope::Search => self.search(table).await,
            ListScope::AdSet => {
                let parts = self.ad_sets().await?.ad_sets.iter();
                let part = |owned: &OwnedAdSet| ListPart {
                    ad_set: Some(owned.id.clone()),
                    advertiser: owned.advertiser.clone(),
                };
                self.each(table, parts.map(part).collect()).await
            }
            ListScope::Advertiser => {
                let advertisers = self.run.roster.advertisers();
                self.each(table, advertisers.iter().map(|id| ListPart::of_advertiser(id)).collect()).await
            }
        }
    }

    /// The list of advertisers was read when the run began.
    fn portfolio(&self, table: &Arc<Table>) -> Result<Fetched, FetchError> {
        let portfolio = &self.run.roster.portfolio;
        let ids: BTreeSet<String> = portfolio.ids().map(str::to_owned).collect();
        let mut fetched = self.nothing(table);
        let mut part = self.part_rows(table, Vec::new());
        part.only = Some(ids.clone());
        let taken = part.take(portfolio.answer().resources());
        taken.map_err(|error| FetchError::unreadable("the list of advertisers", error))?;
        fetched.add(part)?;
        (fetched.calls, fetched.answered) = (1, ids);
        Ok(fetched)
    }

    async fn ad_sets(&self) -> Result<&Fetched, FetchError> {
        let table = || {
            let (table, _) = Catalog::get().resolve("ad_sets", &TableOverrides::default()).expect("a built-in table");
            Arc::new(table)
        };
        self.ad_sets.get_or_try_init(|| async { self.search(&table()).await }).await
    }

    fn nothing(&self, table: &Arc<Table>) -> Fetched {
        Fetched {
            rows: self.rows(table),
            answered: BTreeSet::new(),
            failed_ad_sets: BTreeSet::new(),
            ad_sets: Vec::new(),
            failures: Vec::new(),
            lists: 0,
            calls: 0,
        }
    }

    fn rows(&self, table: &Arc<Table>) -> EntityRows {
        // As the file has it, so that column, footer and ledger say the same.
        EntityRows::new(table, self.run.settings.as_of, self.run.clock.now().trunc_subsecs(6))
    }

    fn part_rows(&self, table: &Arc<Table>, context: Vec<(Parent, String)>) -> PartRows {
        let keeps_ad_sets = table.endpoint == EndpointId::AdSetsSearch;
        PartRows { rows: self.rows(table), context, only: None, ad_sets: Vec::new(), keeps_ad_sets }
    }

    /// A search of all advertisers.
    async fn search(&self, table: &Arc<Table>) -> Result<Fetched, FetchError> {
        let mut fetched = self.nothing(table);
        for batch in self.run.roster.advertisers().chunks(SEARCH_BATCH) {
            self.search_batch(table, batch.to_vec(), None, &mut fetched).await?;
        }
        self.judge(table, fetched)
    }

    /// One search; if it fails for a part of what was requested together, the halves tell which.
    fn search_batch<'s>(
        &'s self,
        table: &'s Arc<Table>,
        advertisers: Vec<String>,
        attempts: Option<u32>,
        fetched: &'s mut Fetched,
    ) -> BoxFuture<'s, Result<(), FetchError>> {
        Box::pin(async move {
            let what = match advertisers.as_slice() {
                [one] => ListPart::of_advertiser(one).what(&table.name),
                many => format!("`{}` of {} advertisers", table.name, many.len()),
            };
            let body = Some(search_body(&advertisers));
            let request = ListRequest { endpoint: table.endpoint, parent_id: None, body, what, attempts };
            let mut part = self.part_rows(table, Vec::new());
            let span = error_span!("list", table = table.name);
            let error = match self.run.client.list(&request, &mut part).instrument(span).await {
                Ok(calls) => {
                    fetched.calls += calls;
                    fetched.answered.extend(advertisers);
                    return fetched.add(part);
                }
                Err(error) => error,
            };
            if !may_concern_a_part(&error) || fetched.is_outage(&error) {
                return Err(error);
            }
            if let [advertiser] = advertisers.as_slice() {
                fetched.failures.push((ListPart::of_advertiser(advertiser), error));
                return Ok(());
            }
            let (first, second) = advertisers.split_at(advertisers.len() / 2);
            self.search_batch(table, first.to_vec(), Some(PROBE_ATTEMPTS), fetched).await?;
            self.search_batch(table, second.to_vec(), Some(PROBE_ATTEMPTS), fetched).await
        })
    }

    /// A list of each advertiser or ad set.
    async fn each(&self, table: &Arc<Table>, parts: Vec<ListPart>) -> Result<Fetched, FetchError> {
        let mut fetched = self.nothing(table);
        let lists = stream::iter(parts).map(|part| async move {
            let is_suspect = part.advertiser.as_ref().is_some_and(|id| self.run.roster.is_suspect(id));
            let request = ListRequest {
                endpoint: table.endpoint,
                what: part.what(&table.name),
                parent_id: part.parent_id(),
                body: None,
                attempts: is_suspect.then_some(PROBE_ATTEMPTS),
            };
            let mut rows = self.part_rows(table, part.context());
            let span = error_span!("list", table = table.name, advertiser_id = part.advertiser);
            let outcome = self.run.client.list(&request, &mut rows).instrument(span).await;
            (part, rows, outcome)
        });
        let mut lists = lists.buffer_unordered(CONCURRENT_LISTS);
        while let Some((part, rows, outcome)) = lists.next().await {
            match outcome {
                Ok(calls) => {
                    fetched.calls += calls;
                    fetched.answered.extend(part.advertiser);
                    fetched.add(rows)?;
                }
                Err(error) if may_concern_a_part(&error) && !fetched.is_outage(&error) => {
                    if let Some(advertiser) = &part.advertiser {
                        self.run.roster.suspect(advertiser);
                    }
                    fetched.failures.push((part, error));
                }
                Err(error) => return Err(error),
            }
        }
        self.judge(table, fetched)
    }

    /// What failed for some parts is theirs if others have an answer, and everybody's if none has.
    fn judge(&self, table: &Table, mut fetched: Fetched) -> Result<Fetched, FetchError> {
        for (part, error) in std::mem::take(&mut fetched.failures) {
            let is_refusal = error.kind() == FetchErrorKind::AdvertiserRefused;
            if fetched.lists == 0 && !is_refusal {
                return Err(error);
            }
            let advertiser = part.advertiser.as_deref();
            match (&part.ad_set, advertiser, error.kind()) {
                (_, Some(advertiser), FetchErrorKind::AdvertiserRefused)
                | (None, Some(advertiser), FetchErrorKind::ScopeRefused) => {
                    self.run.exclude_refused(advertiser, &error);
                }
                (None, Some(advertiser), _) => {
                    fetched.answered.remove(advertiser);
                    self.run.roster.exclude_from(table.endpoint, advertiser);
                    self.report_part(table, &part, &error);
                }
                _ => {
                    fetched.failed_ad_sets.extend(part.ad_set.clone());
                    self.report_part(table, &part, &error);
                }
            }
        }
        Ok(fetched)
    }

    fn report_part(&self, table: &Table, part: &ListPart, error: &FetchError) {
        let code = match error.kind() {
            FetchErrorKind::Unavailable => Code::AdvertiserUnavailable,
            kind => kind.code(),
        };
        let message = format!("{}; the rest of the snapshot is published", error.reason());
        let notice = Notice::new(code, message).table(&table.name).days(self.today()).trace(error.trace_id());
        let notice = notice.remedy(again_today(table));
        self.run.journal.fail(match &part.advertiser {
            Some(advertiser) => notice.advertiser(advertiser),
            None => notice,
        });
    }
}

impl Fetched {
    fn add(&mut self, part: PartRows) -> Result<(), FetchError> {
        self.lists += 1;
        self.ad_sets.extend(part.ad_sets);
        self.rows.append(part.rows).map_err(|error| FetchError::unreadable("a list", error))
    }

    /// Whether a further failure means that nobody is answered: as many lists have failed that way as were under way, and none
    /// had an answer.
    fn is_outage(&self, error: &FetchError) -> bool {
        let is_unavailable = |error: &FetchError| error.kind() == FetchErrorKind::Unavailable;
        let outages = self.failures.iter().filter(|(_, error)| is_unavailable(error)).count();
        self.lists == 0 && is_unavailable(error) && outages + 1 >= MAX_OUTAGES
    }
}

/// Whether a request for a part of the same may have an answer.
fn may_concern_a_part(error: &FetchError) -> bool {
    match error.kind() {
        FetchErrorKind::AdvertiserRefused
        | FetchErrorKind::ScopeRefused
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Rejected => true,
        FetchErrorKind::Unavailable => error.is_server_error(),
        FetchErrorKind::Credentials
        | FetchErrorKind::DeadlinePassed
        | FetchErrorKind::Proxy
        | FetchErrorKind::VersionRemoved
        | FetchErrorKind::OtherDays
        | FetchErrorKind::Unreadable => false,
    }
}

/// What to do about a snapshot that is not, or not whole, today's.
fn again_today(table: &Table) -> String {
    format!("run `criteo-source pull --tables {}` again today: today's state cannot be fetched later", table.name)
}
