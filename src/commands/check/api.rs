//! What only Criteo can say: token, application, advertisers, permissions, consent, reports.
//!
//! ```text
//! application ─ advertisers ─ a one-day report of all advertisers ─┬─ campaigns of one advertiser
//!  (token)                     (analytics, consent, settings)      ├─ one page of creatives of one advertiser
//!                                                                  └─ a day of each report table of one advertiser
//! ```
//!
//! What cannot be told apart from another problem is skipped, and says so; nothing is guessed.

use chrono::TimeDelta;
use futures_util::future::{join, join_all};

use super::checklist::Checklist;
use super::finding::{CREDENTIALS, Finding};
use super::probe::Probe;
use super::reach::{Reach, Terms, reach};
use crate::catalog::{Connector, EndpointId, Job, ListScope, Table};
use crate::clock::Clock;
use crate::criteo::{Application, CriteoClient, FetchError, FetchErrorKind, ListRequest, ReportAnswer, search_body};
use crate::notice::{Code, Notice};
use crate::pull::{Portfolio, clock_skew, is_clock_wrong, portfolio_error};
use crate::settings::Settings;

const APPLICATION: &str = "application";
/// This machine's clock and Criteo's.
const CLOCK: &str = "clock";
const ADVERTISERS: &str = "advertisers";
const CONSENT: &str = "consent";
/// Currency and time zone as Criteo sees them.
const REPORT_SETTINGS: &str = "report_settings";
/// What Criteo warned of along the way.
const CRITEO: &str = "criteo";
const JOBS: [Job; 3] = [Job::Analytics, Job::Campaigns, Job::Creatives];
/// Advertisers tried, one after the other, until one is not refused.
const MAX_TRIES: usize = 5;
/// Clocks may differ by so much: the answer itself takes time, and its date has whole seconds.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// The checks that call Criteo.
pub(super) struct ApiChecks<'a> {
    client: &'a CriteoClient,
    settings: &'a Settings,
    tables: &'a [Table],
    clock: &'a Clock,
    list: &'a Checklist,
    probe: Probe<'a>,
}

