//! What each metric of the statistics and placements reports means here.
//!
//! A metric is a sum of base facts, a quotient of two sums, or a count of people. The 227 statistics metrics are read
//! from `statistics-metrics.txt` and understood by Criteo's naming rule (API.md section 11): measure, `All` for all
//! devices, attribution and window. A name that the rule cannot read is a mistake of this file and fails its test.

use std::sync::LazyLock;

use super::facts::{Sale, Touch, Traffic};
use super::world::AdSet;

/// Whether and how a sale counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Clicked within so many days.
    Clicked(i64),
    /// Seen within a day.
    Seen,
    /// Clicked within so many days, or seen within one.
    ClickedOrSeen(i64),
    LastClick,
    /// As the advertiser attributes; only clicks where `clicks_only`.
    Client {
        clicks_only: bool,
    },
    InstalledClicked,
    InstalledSeen,
    InstalledEither,
    ShopClicked,
    ShopSeen,
    /// The same online and in shops.
    Everywhere(&'static Rule),
}

/// A rule, for the same device or for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credit {
    rule: Rule,
    all_devices: bool,
}

/// Something that is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// In whole units; cost in hundred-thousandths of a euro.
    Traffic(Traffic),
    /// In thousandths of a sale.
    Sales(Credit),
    /// In hundred-thousandths of a euro.
    Revenue(Credit),
}

/// How a metric comes from base facts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Formula {
    /// A sum; money is multiplied by the permille, a multiple of 100 where it is converted.
    Sum(Base, i64),
    /// One sum by another, times a factor.
    Quotient(Base, Base, i64),
    /// People or visits, which do not add up: grows with the sum ever more slowly.
    People(Base, People),
    /// A word.
    Label(&'static str),
}

/// Figures that count people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum People {
    Exposed,
    Audience,
    Potential,
    Reach,
    Frequency,
    Visits,
    QualifiedVisits,
    BounceRate,
    /// Cost per one of them; the cost is the base of the formula's partner.
    CostPerVisit,
    CostPerQualifiedVisit,
}

/// What the number on the wire stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Sales,
    /// In the currency of the request.
    Money,
    /// In euros, whatever the request says (API.md section 11).
    Euro,
    Ratio,
    Word,
}

/// A metric that can be requested.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) formula: Formula,
    pub(super) unit: Unit,
}

const DISPLAYS: Base = Base::Traffic(Traffic::Displays);
const CLICKS: Base = Base::Traffic(Traffic::Clicks);
const COST: Base = Base::Traffic(Traffic::Cost);

static STATISTICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let names = include_str!("statistics-metrics.txt").lines();
    names.map(|name| statistics_metric(name).expect("every listed metric is understood")).collect()
});

/// The metric of the statistics report with this name, in any case (API.md 3.1).
pub(super) fn of_statistics(name: &str) -> Option<Metric> {
    STATISTICS.iter().find(|metric| metric.name.eq_ignore_ascii_case(name)).copied()
}

/// The metric of the placements report with this name, in any case; `Cos…` in percent (API.md 4.3).
pub(super) fn of_placements(name: &str) -> Option<Metric> {
    const NAMES: [&str; 15] = [
        "Clicks",
        "Displays",
        "Cost",
        "SalesPc30d",
        "RevenuePc30d",
        "CosPc30d",
        "RoasPc30d",
        "CpoPc30d",
        "CvrPc30d",
        "SalesPv1d",
        "RevenuePv1d",
        "CosPv1d",
        "RoasPv1d",
        "CpoPv1d",
        "CvrPv1d",
    ];
    let name = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    let measured = |measure: &str, rule: Rule| {
        let credit = Credit { rule, all_devices: false };
        let (sales, revenue) = (Base::Sales(credit), Base::Revenue(credit));
        let (formula, unit) = match measure {
            "Sales" => (Formula::Sum(sales, 1_000), Unit::Sales),
            "Revenue" => (Formula::Sum(revenue, 1_000), Unit::Money),
            "Cos" => (Formula::Quotient(COST, revenue, 100), Unit::Ratio),
            "Roas" => (Formula::Quotient(revenue, COST, 1), Unit::Ratio),
            "Cpo" => (Formula::Quotient(COST, sales, 1), Unit::Money),
            _ => (Formula::Quotient(sales, CLICKS, 1), Unit::Ratio),
        };
        Metric { name, formula, unit }
    };
    if let Some(measure) = name.strip_suffix("Pc30d") {
        return Some(measured(measure, Rule::Clicked(30)));
    }
    if let Some(measure) = name.strip_suffix("Pv1d") {
        return Some(measured(measure, Rule::Seen));
    }
    let base = if *name == "Cost" { "AdvertiserCost" } else { name };
    of_statistics(base).map(|metric| Metric { name, ..metric })
}

