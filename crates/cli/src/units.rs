//! Numbers as people read them.

/// Bytes in decimal units, with three digits: `12.3 MB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    if count < 1000 {
        return format!("{count} B");
    }
    for unit in ["kB", "MB", "GB", "TB"] {
        value /= 1000.0;
        if value < 9.995 {
            return format!("{value:.2} {unit}");
        }
        if value < 99.95 {
            return format!("{value:.1} {unit}");
        }
        if value < 999.5 {
            return format!("{value:.0} {unit}");
        }
    }
    format!("{value:.0} TB")
}

/// Bytes in a second: `12.3 MB/s`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "three digits are shown, and casts from floats saturate"
)]
pub(crate) fn rate(count: u64, seconds: f64) -> String {
    let per_second = if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    };
    format!("{}/s", bytes(per_second as u64))
}

/// A number of things, with the `s` that more than one have: `1 document`, `2 documents`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (5_000_000_000, "5.00 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
        assert_eq!(rate(3_000_000, 2.0), "1.50 MB/s");
        assert_eq!(rate(1, 0.0), "0 B/s");
        assert_eq!(counted(1, "document"), "1 document");
        assert_eq!(counted(0, "failure"), "0 failures");
    }
}
