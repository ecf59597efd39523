//! `rdump rekey`: other people open snapshots from now on.

use anyhow::bail;
use rdump::{ErrorKind, Repository, SnapshotId};
use serde_json::json;

use crate::{convert::RekeyRequest, exit::Exit, session::Session};

/// Wraps the keys of snapshots anew.
pub(crate) async fn run(
    session: &Session,
    request: RekeyRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let found = async {
        let repository = Repository::open(&request.repository).await?;
        let repository = repository.identities(Some(request.identities.clone()));
        let repository = repository.actor(session.actor.clone());
        let mut ids: Vec<SnapshotId> = Vec::new();
        for text in &request.snapshots {
            ids.push(repository.find_id(text).await?);
        }
        let (mut damaged, mut unfinished, mut captures) = (Vec::new(), Vec::new(), Vec::new());
        if request.snapshots.is_empty() {
            let listed = repository.snapshots().await?;
            let encrypted = listed
                .whole
                .iter()
                .filter(|it| it.manifest().is_encrypted());
            ids.extend(encrypted.map(|snapshot| snapshot.id().clone()));
            (damaged, unfinished) = (listed.damaged, listed.unfinished);
            captures = repository.encrypted_captures().await?;
        }
        Ok::<_, rdump::Error>((repository, ids, damaged, unfinished, captures))
    };
    let (repository, mut ids, damaged, unfinished, captures) = session
        .unless_cancelled("looking at the repository", found)
        .await?;
    if !request.snapshots.is_empty() {
        console
            .log("other snapshots, and what is captured, keep their keys: --all changes them all");
    }
    // What is not finished will be gone on with; not all of that is encrypted.
    ids.extend(unfinished.iter().chain(&captures).cloned());
    let is_plain = |id, error: &anyhow::Error| {
        let error = error.downcast_ref::<rdump::Error>();
        unfinished.contains(id) && error.is_some_and(|it| it.kind() == ErrorKind::Invalid)
    };
    let (mut changed, mut failed, mut unrecorded) = (Vec::new(), Vec::new(), false);
    for id in &ids {
        let rekeyed = repository.rekey(id, &request.recipients);
        let what = match captures.contains(id) {
            true => "what was captured by",
            false => "snapshot",
        };
        let doing = format!("changing the keys of {what} {id}");
        match session.unless_cancelled(&doing, rekeyed).await {
            Ok(report) => {
                console.log(format_args!("{what} {id} has other keys now"));
                changed.push(id);
                for problem in report.problems {
                    console.always(format_args!("WARNING: {problem}"));
                    unrecorded = true;
                }
            }
            Err(error) if is_plain(id, &error) => {}
            // The others can be opened all the same.
            Err(error) if error.is::<rdump::Error>() => {
                console.always(format_args!("FAILED {id}: {error}"));
                failed.push(json!({ "id": id, "message": error.to_string() }));
            }
            Err(error) => return Err(error),
        }
    }
    if changed.is_empty() && failed.is_empty() && damaged.is_empty() {
        bail!("there is nothing to do: no snapshot of {repository} is encrypted");
    }
    if !failed.is_empty() && !changed.is_empty() {
        console.always(
            "where some snapshots have their new keys already, give those beside the old ones",
        );
    }
    for (_, error) in &damaged {
        console.always(format_args!("DAMAGED {error}: its keys are as they were"));
    }
    match json {
        true => console.document(json!({ "snapshots": changed, "failed": failed })),
        false => changed
            .iter()
            .for_each(|id| console.stdout(&format!("{id}\n"))),
    }
    Ok(match damaged.is_empty() {
        true if failed.is_empty() && unrecorded => Exit::Problems,
        true if failed.is_empty() => Exit::Done,
        true => Exit::Failed,
        false => Exit::Damaged,
    })
}
