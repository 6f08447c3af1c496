//! What happened: traffic and sales of one ad on one UTC day, and how they split into hours, devices and placements.
//!
//! Nothing is stored. A day's counters come from the ad's seed and the day; a finer view cuts each counter along a line
//! of cumulative shares, so the parts always add up to the whole, in whole numbers. Sales are single events with their
//! own hour, device, category and placement; they become visible when the sale (not the click) has happened, which is
//! what makes a day grow for thirty days. Traffic settles within five (API.md section 6).

use chrono::{Datelike, NaiveDate};

use super::dice::{Dice, mix};
use super::names;
use super::world::{Ad, Kind, Stage, World};

/// A counter of a day that is cut into parts. Money is in hundred-thousandths of a euro.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Traffic {
    Displays,
    Clicks,
    Cost,
    Viewable,
    NonViewable,
    Untrackable,
    InvalidDisplays,
    InvalidClicks,
    PotentialDisplays,
    VideoStarted,
    VideoFirstQuartile,
    VideoMidpoint,
    VideoThirdQuartile,
    VideoCompleted,
    VideoAudible,
    Installs,
    ViewVisits,
}

/// How many counters there are.
const COUNTERS: usize = Traffic::ViewVisits as usize + 1;

/// A day's counters as visible today.
#[derive(Debug, Clone, Copy)]
pub(super) struct DayTraffic([u64; COUNTERS]);

impl DayTraffic {
    pub(super) fn whole(&self, counter: Traffic) -> u64 {
        self.0[counter as usize]
    }
}

/// Days since 1970, for seeds.
pub(super) fn day_number(day: NaiveDate) -> u64 {
    u64::try_from(day.to_epoch_days()).unwrap_or(0)
}

const SETTLING_PERMILLE: [u64; 5] = [905, 962, 985, 995, 999];

fn settled_permille(day: NaiveDate, today: NaiveDate) -> u64 {
    let age = (today - day).num_days();
    usize::try_from(age).ok().and_then(|age| SETTLING_PERMILLE.get(age)).copied().unwrap_or(1_000)
}

/// Weekdays, then the year's peaks and dips, in permille.
fn season_permille(day: NaiveDate) -> u64 {
    let weekday = [975, 955, 965, 1_000, 1_085, 1_120, 1_060];
    let of_week = weekday[usize::try_from(day.weekday().num_days_from_monday()).unwrap_or(0)];
    let of_year = match (day.month(), day.day()) {
        (11, 23..=30) => 1_900,
        (11, 11) | (12, 1..=22) => 1_450,
        (12, 24..=26) => 620,
        (1, 7..=28) => 1_220,
        (8, _) => 840,
        (6, 20..=30) => 1_150,
        _ => 1_000,
    };
    of_week * of_year / 1_000
}

/// The traffic of an ad on a UTC day; `None` where it did not run or the day has no data.
pub(super) fn traffic(world: &World, ad: &Ad, day: NaiveDate, today: NaiveDate) -> Option<DayTraffic> {
    let number = day_number(day);
    if day > today || !runs(world, ad, day) {
        return None;
    }
    let mut dice = Dice::new(&[ad.seed, number]);
    if dice.one_in(17) {
        return None;
    }
    let ad_set = &world.ad_sets[ad.ad_set];
    let displays = ad.weight * season_permille(day) / 1_000 * dice.between(800, 1_200) / 1_000;
    let clicks = displays * dice.between(30, 95) / 10_000;
    let video = if ad_set.kind == Kind::Video { displays } else { 0 };
    let installs = if ad_set.kind == Kind::App { clicks * dice.between(20, 60) / 1_000 } else { 0 };
    let mut counters = [0; COUNTERS];
    for (counter, value) in [
        (Traffic::Displays, displays),
        (Traffic::Clicks, clicks),
        (Traffic::Cost, clicks * dice.between(18_000, 62_000) + displays * dice.between(0, 90)),
        (Traffic::Viewable, displays * 66 / 100),
        (Traffic::NonViewable, displays * 24 / 100),
        (Traffic::Untrackable, displays - displays * 66 / 100 - displays * 24 / 100),
        (Traffic::InvalidDisplays, displays * dice.between(1, 12) / 1_000),
        (Traffic::InvalidClicks, clicks * dice.between(1, 30) / 1_000),
        (Traffic::PotentialDisplays, displays * dice.between(4, 19)),
        (Traffic::VideoStarted, video * 97 / 100),
        (Traffic::VideoFirstQuartile, video * 81 / 100),
        (Traffic::VideoMidpoint, video * 66 / 100),
        (Traffic::VideoThirdQuartile, video * 55 / 100),
        (Traffic::VideoCompleted, video * 48 / 100),
        (Traffic::VideoAudible, video * 21 / 100),
        (Traffic::Installs, installs),
        (Traffic::ViewVisits, displays * dice.between(1, 6) / 1_000),
    ] {
        counters[counter as usize] = value * settled_permille(day, today) / 1_000;
    }
    Some(DayTraffic(counters))
}

