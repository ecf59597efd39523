//! The arguments of a program that is run by an alias of cargo.

use std::{env, ffi::OsString};

/// The arguments, without the `--` that `cargo demo -- --keep` passes on: the alias has one of its own before it.
pub(crate) fn arguments() -> impl Iterator<Item = OsString> {
    without_separator(env::args_os())
}

fn without_separator(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments
        .enumerate()
        .filter(|(place, argument)| *place != 1 || argument != "--")
        .map(|(_, argument)| argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_separator_at_the_beginning_is_left_out() {
        let left = |words: &[&str]| {
            without_separator(words.iter().map(OsString::from)).collect::<Vec<_>>()
        };

        assert_eq!(left(&["demo", "--", "--keep"]), ["demo", "--keep"]);
        assert_eq!(left(&["demo", "--keep"]), ["demo", "--keep"]);
        assert_eq!(left(&["demo", "--keep", "--"]), ["demo", "--keep", "--"]);
        assert_eq!(left(&["demo"]), ["demo"]);
    }
}
