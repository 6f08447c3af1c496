//! The campaigns and creatives jobs: what exists today, as one snapshot per table.
//!
//! Criteo's resources carry no time of change, so every snapshot is a full read. It is published when every page of
//! every advertiser came; a refused advertiser is left out, and reported.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use super::context::Run;
use super::portfolio::id_of;
use super::publish::{SnapshotPage, publish_snapshot};
use super::summary::{Code, Notice};
use crate::catalog::{Connector, EndpointId, ListScope, Parent, Table};
use crate::criteo::{FetchError, FetchErrorKind, ListAnswer, ListRequest, search_body};
use crate::dates::DateRange;
use crate::json::Json;

/// Advertisers in one search; the number is not documented, so it is kept modest.
const SEARCH_BATCH: usize = 50;
/// Lists of one table under way at once.
const CONCURRENT_LISTS: usize = 8;

/// The entity tables of one run; they share the ad sets.
pub(super) struct Snapshots<'r> {
    run: &'r Run,
    ad_sets: OnceCell<Vec<ListAnswer>>,
}

impl<'r> Snapshots<'r> {
    /// Nothing read yet.
    pub(super) fn new(run: &'r Run) -> Self {
        Self { run, ad_sets: OnceCell::new() }
    }

    /// Pulls one table; what fails is noted in the run.
    pub(super) async fn pull_table(&self, table: &Arc<Table>) {
        let pages = tokio::select! {
            pages = self.pages(table) => pages,
            () = self.run.cancellation.cancelled() => {
                let reason = "the run was stopped before all of it was fetched";
                return self.not_refreshed(table, Code::Interrupted, reason);
            }
        };
        match pages {
            Ok(_) if table.endpoint != Connector::PORTFOLIO && self.run.roster.advertisers().is_empty() => {
                self.not_refreshed(table, Code::NotRefreshed, "every advertiser was refused");
            }
            Ok(pages) => {
                let calls = pages.iter().map(|page| page.answer.calls).sum();
                let missing = publish_snapshot(self.run, table, pages, calls).await;
                if let Some(first) = missing.first() {
                    self.would_lose(table, first, missing.len() - 1);
                }
            }
            Err(error) => self.run.journal.fail_fetch(table, None, &error),
        }
    }

    fn would_lose(&self, table: &Table, first: &str, more: usize) {
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let reason = format!(
            "today's file stays as it is, because it has rows of advertiser {first}{more}, whose data could not be requested"
        );
        self.not_refreshed(table, Code::NotRefreshed, &reason);
    }

    fn not_refreshed(&self, table: &Table, code: Code, reason: &str) {
        let today = DateRange::single(self.run.settings.as_of);
        let message = format!("the snapshot of `{}` was not taken: {reason}", table.name);
        self.run.journal.fail(Notice::new(code, message).table(&table.name).days(today));
    }

    async fn pages(&self, table: &Table) -> Result<Vec<SnapshotPage>, FetchError> {
        let scope = table.endpoint().list_scope().expect("an entity table comes from a list");
        match scope {
            ListScope::Account => {
                let ids = self.run.roster.portfolio.ids().map(str::to_owned).collect();
                let answer = self.run.roster.portfolio.answer().clone();
                Ok(vec![SnapshotPage { answer, context: Vec::new(), only: Some(ids) }])
            }
            ListScope::Search if table.endpoint == EndpointId::AdSetsSearch => {
                let searches = self.ad_sets().await?;
                Ok(searches.iter().cloned().map(whole).collect())
            }
            ListScope::Search => {
                let answers = self.search(table.endpoint, &table.name).await?;
                Ok(answers.into_iter().map(whole).collect())
            }
            ListScope::AdSet => self.by_ad_set(table).await,
            ListScope::Advertiser => self.by_advertiser(table).await,
        }
    }

    async fn ad_sets(&self) -> Result<&Vec<ListAnswer>, FetchError> {
        self.ad_sets.get_or_try_init(|| self.search(EndpointId::AdSetsSearch, "ad_sets")).await
    }

    async fn search(&self, endpoint: EndpointId, table: &str) -> Result<Vec<ListAnswer>, FetchError> {
        let mut answers = Vec::new();
        for batch in self.run.roster.advertisers().chunks(SEARCH_BATCH) {
            answers.extend(self.search_batch(endpoint, table, batch.to_vec()).await?);
        }
        Ok(answers)
    }

