//! `rdump init`, `rdump list` and `rdump show`.

use std::fmt::Write as _;

use rdump::{
    ErrorKind, Location, Repository, RunRecord, Snapshot, SnapshotManifest, SnapshotNamespace,
    Stretch,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    convert::ShowRequest,
    exit::Exit,
    session::Session,
    time::text,
    units::{bytes, counted},
};

/// Makes a repository.
pub(crate) async fn init(
    session: &Session,
    location: &Location,
    json: bool,
) -> anyhow::Result<Exit> {
    let made = Repository::init_by(location, session.actor.clone());
    let repository = session
        .unless_cancelled("making the repository", made)
        .await?;
    let console = &session.console;
    match json {
        true => console.document(json!({ "repository": repository.record().id })),
        false => console.stdout(&format!("{}\n", repository.record().id)),
    }
    console.log(format_args!("made {repository}"));
    Ok(Exit::Done)
}

/// Lists the snapshots.
pub(crate) async fn list(
    session: &Session,
    location: &Location,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let listed = async {
        let repository = Repository::open(location).await?;
        let (snapshots, timeline) = (repository.snapshots().await?, repository.timeline().await?);
        let restorable = repository.restorable(&snapshots, &timeline).await?;
        Ok::<_, rdump::Error>((snapshots, timeline, restorable, repository))
    };
    let (snapshots, timeline, restorable, repository) = session
        .unless_cancelled("listing snapshots", listed)
        .await?;
    let stretches = timeline.stretches();
    if json {
        let damaged = snapshots.damaged.iter().map(
            |(id, error)| json!({ "id": id, "error": error.to_string(), "path": error.location() }),
        );
        console.document(json!({
            "repository": repository.record().id,
            "snapshots": snapshots.whole.iter().map(|snapshot| summary(snapshot.manifest(), &snapshot.manifest().run)).collect::<Vec<_>>(),
            "damaged": damaged.collect::<Vec<_>>(),
            "unfinished": snapshots.unfinished,
            "running": snapshots.running,
            "spans": stretches.iter().map(span).collect::<Vec<_>>(),
            "restorable": restorable,
        }));
    } else {
        console.stdout(&table(&snapshots.whole));
        // The moment of a snapshot stands beside it.
        for span in restorable.iter().filter(|span| span.from < span.until) {
            let (from, until) = (text(span.from), text(span.until));
            console.stdout(&format!(
                "any moment from {from} to {until} can be restored\n"
            ));
        }
        for gap in timeline.gaps() {
            let (start, end) = (text(gap.start), text(gap.end));
            console.stdout(&format!("gap after {start} until {end}\n"));
        }
        let leads_nowhere = |stretch: &&Stretch| {
            let mut spans = restorable.iter();
            !spans.any(|span| span.from < stretch.end && stretch.end <= span.until)
        };
        for stretch in stretches.iter().filter(leads_nowhere) {
            let (start, end) = (text(stretch.start), text(stretch.end));
            console.stdout(&format!(
                "captured after {start} until {end}: no snapshot leads there\n"
            ));
        }
    }
    for (id, error) in &snapshots.damaged {
        let what = match error.kind() {
            ErrorKind::Unsupported => "UNSUPPORTED",
            _ => "DAMAGED",
        };
        console.always(format_args!("{what} {id}: {error}"));
        if let Some(hint) = error.hint() {
            console.always(hint);
        }
    }
    for id in &snapshots.unfinished {
        match snapshots.running.contains(id) {
            true => console.log(format_args!("{id} is being written")),
            false => console.log(format_args!("{id} was begun and is not finished")),
        }
    }
    let mut damaged = snapshots.damaged.iter();
    Ok(
        match damaged.all(|(_, error)| error.kind() == ErrorKind::Unsupported) {
            true if snapshots.damaged.is_empty() => Exit::Done,
            true => Exit::Failed,
            false => Exit::Damaged,
        },
    )
}