/// Why the checks that follow make no sense.
struct Stop(&'static str);

/// The checks of this module in the order they are listed.
pub(super) fn names(tables: &[Table]) -> Vec<String> {
    let first = [CREDENTIALS, APPLICATION, CLOCK, ADVERTISERS].map(str::to_owned);
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
    /// Nothing called yet.
    pub(super) fn new(
        client: &'a CriteoClient,
        settings: &'a Settings,
        tables: &'a [Table],
        clock: &'a Clock,
        list: &'a Checklist,
    ) -> Self {
        Self { client, settings, tables, clock, list, probe: Probe::new(client, settings) }
    }

    /// Calls, and adds what was found to the list.
    pub(super) async fn run(self) {
        if let Err(Stop(reason)) = self.ask().await {
            self.list.skip(&names(self.tables), reason);
        }
        let notices = self.client.notices().into_iter();
        self.list.add_all(notices.map(|notice| Finding::warning(CRITEO, Notice::new(notice.code, notice.message))));
    }

    async fn ask(&self) -> Result<(), Stop> {
        self.application().await?;
        let advertisers = self.advertisers().await?;
        let (reach, terms) = self.reports(&advertisers).await;
        let someone = reach.likely(&advertisers);
        let scopes = Connector::get().scopes.iter().filter_map(|scope| Some((scope.job, scope.proven_by?)));
        let lists = join_all(scopes.map(|(job, proof)| self.scope_by_list(job, proof, &someone)));
        join(lists, self.report_tables(&reach, &terms)).await;
        Ok(())
    }

    /// The first call; it needs no permission and no consent, so that a refusal concerns the credentials alone.
    async fn application(&self) -> Result<(), Stop> {
        let found = Application::fetch(self.client).await;
        let (error, stop) = match found {
            Ok(application) => {
                self.list.add(Finding::ok(CREDENTIALS, "Criteo issued an access token"));
                self.list.add(self.clock());
                return self.service(&application);
            }
            Err(error) => match error.kind() {
                FetchErrorKind::Credentials => {
                    self.list.add(Finding::of_fetch(CREDENTIALS, &error));
                    return Err(Stop("Criteo refused the credentials"));
                }
                FetchErrorKind::Unavailable | FetchErrorKind::DeadlinePassed | FetchErrorKind::Proxy => {
                    (error, Err(Stop("Criteo did not answer")))
                }
                FetchErrorKind::VersionRemoved => {
                    (error, Err(Stop("Criteo does not answer this version of its API any more")))
                }
                _ => (error, Ok(())),
            },
        };
        if stop.is_ok() {
            self.list.add(Finding::ok(CREDENTIALS, "Criteo issued an access token"));
        }
        self.list.add(Finding::of_fetch(APPLICATION, &error));
        stop
    }

    /// An app for another service has neither the permissions nor the consents, and new ones would not help.
    fn service(&self, application: &Application) -> Result<(), Stop> {
        let Some(notice) = application.wrong_service() else {
            self.list.add(Finding::ok(APPLICATION, application.to_string()));
            return Ok(());
        };
        self.list.add(Finding::problem(APPLICATION, notice));
        Err(Stop("the app is for another service"))
    }

    /// How far this machine's clock is from Criteo's: which days are due depends on it.
    fn clock(&self) -> Finding {
        let Some(skew) = clock_skew(self.client, self.clock) else {
            return Finding::skipped(CLOCK, "the answer has no date");
        };
        if skew.abs() <= CLOCK_TOLERANCE {
            return Finding::ok(CLOCK, "agrees with Criteo's");
        }
        let direction = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
        let message = format!("this machine's clock is {} {direction} Criteo's", rounded(skew.abs()));
        let notice = Notice::new(Code::ClockSkew, message);
        if is_clock_wrong(self.client, self.clock) {
            return Finding::problem(CLOCK, notice);
        }
        Finding::warning(CLOCK, notice)
    }

    /// The advertisers to request; configured ones that Criteo does not list are problems.
    async fn advertisers(&self) -> Result<Vec<String>, Stop> {
        let portfolio = match Portfolio::fetch(self.client, &self.settings.advertisers).await {
            Ok(portfolio) => portfolio,
            Err(error) => {
                self.list.add_all(Finding::of_error(ADVERTISERS, &portfolio_error(&error)));
                return Err(Stop("the advertisers are not known"));
            }
        };
        if let Err(error) = portfolio.require_someone() {
            self.list.add_all(Finding::of_error(ADVERTISERS, &error));
            return Err(Stop("there is no advertiser to request data of"));
        }
        let ids: Vec<String> = portfolio.ids().map(str::to_owned).collect();
        let whose = if self.settings.advertisers.is_empty() { "all that Criteo lists" } else { "as configured" };
        self.list.add(Finding::ok(ADVERTISERS, format!("{} ({whose})", ids.join(", "))));
        self.list.add_all(portfolio.absent().map(|notice| Finding::problem(ADVERTISERS, notice)));
        Ok(ids)
    }

    /// One day of a minimal report of all advertisers: the permission, who consented, currency and time zone.
    async fn reports(&self, advertisers: &[String]) -> (Reach, Terms) {
        let wanted = Terms::of(self.settings);
        let first = reach(self.probe, advertisers, &wanted).await;
        let Some(refusal) = first.rejection() else {
            if first.failed.is_none() {
                let message = format!("amounts in {}, days cut in {}: accepted", wanted.currency, wanted.timezone);
                self.list.add(Finding::ok(REPORT_SETTINGS, message));
            } else {
                self.list.add(Finding::skipped(REPORT_SETTINGS, "no report was answered"));
            }
            self.judge(&first);
            return (first, wanted);
        };
        let reason = refusal.reason();
        for terms in wanted.alternatives() {
            let other = reach(self.probe, advertisers, &terms).await;
            if other.failed.is_none() {
                let found = wanted.differences(&terms).into_iter();
                let found = found.map(|(what, remedy)| {
                    let notice = Notice::new(Code::SettingRejected, format!("Criteo refuses {what}: {reason}"));
                    Finding::problem(REPORT_SETTINGS, notice.remedy(remedy))
                });
                self.list.add_all(found);
                self.judge(&other);
                return (other, terms);
            }
        }
        self.list.add(Finding::of_fetch(REPORT_SETTINGS, refusal));
        self.judge(&first);
        (first, wanted)
    }

    /// What a minimal report of all advertisers says of permission and consent.
    fn judge(&self, reach: &Reach) {
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
        self.list.add(scope);
        for (advertiser, error) in &reach.refused {
            let mut finding = Finding::of_fetch(CONSENT, error);
            finding.notice = finding.notice.advertiser(advertiser);
            self.list.add(finding);
        }
        if reach.failed.is_some() {
            self.list.add(Finding::skipped(CONSENT, "no report was answered"));
        } else if !reach.accepted.is_empty() {
            let message = format!("reports are answered for {}", reach.accepted.join(", "));
            self.list.add(Finding::ok(CONSENT, message));
        }
    }

    /// The permission of a job whose resources are lists, by one page of one advertiser.
    async fn scope_by_list(&self, job: Job, proof: EndpointId, advertisers: &[String]) {
        self.list.add(self.scope_of_list(job, proof, advertisers).await);
    }

    async fn scope_of_list(&self, job: Job, proof: EndpointId, advertisers: &[String]) -> Finding {
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
            None => Finding::skipped(&name, "there is no advertiser to request data of"),
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
    async fn report_tables(&self, reach: &Reach, terms: &Terms) {
        let reports = self.tables.iter().filter(|table| table.is_report());
        let Some(advertiser) = reach.accepted.first() else {
            let names: Vec<String> = reports.map(table_check).collect();
            self.list.skip(&names, "no report can be requested before the other problems are solved");
            return;
        };
        join_all(reports.map(async |table| self.list.add(self.report_table(table, advertiser, terms).await))).await;
    }

    async fn report_table(&self, table: &Table, advertiser: &str, terms: &Terms) -> Finding {
        let name = table_check(table);
        let finding = match self.probe.report(table, vec![advertiser.to_owned()], terms).await {
            Ok(ReportAnswer::Whole(report, _)) if !report.unusable_days.is_empty() => {
                let errors: Vec<String> = report.unusable_days.values().map(|day| day.error.to_string()).collect();
                let notice = Notice::new(Code::UnreadableResponse, errors.join("; "));
                Finding::problem(&name, notice)
            }
            Ok(ReportAnswer::Whole(report, _)) => {
                let (rows, day) = (report.rows, self.probe.yesterday());
                Finding::ok(&name, format!("{rows} rows of advertiser {advertiser} for {day}"))
            }
            Ok(ReportAnswer::Capped { rows }) => Finding::ok(
                &name,
                format!("{rows} rows or more of advertiser {advertiser}, which `pull` requests in parts"),
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
}

fn list(endpoint: EndpointId, parent_id: Option<String>, body: Option<Vec<u8>>, what: &str) -> ListRequest {
    ListRequest { endpoint, parent_id, body, what: what.to_owned(), attempts: None }
}

/// A duration in its largest unit.
fn rounded(duration: TimeDelta) -> String {
    let (number, unit) = match (duration.num_days(), duration.num_hours(), duration.num_minutes()) {
        (days @ 2.., ..) => (days, "days"),
        (_, hours @ 2.., _) => (hours, "hours"),
        (.., minutes @ 2..) => (minutes, "minutes"),
        _ => (duration.num_seconds(), "seconds"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_largest_unit_of_which_there_are_several() {
        for (seconds, expected) in
            [(61, "61 seconds"), (150, "2 minutes"), (7_000, "116 minutes"), (90_000, "25 hours"), (259_200, "3 days")]
        {
            assert_eq!(rounded(TimeDelta::seconds(seconds)), expected);
        }
    }
}
