//! Exact numbers from the digits on the wire: NUMERIC is decimal128(38, 9), never reached through a float.
//!
//! Criteo sends numbers as text or as JSON numbers, with or without a leading zero, with exponents, and sometimes as
//! the 17 digits of a double. More than nine decimals are rounded half to even; what does not fit, and what is not a
//! number, is an error.

/// Decimals kept, everywhere.
pub const SCALE: u32 = 9;
/// Decimal digits that fit, those after the point included.
pub const PRECISION: u32 = 38;

const ONE: i128 = 1_000_000_000;
const LIMIT: u128 = 10_u128.pow(PRECISION);

/// Why a text is not a NUMERIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumericError {
    /// Not `-digits.digitsE±digits`.
    #[error("not a number")]
    NotANumber,
    /// More than 29 digits before the point.
    #[error("too large for NUMERIC (38 digits, 9 of them decimals)")]
    TooLarge,
    /// A count with a fraction that is not zero.
    #[error("a count that is not whole")]
    NotWhole,
    /// A count beyond 64 bits.
    #[error("too large for INTEGER (64 bits)")]
    TooLargeForInteger,
}

/// Billionths of the number in `text`.
pub fn parse_numeric(text: &str) -> Result<i128, NumericError> {
    match parse_short(text.as_bytes()) {
        Some(value) => Ok(i128::from(value)),
        None => parse_general(text.as_bytes()),
    }
}

/// The whole number in `text`; `12.0` and `1.2E1` are whole, `12.5` is an error.
pub fn parse_integer(text: &str) -> Result<i64, NumericError> {
    if let Ok(value) = text.parse::<i64>()
        && !text.starts_with('+')
    {
        return Ok(value);
    }
    let parts = Parts::split(text.as_bytes())?;
    if parts.digits_after_point().any(|digit| digit != b'0') {
        return Err(NumericError::NotWhole);
    }
    let billionths = parse_numeric(text).map_err(|_| NumericError::TooLargeForInteger)?;
    i64::try_from(billionths / ONE).map_err(|_| NumericError::TooLargeForInteger)
}

/// The float in `text`, by the same grammar.
pub fn parse_float(text: &str) -> Result<f64, NumericError> {
    Parts::split(text.as_bytes())?;
    let value: f64 = text.parse().map_err(|_| NumericError::NotANumber)?;
    if value.is_finite() { Ok(value) } else { Err(NumericError::TooLarge) }
}