/// Shows one snapshot.
pub(crate) async fn show(
    session: &Session,
    request: ShowRequest,
    json: bool,
) -> anyhow::Result<Exit> {
    let console = &session.console;
    let found = async {
        let repository = Repository::open(&request.repository).await?;
        let has_key = request.identities.is_some();
        let repository = repository.identities(request.identities);
        let snapshot = repository.find_snapshot(&request.snapshot).await?;
        let mut shown = Shown {
            run: snapshot.manifest().run.clone(),
            recipients: snapshot.recipients().await?,
            namespaces: None,
            snapshot,
        };
        if has_key || !shown.snapshot.manifest().is_encrypted() {
            shown.run = shown.snapshot.run().await?;
            shown.namespaces = Some(shown.snapshot.namespaces().await?);
        }
        Ok::<_, rdump::Error>(shown)
    };
    let shown = session
        .unless_cancelled("reading the snapshot", found)
        .await?;
    match json {
        true => console.document(shown.document()),
        false => console.stdout(&shown.page()),
    }
    if shown.namespaces.is_none() {
        console
            .log("what is in the snapshot is encrypted: --identity or --passphrase-file shows it");
    }
    Ok(Exit::Done)
}

/// A snapshot, and what can be read of it.
struct Shown {
    snapshot: Snapshot,
    run: RunRecord,
    recipients: Vec<String>,
    /// None where it is encrypted and no key was given.
    namespaces: Option<Vec<SnapshotNamespace>>,
}

impl Shown {
    fn document(&self) -> Value {
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct Row<'a> {
            namespace: String,
            #[serde(rename = "type")]
            kind: Option<&'a str>,
            indexes: usize,
            documents: Option<u64>,
            uncompressed_bytes: Option<u64>,
            stored_bytes: Option<u64>,
            objects: Option<u64>,
        }

        let namespaces = self.namespaces.iter().flatten();
        let rows = namespaces.map(|namespace| {
            let (entry, stored) = (&namespace.entry, namespace.stored.as_ref());
            let metadata = entry.metadata.as_ref();
            Row {
                namespace: entry.namespace.to_string(),
                kind: metadata.and_then(|metadata| metadata.kind.as_deref()),
                indexes: metadata.map_or(0, |metadata| metadata.indexes.len()),
                documents: stored.map(|stored| stored.documents),
                uncompressed_bytes: stored.map(|stored| stored.uncompressed_bytes),
                stored_bytes: stored.map(|stored| stored.stored_bytes),
                objects: stored.map(|stored| stored.objects),
            }
        });
        json!({
            "snapshot": summary(self.snapshot.manifest(), &self.run),
            "encrypted-to": self.recipients,
            "options": self.run.options,
            "namespaces": self.namespaces.is_some().then(|| rows.collect::<Vec<_>>()),
        })
    }

    fn page(&self) -> String {
        let (manifest, run) = (self.snapshot.manifest(), &self.run);
        let tags = manifest.tags.iter();
        let tags: Vec<_> = tags.map(|(key, value)| format!("{key}={value}")).collect();
        let set = run.source.set_name.as_deref();
        let mut page = String::new();
        for (name, value) in [
            ("snapshot", manifest.id.to_string()),
            ("repository", manifest.repository.to_string()),
            ("started", run.started_at.clone()),
            ("finished", run.finished_at.clone()),
            ("earlier attempts", manifest.earlier_attempts.join(", ")),
            ("source", run.source.hosts.join(",")),
            ("replica set", set.unwrap_or_default().to_owned()),
            ("server", run.source.server_version.clone()),
            ("tool", run.tool_version.clone()),
            ("consistency", consistency(manifest)),
            ("only", run.part().unwrap_or_default()),
            ("documents", run.documents.to_string()),
            (
                "bytes",
                format!(
                    "{} ({} stored)",
                    bytes(run.uncompressed_bytes),
                    bytes(run.stored_bytes)
                ),
            ),
            ("objects", manifest.objects.to_string()),
            ("encrypted to", self.recipients.join(", ")),
            ("tags", tags.join(", ")),
            ("problems", run.problems.join("; ")),
        ] {
            if !value.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(page, "{name:<17} {}", printable(&value));
            }
        }
        let Some(namespaces) = &self.namespaces else {
            return page;
        };
        page.push('\n');
        let mut rows = vec![
            [
                "NAMESPACE",
                "TYPE",
                "INDEXES",
                "DOCUMENTS",
                "BYTES",
                "STORED",
            ]
            .map(str::to_owned),
        ];
        for namespace in namespaces {
            let (entry, stored) = (&namespace.entry, namespace.stored.as_ref());
            let metadata = entry.metadata.as_ref();
            let kind = metadata.and_then(|metadata| metadata.kind.clone());
            rows.push([
                printable(&entry.namespace.to_string()),
                kind.unwrap_or_default(),
                metadata
                    .map_or(0, |metadata| metadata.indexes.len())
                    .to_string(),
                stored
                    .map(|stored| stored.documents.to_string())
                    .unwrap_or_default(),
                stored
                    .map(|stored| bytes(stored.uncompressed_bytes))
                    .unwrap_or_default(),
                stored
                    .map(|stored| bytes(stored.stored_bytes))
                    .unwrap_or_default(),
            ]);
        }
        page.push_str(&aligned(&rows));
        let _ = writeln!(page, "{}", counted(namespaces.len() as u64, "namespace"));
        page
    }
}

