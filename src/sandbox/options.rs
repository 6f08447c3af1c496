//! What kind of Criteo account the sandbox pretends to be.
//!
//! Limits are Criteo's by default and can be lowered, so that a test reaches a cap with a hundred rows instead of a
//! hundred thousand. Nothing here is read from files or the environment.

use std::collections::BTreeSet;

use chrono::{NaiveDate, Utc};

use super::faults::Fault;

/// The permission for the report endpoints (API.md section 2).
pub const ANALYTICS_READ: &str = "MarketingSolutions_Analytics_Read";
/// The permission for campaigns, ad sets, category bids and display multipliers (API.md section 2).
pub const CAMPAIGN_READ: &str = "MarketingSolutions_Campaign_Read";
/// The permission for ads, creatives and coupons (API.md section 2).
pub const CREATIVE_READ: &str = "MarketingSolutions_Creative_Read";

/// The service of an app for the data that the sandbox has, as `marketing-solutions/me` names it (API.md 5.2 has the property, but
/// no values; Criteo's own generator of clients calls its two services so, and the other one `RetailMedia`).
pub const MARKETING_SOLUTIONS: &str = "MarketingSolutions";
/// The service of an app for retail media.
pub const RETAIL_MEDIA: &str = "RetailMedia";

/// Everything that can be chosen about a sandbox before it starts.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The port on the loopback interface; 0 takes any free one.
    pub port: u16,
    /// The only client id that gets tokens.
    pub client_id: String,
    /// Its secret; the default one has a plus, a slash, a percent sign and a space, which a raw form body corrupts.
    pub client_secret: String,
    /// The sandbox's today in UTC, where it is always noon: data ends there and restatement ages count from it.
    pub today: NaiveDate,
    /// What all data is derived from.
    pub seed: u64,
    /// How many advertisers there are; from three on, the last one has campaigns but never delivers.
    pub advertisers: usize,
    /// Campaigns of each advertiser.
    pub campaigns_per_advertiser: usize,
    /// Ad sets of each campaign.
    pub ad_sets_per_campaign: usize,
    /// Ads of each ad set.
    pub ads_per_ad_set: usize,
    /// Rows of a statistics report before it is cut without a word (API.md section 6: 100,000).
    pub statistics_cap: usize,
    /// Rows of a placements report before it is cut without a word (API.md section 6: 20,000).
    pub placements_cap: usize,
    /// Rows of a transactions report before it is cut without a word (not documented by Criteo).
    pub transactions_cap: usize,
    /// Report calls per minute of a client-credentials app (API.md section 7: 40).
    pub report_calls_per_minute: u32,
    /// Other calls per minute of a client-credentials app (API.md section 7: 250).
    pub default_calls_per_minute: u32,
    /// Calls per minute and consented advertiser of an authorization-code app, pooled (API.md section 7: 10).
    pub consented_calls_per_minute: u32,
    /// How long an access token lives (API.md section 1: 900 seconds).
    pub token_lifetime_secs: u64,
    /// How long a refresh token lives (API.md 1.4: six months).
    pub refresh_token_lifetime_secs: u64,
    /// A refresh token that was exchanged for a new one ends at the latest when the access token of that exchange is used.
    pub rotated_refresh_token_ends_with_use: bool,
    /// Whether the app has PKCE switched on: consents without a challenge are refused (API.md 1.4).
    pub requires_pkce: bool,
    /// How long a refresh token still works after it was exchanged for a new one.
    pub rotated_refresh_token_secs: u64,
    /// The largest page of ads, creatives and coupons, whatever `limit` asks for.
    pub page_limit: usize,
    /// The service that the app was created for; an app of another one than [`MARKETING_SOLUTIONS`] gets tokens, but sees no
    /// advertiser and has none of the permissions, which are of that service by name (an assumption: Criteo documents no case).
    pub service: String,
    /// The permissions of the app; [`ANALYTICS_READ`], [`CAMPAIGN_READ`] and [`CREATIVE_READ`] by default.
    pub scopes: BTreeSet<String>,
    /// Advertisers that exist but never consented: not in `advertisers/me`, refused with 403 elsewhere.
    pub unconsented_advertisers: BTreeSet<String>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// Whether responses carry `x-ratelimit-…` headers.
    pub quota_headers: bool,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            client_id: "sandbox-client".to_owned(),
            client_secret: "s3cret+with/slash 100%=odd&end".to_owned(),
            today: Utc::now().date_naive(),
            seed: 20_260_701,
            advertisers: 3,
            campaigns_per_advertiser: 3,
            ad_sets_per_campaign: 3,
            ads_per_ad_set: 3,
            statistics_cap: 100_000,
            placements_cap: 20_000,
            transactions_cap: 100_000,
            report_calls_per_minute: 40,
            default_calls_per_minute: 250,
            consented_calls_per_minute: 10,
            token_lifetime_secs: 900,
            refresh_token_lifetime_secs: 182 * 24 * 3600,
            rotated_refresh_token_ends_with_use: false,
            requires_pkce: false,
            rotated_refresh_token_secs: 0,
            page_limit: 50,
            service: MARKETING_SOLUTIONS.to_owned(),
            scopes: [ANALYTICS_READ, CAMPAIGN_READ, CREATIVE_READ].map(str::to_owned).into(),
            unconsented_advertisers: BTreeSet::new(),
            faults: Vec::new(),
            quota_headers: true,
        }
    }
}

impl SandboxOptions {
    /// Whether the app is for the data that the sandbox has.
    pub(super) fn is_marketing(&self) -> bool {
        self.service == MARKETING_SOLUTIONS
    }
}
