//! What is wrong, before it fails.

use std::{sync::Arc, time::Duration};

use rdump::{
    Check, ConnectOptions, Doctor, DoctorReport, Location, Severity,
    Severity::{Danger, Good, Note, Unknown, Warning},
    Store,
};
use rdump_testkit::Deployment;

mod place;
mod servers;
mod stores;

const DAY: i64 = 86_400;

/// A doctor who looks at a store.
fn at(store: Arc<dyn Store>) -> Doctor {
    Doctor::default().place(Location::from(store))
}

/// A doctor who looks at a deployment.
fn of(deployment: &Deployment) -> Doctor {
    by(deployment.root_uri())
}

fn by(uri: String) -> Doctor {
    Doctor::default().deployment(ConnectOptions::default().uri(uri))
}

/// What can go to another thread.
fn sendable<T: Send>(value: T) -> T {
    value
}

async fn run(doctor: Doctor) -> DoctorReport {
    let report = sendable(Box::pin(doctor.run())).await;
    let report = report.unwrap_or_else(|error| panic!("{error:?}"));
    let order = report.findings.iter().map(|it| (it.severity, it.check));
    assert!(order.is_sorted(), "{report}");
    for finding in &report.findings {
        let is_line = |text: &str| !text.is_empty() && !text.contains('\n');
        assert!(is_line(&finding.seen), "{finding:?}");
        assert!(finding.advice.as_deref().is_none_or(is_line), "{finding:?}");
        if matches!(finding.severity, Danger | Warning) {
            assert!(finding.advice.is_some(), "{finding:?}");
        }
    }
    report
}

/// The finding of a check that is so bad.
#[track_caller]
fn find(report: &DoctorReport, severity: Severity, check: Check) -> &rdump::Finding {
    let mut findings = report.findings.iter();
    let found = findings.find(|it| (it.severity, it.check) == (severity, check));
    found.unwrap_or_else(|| panic!("no {severity} {check} in:\n{report}"))
}

/// Fails the test unless a check found something so bad, in these words.
#[track_caller]
fn expect(report: &DoctorReport, severity: Severity, check: Check, words: &str) {
    let mut findings = report.findings.iter();
    let found =
        findings.any(|it| (it.severity, it.check) == (severity, check) && it.seen.contains(words));
    assert!(found, "no {severity} {check} with {words:?} in:\n{report}");
}

/// Fails the test if a check found anything.
#[track_caller]
fn expect_none(report: &DoctorReport, check: Check) {
    let found = report.findings.iter().find(|it| it.check == check);
    assert_eq!(found, None);
}

#[track_caller]
fn expect_no_danger(report: &DoctorReport) {
    assert!(!report.is_dangerous(), "{report}");
}

fn a_day() -> Option<Duration> {
    Some(Duration::from_secs(24 * 3600))
}
