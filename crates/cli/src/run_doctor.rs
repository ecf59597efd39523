//! `rdump doctor`: what is wrong with a deployment and a repository, and what to do about it.

use rdump::{Doctor, DoctorReport, Severity};
use serde_json::json;

use crate::{convert::DoctorRequest, exit::Exit, session::Session, units::counted};

/// Looks, and tells.
pub(crate) async fn run(
    session: &Session,
    request: DoctorRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let mut doctor = Doctor::default()
        .policy(request.policy)
        .max_age(request.max_age)
        .probe(request.probe);
    if let Some(deployment) = request.deployment {
        doctor = doctor.deployment(deployment);
    }
    if let Some(repository) = request.repository {
        doctor = doctor.place(repository);
    }
    let report = session
        .unless_cancelled("looking", Box::pin(doctor.run()))
        .await?;
    let of = |severity| report.count(severity);
    match json {
        true => console.document(json!({
            "dangers": of(Severity::Danger),
            "warnings": of(Severity::Warning),
            "unknown": of(Severity::Unknown),
            "findings": report.findings,
        })),
        false => console.stdout(&report.to_string()),
    }
    console.log(summary(&report));
    Ok(match report.is_dangerous() {
        true => Exit::Problems,
        false => Exit::Done,
    })
}

fn summary(report: &DoctorReport) -> String {
    let of = |severity, thing| counted(report.count(severity) as u64, thing);
    format!(
        "{}, {}, {} not looked at",
        of(Severity::Danger, "danger"),
        of(Severity::Warning, "warning"),
        of(Severity::Unknown, "thing")
    )
}
