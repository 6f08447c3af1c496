//! Sums base facts by what a report requested.
//!
//! Statistics and placements are the same question with different breakdowns. Days are cut in the report's time zone
//! (API.md 3.5): outside UTC every UTC hour goes to the local hour it begins in.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike};
use chrono_tz::Tz;

use super::dice::mix;
use super::facts::{self, Cell, DayTraffic, Grain, Sale, Second};
use super::metrics::{Base, Formula, Metric, People, Unit};
use super::names;
use super::wire::Value;
use super::world::{self, Ad, World};

/// Something that rows are told apart by. Where Criteo has an id and a name, both are one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Advertiser,
    Campaign,
    AdSet,
    Ad,
    Coupon,
    Category,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Os,
    Device,
    MarketingObjective,
    Channel,
    Goal,
    AdChannel,
    SocialPlatform,
    Place,
    Environment,
}

/// A question to the facts.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) advertisers: BTreeSet<usize>,
    /// `None` for all.
    pub(super) ad_sets: Option<BTreeSet<usize>>,
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    pub(super) axes: Vec<Axis>,
    pub(super) metrics: Vec<Metric>,
    /// Thousandths of the currency for one euro.
    pub(super) rate: i64,
    pub(super) zone: Tz,
    /// `None` for statistics, which know no placements.
    pub(super) places: Option<Places>,
}

/// Which placements a report covers.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) disclosed: bool,
    pub(super) environment: Option<String>,
    pub(super) name: Option<String>,
}

/// One row: the codes of its axes and the sums of the bases.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) key: Vec<u32>,
    pub(super) sums: Vec<i64>,
}

/// The rows of an answer, with what is needed to read their sums.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    bases: Vec<Base>,
}

/// What distinguishes a fact besides its ad: a local hour since 1970 and what it was cut by.
#[derive(Debug, Clone, Copy)]
struct Spot {
    local_hour: u32,
    second: usize,
    category: usize,
}

struct Sums<'a> {
    query: &'a Query,
    world: &'a World,
    bases: Vec<Base>,
    places: HashMap<Vec<u32>, usize>,
    rows: Vec<Row>,
}

