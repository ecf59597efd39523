//! Tars that nobody honest writes.

use rdump_format::{BLOCK_BYTES, BundleEntry};

use super::*;

/// One entry of a tar.
#[derive(Clone)]
struct Entry {
    header: [u8; BLOCK_BYTES],
    body: Vec<u8>,
}

impl Entry {
    fn new(path: &str, body: &[u8]) -> Self {
        Self {
            header: BundleEntry::new(path, body.len() as u64)
                .to_header(0)
                .unwrap(),
            body: body.to_vec(),
        }
    }

    fn path(&self) -> String {
        BundleEntry::from_header(&self.header)
            .unwrap()
            .unwrap()
            .path
    }

    /// With other bytes in its header, and the checksum that these have.
    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self.header[148..156].fill(b' ');
        let sum: u32 = self.header.iter().map(|byte| u32::from(*byte)).sum();
        self.header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }

    fn renamed(&self, path: &str) -> Self {
        Self::new(path, &self.body)
    }
}

/// The entries of a bundle.
fn entries(bytes: &[u8]) -> Vec<Entry> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while let Some(entry) = BundleEntry::from_header(rest.first_chunk().unwrap()).unwrap() {
        let header = *rest.first_chunk().unwrap();
        let length = usize::try_from(entry.stored_bytes).unwrap();
        let body = rest[BLOCK_BYTES..][..length].to_vec();
        rest = &rest[BLOCK_BYTES + length + entry.padding_bytes()..];
        entries.push(Entry { header, body });
    }
    entries
}

fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&entry.header);
        bytes.extend_from_slice(&entry.body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK_BYTES, 0);
    bytes
}

/// A record that is sound, and says something else.
fn said(bytes: &[u8], name: &str, from: &str, to: &str) -> Vec<u8> {
    let text = str::from_utf8(bytes).unwrap();
    let (_, value) = text.split_once(&format!(",\"{name}\":")).unwrap();
    let value = value.strip_suffix("}\n").unwrap().replacen(from, to, 1);
    let digest = rdump_format::Digest::of(value.as_bytes());
    format!("{{\"sha256\":\"{digest}\",\"{name}\":{value}}}\n").into_bytes()
}