fn statistics_metric(name: &'static str) -> Option<Metric> {
    let (formula, unit) = traffic_metric(name).or_else(|| people_metric(name)).or_else(|| sale_metric(name))?;
    Some(Metric { name, formula, unit })
}

fn traffic_metric(name: &str) -> Option<(Formula, Unit)> {
    use Formula::{Quotient, Sum};
    let count = |counter| Some((Sum(Base::Traffic(counter), 1_000), Unit::Count));
    let rate = |part, whole| Some((Quotient(Base::Traffic(part), Base::Traffic(whole), 1), Unit::Ratio));
    let price = |per| Some((Quotient(COST, Base::Traffic(per), 1), Unit::Money));
    match name {
        "Displays" => count(Traffic::Displays),
        "Clicks" => count(Traffic::Clicks),
        "AdvertiserCost" => Some((Sum(COST, 1_000), Unit::Money)),
        "AllInMediaCost" => Some((Sum(COST, 1_100), Unit::Money)),
        "NetMediaCost" => Some((Sum(COST, 900), Unit::Money)),
        "RetailerMarginEuro" => Some((Sum(COST, 80), Unit::Euro)),
        "PlatformFeeEuro" => Some((Sum(COST, 35), Unit::Euro)),
        "ClickThroughRate" => rate(Traffic::Clicks, Traffic::Displays),
        "ECpc" | "Cpc" => price(Traffic::Clicks),
        "ECpm" => Some((Quotient(COST, DISPLAYS, 1_000), Unit::Money)),
        "AppInstallsPcPv" | "AppInstalls" => count(Traffic::Installs),
        "CostPerInstallPcPv" | "CostPerInstall" => price(Traffic::Installs),
        "InstallRatePcPv" | "InstallRate" => rate(Traffic::Installs, Traffic::Clicks),
        "VisitsPV1D" | "VisitsAllPv1d" => count(Traffic::ViewVisits),
        "CostPerVisitPV1D" => price(Traffic::ViewVisits),
        "PotentialDisplays" => count(Traffic::PotentialDisplays),
        "OverallCompetitionWin" => rate(Traffic::Displays, Traffic::PotentialDisplays),
        "ViewableDisplays" => count(Traffic::Viewable),
        "NonViewableDisplays" => count(Traffic::NonViewable),
        "UntrackableDisplays" => count(Traffic::Untrackable),
        "InvalidDisplays" => count(Traffic::InvalidDisplays),
        "InvalidClicks" => count(Traffic::InvalidClicks),
        "VideoStarted" => count(Traffic::VideoStarted),
        "VideoFirstQuartile" => count(Traffic::VideoFirstQuartile),
        "VideoMidpoint" => count(Traffic::VideoMidpoint),
        "VideoThirdQuartile" => count(Traffic::VideoThirdQuartile),
        "VideoCompleted" => count(Traffic::VideoCompleted),
        "VideoAvoc" => count(Traffic::VideoAudible),
        "VideoStartRate" => rate(Traffic::VideoStarted, Traffic::Displays),
        "VideoCompletionRate" => rate(Traffic::VideoCompleted, Traffic::VideoStarted),
        "VideoAverageViewRate" => rate(Traffic::VideoMidpoint, Traffic::VideoStarted),
        "VideoCpv" => price(Traffic::VideoStarted),
        "VideoCpcv" => price(Traffic::VideoCompleted),
        "ResultType" => Some((Formula::Label("Conversions"), Unit::Word)),
        _ => None,
    }
}

fn people_metric(name: &str) -> Option<(Formula, Unit)> {
    let (base, people, unit) = match name {
        "ExposedUsers" => (DISPLAYS, People::Exposed, Unit::Count),
        "Audience" => (DISPLAYS, People::Audience, Unit::Count),
        "PotentialUsers" => (DISPLAYS, People::Potential, Unit::Count),
        "Reach" => (DISPLAYS, People::Reach, Unit::Ratio),
        "Frequency" => (DISPLAYS, People::Frequency, Unit::Ratio),
        "Visits" => (CLICKS, People::Visits, Unit::Count),
        "QualifiedVisits" => (CLICKS, People::QualifiedVisits, Unit::Count),
        "BounceRate" => (CLICKS, People::BounceRate, Unit::Ratio),
        "CostPerVisit" => (CLICKS, People::CostPerVisit, Unit::Money),
        "CostPerQualifiedVisit" => (CLICKS, People::CostPerQualifiedVisit, Unit::Money),
        _ => return None,
    };
    Some((Formula::People(base, people), unit))
}

