//! `--version --verbose`: what to put into a report of a bug.

use crate::catalog::Connector;

/// Version, commit, API version and target, a line each.
pub(super) fn verbose() -> String {
    let connector = Connector::get();
    // Set by whoever builds a release; asking git at every build would rebuild everything at every commit.
    let commit = option_env!("CRITEO_SOURCE_COMMIT").unwrap_or("unknown");
    format!(
        "criteo-source {}\ncommit: {commit}\nCriteo API: {}, supported until {}\ntarget: {}-{}\n",
        env!("CARGO_PKG_VERSION"),
        connector.api_version,
        connector.api_version_sunset,
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}