/// Answers the query as of noon of `today`, in an order that is stable but follows no column.
pub(super) fn run(world: &World, today: NaiveDate, query: &Query) -> Answer {
    let mut bases: Vec<Base> = Vec::new();
    let wanted = ["Displays", "Clicks", "AdvertiserCost"].into_iter().filter_map(super::metrics::of_statistics);
    for base in wanted.chain(query.metrics.iter().copied()).flat_map(|metric| metric.formula.bases()) {
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    let mut sums = Sums { query, world, bases, places: HashMap::new(), rows: Vec::new() };
    let margin = TimeDelta::days(i64::from(query.zone != Tz::UTC));
    let last = (query.to + margin).min(today);
    for day in (query.from - margin).iter_days().take_while(|day| *day <= last) {
        sums.add_day(day, today);
    }
    let Sums { bases, mut rows, .. } = sums;
    rows.sort_by_cached_key(|row| mix(&row.key.iter().map(|code| u64::from(*code)).collect::<Vec<_>>()));
    Answer { rows, bases }
}

impl Sums<'_> {
    fn grain(&self) -> Grain {
        let asks = |axis| self.query.axes.contains(&axis);
        let devices = asks(Axis::Device) || asks(Axis::Os);
        Grain {
            hours: asks(Axis::Hour) || self.query.zone != Tz::UTC,
            second: if self.query.places.is_some() { Some(Second::Places) } else { devices.then_some(Second::Devices) },
            categories: asks(Axis::Category),
        }
    }

    fn add_day(&mut self, day: NaiveDate, today: NaiveDate) {
        // It is noon; and placements of a day come after midnight (API.md section 6).
        let hours = match (day == today, self.query.places.is_some()) {
            (true, true) => return,
            (true, false) => 12,
            (false, _) => 24,
        };
        let grain = self.grain();
        let cells = facts::cut(grain, hours);
        let local: Vec<Option<u32>> = (0..24).map(|hour| self.local_hour(day, hour)).collect();
        if local.iter().all(Option::is_none) {
            return;
        }
        let world = self.world;
        let wants_sales = self.bases.iter().any(|base| !matches!(base, Base::Traffic(_)));
        for (position, ad) in world.ads.iter().enumerate() {
            if !self.covers(ad) {
                continue;
            }
            let Some(traffic) = facts::traffic(world, ad, day, today) else { continue };
            self.add_traffic(position, day, &traffic, &cells, &local);
            if wants_sales {
                let noon = noon_of(today);
                for sale in facts::sales(world, ad, day).iter().filter(|sale| sale.sold_at <= noon && sale.hour < hours)
                {
                    self.add_sale(position, sale, &local);
                }
            }
        }
    }

    fn covers(&self, ad: &Ad) -> bool {
        let advertiser = self.world.ad_sets[ad.ad_set].advertiser;
        self.query.advertisers.contains(&advertiser)
            && self.query.ad_sets.as_ref().is_none_or(|ad_sets| ad_sets.contains(&ad.ad_set))
    }

    /// The local hour since 1970 that the UTC hour begins in, if its day is requested.
    fn local_hour(&self, day: NaiveDate, hour: u32) -> Option<u32> {
        let utc = day.and_hms_opt(hour, 0, 0)?.and_utc();
        let local = utc.with_timezone(&self.query.zone).naive_local();
        let asked = (self.query.from..=self.query.to).contains(&local.date());
        let days = u32::try_from(local.date().to_epoch_days()).ok()?;
        asked.then_some(days * 24 + local.hour())
    }

    fn add_traffic(
        &mut self,
        ad_position: usize,
        day: NaiveDate,
        traffic: &DayTraffic,
        cells: &[Cell],
        local: &[Option<u32>],
    ) {
        let ad = &self.world.ads[ad_position];
        let phases: Vec<Option<(u64, u64)>> = self
            .bases
            .iter()
            .map(|base| match base {
                Base::Traffic(counter) => Some((traffic.whole(*counter), facts::phase(ad, day, *counter))),
                _ => None,
            })
            .collect();
        let part = |cell: &Cell, whole: Option<(u64, u64)>| {
            let part = whole.map_or(0, |(total, phase)| cell.slice.of(total, phase));
            i64::try_from(part).expect("a day's counter is far below 2^63")
        };
        for cell in cells {
            let Some(local_hour) = local[cell.hour] else { continue };
            let parts: Vec<i64> = phases.iter().map(|whole| part(cell, *whole)).collect();
            self.add(ad_position, Spot { local_hour, second: cell.second, category: cell.category }, &parts);
        }
    }

    fn add_sale(&mut self, ad_position: usize, sale: &Sale, local: &[Option<u32>]) {
        let Some(local_hour) = local[sale.hour] else { return };
        let ad_set = &self.world.ad_sets[self.world.ads[ad_position].ad_set];
        let parts: Vec<i64> = self
            .bases
            .iter()
            .map(|base| match base {
                Base::Traffic(_) => 0,
                Base::Sales(credit) => credit.permille(sale, ad_set),
                Base::Revenue(credit) => {
                    sale.amount / 1_000 * credit.permille(sale, ad_set)
                        + sale.amount % 1_000 * credit.permille(sale, ad_set) / 1_000
                }
            })
            .collect();
        let second = if self.query.places.is_some() { sale.place } else { sale.device };
        self.add(ad_position, Spot { local_hour, second, category: sale.category }, &parts);
    }

    /// Adds to the row of the spot, which exists as soon as one of the sums is not zero.
    fn add(&mut self, ad: usize, spot: Spot, parts: &[i64]) {
        if parts.iter().all(|part| *part == 0) {
            return;
        }
        let place = (spot.second + self.world.ads[ad].ad_set * 5) % names::PLACES.len();
        if self.query.places.as_ref().is_some_and(|places| !places.cover(place)) {
            return;
        }
        let key: Vec<u32> = self.query.axes.iter().map(|axis| axis.code(self.world, ad, spot, place)).collect();
        let next = self.rows.len();
        let row = *self.places.entry(key).or_insert_with_key(|key| {
            self.rows.push(Row { key: key.clone(), sums: vec![0; parts.len()] });
            next
        });
        for (sum, part) in self.rows[row].sums.iter_mut().zip(parts) {
            *sum += part;
        }
    }
}

impl Places {
    fn cover(&self, place: usize) -> bool {
        let place = names::PLACES[place];
        place.disclosed == self.disclosed
            && self.environment.as_ref().is_none_or(|environment| place.environment == environment)
            && self.name.as_ref().is_none_or(|name| place.name == name)
    }
}

/// Noon of a day, in epoch seconds.
pub(super) fn noon_of(day: NaiveDate) -> i64 {
    i64::from(day.to_epoch_days()) * 86_400 + 43_200
}

