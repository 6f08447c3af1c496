//! The reports that checks request: one day, of one table. What the answer means is their business.

use std::sync::Arc;

use super::reach::Terms;
use crate::catalog::Table;
use crate::criteo::{CriteoClient, FetchError, ReportAnswer, ReportFilter, ReportRequest};
use crate::dates::DateRange;
use crate::settings::Settings;
use crate::table::decode::ReportLayout;

/// Requests yesterday of reports.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    client: &'a CriteoClient,
    settings: &'a Settings,
}

impl<'a> Probe<'a> {
    pub(super) fn new(client: &'a CriteoClient, settings: &'a Settings) -> Self {
        Self { client, settings }
    }

    /// The one day that is requested.
    pub(super) fn yesterday(self) -> DateRange {
        DateRange::single(self.settings.as_of.pred_opt().unwrap_or(self.settings.as_of))
    }

    /// Yesterday of a report table.
    pub(super) async fn report(
        self,
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
