//! What can be made to go wrong, and when.
//!
//! A fault has a text, for command lines and the control surface:
//!
//! ```text
//! KIND[(ARGUMENT)][@PATH][#ADVERTISER][+SKIP][*TIMES]
//!
//! http-500@statistics/report*2      two statistics reports fail, then none
//! token-expired+10*1                the eleventh call is told that its token expired
//! consent-lost(10005)               one advertiser takes its consent back
//! keys(camel)@placements            placements spell their keys in camelCase
//! ```
//!
//! PATH is part of the path; without it every API call matches, but never the token endpoint, which must be named
//! (`@oauth2/token`). Without `*TIMES` the fault stays. Faults are looked at in order; one that answers instead of the
//! API ends the search, the others add up. This file knows when faults apply; what they do to a response is elsewhere.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A fault and the calls it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Only calls whose path contains this; every call but the token endpoint when absent.
    pub path_contains: Option<String>,
    /// Only calls that concern this advertiser, by path or by request body.
    pub advertiser: Option<String>,
    /// How many matching calls go through first.
    pub skip: u32,
    /// How many calls it then applies to; `u32::MAX` for all of them.
    pub times: u32,
}

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429, with or without `x-ratelimit-…` headers.
    TooManyRequests(RateReset),
    /// 403 with an empty body, as from a gateway.
    Http403,
    /// 404 with an empty body.
    Http404,
    /// 413 with an empty body.
    Http413,
    /// 500 with Criteo's problem body.
    Http500,
    /// 502 with the HTML page of a gateway.
    Http502Html,
    /// 503 with an empty body.
    Http503,
    /// 504 with an empty body.
    Http504,
    /// The connection is reset after the request was read: the client sees a TCP RST and no byte of a response.
    ResetBeforeResponse,
    /// Status, headers and about half of the chunked body are written, then the connection is reset (TCP RST, so the
    /// last bytes may be lost on the way).
    ResetMidBody,
    /// Well-formed HTTP whose JSON ends in the middle.
    TruncatedBody,
    /// 200 with an HTML page.
    HtmlWith200,
    /// The body comes in 32 chunks with this many milliseconds of the sandbox's clock between them.
    SlowDrip(u64),
    /// Half of the body, then silence on an open connection.
    StallMidBody,
    /// The right body as `text/plain`.
    WrongContentType,
    /// 200 with an entry in `errors` and no data.
    OkWithErrors,
    /// The right body, with a warning `row-limit-exceeded` where the envelope is an object.
    RowLimitWarning,
    /// 401 `authorization-token-expired`; the presented token is dead from then on.
    TokenExpired,
    /// 401 `authorization-token-invalid`; the presented token is dead, and so are all refresh tokens.
    TokenRevoked,
    /// The token endpoint answers 503.
    TokenEndpointDown,
    /// This advertiser is still in `advertisers/me`, but has no consent any more.
    ConsentLost(String),
    /// The last row or entity is missing.
    DropOneRow,
    /// The entity in the middle of a page is missing, although the page has its place.
    OmitEntry,
    /// Reports have at most this many rows, whatever their documented cap.
    RowCap(usize),
    /// Rows of this advertiser are missing from every report that has more dimensions than the day and the advertiser.
    AbsentRows(String),
    /// 400 for a report of more days than this.
    LongRangeRefused(i64),
    /// 400 for a report that begins before this day.
    EarlyRangeRefused(chrono::NaiveDate),
    /// Unknown fields in every row or entity.
    ExtraField,
    /// A value that no list of Criteo's contains, in the first row or entity that has one to replace.
    UnknownEnum,
    /// The last field of the first row, or the first attribute of the first entity, is missing.
    MissingAttribute,
    /// A byte-order mark before the body.
    Bom,
    /// Report rows in another envelope.
    Envelope(Envelope),
    /// Report keys in another case.
    Keys(KeyCase),
    /// Report values in another style.
    Values(ValueStyle),
    /// `Deprecation` and `Sunset` headers.
    DeprecationHeaders,
    /// The first field of the first row or entity comes a second time, with another value.
    DuplicateKey,
    /// An extra field with an array nested this deep.
    DeepNesting(usize),
    /// A name with bytes that are not UTF-8.
    InvalidUtf8,
    /// A name that was cut in the middle of an emoji: an escape for half of a surrogate pair.
    HalfSurrogate,
    /// A number of four hundred digits.
    HugeNumber,
    /// A name of this many bytes.
    HugeString(usize),
    /// This many bytes of white space before the body, sent as a stream.
    Whitespace(usize),
    /// This text where the first number should be.
    BadNumber(String),
}

