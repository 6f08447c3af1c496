//! The words of the simulated account: names, categories, placements, currencies.
//!
//! Most are what marketing people type; a few are what breaks exports: quotes, line breaks, emoji, right-to-left text,
//! formulas, a name of four thousand characters. Nothing here depends on a day.

/// Advertiser names, in order; further ones are numbered.
pub(super) const ADVERTISERS: [&str; 6] = [
    "Maison Lumière",
    "Nordwind Outdoor GmbH",
    "Sapporo Home 札幌ホーム",
    "Casa & Verde",
    "Bright Toys",
    "O'Hara Books",
];

/// What a campaign is for.
pub(super) const CAMPAIGNS: [&str; 6] = [
    "Retargeting - All visitors",
    "New customers - Prospecting",
    "Spring \"Sale\" – 50 % off;\nonline only",
    "App re-engagement",
    "Loyal customers",
    "عروض الصيف للعملاء",
];

/// How an ad set narrows its campaign.
pub(super) const AD_SETS: [&str; 8] = [
    "FR desktop",
    "EU mobile 🔥🛍️",
    "Lookalike 30d, cart > 50 €",
    "=SUM(A1:A9)",
    "Dynamic\tcatalogue | best sellers",
    "מבצע חורף",
    "Video - mid funnel",
    " Trailing and leading spaces ",
];

/// Ads.
pub(super) const ADS: [&str; 6] = [
    "Adaptive - editorial",
    "Dynamic carousel",
    "Banner 300x250 \\ 728x90",
    "In-feed native",
    "Story 9:16",
    "Teaser v2",
];

/// Coupons.
pub(super) const COUPONS: [&str; 3] = ["10% WELCOME", "Free shipping over 49", "Black Friday -30%"];

/// The categories of every advertiser as (number, name): two rows share a number, as Fivetran saw (API.md 4.1).
pub(super) const CATEGORIES: [(u64, &str); 5] =
    [(1, "Shoes"), (1, "Unknown"), (2, "Home & Garden"), (3, "Kids, toys"), (4, "Électronique")];

/// Shares of the categories, out of 256.
pub(super) const CATEGORY_SHARES: [u64; 5] = [90, 14, 70, 50, 32];

/// Devices with their operating systems (values are not documented by Criteo).
pub(super) const DEVICES: [(&str, &str); 6] = [
    ("Desktop", "Windows"),
    ("Desktop", "macOS"),
    ("Mobile", "Android"),
    ("Mobile", "iOS"),
    ("Tablet", "iOS"),
    ("Unknown", "Unknown"),
];

/// Shares of the devices, out of 1024.
pub(super) const DEVICE_SHARES: [u64; 6] = [260, 110, 330, 250, 60, 14];

/// Shares of the hours of a UTC day, out of 4096.
pub(super) const HOUR_SHARES: [u64; 24] =
    [70, 45, 30, 25, 25, 40, 80, 130, 170, 190, 200, 210, 225, 220, 205, 195, 195, 205, 230, 280, 330, 340, 270, 186];

/// One place where ads are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) environment: &'static str,
    pub(super) disclosed: bool,
    /// Share out of 1024.
    pub(super) share: u64,
}

const fn place(name: &'static str, environment: &'static str, share: u64) -> Place {
    Place { name, environment, disclosed: true, share }
}

const fn hidden(environment: &'static str, share: u64) -> Place {
    Place { name: "Undisclosed", environment, disclosed: false, share }
}

/// All placements; the undisclosed ones share one name (what Criteo shows for them is not known, API.md 3.2).
pub(super) const PLACES: [Place; 24] = [
    place("www.lefigaro.example", "Web", 90),
    place("news.example.com", "Web", 84),
    place("spiegel.example.de", "Web", 80),
    place("weather.example.org", "Web", 66),
    place("recipes.example.net", "Web", 60),
    place("mail.example.com", "Web", 52),
    place("sport.example.fr", "Web", 50),
    place("forum.example.info", "Web", 46),
    place("xn--mnchen-3ya.example.de", "Web", 40),
    place("a.very.long.sub.domain.of.some.publisher.network.example.co.uk", "Web", 36),
    place("maps.example.jp", "Web", 32),
    place("video.example.tv", "Web", 30),
    place("com.example.solitaire", "Android", 48),
    place("com.example.weather", "Android", 44),
    place("com.example.flashlight", "Android", 28),
    place("com.example.news.reader", "Android", 26),
    place("id1234567890", "Ios", 42),
    place("id987654321", "Ios", 34),
    place("news.example.com", "Ios", 20),
    place("news.example.com", "Android", 16),
    hidden("Web", 60),
    hidden("Android", 20),
    hidden("Ios", 14),
    place("", "Web", 6),
];

/// Currencies that Criteo accepts (API.md 3.7).
const CURRENCIES: &str = "EUR USD GBP CHF JPY BGN CZK DKK HUF LTL PLN RON SEK NOK HRK RUB TRY AUD BRL CAD CNY HKD IDR INR \
    KRW MXN MYR NZD PHP SGD THB ZAR ARS COP AED KZT SAR UAH EGP MAD ILS BHD JOD KWD LBP OMR QAR NGN KES ALL ETB BSD BDT \
    BAM BWP MMK AFN BTN GEL GHS GIP ISK KHR JMD LAK MKD MUR MNT NPR NAD PKR RWF LKR SZL TZS TTD UGX ZMW BOB CRC DOP GTQ \
    HNL NIO PAB PYG PEN UYU VEF XAF XOF HTG MGA DZD IQD LYD TND YER BND AOA MZN AMD AZN KGS TJS UZS MDL RSD XPF MOP VND \
    TWD CLP";

/// Thousandths of the currency for one euro; three decimals keep every converted amount within nine.
const RATES: [(&str, i64); 16] = [
    ("EUR", 1_000),
    ("USD", 1_087),
    ("GBP", 843),
    ("CHF", 951),
    ("JPY", 162_500),
    ("SEK", 11_420),
    ("NOK", 11_610),
    ("DKK", 7_459),
    ("PLN", 4_312),
    ("CZK", 25_130),
    ("AUD", 1_653),
    ("CAD", 1_481),
    ("BRL", 5_902),
    ("INR", 90_870),
    ("KRW", 1_478_000),
    ("MXN", 18_330),
];

/// Thousandths of `currency` for one euro; `None` for a code Criteo does not know.
pub(super) fn rate(currency: &str) -> Option<i64> {
    let known = RATES.iter().find(|(code, _)| *code == currency).map(|(_, rate)| *rate);
    let listed = || CURRENCIES.split_whitespace().any(|code| code == currency);
    let invented = || currency.bytes().fold(500, |sum, byte| sum + i64::from(byte) * 17);
    known.or_else(|| listed().then(invented))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fill_their_wholes() {
        assert_eq!(CATEGORY_SHARES.iter().sum::<u64>(), 256);
        assert_eq!(DEVICE_SHARES.iter().sum::<u64>(), 1024);
        assert_eq!(HOUR_SHARES.iter().sum::<u64>(), 4096);
        assert_eq!(PLACES.iter().map(|place| place.share).sum::<u64>(), 1024);
    }

    #[test]
    fn every_listed_currency_has_a_rate_and_others_have_none() {
        assert!(CURRENCIES.split_whitespace().all(|code| rate(code).is_some()));
        assert_eq!(rate("eur"), None);
        assert_eq!(rate("XXX"), None);
    }
}