/// Measures of sales: the start of the name, what it is, and whether the rest must be understood for shops as well.
const MEASURES: [(&str, Measure); 16] = [
    ("OmnichannelSales", Measure::Sales),
    ("OmnichannelRevenue", Measure::Revenue),
    ("OmnichannelRoas", Measure::Return),
    ("ReturnOnAdvertisingSpending", Measure::Return),
    ("ReturnOnAdvertiserSpending", Measure::Return),
    ("RevenueGenerated", Measure::Revenue),
    ("ConversionRate", Measure::Conversion),
    ("CostOfAdvertiserValue", Measure::CostOfValue),
    ("CostPerOrder", Measure::CostPerOrder),
    ("CostOfSale", Measure::CostOfSale),
    ("AverageCart", Measure::AverageCart),
    ("OrderValue", Measure::Revenue),
    ("Sales", Measure::Sales),
    ("ECos", Measure::CostOfSale),
    ("Roas", Measure::Return),
    ("Cos", Measure::CostOfSale),
];

#[derive(Debug, Clone, Copy)]
enum Measure {
    Sales,
    Revenue,
    Return,
    Conversion,
    CostOfSale,
    CostOfValue,
    CostPerOrder,
    AverageCart,
}

fn sale_metric(name: &str) -> Option<(Formula, Unit)> {
    if let Some(devices) = name.strip_prefix("Advertiser").and_then(|rest| rest.strip_suffix("Value")) {
        let credit = Credit { rule: Rule::Clicked(30), all_devices: devices == "All" };
        return Some((Formula::Sum(Base::Revenue(credit), 500), Unit::Money));
    }
    let (name, installed) = name.strip_prefix("PostInstall").map_or((name, false), |rest| (rest, true));
    let (start, measure) = MEASURES.into_iter().find(|(start, _)| name.starts_with(start))?;
    let rest = &name[start.len()..];
    let (all_devices, rest) = rest.strip_prefix("All").map_or((false, rest), |rest| (true, rest));
    let everywhere = start.starts_with("Omnichannel");
    let rule = if installed { Rule::InstalledEither } else { rule_named(rest, everywhere)? };
    Some(measured(measure, Credit { rule, all_devices }))
}

fn rule_named(rest: &str, everywhere: bool) -> Option<Rule> {
    let rule = match (rest, everywhere) {
        ("Pc30d", true) => Rule::Everywhere(&Rule::Clicked(30)),
        ("Pv24h", true) => Rule::Everywhere(&Rule::Seen),
        ("ClientAttribution", true) => Rule::Everywhere(&Rule::Client { clicks_only: false }),
        // `Cos` and `CostOfAdvertiserValue` name no window.
        ("Pc30d" | "", false) => Rule::Clicked(30),
        ("Pc7d", false) => Rule::Clicked(7),
        ("Pc1d", false) => Rule::Clicked(1),
        ("Pv24h", false) => Rule::Seen,
        ("Pc30Pv24" | "Pc30dPv24h", false) => Rule::ClickedOrSeen(30),
        ("Pc7dPv24", false) => Rule::ClickedOrSeen(7),
        ("Lc", false) => Rule::LastClick,
        ("ClientAttribution", false) => Rule::Client { clicks_only: false },
        ("Pc30dClientAttribution", false) => Rule::Client { clicks_only: true },
        ("PiPc", false) => Rule::InstalledClicked,
        ("PiPv", false) => Rule::InstalledSeen,
        ("PiPcPv" | "Pi", false) => Rule::InstalledEither,
        ("OfflinePc" | "OfflinePc30d", false) => Rule::ShopClicked,
        ("OfflinePv" | "OfflinePv24h", false) => Rule::ShopSeen,
        _ => return None,
    };
    Some(rule)
}