/// What follows from the kind of ad set, in the order of [`super::world::Kind`]; values are not documented by Criteo.
const OBJECTIVES: [(&str, &str); 4] =
    [("1", "Conversions"), ("2", "App installs"), ("3", "Awareness"), ("1", "Conversions")];
const CHANNELS: [(&str, &str); 4] = [("1", "Web"), ("2", "App"), ("3", "Video"), ("4", "Social")];
const AD_CHANNELS: [(&str, &str); 4] = [("", "Open web"), ("", "Open web"), ("", "Online video"), ("", "Social")];
const SOCIAL_PLATFORMS: [(&str, &str); 4] = [("", "Unknown"), ("", "Unknown"), ("", "Unknown"), ("", "Facebook")];

/// The first index with the same text: one code for all that look alike on the wire.
fn first_like<T: Copy, K: PartialEq>(all: &[T], index: usize, key: impl Fn(T) -> K) -> usize {
    all.iter().position(|other| key(*other) == key(all[index])).unwrap_or(index)
}

impl Axis {
    fn code(self, world: &World, ad: usize, spot: Spot, place: usize) -> u32 {
        let entity = &world.ads[ad];
        let ad_set = &world.ad_sets[entity.ad_set];
        let kind = ad_set.kind as usize;
        let code = match self {
            Axis::Hour => return spot.local_hour,
            Axis::Day => return spot.local_hour / 24,
            Axis::Week | Axis::Month | Axis::Year => return self.first_day(spot.local_hour / 24),
            Axis::Advertiser => ad_set.advertiser,
            Axis::Campaign => ad_set.campaign,
            Axis::Goal => {
                let goal = world.campaigns[ad_set.campaign].goal;
                world::GOALS.iter().position(|other| *other == goal).unwrap_or(0)
            }
            Axis::AdSet => entity.ad_set,
            Axis::MarketingObjective => first_like(&OBJECTIVES, kind, |objective| objective),
            Axis::Channel => kind,
            Axis::AdChannel => first_like(&AD_CHANNELS, kind, |channel| channel),
            Axis::SocialPlatform => first_like(&SOCIAL_PLATFORMS, kind, |platform| platform),
            Axis::Ad => ad,
            Axis::Coupon => entity.coupon.map_or(0, |coupon| coupon + 1),
            Axis::Category => ad_set.advertiser * 8 + spot.category,
            Axis::Device => first_like(&names::DEVICES, spot.second, |device| device.0),
            Axis::Os => first_like(&names::DEVICES, spot.second, |device| device.1),
            Axis::Place => first_like(&names::PLACES, place, |place| place.name),
            Axis::Environment => first_like(&names::PLACES, place, |place| place.environment),
        };
        u32::try_from(code).expect("a simulated account has fewer than 2^32 entities")
    }

    /// The first day of the period, as days since 1970; weeks begin on Monday (not documented by Criteo).
    fn first_day(self, days: u32) -> u32 {
        let date = NaiveDate::default() + TimeDelta::days(i64::from(days));
        let back = match self {
            Axis::Week => date.weekday().num_days_from_monday(),
            Axis::Month => date.day0(),
            _ => date.ordinal0(),
        };
        days - back
    }

    /// The id (where there is one) and the name that a code stands for.
    pub(super) fn texts(self, world: &World, code: u32) -> (String, String) {
        let at = usize::try_from(code).unwrap_or(0);
        let named = |name: &str| (String::new(), name.to_owned());
        let both = |(id, name): (&str, &str)| (id.to_owned(), name.to_owned());
        match self {
            Axis::Advertiser => (world.advertisers[at].id.clone(), world.advertisers[at].name.clone()),
            Axis::Campaign => (world.campaigns[at].id.clone(), world.campaigns[at].name.clone()),
            Axis::AdSet => (world.ad_sets[at].id.clone(), world.ad_sets[at].name.clone()),
            Axis::Ad => (world.ads[at].id.clone(), world.ads[at].name.clone()),
            Axis::Coupon => match at.checked_sub(1).map(|coupon| &world.coupons[coupon]) {
                Some(coupon) => (coupon.id.clone(), coupon.name.clone()),
                None => ("0".to_owned(), "Unknown".to_owned()),
            },
            Axis::Category => {
                let (number, name) = names::CATEGORIES[at % 8];
                ((number + 100 * (at as u64 / 8 + 1)).to_string(), name.to_owned())
            }
            Axis::Hour => named(&super::wire::hour(code)),
            Axis::Day | Axis::Week | Axis::Month | Axis::Year => named(&super::wire::date(code)),
            Axis::Os => named(names::DEVICES[at].1),
            Axis::Device => named(names::DEVICES[at].0),
            Axis::Goal => named(world::GOALS[at]),
            Axis::Place => named(names::PLACES[at].name),
            Axis::Environment => named(names::PLACES[at].environment),
            Axis::MarketingObjective => both(OBJECTIVES[at]),
            Axis::Channel => both(CHANNELS[at]),
            Axis::AdChannel => both(AD_CHANNELS[at]),
            Axis::SocialPlatform => both(SOCIAL_PLATFORMS[at]),
        }
    }
}