fn runs(world: &World, ad: &Ad, day: NaiveDate) -> bool {
    let ad_set = &world.ad_sets[ad.ad_set];
    let paused = ad_set.stage == Stage::Paused && day.month().is_multiple_of(3);
    day >= ad_set.first_day
        && ad_set.last_day.is_none_or(|last| day <= last)
        && !paused
        && !world.silent(ad_set.advertiser, day_number(day))
}

/// The line on which counters are cut has this many points.
pub(super) const LINE_BITS: u32 = 30;

/// A piece of the line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    start: u64,
    end: u64,
}

impl Slice {
    /// The part of `total` that falls on this slice; slices side by side add up.
    pub(super) fn of(self, total: u64, phase: u64) -> u64 {
        let until = |point: u64| (u128::from(total) * u128::from(point) + u128::from(phase)) >> LINE_BITS;
        u64::try_from(until(self.end) - until(self.start)).expect("a part is no larger than its whole")
    }
}

/// Where on the line an ad's counter of a day begins to be counted, so that small numbers do not always fall on the
/// same hour.
pub(super) fn phase(ad: &Ad, day: NaiveDate, counter: Traffic) -> u64 {
    mix(&[ad.seed, day_number(day), 0x70 + counter as u64]) >> (64 - LINE_BITS)
}

/// What a day is cut by below the hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    Devices,
    Places,
}

/// How finely a query needs a day to be cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grain {
    pub(super) hours: bool,
    pub(super) second: Option<Second>,
    pub(super) categories: bool,
}

/// One piece of a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) hour: usize,
    /// A device or a placement (before rotation).
    pub(super) second: usize,
    pub(super) category: usize,
    pub(super) slice: Slice,
}

/// Cuts the first `hours` hours of a day as finely as asked; what is not requested stays whole, with index 0.
pub(super) fn cut(grain: Grain, hours: usize) -> Vec<Cell> {
    let fine = grain.second.is_some() || grain.categories;
    let places = names::PLACES.map(|place| place.share);
    let second: &[u64] = match grain.second {
        _ if !fine => &[1_024],
        Some(Second::Places) => &places,
        Some(Second::Devices) | None => &names::DEVICE_SHARES,
    };
    let categories: &[u64] = if grain.categories { &names::CATEGORY_SHARES } else { &[256] };
    let whole_day = [names::HOUR_SHARES[..hours].iter().sum::<u64>()];
    let of_hours: &[u64] = if fine || grain.hours { &names::HOUR_SHARES[..hours] } else { &whole_day };
    let mut cells = Vec::with_capacity(of_hours.len() * second.len() * categories.len());
    let mut start = 0;
    for (hour, of_hour) in of_hours.iter().enumerate() {
        for (second, of_second) in second.iter().enumerate() {
            for (category, of_category) in categories.iter().enumerate() {
                let end = start + of_hour * of_second * of_category * (1 << (LINE_BITS - 12 - 10 - 8));
                cells.push(Cell { hour, second, category, slice: Slice { start, end } });
                start = end;
            }
        }
    }
    cells
}

/// What led to a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    Click,
    Display,
}

/// A sale, credited to an ad on the day of its click or display.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one event")]
pub(super) struct Sale {
    pub(super) touch: Touch,
    /// Epoch seconds of the click or display.
    pub(super) touched_at: i64,
    /// Epoch seconds of the sale.
    pub(super) sold_at: i64,
    pub(super) hour: usize,
    pub(super) device: usize,
    pub(super) place: usize,
    pub(super) category: usize,
    pub(super) cross_device: bool,
    pub(super) in_shop: bool,
    pub(super) after_install: bool,
    pub(super) last_click: bool,
    /// Whether a display was recorded for the same sale as well.
    pub(super) also_displayed: bool,
    /// Hundred-thousandths of a euro, an even number.
    pub(super) amount: i64,
    pub(super) order: u64,
}

const DAY_SECONDS: u64 = 86_400;

/// The sales that this day's clicks and displays of an ad lead to, whenever they happen (within 29 days).
pub(super) fn sales(world: &World, ad: &Ad, day: NaiveDate) -> Vec<Sale> {
    let far = day + chrono::TimeDelta::days(60);
    let Some(traffic) = traffic(world, ad, day, far) else { return Vec::new() };
    let mut dice = Dice::new(&[ad.seed, day_number(day), 0x5A1E]);
    let after_clicks = (traffic.whole(Traffic::Clicks) * dice.between(8, 34) + dice.below(1_000)) / 1_000;
    let after_displays = (traffic.whole(Traffic::Displays) * dice.between(0, 3) + dice.below(20_000)) / 20_000;
    let clicked = (0..after_clicks.min(400)).map(|_| Touch::Click);
    let displayed = (0..after_displays.min(400)).map(|_| Touch::Display);
    let touches: Vec<Touch> = clicked.chain(displayed).collect();
    touches.into_iter().map(|touch| sale(world, ad, day, touch, &mut dice)).collect()
}