/// What a 429 says about when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateReset {
    /// No headers at all.
    Silent,
    /// `x-ratelimit-reset` this many seconds from now; negative for a server whose clock is behind.
    InSeconds(i64),
}

/// Where report rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `{"Rows":[…],"Total":{…}}`.
    RowsTotal,
    /// `{"Total":{…},"Rows":[…]}`, as statistics are documented.
    TotalRows,
    /// `{"rows":[…]}`.
    LowerRows,
    /// `[…]`.
    BareArray,
    /// `{"data":[{"type":…,"attributes":{"rows":[…]}}]}`, as placements are observed.
    DataAttributesRows,
    /// `{"data":[{"type":…,"attributes":{…}},…]}`, as transactions are documented.
    DataAttributes,
    /// `{"columns":[…],"data":[[…]]}`, which nobody has seen here and nobody should read.
    Columns,
}

/// How report keys are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCase {
    /// `AdvertiserCost`.
    Pascal,
    /// `advertiserCost`.
    Camel,
    /// `ADVERTISERCOST`.
    Upper,
    /// `advertisercost`.
    Lower,
    /// Each key in another of the above.
    Mixed,
}

/// How report values are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueStyle {
    /// Everything a JSON string.
    Strings,
    /// Numbers as JSON numbers.
    Numbers,
    /// Numbers as JSON numbers with an exponent.
    Exponents,
    /// `null` for zero and for an unknown dimension.
    NullForAbsent,
    /// `""` for zero and for an unknown dimension.
    EmptyForAbsent,
    /// `"NaN"` for zero.
    NotANumberForZero,
    /// `.5` for `0.5`.
    NoLeadingZero,
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a fault; see the list of kinds in the documentation of the sandbox")]
pub struct UnknownFault(String);

impl Fault {
    /// A fault for every call, for ever.
    pub fn always(kind: FaultKind) -> Self {
        Self { kind, path_contains: None, advertiser: None, skip: 0, times: u32::MAX }
    }

    /// The same fault, for paths that contain `part` only.
    #[must_use]
    pub fn at(mut self, part: &str) -> Self {
        self.path_contains = Some(part.to_owned());
        self
    }

    /// The same fault, for calls that concern one advertiser only.
    #[must_use]
    pub fn of(mut self, advertiser: &str) -> Self {
        self.advertiser = Some(advertiser.to_owned());
        self
    }

    /// The same fault, after `skip` matching calls.
    #[must_use]
    pub fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// The same fault, `times` times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Whether the fault applies to this call; counts it if it matches.
    pub(super) fn fires(&mut self, path: &str, advertisers: &[String]) -> bool {
        let tokens = path.contains("oauth2/token");
        let by_path = match &self.path_contains {
            Some(part) => path.contains(part.as_str()),
            None => tokens == (self.kind == FaultKind::TokenEndpointDown),
        };
        let by_advertiser = self.advertiser.as_ref().is_none_or(|advertiser| advertisers.contains(advertiser));
        if !by_path || !by_advertiser || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.times != u32::MAX {
            self.times -= 1;
        }
        true
    }
}

impl FaultKind {
    /// Whether the fault answers by itself instead of changing the API's answer.
    pub(super) fn answers(&self) -> bool {
        matches!(
            self,
            Self::TooManyRequests(_)
                | Self::Http500
                | Self::Http502Html
                | Self::Http403
                | Self::Http404
                | Self::Http413
                | Self::Http503
                | Self::Http504
                | Self::ResetBeforeResponse
                | Self::TokenExpired
                | Self::TokenRevoked
                | Self::TokenEndpointDown
        )
    }
}

