//! What only Criteo can say: token, application, advertisers, permissions, consent, reports.
//!
//! ```text
//! application ─ advertisers ─ a one-day report of all advertisers ─┬─ campaigns of one advertiser
//!  (token)                     (analytics, consent, settings)      ├─ one page of creatives of one advertiser
//!                                                                  └─ a day of each report table of one advertiser
//! ```
//!
//! What cannot be told apart from another problem is skipped, and says so; nothing is guessed.

use std::sync::Arc;

use futures_util::future::{join, join_all};

use super::finding::{CREDENTIALS, Finding};
use super::reach::{Reach, Terms, reach};
use crate::catalog::{Connector, EndpointId, Job, ListScope, Table};
use crate::criteo::{
    CriteoClient, FetchError, FetchErrorKind, ListRequest, ReportAnswer, ReportFilter, ReportRequest, search_body,
};
use crate::dates::DateRange;
use crate::json::Json;
use crate::notice::{Code, Notice};
use crate::pull::{Portfolio, portfolio_error};
use crate::settings::Settings;
use crate::table::decode::ReportLayout;

const APPLICATION: &str = "application";
const ADVERTISERS: &str = "advertisers";
const CONSENT: &str = "consent";
/// Currency and time zone as Criteo sees them.
const REPORT_SETTINGS: &str = "report_settings";
/// What Criteo warned of along the way.
const CRITEO: &str = "criteo";
const JOBS: [Job; 3] = [Job::Analytics, Job::Campaigns, Job::Creatives];
/// Advertisers asked for, one after the other, until one is not refused.
const MAX_TRIES: usize = 5;

/// The checks that call Criteo.
pub(super) struct ApiChecks<'a> {
    client: &'a CriteoClient,
    settings: &'a Settings,
    tables: &'a [Table],
    findings: Vec<Finding>,
}