    /// One search; if an advertiser is refused, the halves tell who.
    fn search_batch<'s>(
        &'s self,
        endpoint: EndpointId,
        table: &'s str,
        advertisers: Vec<String>,
    ) -> BoxFuture<'s, Result<Vec<ListAnswer>, FetchError>> {
        Box::pin(async move {
            let what = match advertisers.as_slice() {
                [one] => format!("`{table}` of advertiser {one}"),
                many => format!("`{table}` of {} advertisers", many.len()),
            };
            let request = ListRequest { endpoint, parent_id: None, body: Some(search_body(&advertisers)), what };
            let error = match self.run.client.list(&request).await {
                Ok(answer) => return Ok(vec![answer]),
                Err(error) if error.kind() == FetchErrorKind::AdvertiserRefused => error,
                Err(error) => return Err(error),
            };
            if let [advertiser] = advertisers.as_slice() {
                self.run.exclude_refused(advertiser, &error);
                return Ok(Vec::new());
            }
            let (first, second) = advertisers.split_at(advertisers.len() / 2);
            let mut answers = self.search_batch(endpoint, table, first.to_vec()).await?;
            answers.extend(self.search_batch(endpoint, table, second.to_vec()).await?);
            Ok(answers)
        })
    }

    /// A list that belongs to an advertiser; `None` if the advertiser is refused, which is noted.
    async fn list_of(&self, request: &ListRequest, advertiser: Option<&str>) -> Result<Option<ListAnswer>, FetchError> {
        match (self.run.client.list(request).await, advertiser) {
            (Ok(answer), _) => Ok(Some(answer)),
            (Err(error), Some(advertiser)) if error.kind() == FetchErrorKind::AdvertiserRefused => {
                self.run.exclude_refused(advertiser, &error);
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn by_advertiser(&self, table: &Table) -> Result<Vec<SnapshotPage>, FetchError> {
        let lists = stream::iter(self.run.roster.advertisers()).map(|advertiser| async move {
            let request = ListRequest {
                endpoint: table.endpoint,
                what: format!("`{}` of advertiser {advertiser}", table.name),
                parent_id: Some(advertiser.clone()),
                body: None,
            };
            let answer = self.list_of(&request, Some(&advertiser)).await;
            let page = |answer| SnapshotPage { answer, context: vec![(Parent::Advertiser, advertiser)], only: None };
            answer.map(|answer| answer.map(page))
        });
        let pages: Vec<Option<SnapshotPage>> = lists.buffer_unordered(CONCURRENT_LISTS).try_collect().await?;
        Ok(pages.into_iter().flatten().collect())
    }

    async fn by_ad_set(&self, table: &Table) -> Result<Vec<SnapshotPage>, FetchError> {
        let ad_sets: Vec<_> = self.ad_sets().await?.iter().flat_map(owned_ad_sets).collect();
        let lists = stream::iter(ad_sets).map(|(ad_set, advertiser)| async move {
            let request = ListRequest {
                endpoint: table.endpoint,
                what: format!("`{}` of ad set {ad_set}", table.name),
                parent_id: Some(ad_set.clone()),
                body: None,
            };
            let answer = self.list_of(&request, advertiser.as_deref()).await;
            let mut context = vec![(Parent::AdSet, ad_set)];
            context.extend(advertiser.map(|advertiser| (Parent::Advertiser, advertiser)));
            answer.map(|answer| answer.map(|answer| SnapshotPage { answer, context, only: None }))
        });
        let pages: Vec<Option<SnapshotPage>> = lists.buffer_unordered(CONCURRENT_LISTS).try_collect().await?;
        Ok(pages.into_iter().flatten().collect())
    }
}

/// The ad sets of a search, each with its advertiser.
fn owned_ad_sets(answer: &ListAnswer) -> Vec<(String, Option<String>)> {
    let resources = answer.resources();
    let owned = resources.iter().filter_map(|resource| {
        let advertiser = resource.pointer("/attributes/advertiserId").and_then(Json::as_text);
        Some((id_of(resource)?, advertiser.map(str::to_owned)))
    });
    owned.collect()
}

fn whole(answer: ListAnswer) -> SnapshotPage {
    SnapshotPage { answer, context: Vec::new(), only: None }
}
