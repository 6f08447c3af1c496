//! The simulated account: which advertisers, campaigns, ad sets, ads, creatives and coupons exist.
//!
//! Built once from the options and never changed; what a day brought is in `facts`. A few entities are deliberately
//! awkward: two campaigns of one name, an archived ad set, one that reports show but the search does not list, ads that
//! are not listed, ids beyond 2^53, and an advertiser that never delivers.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::dice::{Dice, mix, seed_of};
use super::names;
use super::options::SandboxOptions;

/// The account.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) advertisers: Vec<Advertiser>,
    pub(super) campaigns: Vec<Campaign>,
    pub(super) ad_sets: Vec<AdSet>,
    pub(super) ads: Vec<Ad>,
    pub(super) creatives: Vec<Creative>,
    pub(super) coupons: Vec<Coupon>,
}

#[derive(Debug)]
pub(super) struct Advertiser {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) delivers: bool,
    /// Whether it reports sales in shops.
    pub(super) has_shops: bool,
    pub(super) consented: bool,
}

#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) advertiser: usize,
    pub(super) goal: &'static str,
}

/// Where an ad set is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Live,
    Paused,
    Archived,
}

#[derive(Debug)]
pub(super) struct AdSet {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) campaign: usize,
    pub(super) advertiser: usize,
    pub(super) stage: Stage,
    /// Whether searches list it; reports always do.
    pub(super) listed: bool,
    pub(super) kind: Kind,
    pub(super) attribution: (&'static str, &'static str),
    /// Whether the advertiser's own attribution counts its sales by half.
    pub(super) shares_credit: bool,
    pub(super) first_day: NaiveDate,
    pub(super) last_day: Option<NaiveDate>,
}

/// What an ad set buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Web,
    App,
    Video,
    Social,
}

#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "an ad set is not the set of an ad")]
pub(super) struct Ad {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ad_set: usize,
    pub(super) creative: usize,
    pub(super) coupon: Option<usize>,
    /// Whether `…/ads` lists it: only some kinds of ads are (API.md 5.6).
    pub(super) listed: bool,
    /// Displays on an ordinary day.
    pub(super) weight: u64,
    /// What its daily numbers are derived from.
    pub(super) seed: u64,
}

#[derive(Debug)]
pub(super) struct Creative {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) advertiser: usize,
    /// 0 dynamic, 1 image, 2 HTML tag, 3 adaptive.
    pub(super) kind: usize,
    pub(super) draft: bool,
}

#[derive(Debug)]
pub(super) struct Coupon {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) ad_set: usize,
}

/// What campaigns are for (API.md 5.3).
pub(super) const GOALS: [&str; 3] = ["retention", "acquisition", "unspecified"];

/// The first number that a double cannot hold.
const BEYOND_DOUBLE: u64 = 9_007_199_254_740_993;

fn id(base: u64, position: usize, seed: u64) -> String {
    let position = position as u64;
    (base + position * 17 + mix(&[seed, base, position]) % 17).to_string()
}

fn large_id(family: u64, position: usize) -> String {
    (BEYOND_DOUBLE + family * 1_000_000_000 + 2 * position as u64).to_string()
}

fn named(names: &[&str], position: usize) -> String {
    let name = names[position % names.len()];
    if position < names.len() { name.to_owned() } else { format!("{name} #{position}") }
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date written in this file is valid")
}

impl World {
    pub(super) fn new(options: &SandboxOptions) -> Self {
        let mut world = Self {
            seed: options.seed,
            advertisers: Vec::new(),
            campaigns: Vec::new(),
            ad_sets: Vec::new(),
            ads: Vec::new(),
            creatives: Vec::new(),
            coupons: Vec::new(),
        };
        for position in 0..options.advertisers {
            world.add_advertiser(position, options);
        }
        world
    }

    fn add_advertiser(&mut self, position: usize, options: &SandboxOptions) {
        let id = id(10_000, position, self.seed);
        let consented = !options.unconsented_advertisers.contains(&id);
        self.advertisers.push(Advertiser {
            id,
            name: named(&names::ADVERTISERS, position),
            delivers: position < 2 || position + 1 < options.advertisers,
            has_shops: position.is_multiple_of(2),
            consented,
        });
        for campaign in 0..options.campaigns_per_advertiser {
            self.add_campaign(position, campaign, options);
        }
        for draft in 0..2 {
            self.add_creative(position, draft, true);
        }
    }

