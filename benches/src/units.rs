//! Numbers as people read them. Megabytes are millions of bytes, for memory too.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes as `561 MB`, with a decimal below ten.
pub(crate) fn megabytes(bytes: u64) -> String {
    let megabytes = in_megabytes(bytes);
    let decimals = usize::from(megabytes < 9.95);
    format!("{megabytes:.decimals$} MB")
}

/// A duration as `4.1 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Bytes in a time as `137 MB/s`.
pub(crate) fn rate(bytes: u64, duration: Duration) -> String {
    let seconds = duration.as_secs_f64().max(f64::EPSILON);
    format!("{:.0} MB/s", in_megabytes(bytes) / seconds)
}

/// A part of a whole as `42 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    format!(
        "{:.0} %",
        100.0 * in_megabytes(part) / in_megabytes(whole.max(1))
    )
}

fn in_megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The middle of some numbers; of an even number of them, the mean of the two in the middle.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_unstable_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    if numbers.len().is_multiple_of(2) {
        Some(f64::midpoint(numbers[middle - 1], upper))
    } else {
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        let grouped = [0, 999, 1_000, 1_234_567].map(count);
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn sizes_rates_and_times_are_short() {
        assert_eq!(megabytes(561_400_000), "561 MB");
        assert_eq!(megabytes(1_550_000), "1.6 MB");
        assert_eq!(rate(561_400_000, Duration::from_millis(4_100)), "137 MB/s");
        assert_eq!(seconds(Duration::from_millis(4_149)), "4.1 s");
        assert_eq!(percent(42, 100), "42 %");
    }

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}
