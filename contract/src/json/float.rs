//! Conversion of JSON numbers to the nearest float, with the result of the standard library but without its tables of 10 KB.
//!
//! `digits × 10^exponent` is a fraction of two big integers. The quotient is computed bit by bit, and the remainder decides the
//! rounding.

use super::number;

/// The maximum number of digits. The engine writes no number with more.
const MAXIMUM_DIGITS: usize = 800;

/// An unsigned integer of any size, the least significant part first, without zeros at the end.
struct Big(Vec<u32>);

impl Big {
    /// Multiplies by `factor` and adds `addend`.
    fn push(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for part in &mut self.0 {
            carry += u64::from(*part) * u64::from(factor);
            *part = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn bits(&self) -> i32 {
        self.0
            .last()
            .map_or(0, |last| self.0.len() as i32 * 32 - last.leading_zeros() as i32)
    }

    fn shift_left(&mut self, bits: i32) {
        for _ in 0..bits % 32 {
            self.push(2, 0);
        }
        if !self.0.is_empty() {
            self.0.splice(0..0, core::iter::repeat_n(0, bits as usize / 32));
        }
    }

    fn is_at_least(&self, other: &Self) -> bool {
        self.0
            .len()
            .cmp(&other.0.len())
            .then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
            .is_ge()
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (index, part) in self.0.iter_mut().enumerate() {
            let (less, first) = part.overflowing_sub(other.0.get(index).copied().unwrap_or(0));
            let (less, second) = less.overflowing_sub(borrow.into());
            (*part, borrow) = (less, first || second);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }
}

/// The parts of a JSON number: sign, digits before and after the point, and exponent.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i32,
}

impl<'a> Parts<'a> {
    fn new(text: &'a str) -> Self {
        let (negative, number) = match text.strip_prefix('-') {
            Some(number) => (true, number),
            None => (false, text),
        };
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let exponent: i32 = match exponent.parse() {
            Ok(exponent) => exponent,
            // An exponent beyond the range of `i32` is beyond the range of every float.
            Err(_) if exponent.starts_with('-') => i32::MIN / 2,
            Err(_) => i32::MAX / 2,
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        Self {
            negative,
            whole,
            fraction,
            exponent,
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    fn exponent_of_digits(&self) -> i32 {
        self.exponent.saturating_sub(self.fraction.len() as i32)
    }
}

/// The first digits of the greatest float.
const GREATEST: &[u8] = b"1797693134862315";

/// Whether a scanned number is within the range of a float. Its first digits usually decide.
pub(super) fn is_finite(text: &str) -> bool {
    if text.len() < 308 && !text.contains(['e', 'E']) {
        return true;
    }
    let parts = Parts::new(text);
    let Some(zeros) = parts.digits().position(|digit| digit != b'0') else {
        return true;
    };
    // The number is d.ddd × 10^magnitude.
    let magnitude = (parts.whole.len() as i32 - 1 - zeros as i32).saturating_add(parts.exponent);
    if magnitude != 308 {
        return magnitude < 308;
    }
    match parts
        .digits()
        .skip(zeros)
        .take(GREATEST.len())
        .cmp(GREATEST.iter().copied())
    {
        core::cmp::Ordering::Less => true,
        core::cmp::Ordering::Greater => false,
        core::cmp::Ordering::Equal => read_float(text).is_some(),
    }
}

/// The powers of ten that a float represents exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Converts numbers of up to 15 digits with an exact power of ten, where one division or multiplication rounds only once.
fn short(parts: &Parts<'_>) -> Option<f64> {
    let exponent = parts.exponent_of_digits();
    let ten = *TENS.get(exponent.unsigned_abs() as usize)?;
    if parts.whole.len() + parts.fraction.len() > 15 {
        return None;
    }
    let digits = parts
        .digits()
        .fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0')) as f64;
    Some(if exponent < 0 { digits / ten } else { digits * ten })
}

/// Converts a number that has a point or an exponent; `None` if the text is not a number, or not finite.
pub fn read_float(text: &str) -> Option<f64> {
    let (end, read) = number::scan(text.as_bytes(), 0);
    if read.is_err() || end != text.len() {
        return None;
    }
    let parts = Parts::new(text);
    let negative = parts.negative;
    if let Some(nearest) = short(&parts) {
        return Some(if negative { -nearest } else { nearest });
    }
    if parts.whole.len() + parts.fraction.len() > MAXIMUM_DIGITS {
        return None;
    }
    let mut numerator = Big(Vec::new());
    for digit in parts.digits() {
        numerator.push(10, u32::from(digit - b'0'));
    }
    let exponent = parts.exponent_of_digits();
    let nearest = if numerator.0.is_empty() || exponent < -2000 {
        0.0
    } else if exponent > 400 {
        return None;
    } else {
        divide(numerator, exponent)
    };
    nearest
        .is_finite()
        .then_some(if negative { -nearest } else { nearest })
}

/// Returns the float nearest to `numerator × 10^exponent`, ties to even.
fn divide(mut numerator: Big, exponent: i32) -> f64 {
    let mut denominator = Big(vec![1]);
    let grows = if exponent < 0 {
        &mut denominator
    } else {
        &mut numerator
    };
    let (billions, tens) = (exponent.unsigned_abs() / 9, exponent.unsigned_abs() % 9);
    for _ in 0..billions {
        grows.push(1_000_000_000, 0);
    }
    for _ in 0..tens {
        grows.push(10, 0);
    }
    let mut scale = numerator.bits() - denominator.bits();
    if scale > 0 {
        denominator.shift_left(scale);
    } else {
        numerator.shift_left(-scale);
    }
    if !numerator.is_at_least(&denominator) {
        numerator.push(2, 0);
        scale -= 1;
    }
    // Now 1 ≤ numerator / denominator < 2, and the number is this quotient times 2^scale.
    let mut significand = 0_u64;
    // Floats below 2^-1022 have fewer bits.
    let bits = 53.min(scale + 1075).max(0);
    for _ in 0..bits {
        significand = significand << 1 | u64::from(step(&mut numerator, &denominator));
    }
    if scale < -1075 {
        return 0.0;
    }
    let half = step(&mut numerator, &denominator);
    if half && (!numerator.0.is_empty() || significand & 1 == 1) {
        significand += 1;
    }
    // A carry out of the significand increments the exponent, because the two are adjacent in a float.
    if bits == 53 {
        let exponent = (scale + 1022) as u64;
        if exponent >= 2046 {
            return f64::INFINITY;
        }
        f64::from_bits((exponent << 52) + significand)
    } else {
        f64::from_bits(significand)
    }
}

/// Computes the next bit of the quotient.
fn step(numerator: &mut Big, denominator: &Big) -> bool {
    let bit = numerator.is_at_least(denominator);
    if bit {
        numerator.subtract(denominator);
    }
    numerator.push(2, 0);
    bit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_cases_are_read_as_the_standard_library_reads_them() {
        for text in [
            "0.0",
            "-0.0",
            "1.0",
            "0.1",
            "1e23",
            "8.5e22",
            "5e-324",
            "2.4703282292062327e-324",
            "2.4703282292062328e-324",
            "2.2250738585072011e-308",
            "2.2250738585072014e-308",
            "2.225073858507201136e-308",
            "1.7976931348623157e308",
            "1.7976931348623158e308",
            "9007199254740993.0",
            "9007199254740992.999999999",
            "9007199254740995.0",
            "1e-400",
            "1e400",
            "1e99999999999",
            "1e-99999999999",
            "0e99999999999",
            "4.9406564584124654e-324",
            "3e-324",
            "6631236846766476e-316",
            "1.00000000000000011102230246251565404",
            "179769313486231580793728971405301e277",
            "0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001e90",
        ] {
            let expected = text.parse().ok().filter(|number: &f64| number.is_finite());
            assert_eq!(
                read_float(text).map(f64::to_bits),
                expected.map(f64::to_bits),
                "{text}"
            );
        }
        for text in ["", "x", "1.", ".5", "1e", "01.0", "1.0 x", "NaN", "inf"] {
            assert_eq!(read_float(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_is_read_as_the_standard_library_reads_it(
            text in r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?"
        ) {
            let expected = text.parse().ok().filter(|number: &f64| number.is_finite());
            proptest::prop_assert_eq!(read_float(&text).map(f64::to_bits), expected.map(f64::to_bits));
        }

        #[test]
        fn any_float_is_read_back(bits: u64) {
            let float = f64::from_bits(bits);
            if float.is_finite() {
                let text = ryu::Buffer::new().format_finite(float).to_owned();
                proptest::prop_assert_eq!(read_float(&text).map(f64::to_bits), Some(bits));
            }
        }
    }
}
