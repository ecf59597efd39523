//! Locations in object stores.

use rdump::Location;

use super::*;

#[test]
fn every_option_of_a_location_in_an_object_store_is_a_flag_too() {
    let values = [
        ("path-style", "true"),
        ("expected-bucket-owner", "123456789012"),
        ("checksum", "sha256"),
        ("sse", "aes256"),
        ("tag", "a=b"),
        ("object-lock-mode", "GOVERNANCE"),
        ("object-lock-retain-until", "30d"),
        ("object-lock-legal-hold", "on"),
        ("part-size", "64MiB"),
        ("endpoint", "http://localhost"),
    ];
    for name in rdump::storage::S3Options::NAMES {
        let flag = match name {
            "role-arn" | "external-id" | "clean-uploads" => format!("--{name}"),
            name => format!("--s3-{name}"),
        };
        let value = values.iter().find(|(option, _)| *option == name);
        let value = value.map_or("x", |(_, value)| value);
        let is_flag = ["anonymous", "request-payer", "clean-uploads"].contains(&name);
        let (flag, value) = match is_flag {
            true => (flag, "true"),
            false => (format!("{flag} {value}"), value),
        };
        let mut expected: Location = "s3://bucket/x".parse().unwrap();
        expected.set(name, value).unwrap();
        let request = dump(&format!("--out s3://bucket/x {flag}"));
        assert_eq!(request.output, Output::Folder(expected), "{flag}");
        assert!(!request.overwrite);
    }
}

#[test]
fn options_of_object_stores_are_refused_where_there_is_none_and_where_they_make_no_sense() {
    for (line, expected) in [
        (
            "--s3-region x",
            "--s3-region: location \"dump\" is not supported: only a location such as s3://bucket/prefix has options",
        ),
        (
            "--archive --s3-region x",
            "--s3-region goes with s3://bucket/prefix, not with standard input or output",
        ),
        (
            "--out s3://bucket/x --s3-part-size 1MiB",
            "--s3-part-size: location \"s3://bucket/x\" is not supported: part-size is from 5MiB to 5GiB, such as 64MiB",
        ),
        (
            "--archive=s3://bucket/folder/",
            "--archive: s3://bucket/folder/ ends in a slash: name the archive itself",
        ),
    ] {
        assert_eq!(dump_refusal(line), expected, "{line}");
    }
    let slash = "--archive=s3://bucket/folder/?region=x";
    assert!(
        restore_refusal(slash).ends_with("name the archive itself"),
        "{slash}"
    );
}
