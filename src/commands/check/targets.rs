//! Whether the warehouses that are configured could be loaded into, as far as reading tells. Nothing is created there.

use std::time::Duration;

use futures_util::future::join_all;

use super::checklist::Checklist;
use super::finding::Finding;
use crate::clock::{Clock, Deadline, Elapsed};
use crate::commands::load::probe;
use crate::load::{LoadError, LoadErrorKind};
use crate::settings::Settings;
use crate::settings::load::TargetKind;

/// How long a target has to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of these checks.
pub(super) fn names(settings: &Settings) -> Vec<String> {
    settings.load.configured.iter().map(|kind| name(*kind)).collect()
}

fn name(kind: TargetKind) -> String {
    format!("load.{kind}")
}

/// Looks at every configured target.
pub(super) async fn check(settings: &Settings, clock: &Clock, list: &Checklist) {
    join_all(settings.load.configured.iter().map(|kind| check_one(*kind, settings, clock, list))).await;
}

async fn check_one(kind: TargetKind, settings: &Settings, clock: &Clock, list: &Checklist) {
    let answered = clock.within(Deadline::after(clock, PATIENCE), probe(kind, settings, clock)).await;
    let found = answered.unwrap_or_else(|Elapsed| {
        let message = format!("{kind} did not answer within {} seconds", PATIENCE.as_secs());
        Err(LoadError::new(LoadErrorKind::Unreachable, message))
    });
    list.add(match found {
        Ok(there) => Finding::ok(&name(kind), there),
        Err(error) => Finding::problem(&name(kind), error.notice()),
    });
}