/// The decimal text of a number of billionths, without trailing zeros: how sums are written down.
pub fn format_numeric(billionths: i128) -> String {
    let sign = if billionths < 0 { "-" } else { "" };
    let magnitude = billionths.unsigned_abs();
    let (whole, fraction) = (magnitude / ONE.unsigned_abs(), magnitude % ONE.unsigned_abs());
    let text = format!("{sign}{whole}.{fraction:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The common case, in one pass: a sign, at most nine digits, a point, at most nine digits.
fn parse_short(text: &[u8]) -> Option<i64> {
    const POWERS: [i64; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let (negative, text) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (whole_digits, mut value) = leading_digits(text)?;
    let mut digits = whole_digits;
    let mut decimals = 0;
    if let Some((b'.', fraction)) = text[whole_digits..].split_first() {
        let (count, fraction_value) = leading_digits(fraction)?;
        if count == 0 || count != fraction.len() {
            return None;
        }
        value = value * POWERS[9 - count] + fraction_value;
        digits += count;
        decimals = count;
    } else if whole_digits != text.len() {
        return None;
    }
    if digits == 0 {
        return None;
    }
    let billionths = value.checked_mul(POWERS[decimals])?;
    Some(if negative { -billionths } else { billionths })
}

/// How many digits `text` starts with, and their value; `None` beyond nine.
fn leading_digits(text: &[u8]) -> Option<(usize, i64)> {
    let mut value = 0;
    for (index, byte) in text.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return Some((index, value));
        }
        if index == 9 {
            return None;
        }
        value = value * 10 + i64::from(byte - b'0');
    }
    Some((text.len(), value))
}

/// A number's text taken apart.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn split(text: &'a [u8]) -> Result<Self, NumericError> {
        let (negative, rest) = match text.split_first() {
            Some((b'-', rest)) => (true, rest),
            _ => (false, text),
        };
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, rest) = match rest.split_first() {
            Some((b'.', rest)) if digits(rest) > 0 => rest.split_at(digits(rest)),
            _ => rest.split_at(0),
        };
        let exponent = match rest.split_first() {
            None => 0,
            Some((b'e' | b'E', exponent)) => parse_exponent(exponent)?,
            Some(_) => return Err(NumericError::NotANumber),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(NumericError::NotANumber);
        }
        Ok(Self { negative, whole, fraction, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// Digits of the mantissa that stand before the point once the exponent is applied (may be negative or beyond).
    fn point(&self) -> i64 {
        i64::try_from(self.whole.len()).unwrap_or(i64::MAX).saturating_add(self.exponent)
    }

    fn digits_after_point(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits().skip(usize::try_from(self.point()).unwrap_or(0))
    }
}

/// An exponent, clamped to where every further digit makes no difference.
fn parse_exponent(text: &[u8]) -> Result<i64, NumericError> {
    let (sign, digits) = match text.split_first() {
        Some((b'-', rest)) => (-1, rest),
        Some((b'+', rest)) => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumericError::NotANumber);
    }
    let magnitude =
        digits.iter().fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(1_000_000_000_000));
    Ok(sign * magnitude)
}

/// Any length, any exponent.
fn parse_general(text: &[u8]) -> Result<i128, NumericError> {
    let parts = Parts::split(text)?;
    // Digits up to here are kept; the one after decides the rounding.
    let kept = parts.point().saturating_add(i64::from(SCALE));
    let mut magnitude: u128 = 0;
    let mut rounding = Rounding::default();
    let mut count: i64 = 0;
    for digit in parts.digits() {
        let digit = u128::from(digit - b'0');
        if count < kept {
            magnitude = append_digit(magnitude, digit)?;
        } else {
            rounding.push(digit, count == kept);
        }
        count += 1;
    }
    while count < kept && magnitude > 0 {
        magnitude = append_digit(magnitude, 0)?;
        count += 1;
    }
    magnitude += u128::from(rounding.is_up(magnitude));
    if magnitude >= LIMIT {
        return Err(NumericError::TooLarge);
    }
    let value = i128::try_from(magnitude).map_err(|_| NumericError::TooLarge)?;
    Ok(if parts.negative { -value } else { value })
}

fn append_digit(magnitude: u128, digit: u128) -> Result<u128, NumericError> {
    if magnitude >= LIMIT / 10 { Err(NumericError::TooLarge) } else { Ok(magnitude * 10 + digit) }
}

/// What was cut off, as far as half-even rounding needs to know.
#[derive(Default)]
struct Rounding {
    first: u128,
    rest: bool,
}

impl Rounding {
    fn push(&mut self, digit: u128, is_first: bool) {
        if is_first {
            self.first = digit;
        } else {
            self.rest |= digit != 0;
        }
    }

