//! Figures as people read them.

/// A length of time, by its largest unit.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub(super) fn length(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let of = |unit: i64, name: &str| format!("{:.1} {name}", seconds as f64 / unit as f64);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => of(60, "min"),
        7_200..172_800 => of(3_600, "h"),
        _ => of(86_400, "d"),
    }
}

/// A number of bytes, in decimal units.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(super) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return match unit {
                "B" => format!("{bytes} B"),
                unit => format!("{value:.1} {unit}"),
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A number of things, with the `s` that more than one have.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// The first few of these, and how many more there are.
pub(super) fn some<T: ToString>(all: &[T]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    let shown = shown.join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_unit_that_fits() {
        let told = [-5, 119, 120, 7_199, 7_200, 172_800].map(length);
        assert_eq!(
            told,
            ["0 s", "119 s", "2.0 min", "120.0 min", "2.0 h", "2.0 d"]
        );
        let told = [0, 999, 1_500, 2_000_000, 3_500_000_000, 5_000_000_000_000].map(size);
        assert_eq!(
            told,
            ["0 B", "999 B", "1.5 kB", "2.0 MB", "3.5 GB", "5.0 TB"]
        );
        assert_eq!(counted(1, "slice"), "1 slice");
        assert_eq!(some(&["a", "b"]), "a, b");
        assert_eq!(some(&[1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
    }
}