impl Answer {
    /// The sums of all rows together.
    pub(super) fn total(&self) -> Row {
        let mut sums = vec![0; self.bases.len()];
        for row in &self.rows {
            sums.iter_mut().zip(&row.sums).for_each(|(sum, part)| *sum += part);
        }
        Row { key: Vec::new(), sums }
    }

    fn sum(&self, row: &Row, base: Base) -> i64 {
        let slot = self.bases.iter().position(|other| *other == base);
        slot.map_or(0, |slot| row.sums[slot])
    }

    /// What a metric comes to in a row.
    pub(super) fn value(&self, row: &Row, metric: &Metric, rate: i64) -> Value {
        let rate = if metric.unit == Unit::Euro { 1_000 } else { rate };
        match metric.formula {
            Formula::Label(word) => Value::Word(word),
            Formula::People(base, people) => self.people(row, base, people, rate),
            Formula::Sum(base, permille) => {
                let sum = self.sum(row, base);
                match metric.unit {
                    Unit::Money | Unit::Euro => {
                        Value::Nano(i128::from(sum) * i128::from(permille) * i128::from(rate) / 100)
                    }
                    Unit::Sales => Value::Milli(sum),
                    _ => Value::Count(sum),
                }
            }
            Formula::Quotient(part, whole, factor) => {
                let converted = if metric.unit == Unit::Money { real(rate) / 1_000.0 } else { 1.0 };
                let by = real(self.sum(row, whole)) * scale(whole);
                let quotient = real(self.sum(row, part)) * scale(part) * real(factor) * converted / by;
                Value::Quotient((by > 0.0).then_some(quotient))
            }
        }
    }

    fn people(&self, row: &Row, base: Base, people: People, rate: i64) -> Value {
        let sum = self.sum(row, base);
        let exposed = saturate(sum, 2_000_000);
        let visits = saturate(sum, 400_000);
        let cost = real(self.sum(row, Base::Traffic(facts::Traffic::Cost))) / 100_000.0 * real(rate) / 1_000.0;
        let by = |part: f64, whole: i64| Value::Quotient((whole > 0).then(|| part / real(whole)));
        match people {
            People::Exposed => Value::Count(exposed),
            People::Audience => Value::Count(exposed * 3),
            People::Potential => Value::Count(exposed * 4),
            People::Reach => by(real(exposed), exposed * 4 + 1),
            People::Frequency => by(real(sum), exposed),
            People::Visits => Value::Count(visits),
            People::QualifiedVisits => Value::Count(visits * 6 / 10),
            People::BounceRate => by(real(visits - visits * 6 / 10), visits),
            People::CostPerVisit => by(cost, visits),
            People::CostPerQualifiedVisit => by(cost, visits * 6 / 10),
        }
    }
}

/// Fewer people than events, ever more so.
fn saturate(events: i64, crowd: i64) -> i64 {
    let people = i128::from(events) * i128::from(crowd) / (i128::from(events) + i128::from(crowd)).max(1);
    i64::try_from(people).unwrap_or(i64::MAX)
}

/// What one unit of a base is in whole units.
fn scale(base: Base) -> f64 {
    match base {
        Base::Traffic(facts::Traffic::Cost) | Base::Revenue(_) => 0.000_01,
        Base::Traffic(_) => 1.0,
        Base::Sales(_) => 0.001,
    }
}

#[expect(clippy::cast_precision_loss, reason = "ratios are doubles on the wire, too")]
fn real(number: i64) -> f64 {
    number as f64
}

/// The UTC instant as the local date of the zone.
pub(super) fn local_date(epoch_seconds: i64, zone: Tz) -> NaiveDate {
    DateTime::from_timestamp(epoch_seconds, 0).expect("an instant of this era").with_timezone(&zone).date_naive()
}