fn measured(measure: Measure, credit: Credit) -> (Formula, Unit) {
    let (sales, revenue) = (Base::Sales(credit), Base::Revenue(credit));
    match measure {
        Measure::Sales => (Formula::Sum(sales, 1_000), Unit::Sales),
        Measure::Revenue => (Formula::Sum(revenue, 1_000), Unit::Money),
        Measure::Return => (Formula::Quotient(revenue, COST, 1), Unit::Ratio),
        Measure::Conversion => (Formula::Quotient(sales, CLICKS, 1), Unit::Ratio),
        Measure::CostOfSale => (Formula::Quotient(COST, revenue, 1), Unit::Ratio),
        Measure::CostOfValue => (Formula::Quotient(COST, revenue, 2), Unit::Ratio),
        Measure::CostPerOrder => (Formula::Quotient(COST, sales, 1), Unit::Money),
        Measure::AverageCart => (Formula::Quotient(revenue, sales, 1), Unit::Money),
    }
}

impl Formula {
    /// The base facts that are summed for it.
    pub(super) fn bases(self) -> Vec<Base> {
        match self {
            Formula::Quotient(part, whole, _) => vec![part, whole],
            Formula::People(base, People::CostPerVisit | People::CostPerQualifiedVisit) => vec![base, COST],
            Formula::Sum(base, _) | Formula::People(base, _) => vec![base],
            Formula::Label(_) => Vec::new(),
        }
    }
}

impl Credit {
    /// How much of the sale counts, in thousandths.
    pub(super) fn permille(self, sale: &Sale, ad_set: &AdSet) -> i64 {
        if sale.cross_device && !self.all_devices {
            return 0;
        }
        let clients = matches!(self.rule, Rule::Client { .. } | Rule::Everywhere(Rule::Client { .. }));
        match self.rule.counts(sale, ad_set) {
            false => 0,
            true if clients && ad_set.shares_credit => 500,
            true => 1_000,
        }
    }
}

impl Rule {
    fn counts(self, sale: &Sale, ad_set: &AdSet) -> bool {
        let plain = !sale.in_shop && !sale.after_install;
        match self {
            Rule::InstalledClicked => sale.after_install && sale.touch == Touch::Click,
            Rule::InstalledSeen => sale.after_install && sale.touch == Touch::Display,
            Rule::InstalledEither => sale.after_install,
            Rule::ShopClicked => sale.in_shop && sale.touch == Touch::Click,
            Rule::ShopSeen => sale.in_shop && sale.touch == Touch::Display,
            Rule::Everywhere(rule) => !sale.after_install && rule.credits(sale, ad_set),
            rule => plain && rule.credits(sale, ad_set),
        }
    }

    /// Whether touch and delay fit, wherever the sale was made.
    fn credits(self, sale: &Sale, ad_set: &AdSet) -> bool {
        let within = |seconds: i64| sale.sold_at - sale.touched_at < seconds;
        let clicked = |days: i64| sale.touch == Touch::Click && within(days * 86_400);
        match self {
            Rule::Clicked(days) => clicked(days),
            Rule::Seen => sale.touch == Touch::Display,
            Rule::ClickedOrSeen(days) => clicked(days) || sale.touch == Touch::Display,
            Rule::LastClick => clicked(30) && sale.last_click,
            Rule::Client { clicks_only } => {
                let (method, lookback) = ad_set.attribution;
                let days = if lookback == "30D" { 30 } else { 7 };
                let in_time = if lookback == "24H" { clicked(1) } else { clicked(days) };
                let seen = method == "criteoAttribution" && sale.touch == Touch::Display && !clicks_only;
                seen || (in_time && (method != "lastClick" || sale.last_click))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_227_statistics_metrics_are_understood() {
        assert_eq!(STATISTICS.len(), 227);
        for (name, unit) in [
            ("SalesAllPc30dPv24h", Unit::Sales),
            ("OmnichannelRoasClientAttribution", Unit::Ratio),
            ("PostInstallOrderValue", Unit::Money),
            ("RetailerMarginEuro", Unit::Euro),
            ("clickthroughrate", Unit::Ratio),
        ] {
            assert_eq!(of_statistics(name).map(|metric| metric.unit), Some(unit), "{name}");
        }
        assert!(of_statistics("CacPc30d").is_none());
    }

    #[test]
    fn all_15_placement_metrics_are_understood() {
        for name in ["Clicks", "Displays", "Cost", "RevenuePv1d", "CvrPc30d"] {
            assert!(of_placements(name).is_some(), "{name}");
        }
        assert!(of_placements("AdvertiserCost").is_none());
    }
}