/// Kinds without an argument and their names.
const PLAIN: [(&str, FaultKind); 28] = [
    ("http-500", FaultKind::Http500),
    ("http-502-html", FaultKind::Http502Html),
    ("http-403", FaultKind::Http403),
    ("http-404", FaultKind::Http404),
    ("http-413", FaultKind::Http413),
    ("http-503", FaultKind::Http503),
    ("http-504", FaultKind::Http504),
    ("reset-before-response", FaultKind::ResetBeforeResponse),
    ("reset-mid-body", FaultKind::ResetMidBody),
    ("truncated-body", FaultKind::TruncatedBody),
    ("html-with-200", FaultKind::HtmlWith200),
    ("stall-mid-body", FaultKind::StallMidBody),
    ("wrong-content-type", FaultKind::WrongContentType),
    ("ok-with-errors", FaultKind::OkWithErrors),
    ("row-limit-warning", FaultKind::RowLimitWarning),
    ("token-expired", FaultKind::TokenExpired),
    ("token-revoked", FaultKind::TokenRevoked),
    ("token-endpoint-down", FaultKind::TokenEndpointDown),
    ("drop-one-row", FaultKind::DropOneRow),
    ("omit-entry", FaultKind::OmitEntry),
    ("extra-field", FaultKind::ExtraField),
    ("unknown-enum", FaultKind::UnknownEnum),
    ("missing-attribute", FaultKind::MissingAttribute),
    ("bom", FaultKind::Bom),
    ("deprecation-headers", FaultKind::DeprecationHeaders),
    ("duplicate-key", FaultKind::DuplicateKey),
    ("invalid-utf8", FaultKind::InvalidUtf8),
    ("half-surrogate", FaultKind::HalfSurrogate),
];

const ENVELOPES: [(&str, Envelope); 7] = [
    ("rows-total", Envelope::RowsTotal),
    ("total-rows", Envelope::TotalRows),
    ("lower-rows", Envelope::LowerRows),
    ("bare-array", Envelope::BareArray),
    ("data-attributes-rows", Envelope::DataAttributesRows),
    ("data-attributes", Envelope::DataAttributes),
    ("columns", Envelope::Columns),
];

const KEY_CASES: [(&str, KeyCase); 5] = [
    ("pascal", KeyCase::Pascal),
    ("camel", KeyCase::Camel),
    ("upper", KeyCase::Upper),
    ("lower", KeyCase::Lower),
    ("mixed", KeyCase::Mixed),
];

const VALUE_STYLES: [(&str, ValueStyle); 7] = [
    ("strings", ValueStyle::Strings),
    ("numbers", ValueStyle::Numbers),
    ("exponents", ValueStyle::Exponents),
    ("null", ValueStyle::NullForAbsent),
    ("empty", ValueStyle::EmptyForAbsent),
    ("nan", ValueStyle::NotANumberForZero),
    ("no-leading-zero", ValueStyle::NoLeadingZero),
];

fn named<T: Clone>(list: &[(&str, T)], name: &str) -> Option<T> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
}

fn name_of<'a, T: PartialEq>(list: &[(&'a str, T)], value: &T) -> Option<&'a str> {
    list.iter().find(|(_, known)| known == value).map(|(name, _)| *name)
}

fn kind_named(name: &str, argument: Option<&str>) -> Option<FaultKind> {
    let number = |default: u64| argument.map_or(Some(default), |text| text.parse().ok());
    let size = |default: usize| argument.map_or(Some(default), |text| text.parse().ok());
    Some(match name {
        "too-many-requests" => FaultKind::TooManyRequests(match argument {
            Some("silent") => RateReset::Silent,
            Some(seconds) => RateReset::InSeconds(seconds.parse().ok()?),
            None => RateReset::InSeconds(20),
        }),
        "slow-drip" => FaultKind::SlowDrip(number(100)?),
        "consent-lost" => FaultKind::ConsentLost(argument?.to_owned()),
        "envelope" => FaultKind::Envelope(named(&ENVELOPES, argument?)?),
        "keys" => FaultKind::Keys(named(&KEY_CASES, argument?)?),
        "values" => FaultKind::Values(named(&VALUE_STYLES, argument?)?),
        "deep-nesting" => FaultKind::DeepNesting(size(2_000)?),
        "huge-number" => FaultKind::HugeNumber,
        "huge-string" => FaultKind::HugeString(size(10_000_000)?),
        "whitespace" => FaultKind::Whitespace(size(10_000_000)?),
        "bad-number" => FaultKind::BadNumber(argument?.to_owned()),
        "row-cap" => FaultKind::RowCap(argument?.parse().ok()?),
        "absent-rows" => FaultKind::AbsentRows(argument?.to_owned()),
        "long-range-refused" => FaultKind::LongRangeRefused(argument?.parse().ok()?),
        "early-range-refused" => FaultKind::EarlyRangeRefused(argument?.parse().ok()?),
        plain if argument.is_none() => named(&PLAIN, plain)?,
        _ => return None,
    })
}