fn sale(world: &World, ad: &Ad, day: NaiveDate, touch: Touch, dice: &mut Dice) -> Sale {
    let ad_set = &world.ad_sets[ad.ad_set];
    let hour = among(&names::HOUR_SHARES, dice.below(4_096));
    let touched_at = day_number(day) * DAY_SECONDS + hour as u64 * 3_600 + dice.below(3_600);
    let sold_at = touched_at + lag_seconds(touch, dice);
    let amount = 2 * (dice.between(750, 6_000) * 1_000 + if dice.one_in(9) { 15_000_000 } else { 0 });
    let odd_cents = if dice.one_in(12) { 2 * dice.below(500) } else { 0 };
    Sale {
        touch,
        touched_at: i64::try_from(touched_at).expect("an instant of this era"),
        sold_at: i64::try_from(sold_at).expect("an instant of this era"),
        hour,
        device: among(&names::DEVICE_SHARES, dice.below(1_024)),
        place: among(&names::PLACES.map(|place| place.share), dice.below(1_024)),
        category: among(&names::CATEGORY_SHARES, dice.below(256)),
        cross_device: dice.one_in(5),
        in_shop: world.advertisers[ad_set.advertiser].has_shops && dice.one_in(8),
        after_install: ad_set.kind == Kind::App && dice.one_in(2),
        last_click: !dice.one_in(3),
        also_displayed: touch == Touch::Click && dice.one_in(6),
        amount: i64::try_from(amount + odd_cents).expect("an amount of some hundred euros"),
        order: dice.below(10_000_000_000),
    }
}

/// Displays lead to sales within a day, clicks within 29.
fn lag_seconds(touch: Touch, dice: &mut Dice) -> u64 {
    match (touch, dice.below(100)) {
        (Touch::Click, 0..=9) => dice.below(30 * 60),
        (Touch::Click, 10..=54) | (Touch::Display, _) => dice.below(DAY_SECONDS),
        (Touch::Click, 55..=79) => dice.between(DAY_SECONDS, 7 * DAY_SECONDS - 1),
        (Touch::Click, _) => dice.between(7 * DAY_SECONDS, 29 * DAY_SECONDS),
    }
}

/// The index whose share covers `point`.
fn among(shares: &[u64], point: u64) -> usize {
    let mut until = 0;
    shares
        .iter()
        .position(|share| {
            until += share;
            point < until
        })
        .expect("a point below the sum of the shares")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::options::SandboxOptions;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a date")
    }

    #[test]
    fn parts_of_a_counter_add_up_to_the_whole() {
        for (second, categories) in [(None, true), (Some(Second::Devices), true), (Some(Second::Places), false)] {
            let cells = cut(Grain { hours: true, second, categories }, 24);
            for total in [0, 1, 3, 977, 123_456_789_012] {
                assert_eq!(cells.iter().map(|cell| cell.slice.of(total, 12_345_678)).sum::<u64>(), total);
            }
        }
    }

    #[test]
    fn an_hour_is_the_same_however_finely_it_is_cut() {
        let hours = cut(Grain { hours: true, second: None, categories: false }, 24);
        let fine = cut(Grain { hours: true, second: Some(Second::Devices), categories: true }, 24);
        let nine = |cells: &[Cell]| {
            cells.iter().filter(|cell| cell.hour == 9).map(|cell| cell.slice.of(10_007, 99)).sum::<u64>()
        };
        assert_eq!(nine(&hours), nine(&fine));
    }

    #[test]
    fn traffic_is_final_after_five_days_and_sales_after_thirty() {
        let world = World::new(&SandboxOptions::default());
        let then = day("2026-09-01");
        let seen = |today: &str| traffic(&world, &world.ads[0], then, day(today)).map(|day| day.0);
        assert_eq!(seen("2026-09-06"), seen("2027-09-06"));
        assert_ne!(seen("2026-09-02"), seen("2026-09-06"));
        let thirty_days_on = i64::try_from((day_number(then) + 30) * DAY_SECONDS).expect("fits");
        assert!(world.ads.iter().flat_map(|ad| sales(&world, ad, then)).all(|sale| sale.sold_at < thirty_days_on));
    }

    #[test]
    fn black_friday_is_busier_than_an_august_monday() {
        assert!(season_permille(day("2026-11-27")) > 2 * season_permille(day("2026-08-03")));
    }
}