    fn add_campaign(&mut self, advertiser: usize, place: usize, options: &SandboxOptions) {
        let position = self.campaigns.len();
        // The second and the third campaign of an advertiser have one name: a key made of names would merge them.
        let spoken = if place == 2 && advertiser == 1 { 1 } else { place };
        self.campaigns.push(Campaign {
            id: if position == 1 { large_id(1, position) } else { id(400_000, position, self.seed) },
            name: named(&names::CAMPAIGNS, spoken),
            advertiser,
            goal: GOALS[place % GOALS.len()],
        });
        for ad_set in 0..options.ad_sets_per_campaign {
            self.add_ad_set(position, ad_set, options);
        }
    }

    fn add_ad_set(&mut self, campaign: usize, place: usize, options: &SandboxOptions) {
        let position = self.ad_sets.len();
        let mut dice = Dice::new(&[self.seed, seed_of("ad set"), position as u64]);
        let stage = match (campaign % 3, place) {
            (1, 1) => Stage::Archived,
            (2, 2) => Stage::Paused,
            _ => Stage::Live,
        };
        let kinds = [Kind::Web, Kind::Web, Kind::Video, Kind::App, Kind::Social];
        let attribution =
            [("criteoAttribution", "30D"), ("lastClick", "7D"), ("postClick", "24H"), ("googleAnalytics", "30D")];
        self.ad_sets.push(AdSet {
            id: if position == 2 { large_id(2, position) } else { id(700_000, position, self.seed) },
            name: if position == 3 { long_name() } else { named(&names::AD_SETS, place + campaign % 3) },
            campaign,
            advertiser: self.campaigns[campaign].advertiser,
            stage,
            listed: !(campaign == 0 && place == 1),
            kind: kinds[position % kinds.len()],
            attribution: dice.pick(&attribution),
            shares_credit: position % 4 == 1,
            first_day: if position % 7 == 5 { date(2026, 3, 16) } else { date(2023, 1, 1) },
            last_day: (stage == Stage::Archived).then(|| date(2026, 9, 30)),
        });
        if position.is_multiple_of(2) {
            self.coupons.push(Coupon {
                id: id(30_000, self.coupons.len(), self.seed),
                name: named(&names::COUPONS, self.coupons.len()),
                ad_set: position,
            });
        }
        for ad in 0..options.ads_per_ad_set {
            self.add_ad(position, ad);
        }
    }

    fn add_ad(&mut self, ad_set: usize, place: usize) {
        let position = self.ads.len();
        let mut dice = Dice::new(&[self.seed, seed_of("ad"), position as u64]);
        let advertiser = self.ad_sets[ad_set].advertiser;
        let creative = self.add_creative(advertiser, place, false);
        let coupon = self.coupons.last().filter(|coupon| coupon.ad_set == ad_set && place == 0);
        self.ads.push(Ad {
            id: if position % 10 == 3 { large_id(3, position) } else { id(2_000_000, position, self.seed) },
            name: named(&names::ADS, place),
            ad_set,
            creative,
            coupon: coupon.map(|_| self.coupons.len() - 1),
            listed: position % 9 != 4,
            weight: dice.between(900, 9_000),
            seed: mix(&[self.seed, seed_of("day"), position as u64]),
        });
    }

    fn add_creative(&mut self, advertiser: usize, place: usize, draft: bool) -> usize {
        let position = self.creatives.len();
        let label = if draft { "Draft" } else { "Creative" };
        self.creatives.push(Creative {
            id: id(5_000_000, position, self.seed),
            name: format!("{label} {} — {}", position + 1, named(&names::ADS, place)),
            advertiser,
            kind: position % 4,
            draft,
        });
        position
    }

    /// The advertiser with this id, in any state of consent.
    pub(super) fn advertiser(&self, id: &str) -> Option<usize> {
        self.advertisers.iter().position(|advertiser| advertiser.id == id)
    }

    /// Those of `ids` that exist here.
    pub(super) fn known(&self, ids: &[&str]) -> BTreeSet<usize> {
        ids.iter().filter_map(|id| self.advertiser(id)).collect()
    }

    /// Whether the advertiser had no delivery at all on this day.
    pub(super) fn silent(&self, advertiser: usize, day: u64) -> bool {
        !self.advertisers[advertiser].delivers
            || mix(&[self.seed, seed_of("silence"), advertiser as u64, day]).is_multiple_of(41)
    }
}

/// A name of four thousand characters.
fn long_name() -> String {
    "Winter 2026 – accessories and gifts / ".chars().cycle().take(4_000).collect()
}