/// What is said of what is captured without a gap, for machines.
pub(crate) fn span(stretch: &Stretch) -> Value {
    json!({ "after": stretch.start, "until": stretch.end, "timeline": stretch.timeline })
}

/// What is said of a snapshot in a list, for machines.
fn summary(manifest: &SnapshotManifest, run: &RunRecord) -> Value {
    let source = &run.source;
    json!({
        "id": manifest.id,
        "format": manifest.version,
        "started-at": run.started_at,
        "finished-at": run.finished_at,
        "duration-seconds": seconds(manifest),
        "earlier-attempts": manifest.earlier_attempts,
        "tool-version": run.tool_version,
        "source": {
            "hosts": source.hosts,
            "set-name": source.set_name,
            "server-version": source.server_version,
            "topology": source.topology,
        },
        "consistency": run.consistency,
        "consistent-at": run.consistent_at,
        "compression": manifest.codec,
        "encrypted": manifest.is_encrypted(),
        "namespaces": manifest.namespaces,
        "objects": manifest.objects,
        "documents": run.documents,
        "uncompressed-bytes": run.uncompressed_bytes,
        "stored-bytes": run.stored_bytes,
        "tags": manifest.tags,
        "problems": run.problems,
    })
}

fn table(snapshots: &[Snapshot]) -> String {
    let mut rows = vec![
        [
            "ID",
            "STARTED",
            "SOURCE",
            "SECONDS",
            "DOCUMENTS",
            "BYTES",
            "STORED",
            "CONSISTENT",
            "TAGS",
        ]
        .map(str::to_owned),
    ];
    for snapshot in snapshots {
        let (manifest, run) = (snapshot.manifest(), &snapshot.manifest().run);
        let tags = manifest.tags.iter();
        let tags: Vec<_> = tags.map(|(key, value)| format!("{key}={value}")).collect();
        rows.push([
            manifest.id.to_string(),
            // Of the first attempt: some documents are as old as that.
            to_seconds(manifest.earlier_attempts.first().unwrap_or(&run.started_at)),
            printable(source(run)),
            format!("{:.0}", seconds(manifest)),
            run.documents.to_string(),
            bytes(run.uncompressed_bytes),
            bytes(run.stored_bytes),
            printable(run.consistent_at.as_ref().unwrap_or(&run.consistency)),
            printable(&tags.join(",")),
        ]);
    }
    aligned(&rows)
}

/// What a snapshot is of, in a word: the replica set, or where the server was.
fn source(run: &RunRecord) -> &str {
    let source = &run.source;
    let name = source.set_name.as_ref().or(source.hosts.first());
    name.map_or("unknown", String::as_str)
}

fn consistency(manifest: &SnapshotManifest) -> String {
    match (
        &manifest.run.consistent_at,
        manifest.run.consistency.as_str(),
    ) {
        (Some(at), how) => format!("{how} at {at}"),
        (None, "none") => "none: each collection is as it was when it was read".to_owned(),
        (None, how) => how.to_owned(),
    }
}

/// How long the run took that finished the snapshot.
fn seconds(manifest: &SnapshotManifest) -> f64 {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let (run, mut seconds) = (&manifest.run, 0.0);
    if let (Some(start), Some(end)) = (time(&run.started_at), time(&run.finished_at)) {
        seconds = end.duration_since(start).as_secs_f64();
    }
    seconds
}

/// A moment without fractions of a second.
pub(crate) fn to_seconds(moment: &str) -> String {
    match moment.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => moment.to_owned(),
    }
}

/// A name in one line, whatever is in it.
pub(crate) fn printable(name: &str) -> String {
    let is_plain = |c: char| !c.is_control();
    let characters = name.chars().map(|c| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_default().to_string(),
    });
    characters.collect()
}

/// Rows of columns that are as wide as their widest cell.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