/// Why the checks that follow make no sense.
struct Stop(&'static str);

/// A finding for each check of this module that has none yet.
pub(super) fn skipped(findings: &[Finding], tables: &[Table], reason: &str) -> Vec<Finding> {
    let is_new = |name: &String| !findings.iter().any(|finding| finding.name == *name);
    names(tables).into_iter().filter(is_new).map(|name| Finding::skipped(&name, reason)).collect()
}

/// The checks of this module in the order they are listed.
fn names(tables: &[Table]) -> Vec<String> {
    let first = [CREDENTIALS, APPLICATION, ADVERTISERS].map(str::to_owned);
    let then = [CONSENT, REPORT_SETTINGS].map(str::to_owned);
    let reports = tables.iter().filter(|table| table.is_report()).map(table_check);
    first.into_iter().chain(JOBS.map(scope_check)).chain(then).chain(reports).collect()
}

fn scope_check(job: Job) -> String {
    format!("scope.{}", job.name())
}

fn table_check(table: &Table) -> String {
    format!("table.{}", table.name)
}

impl<'a> ApiChecks<'a> {
    /// Nothing asked yet.
    pub(super) fn new(client: &'a CriteoClient, settings: &'a Settings, tables: &'a [Table]) -> Self {
        Self { client, settings, tables, findings: Vec::new() }
    }

    /// Asks, and lists what was found in the order of [`names`].
    pub(super) async fn run(mut self) -> Vec<Finding> {
        if let Err(Stop(reason)) = self.ask().await {
            self.findings.extend(skipped(&self.findings, self.tables, reason));
        }
        let names = names(self.tables);
        self.findings.sort_by_key(|finding| names.iter().position(|name| *name == finding.name));
        for notice in self.client.notices() {
            self.findings.push(Finding::warning(CRITEO, Notice::new(notice.code, notice.message)));
        }
        self.findings
    }

    async fn ask(&mut self) -> Result<(), Stop> {
        self.application().await?;
        let advertisers = self.advertisers().await?;
        let (reach, terms) = self.reports(&advertisers).await;
        let someone = reach.likely(&advertisers);
        let scopes = Connector::get().scopes.iter().filter_map(|scope| Some((scope.job, scope.proven_by?)));
        let lists = join_all(scopes.map(|(job, proof)| self.scope_by_list(job, proof, &someone)));
        let (lists, tables) = join(lists, self.report_tables(&reach, &terms)).await;
        self.findings.extend(lists);
        self.findings.extend(tables);
        Ok(())
    }

    /// The first call; it needs no permission and no consent, so that a refusal concerns the credentials alone.
    async fn application(&mut self) -> Result<(), Stop> {
        let request = list(EndpointId::ApplicationMe, None, None, "the application");
        match self.client.page(&request).await {
            Ok(answer) => {
                self.findings.push(Finding::ok(CREDENTIALS, "Criteo issued an access token"));
                self.findings.push(Finding::ok(APPLICATION, application_name(&answer.resources())));
                Ok(())
            }
            Err(error) => match error.kind() {
                FetchErrorKind::Credentials => {
                    self.findings.push(Finding::of_fetch(CREDENTIALS, &error));
                    Err(Stop("Criteo refused the credentials"))
                }
                FetchErrorKind::Unavailable
                | FetchErrorKind::DeadlinePassed
                | FetchErrorKind::Proxy
                | FetchErrorKind::VersionRemoved => {
                    self.findings.push(Finding::of_fetch(APPLICATION, &error));
                    Err(Stop(match error.kind() {
                        FetchErrorKind::VersionRemoved => "Criteo does not answer this version of its API any more",
                        _ => "Criteo did not answer",
                    }))
                }
                _ => {
                    self.findings.push(Finding::ok(CREDENTIALS, "Criteo issued an access token"));
                    self.findings.push(Finding::of_fetch(APPLICATION, &error));
                    Ok(())
                }
            },
        }
    }

    /// The advertisers to ask for; configured ones that Criteo does not list are problems.
    async fn advertisers(&mut self) -> Result<Vec<String>, Stop> {
        let portfolio = match Portfolio::fetch(self.client, &self.settings.advertisers).await {
            Ok(portfolio) => portfolio,
            Err(error) => {
                self.findings.extend(Finding::of_error(ADVERTISERS, &portfolio_error(&error)));
                return Err(Stop("the advertisers are not known"));
            }
        };
        if let Err(error) = portfolio.require_someone() {
            self.findings.extend(Finding::of_error(ADVERTISERS, &error));
            return Err(Stop("no advertiser can be asked for"));
        }
        let ids: Vec<String> = portfolio.ids().map(str::to_owned).collect();
        let whose = if self.settings.advertisers.is_empty() { "all that Criteo lists" } else { "as configured" };
        self.findings.push(Finding::ok(ADVERTISERS, format!("{} ({whose})", ids.join(", "))));
        self.findings.extend(portfolio.absent().map(|notice| Finding::problem(ADVERTISERS, notice)));
        Ok(ids)
    }

    /// One day of a minimal report of all advertisers: the permission, who consented, currency and time zone.
    async fn reports(&mut self, advertisers: &[String]) -> (Reach, Terms) {
        let wanted = Terms::of(self.settings);
        let first = reach(self, advertisers, &wanted).await;
        let Some(refusal) = first.rejection() else {
            if first.failed.is_none() {
                let message = format!("amounts in {}, days cut in {}: accepted", wanted.currency, wanted.timezone);
                self.findings.push(Finding::ok(REPORT_SETTINGS, message));
            } else {
                self.findings.push(Finding::skipped(REPORT_SETTINGS, "no report was answered"));
            }
            self.judge(&first);
            return (first, wanted);
        };
        let reason = refusal.reason();
        for terms in wanted.alternatives() {
            let other = reach(self, advertisers, &terms).await;
            if other.failed.is_none() {
                let found = wanted.differences(&terms).into_iter();
                let found = found.map(|(what, remedy)| {
                    let notice = Notice::new(Code::SettingRejected, format!("Criteo refuses {what}: {reason}"));
                    Finding::problem(REPORT_SETTINGS, notice.remedy(remedy))
                });
                self.findings.extend(found);
                self.judge(&other);
                return (other, terms);
            }
        }
        self.findings.push(Finding::of_fetch(REPORT_SETTINGS, refusal));
        self.judge(&first);
        (first, wanted)
    }

    /// What a minimal report of all advertisers says of permission and consent.
    fn judge(&mut self, reach: &Reach) {
        let name = scope_check(Job::Analytics);
        let scope = match &reach.failed {
            Some(error) if error.kind() == FetchErrorKind::Rejected => {
                Finding::skipped(&name, "Criteo refused the report for another reason")
            }
            Some(error) => self.scope_refused(Job::Analytics, error),
            None if reach.accepted.is_empty() => {
                Finding::skipped(&name, "every advertiser was refused, which hides whether the permission is there")
            }
            None => Finding::ok(&name, format!("`{}` is granted", Connector::get().scope(Job::Analytics).permission)),
        };
        self.findings.push(scope);
        for (advertiser, error) in &reach.refused {
            let mut finding = Finding::of_fetch(CONSENT, error);
            finding.notice = finding.notice.advertiser(advertiser);
            self.findings.push(finding);
        }
        if reach.failed.is_some() {
            self.findings.push(Finding::skipped(CONSENT, "no report was answered"));
        } else if !reach.accepted.is_empty() {
            let message = format!("reports are answered for {}", reach.accepted.join(", "));
            self.findings.push(Finding::ok(CONSENT, message));
        }
    }

    /// The permission of a job whose resources are lists, by one page of one advertiser.
    async fn scope_by_list(&self, job: Job, proof: EndpointId, advertisers: &[String]) -> Finding {
        let (name, permission) = (scope_check(job), &Connector::get().scope(job).permission);
        let mut refusal = None;
        for advertiser in advertisers.iter().take(MAX_TRIES) {
            let what = format!("{} of advertiser {advertiser}", job.name());
            let request = match Connector::get().endpoint(proof).list_scope() {
                Some(ListScope::Search) => {
                    let body = search_body(std::slice::from_ref(advertiser));
                    list(proof, None, Some(body), &what)
                }
                _ => list(proof, Some(advertiser.clone()), None, &what),
            };
            match self.client.page(&request).await {
                Ok(answer) => {
                    let seen = answer.len();
                    return Finding::ok(&name, format!("`{permission}` is granted: read {seen} {what}"));
                }
                Err(error) if error.kind() == FetchErrorKind::AdvertiserRefused => refusal = Some(error),
                Err(error) => return self.scope_refused(job, &error),
            }
        }
        match refusal {
            Some(error) => Finding::of_fetch(&name, &error),
            None => Finding::skipped(&name, "no advertiser can be asked for"),
        }
    }

    /// A permission that is missing, or a call that failed otherwise. A permission that no wanted table needs is no
    /// problem: least privilege is a choice.
    fn scope_refused(&self, job: Job, error: &FetchError) -> Finding {
        let name = scope_check(job);
        if error.kind() != FetchErrorKind::ScopeRefused {
            return Finding::of_fetch(&name, error);
        }
        let scope = Connector::get().scope(job);
        let permission = &scope.permission;
        let message = format!("the permission `{permission}` (`{}`) is missing: {}", scope.name, error.reason());
        let notice = Notice::new(Code::ScopeMissing, message).trace(error.trace_id());
        let needs = |table: &Table| self.client.endpoint(table.endpoint).scope.as_ref() == Some(&scope.name);
        if self.tables.is_empty() || self.tables.iter().any(needs) {
            let remedy = format!(
                "create a new app in Criteo's partner portal with `{permission}` (the permissions of an activated app cannot \
                 be changed) and have the advertisers consent to it, or switch off the tables of `{}`",
                job.name()
            );
            return Finding::problem(&name, notice.remedy(remedy));
        }
        Finding::warning(&name, notice.remedy("nothing to do as long as no enabled table needs it"))
    }

    /// One day of each report table of one advertiser.
    async fn report_tables(&self, reach: &Reach, terms: &Terms) -> Vec<Finding> {
        let reports = self.tables.iter().filter(|table| table.is_report());
        let Some(advertiser) = reach.accepted.first() else {
            let reason = "no report can be asked for before the problems above are solved";
            return reports.map(|table| Finding::skipped(&table_check(table), reason)).collect();
        };
        join_all(reports.map(|table| self.report_table(table, advertiser, terms))).await
    }

    async fn report_table(&self, table: &Table, advertiser: &str, terms: &Terms) -> Finding {
        let name = table_check(table);
        let finding = match self.report(table, vec![advertiser.to_owned()], terms).await {
            Ok(ReportAnswer::Whole(report, _)) if !report.unusable_days.is_empty() => {
                let errors: Vec<String> = report.unusable_days.values().map(|day| day.error.to_string()).collect();
                let notice = Notice::new(Code::UnreadableResponse, errors.join("; "));
                Finding::problem(&name, notice)
            }
            Ok(ReportAnswer::Whole(report, _)) => {
                let (rows, day) = (report.rows, self.yesterday());
                Finding::ok(&name, format!("{rows} rows of advertiser {advertiser} for {day}"))
            }
            Ok(ReportAnswer::Capped { rows }) => Finding::ok(
                &name,
                format!("{rows} rows or more of advertiser {advertiser}, which `pull` asks for in parts"),
            ),
            Err(error) => {
                let mut finding = Finding::of_fetch(&name, &error);
                if error.kind() == FetchErrorKind::Rejected {
                    finding.notice.code = Code::SettingRejected;
                    finding.notice = finding.notice.remedy(self.key_to_change(table));
                }
                finding
            }
        };
        finding.about_table(&table.name)
    }

    /// Which key of the configuration decides what Criteo refused.
    fn key_to_change(&self, table: &Table) -> String {
        let name = &table.name;
        if self.settings.reports.iter().any(|report| report.name == *name) {
            return format!(
                "change `metrics` or `dimensions` of the `[[reports]]` with `name = \"{name}\"`: not every combination \
                 is allowed"
            );
        }
        if table.report().is_some_and(|report| !report.selectable) {
            return format!(
                "this report has nothing to choose; `enabled = false` in `[tables.{name}]` switches it off"
            );
        }
        format!(
            "set `metrics` or `dimensions` in `[tables.{name}]` to a list without what Criteo names, or switch the \
             table off there with `enabled = false`"
        )
    }

    fn yesterday(&self) -> DateRange {
        DateRange::single(self.settings.as_of.pred_opt().unwrap_or(self.settings.as_of))
    }

    /// Yesterday of a report table.
    pub(super) async fn report(
        &self,
        table: &Table,
        advertisers: Vec<String>,
        terms: &Terms,
    ) -> Result<ReportAnswer, FetchError> {
        let layout = ReportLayout::new(table, terms.timezone, &terms.currency).expect("callers pass report tables");
        let days = self.yesterday();
        let what = match advertisers.as_slice() {
            [one] => format!("`{}` of advertiser {one} for {days}", table.name),
            many => format!("`{}` of {} advertisers for {days}", table.name, many.len()),
        };
        let disclosed = table.report().is_some_and(|report| report.has_undisclosed).then_some(true);
        let filter = ReportFilter::new(days, advertisers, disclosed);
        let request = ReportRequest::new(table, filter, &terms.currency, terms.timezone);
        self.client.report(&request, &Arc::new(layout), what, None).await
    }
}

fn list(endpoint: EndpointId, parent_id: Option<String>, body: Option<Vec<u8>>, what: &str) -> ListRequest {
    ListRequest { endpoint, parent_id, body, what: what.to_owned(), attempts: None }
}

/// What Criteo calls the application.
fn application_name(resources: &[Json<'_>]) -> String {
    let attributes = resources.first().and_then(|resource| resource.get("attributes"));
    match attributes.and_then(|attributes| attributes.get("name")) {
        Some(Json::Text(name)) => format!("`{name}`"),
        _ => "Criteo gives it no name".to_owned(),
    }
}