    fn is_up(&self, kept: u128) -> bool {
        self.first > 5 || (self.first == 5 && (self.rest || kept % 2 == 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow reference: digits as a big decimal string, shifted and rounded by schoolbook arithmetic.
    fn reference(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Option<i128> {
        let shift = exponent + 9 - i64::try_from(fraction.len()).expect("short");
        let mut digits: Vec<u8> = format!("{whole}{fraction}").bytes().map(|byte| byte - b'0').collect();
        let mut dropped = Vec::new();
        if shift >= 0 {
            digits.extend(std::iter::repeat_n(0, usize::try_from(shift).expect("positive")));
        } else {
            for _ in 0..-shift {
                dropped.insert(0, digits.pop().unwrap_or(0));
            }
        }
        let half: std::cmp::Ordering = {
            let mut five = vec![0; dropped.len()];
            if let Some(first) = five.first_mut() {
                *first = 5;
            }
            if dropped.is_empty() { std::cmp::Ordering::Less } else { dropped.cmp(&five) }
        };
        let odd = digits.last().copied().unwrap_or(0) % 2 == 1;
        let up = half.is_gt() || (half.is_eq() && odd);
        if up {
            digits.insert(0, 0);
            for digit in digits.iter_mut().rev() {
                *digit += 1;
                if *digit < 10 {
                    break;
                }
                *digit = 0;
            }
        }
        let text: String = digits.iter().map(|digit| char::from(digit + b'0')).collect();
        let text = text.trim_start_matches('0');
        if text.len() > 38 {
            return None;
        }
        let value: i128 = if text.is_empty() { 0 } else { text.parse().expect("38 digits fit") };
        Some(if negative { -value } else { value })
    }

    proptest! {
        #[test]
        fn decimals_agree_with_schoolbook_arithmetic(
            negative in any::<bool>(), whole in "[0-9]{0,32}", fraction in "[0-9]{0,30}", exponent in -60_i64..60,
        ) {
            prop_assume!(!whole.is_empty() || !fraction.is_empty());
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let exponent_text = if exponent == 0 { String::new() } else { format!("E{exponent}") };
            let text = format!("{sign}{whole}{point}{fraction}{exponent_text}");
            let expected = reference(negative, &whole, &fraction, exponent).ok_or(NumericError::TooLarge);
            prop_assert_eq!(parse_numeric(&text), expected, "{}", text);
        }

        #[test]
        fn every_numeric_survives_its_own_text(value in -10_i128.pow(38) + 1..10_i128.pow(38)) {
            prop_assert_eq!(parse_numeric(&format_numeric(value)), Ok(value));
        }

        #[test]
        fn whole_numbers_survive(value in any::<i64>()) {
            prop_assert_eq!(parse_integer(&value.to_string()), Ok(value));
        }
    }

    #[test]
    fn the_spellings_criteo_uses_are_read() {
        for (text, billionths) in [
            ("12.40", 12_400_000_000),
            (".9999", 999_900_000),
            ("-.5", -500_000_000),
            ("0", 0),
            ("-0", 0),
            ("1E3", 1_000_000_000_000),
            ("1.5e-3", 1_500_000),
            ("12.340000000000001", 12_340_000_000),
            ("0.0000000005", 0),
            ("0.0000000015", 2),
            ("0.00000000250000000001", 3),
            ("1e-999999999999", 0),
            ("0e999999999999", 0),
        ] {
            assert_eq!(parse_numeric(text), Ok(billionths), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_refused() {
        for text in
            ["", "-", ".", "1.", "+1", "1,5", "1 000", "NaN", "Infinity", "0x10", "1e", "1e+", "--1", "1.2.3", "１"]
        {
            assert_eq!(parse_numeric(text), Err(NumericError::NotANumber), "{text}");
            assert!(parse_integer(text).is_err(), "{text}");
            assert!(parse_float(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(parse_numeric("1e29"), Err(NumericError::TooLarge));
        assert_eq!(parse_numeric("99999999999999999999999999999.9999999995"), Err(NumericError::TooLarge));
        assert_eq!(parse_integer("9223372036854775808"), Err(NumericError::TooLargeForInteger));
        assert_eq!(parse_float("1e999"), Err(NumericError::TooLarge));
    }

    #[test]
    fn counts_may_be_spelled_as_decimals_but_must_be_whole() {
        assert_eq!(parse_integer("2534.000"), Ok(2534));
        assert_eq!(parse_integer("2.534E3"), Ok(2534));
        assert_eq!(parse_integer("25340E-1"), Ok(2534));
        assert_eq!(parse_integer("2534.5"), Err(NumericError::NotWhole));
        assert_eq!(parse_integer("1e-12"), Err(NumericError::NotWhole));
    }
}