impl Display for FaultKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRequests(RateReset::Silent) => out.write_str("too-many-requests(silent)"),
            Self::TooManyRequests(RateReset::InSeconds(seconds)) => write!(out, "too-many-requests({seconds})"),
            Self::SlowDrip(millis) => write!(out, "slow-drip({millis})"),
            Self::ConsentLost(advertiser) => write!(out, "consent-lost({advertiser})"),
            Self::Envelope(envelope) => write!(out, "envelope({})", name_of(&ENVELOPES, envelope).unwrap_or_default()),
            Self::Keys(case) => write!(out, "keys({})", name_of(&KEY_CASES, case).unwrap_or_default()),
            Self::Values(style) => write!(out, "values({})", name_of(&VALUE_STYLES, style).unwrap_or_default()),
            Self::DeepNesting(depth) => write!(out, "deep-nesting({depth})"),
            Self::HugeNumber => out.write_str("huge-number"),
            Self::HugeString(bytes) => write!(out, "huge-string({bytes})"),
            Self::Whitespace(bytes) => write!(out, "whitespace({bytes})"),
            Self::BadNumber(text) => write!(out, "bad-number({text})"),
            Self::RowCap(rows) => write!(out, "row-cap({rows})"),
            Self::AbsentRows(advertiser) => write!(out, "absent-rows({advertiser})"),
            Self::LongRangeRefused(days) => write!(out, "long-range-refused({days})"),
            Self::EarlyRangeRefused(day) => write!(out, "early-range-refused({day})"),
            plain => out.write_str(name_of(&PLAIN, plain).unwrap_or_default()),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.kind)?;
        if let Some(part) = &self.path_contains {
            write!(out, "@{part}")?;
        }
        if let Some(advertiser) = &self.advertiser {
            write!(out, "#{advertiser}")?;
        }
        if self.skip > 0 {
            write!(out, "+{}", self.skip)?;
        }
        if self.times == u32::MAX { Ok(()) } else { write!(out, "*{}", self.times) }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        parse(text).ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let end_of_name = text.find(['(', '@', '#', '+', '*']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end_of_name);
    let (argument, rest) = match rest.strip_prefix('(') {
        Some(inner) => inner.split_once(')').map(|(argument, rest)| (Some(argument), rest))?,
        None => (None, rest),
    };
    let mut fault = Fault::always(kind_named(name, argument)?);
    let (rest, times) = rest.split_once('*').map_or((rest, None), |(rest, times)| (rest, Some(times)));
    let (rest, skip) = rest.split_once('+').map_or((rest, None), |(rest, skip)| (rest, Some(skip)));
    let (rest, advertiser) = rest.split_once('#').map_or((rest, None), |(rest, id)| (rest, Some(id)));
    fault.times = times.map_or(Some(u32::MAX), |times| times.parse().ok())?;
    fault.skip = skip.map_or(Some(0), |skip| skip.parse().ok())?;
    fault.advertiser = advertiser.map(str::to_owned);
    match rest.strip_prefix('@') {
        Some(part) => fault.path_contains = Some(part.to_owned()),
        None if rest.is_empty() => {}
        None => return None,
    }
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_text() {
        let mut texts: Vec<String> = PLAIN.iter().map(|(name, _)| (*name).to_owned()).collect();
        texts.extend(ENVELOPES.iter().map(|(name, _)| format!("envelope({name})")));
        texts.extend(KEY_CASES.iter().map(|(name, _)| format!("keys({name})")));
        texts.extend(VALUE_STYLES.iter().map(|(name, _)| format!("values({name})")));
        for more in [
            "too-many-requests(-30)",
            "too-many-requests(silent)",
            "slow-drip(5)",
            "consent-lost(7)",
            "deep-nesting(9)",
            "huge-number",
            "huge-string(3)",
            "whitespace(4)",
            "bad-number(1,5)",
            "row-cap(40)",
            "absent-rows(10002)",
            "long-range-refused(90)",
            "early-range-refused(2026-10-20)",
        ] {
            texts.push(more.to_owned());
        }
        for text in texts {
            for conditions in ["", "@statistics/report", "#123", "+3", "*2", "@a/b#1+2*3"] {
                let text = format!("{text}{conditions}");
                let fault: Fault = text.parse().unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(fault.to_string(), text);
            }
        }
    }

    #[test]
    fn texts_that_name_no_fault_are_refused() {
        for text in ["", "http-600", "http-500(1)", "keys(snake)", "http-500*x", "consent-lost", "http-500(", "bom)x"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_skips_then_applies_then_is_spent() {
        let mut fault: Fault = "http-500@report+1*2".parse().expect("a fault");
        let hits: Vec<bool> = (0..4).map(|_| fault.fires("/2026-07/statistics/report", &[])).collect();
        assert_eq!(hits, [false, true, true, false]);
        assert!(!fault.fires("/2026-07/advertisers/me", &[]));
    }
}
