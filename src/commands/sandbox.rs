//! `sandbox`: serve the simulated Criteo API until told to stop.

use chrono::Utc;
use serde_json::json;

use super::print_text;
use super::signals::Signals;
use crate::cli::{Format, SandboxArguments};
use crate::clock::Clock;
use crate::error::Error;
use crate::sandbox::{Sandbox, SandboxOptions};

/// Serves until a signal comes.
pub async fn run(arguments: &SandboxArguments, format: Format) -> Result<(), Error> {
    let options = options(arguments)?;
    let (client_id, client_secret) = (options.client_id.clone(), options.client_secret.clone());
    let sandbox = Sandbox::start(options, Clock::system())
        .await
        .map_err(|error| Error::usage(format!("cannot listen on port {} of 127.0.0.1: {error}", arguments.port)))?;
    let url = sandbox.url();
    let told = if format == Format::Json {
        let document = json!({ "command": "sandbox", "url": url, "consent_url": format!("{url}/request"), "client_id": client_id, "client_secret": client_secret });
        format!("{document}\n")
    } else {
        // Not a secret: it opens nothing but this simulation, and it is in the program's source.
        format!(
            "a simulated Criteo API listens on {url}; stop it with Ctrl-C. In another terminal:\n\n\
             export CRITEO_API_URL={url}\n\
             export CRITEO_CONSENT_URL={url}/request\n\
             export CRITEO_CLIENT_ID={client_id}\n\
             export CRITEO_CLIENT_SECRET='{client_secret}'\n\
             criteo-source pull --output ./sandbox-data\n"
        )
    };
    print_text(&told)?;
    Signals::default().first().await;
    sandbox.stop().await;
    Ok(())
}

fn options(arguments: &SandboxArguments) -> Result<SandboxOptions, Error> {
    let mut options = SandboxOptions { port: arguments.port, ..SandboxOptions::default() };
    options.today = arguments.today.unwrap_or_else(|| Utc::now().date_naive());
    let rows = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    if let Some(cap) = arguments.statistics_cap {
        options.statistics_cap = rows(cap);
    }
    if let Some(cap) = arguments.placements_cap {
        options.placements_cap = rows(cap);
    }
    if let Some(cap) = arguments.transactions_cap {
        options.transactions_cap = rows(cap);
    }
    if let Some(calls) = arguments.calls_per_minute {
        options.report_calls_per_minute = calls;
        options.default_calls_per_minute = calls;
    }
    if let Some(count) = arguments.advertisers_count {
        options.advertisers = rows(count.into());
    }
    if let Some(count) = arguments.ads_per_ad_set {
        options.ads_per_ad_set = rows(count.into());
    }
    for text in &arguments.fault {
        let fault = text.parse().map_err(|error| Error::usage(format!("`--fault {text}`: {error}")))?;
        options.faults.push(fault);
    }
    Ok(options)
}