/// That a tar is refused by a restore and by what takes it apart, and what both say.
async fn refused(what: &str, bytes: Vec<u8>, expected: &Documents) -> Vec<Error> {
    let (found, failed) = read_bundle(bytes.clone(), &Selector::default()).await;
    for (namespace, documents) in found {
        assert!(documents.is_subset(&expected[&namespace]), "{what}");
    }
    let store = empty();
    let unbundled = unbundle(&store, Cursor::new(bytes)).await;
    let stored = objects(&*store).await;
    assert!(
        stored.keys().all(|path| !path.starts_with("manifests/")),
        "{what}"
    );
    let errors = [failed, unbundled.err()].map(|error| error.unwrap_or_else(|| panic!("{what}")));
    for error in &errors {
        let is_said = matches!(error.kind(), ErrorKind::Data | ErrorKind::Unsupported);
        assert!(is_said, "{what}: {error:?}");
    }
    errors.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_a_bundle_must_be_is_refused_by_name() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let whole = entries(&bundle(&repository, &snapshot).await);
    let expected = read_whole(&snapshot).await;
    let (found, failed) = read_bundle(tar(&whole), &Selector::default()).await;
    assert!(failed.is_none() && found == expected, "{failed:?}");

    // What comes at each place, and what the errors about it name.
    let evil = [
        (
            "an absolute name",
            Entry::new("/etc/passwd", b"x"),
            "/etc/passwd",
        ),
        (
            "a way up",
            Entry::new("../../etc/passwd", b"x"),
            "../../etc/passwd",
        ),
        (
            "a way up inside",
            Entry::new("snapshots/../x", b"x"),
            "snapshots/../x",
        ),
        ("a name of nothing", Entry::new("", b"x"), "\"\""),
        (
            "a symbolic link",
            Entry::new("x", b"").with(156, b"2").with(157, b"/etc"),
            "\"x\"",
        ),
        ("a hard link", Entry::new("x", b"").with(156, b"1"), "\"x\""),
        ("a device", Entry::new("x", b"").with(156, b"3"), "\"x\""),
        (
            "a folder",
            Entry::new("snapshots", b"").with(156, b"5"),
            "\"snapshots\"",
        ),
        (
            "a long name of GNU",
            Entry::new("././@LongLink", b"x").with(156, b"L"),
            "LongLink",
        ),
        (
            "an extended header",
            Entry::new("pax", b"9 size=1\n").with(156, b"x"),
            "\"pax\"",
        ),
        (
            "a global extended header",
            Entry::new("pax", b"x").with(156, b"g"),
            "\"pax\"",
        ),
        (
            "a sparse file",
            Entry::new("x", b"").with(156, b"S"),
            "\"x\"",
        ),
        (
            "a huge header",
            Entry::new("././@LongLink", b"")
                .with(124, b"77777777777")
                .with(156, b"L"),
            "LongLink",
        ),
        (
            "a huge object",
            Entry::new("x", b"").with(124, b"77777777777"),
            "\"x\"",
        ),
        (
            "a binary length",
            Entry::new("x", b"").with(124, &[0xff; 12]),
            "\"x\"",
        ),
        (
            "a name that is not text",
            Entry::new("x", b"").with(0, b"\xff\xfe"),
            "text",
        ),
    ];
    for (what, entry, named) in &evil {
        for at in 0..=whole.len() {
            let mut entries = whole.clone();
            entries.insert(at, entry.clone());
            let what = format!("{what} at {at}");
            for error in refused(&what, tar(&entries), &expected).await {
                // At the end it is something more, whatever it is.
                let said = super::super::whole(&error);
                assert!(at == whole.len() || said.contains(named), "{what}: {said}");
            }
        }
    }
    for (at, entry) in whole.iter().enumerate() {
        let path = entry.path();
        let mut lost = whole.clone();
        lost.remove(at);
        refused(&format!("without {path}"), tar(&lost), &expected).await;
        let mut twice = whole.clone();
        twice.insert(at, entry.clone());
        refused(&format!("{path} twice"), tar(&twice), &expected).await;
        twice.remove(at);
        twice.push(entry.clone());
        refused(&format!("{path} again at the end"), tar(&twice), &expected).await;
        if at + 1 < whole.len() {
            let mut swapped = whole.clone();
            swapped.swap(at, at + 1);
            refused(&format!("{path} late"), tar(&swapped), &expected).await;
        }
        for body in [[&entry.body[..], b"x"].concat(), entry.body[1..].to_vec()] {
            let mut other = whole.clone();
            other[at] = Entry::new(&path, &body);
            refused(&format!("{path} of another length"), tar(&other), &expected).await;
        }
        let mut huge = whole.clone();
        huge[at] = entry.clone().with(124, b"77777777777");
        refused(&format!("{path} of 8 GiB"), tar(&huge), &expected).await;
        let mut prefixed = whole.clone();
        prefixed[at] = entry.clone().with(345, b"/tmp");
        refused(&format!("{path} elsewhere"), tar(&prefixed), &expected).await;
        let mut renamed = whole.clone();
        renamed[at] = entry.renamed(&format!("{path}x"));
        refused(&format!("{path} of another name"), tar(&renamed), &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_sound_and_contradict_each_other_are_refused() {
    let source = ReplicaSet::start().await;
    let (_, repository) = in_memory().await;
    let snapshot = of_many_objects(&source, &repository).await;
    let bytes = bundle(&repository, &snapshot).await;
    let whole = entries(&bytes);
    let expected = read_whole(&snapshot).await;
    let (first, last) = (&whole[1], whole.len() - 1);
    assert_eq!(first.path(), snapshot.id().manifest_copy());
    let documents = format!("\"documents\":{}", snapshot.manifest().run.documents);
    let changes = [
        ("objects", "\"objects\":", "\"objects\":9"),
        ("documents", documents.as_str(), "\"documents\":1"),
        ("namespaces", "\"namespaces\":", "\"namespaces\":9"),
        ("catalog", "catalog/1-0.bson", "catalog/1-1.bson"),
        ("escape", "catalog/1-0.bson", "../../../x.bson"),
        ("id", snapshot.id().as_str(), "20200101T000000Z-00000000"),
        ("version", "\"version\":\"1.1\"", "\"version\":\"9.0\""),
    ];
    for (what, from, to) in changes {
        let mut entries = whole.clone();
        let body = said(&first.body, "manifest", from, to);
        assert_ne!(body, first.body);
        for at in [1, last] {
            entries[at] = Entry::new(&entries[at].path(), &body);
        }
        if what == "namespaces" {
            // Only the catalog tells, which a restore counts.
            let (_, failed) = read_bundle(tar(&entries), &Selector::default()).await;
            assert_eq!(failed.unwrap().kind(), ErrorKind::Data);
            continue;
        }
        refused(what, tar(&entries), &expected).await;
    }
    // What came is of the first root, and the last one is another.
    let mut entries = whole.clone();
    let body = said(
        &first.body,
        "manifest",
        "\"tool_version\":\"",
        "\"tool_version\":\"0",
    );
    entries[last] = Entry::new(&entries[last].path(), &body);
    refused("another root at the end", tar(&entries), &expected).await;

    for (what, rest) in [
        ("another bundle", bytes.clone()),
        ("a byte", vec![1]),
        ("a late byte", [vec![0; 9000], vec![1]].concat()),
        ("zeros without an end", vec![0; 3 << 20]),
    ] {
        let long = [bytes.clone(), rest].concat();
        refused(what, long, &expected).await;
    }
    let record = [bytes, vec![0; 9216]].concat();
    let (found, failed) = read_bundle(record, &Selector::default()).await;
    assert!(failed.is_none() && found == expected, "{failed:?}");
}
