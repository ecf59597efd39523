/// Bytes, with `K`, `M`, `G` for powers of 1000 or `KiB`, `MiB`, `GiB` for powers of 1024.
pub(crate) fn rate(raw: &str) -> Result<u64, String> {
    let digits = raw.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit: u64 = match raw.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "K" | "k" | "KB" | "kB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("{other} is no unit; K, M, G, KiB, MiB and GiB are")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|error| format!("{digits:?} is no number of bytes: {error}"))?;
    match number.checked_mul(unit) {
        Some(0) => Err("it must be positive".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("it is too large".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn units_are_decimal_or_binary() {
        for (raw, bytes) in [
            ("1", 1),
            ("5K", 5_000),
            ("5KiB", 5_120),
            ("2M", 2_000_000),
            ("1MiB", 1 << 20),
            ("3G", 3_000_000_000),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(rate(raw), Ok(bytes), "{raw}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for raw in [
            "",
            "K",
            "0",
            "0M",
            "-1",
            "1T",
            "1.5M",
            "1 M",
            "99999999999G",
        ] {
            assert!(rate(raw).is_err(), "{raw}");
        }
    }
}
