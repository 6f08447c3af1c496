//! A report body in Criteo's form for the benchmarks: a day of ads by device and operating system, thirty columns.
//!
//! The same content every time, of the same kind as that of `benches/compare/report.py`: names repeat, ad sets come in
//! no particular order, most rows have no sale.

use std::sync::Arc;

use chrono::NaiveDate;
use criteo_source::catalog::{Catalog, CustomReport, Grain, Table};
use criteo_source::dates::DateRange;
use criteo_source::table::decode::{DecodedReport, ReportDecoder, ReportLayout, RequestedRows};

/// As much as the HTTP client hands over at a time.
pub const CHUNK_BYTES: usize = 64 << 10;

const DIMENSIONS: [&str; 5] = ["CampaignId", "AdsetId", "AdId", "Device", "Os"];
const COUNTS: [&str; 5] = ["Displays", "Clicks", "ViewableDisplays", "NonViewableDisplays", "UntrackableDisplays"];
const DECIMALS: [&str; 13] = [
    "AdvertiserCost",
    "SalesClientAttribution",
    "SalesAllClientAttribution",
    "SalesPc30d",
    "SalesAllPc30d",
    "SalesPc30dPv24h",
    "SalesAllPc30dPv24h",
    "RevenueGeneratedClientAttribution",
    "RevenueGeneratedAllClientAttribution",
    "RevenueGeneratedPc30d",
    "RevenueGeneratedAllPc30d",
    "RevenueGeneratedPc30dPv24h",
    "RevenueGeneratedAllPc30dPv24h",
];

/// The day that all rows are of.
pub fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 1).expect("a date")
}

/// The table that the report fills.
pub fn table() -> Table {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let metrics = COUNTS.iter().chain(&DECIMALS).map(|&name| name.to_owned()).collect();
    let report =
        CustomReport { name: "ads_by_device".to_owned(), grain: Grain::Day, dimensions: names(&DIMENSIONS), metrics };
    Catalog::get().custom_report(&report).expect("a report of known fields").0
}

/// Chance that is the same every time (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A body of `rows` rows.
pub fn body(rows: usize) -> Vec<u8> {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut text = String::from(r#"{"Total":{"Displays":"33840902"},"Rows":["#);
    for row in 0..rows {
        text.push_str(if row > 0 { "," } else { "" });
        push_row(&mut text, row, &mut chance);
    }
    text.push_str("]}");
    text.into_bytes()
}

fn push_row(text: &mut String, row: usize, chance: &mut Chance) {
    use std::fmt::Write as _;
    let devices = ["Desktop", "Mobile", "Tablet", "Connected TV", "Other"];
    let systems = ["Windows", "macOS", "Linux", "Android", "iOS", "Unknown"];
    let ad = row / 30;
    let ad_set = (ad / 17) * 7919 % 200;
    let advertiser = ad_set % 20;
    let campaign = format!("Maison Électronique {advertiser} | Retargeting | Performance and reach | always on 2026");
    let ad_set_name = format!("Black Friday 2026 - Retargeting - {ad_set} - All devices - CPC optimised");
    let dimensions: [(&str, String); 12] = [
        ("Day", day().to_string()),
        ("AdvertiserId", (41_207 + 977 * advertiser).to_string()),
        ("Advertiser", format!("Maison Électronique {advertiser}")),
        ("CampaignId", (310_000 + advertiser).to_string()),
        ("Campaign", campaign),
        ("AdsetId", (500_000 + ad_set * 13).to_string()),
        ("Ad", format!("Carousel 300x250 version {} - {ad_set_name}", ad % 4)),
        ("Adset", ad_set_name),
        ("AdId", (10_000_000 + (ad * 7_919) % 89_000_000).to_string()),
        ("Device", devices[row % 5].to_owned()),
        ("Os", systems[row / 5 % 6].to_owned()),
        ("Currency", "EUR".to_owned()),
    ];
    text.push('{');
    for (name, value) in dimensions {
        write!(text, r#""{name}":"{value}","#).expect("a string");
    }
    let magnitude = 4 + chance.below(12);
    let displays = chance.below(1 << magnitude);
    let clicks = displays / (120 + chance.below(400));
    let sales = clicks * chance.below(30) / 100;
    for (name, value) in COUNTS.iter().zip([displays, clicks, displays / 2, displays / 3, displays / 6]) {
        write!(text, r#""{name}":"{value}","#).expect("a string");
    }
    for (index, name) in DECIMALS.iter().enumerate() {
        let separator = if index > 0 { "," } else { "" };
        if name.starts_with("Sales") {
            write!(text, r#"{separator}"{name}":"{sales}""#).expect("a string");
        } else {
            let money = (sales + u64::from(index == 0)) * (200_000 + chance.below(900_000));
            write!(text, r#"{separator}"{name}":"{}.{:04}""#, money / 10_000, money % 10_000).expect("a string");
        }
    }
    text.push('}');
}

/// Decodes a body that arrives as from a socket.
pub fn decode(layout: &Arc<ReportLayout>, body: &[u8]) -> DecodedReport {
    let asked = RequestedRows { days: DateRange::single(day()), disclosed: None, day_is_given: false };
    let mut decoder = ReportDecoder::new(Arc::clone(layout), asked);
    for chunk in body.chunks(CHUNK_BYTES) {
        decoder.feed(chunk).expect("a good report");
    }
    decoder.finish().expect("a whole report")
}

/// How rows of [`table`] are read.
pub fn layout() -> Arc<ReportLayout> {
    Arc::new(ReportLayout::new(&table(), chrono_tz::UTC, "EUR").expect("a report table"))
}
