//! What every [`Store`] has to do, as checks that anybody's own store can run.
//!
//! [`violations`] runs them all against a store and says what does not hold. They write to, and delete from, paths that
//! start with `conformance/` only; two runs at once in one store disturb each other. A store that says that it does not
//! mind conditions is not checked for them.

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;
use futures::{future, future::BoxFuture};

use crate::{Listing, ObjectInfo, PutIf, Result, StorageError, Store, Version};

/// Where all objects of the checks are.
const ROOT: &str = "conformance/";
/// How many objects are put and deleted at once.
const AT_ONCE: usize = 16;
/// More than any store lists on one page.
const MANY: usize = 2_500;
/// More than one part of an upload has.
const LARGE_BYTES: u32 = 20 << 20;

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// What was checked.
    pub check: &'static str,
    /// What was found instead.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.found)
    }
}

/// What does not hold of a store.
///
/// # Examples
///
/// ```
/// # async fn example() {
/// let store = rdump_storage::MemoryStore::new("tested");
/// assert_eq!(rdump_storage::conformance::violations(&store).await, []);
/// # }
/// ```
pub async fn violations(store: &dyn Store) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (name, check) in CHECKS {
        let checked = check(store).await.and(clean(store).await);
        if let Err(found) = checked {
            violations.push(Violation { check: name, found });
        }
    }
    violations
}

type Checked = Result<(), String>;
type Check = for<'a> fn(&'a dyn Store) -> BoxFuture<'a, Checked>;

const CHECKS: [(&str, Check); 16] = [
    ("an object is read as it was put", |store| {
        Box::pin(an_object_is_read_as_it_was_put(store))
    }),
    ("an object may be empty", |store| {
        Box::pin(an_object_may_be_empty(store))
    }),
    ("an upload is visible whole or not at all", |store| {
        Box::pin(an_upload_is_visible_whole_or_not_at_all(store))
    }),
    (
        "a large upload is read in parts as it was written",
        |store| Box::pin(a_large_upload_is_read_as_it_was_written(store)),
    ),
    ("what is missing or too short says so", |store| {
        Box::pin(what_is_missing_or_too_short_says_so(store))
    }),
    ("what is written again replaces what was there", |store| {
        Box::pin(what_is_written_again_replaces(store))
    }),
    (
        "a version that is read is not mixed with another",
        |store| Box::pin(a_version_is_not_mixed_with_another(store)),
    ),
    ("names keep every character", |store| {
        Box::pin(names_keep_every_character(store))
    }),
    ("paths that lead elsewhere are refused", |store| {
        Box::pin(paths_that_lead_elsewhere_are_refused(store))
    }),
    ("a prefix selects, and no folder has to be one", |store| {
        Box::pin(a_prefix_selects(store))
    }),
    ("a copy is the same and replaces", |store| {
        Box::pin(a_copy_is_the_same(store))
    }),
    (
        "a copy that the store makes by itself is the same",
        |store| Box::pin(a_copy_by_the_store_is_the_same(store)),
    ),
    ("an object is of a class that can be read", |store| {
        Box::pin(an_object_is_of_a_class(store))
    }),
    ("many objects are listed in order and deleted", |store| {
        Box::pin(many_objects_are_listed_and_deleted(store))
    }),
    ("one of many wins if nothing may be there", |store| {
        Box::pin(one_of_many_wins(store))
    }),
    ("what was changed meanwhile is not replaced", |store| {
        Box::pin(what_was_changed_is_not_replaced(store))
    }),
];

/// Removes everything that the checks have written.
async fn clean(store: &dyn Store) -> Checked {
    let listing = Listing::of(store, ROOT).await.map_err(failed("list"))?;
    let paths = listing.objects.iter().map(|object| object.path.as_str());
    let paths: Vec<&str> = paths.collect();
    store.delete(&paths).await.map_err(failed("delete"))?;
    let left = Listing::of(store, ROOT).await.map_err(failed("list"))?;
    same("what is left after deleting", left.objects.len(), 0)
}

async fn an_object_is_read_as_it_was_put(store: &dyn Store) -> Checked {
    let path = "conformance/a.bson";
    let put = put(store, path, b"hello world").await?;
    same("size", put.stored_bytes, 11)?;
    let head = store.head(path).await.map_err(failed("head"))?;
    same("head", head.as_ref(), Some(&put))?;
    same("first bytes", read(store, path, 0..5).await?, "hello")?;
    same("last bytes", read(store, path, 6..11).await?, "world")?;
    same("no bytes", read(store, path, 3..3).await?.len(), 0)?;
    store.flush().await.map_err(failed("flush"))
}

async fn an_object_may_be_empty(store: &dyn Store) -> Checked {
    put(store, "conformance/put", b"").await?;
    upload(store, "conformance/uploaded", &[]).await?;
    for path in ["conformance/put", "conformance/uploaded"] {
        let head = store.head(path).await.map_err(failed("head"))?;
        same("size", head.map(|object| object.stored_bytes), Some(0))?;
        same("bytes", read(store, path, 0..0).await?.len(), 0)?;
    }
    Ok(())
}

async fn an_upload_is_visible_whole_or_not_at_all(store: &dyn Store) -> Checked {
    let path = "conformance/db/c.bson";
    let begun = store.upload(path).await;
    let mut begun = begun.map_err(failed("begin an upload"))?;
    let piece = Bytes::from_static(b"piece");
    begun
        .write(piece.clone())
        .await
        .map_err(failed("write to an upload"))?;
    same("object before its end", is_there(store, path).await?, false)?;
    drop(begun);
    same(
        "object that was given up",
        is_there(store, path).await?,
        false,
    )?;

    let finished = upload(store, path, &[piece.clone(), Bytes::new(), piece]).await?;
    same("size", finished.stored_bytes, 10)?;
    same("bytes", read(store, path, 0..10).await?, "piecepiece")
}

async fn a_large_upload_is_read_as_it_was_written(store: &dyn Store) -> Checked {
    let path = "conformance/large";
    let bytes: Vec<u8> = (0..LARGE_BYTES)
        .map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let bytes = Bytes::from(bytes);
    // Pieces of all sizes, so that none ends where a part does.
    let mut pieces = Vec::new();
    let mut rest = bytes.clone();
    for size in (1..).map(|number| 99_991 * number) {
        let piece = rest.split_to(rest.len().min(size));
        if piece.is_empty() {
            break;
        }
        pieces.push(piece);
    }
    let finished = upload(store, path, &pieces).await?;
    same("size", finished.stored_bytes, u64::from(LARGE_BYTES))?;
    let head = store.head(path).await.map_err(failed("head"))?;
    same("head", head.as_ref(), Some(&finished))?;
    for start in (0..LARGE_BYTES).step_by(3 << 20) {
        let end = LARGE_BYTES.min(start + (3 << 20));
        let read = read(store, path, start.into()..end.into()).await?;
        if read != bytes.slice(start as usize..end as usize) {
            return Err(format!("bytes {start} to {end} are others"));
        }
    }
    Ok(())
}

async fn what_is_missing_or_too_short_says_so(store: &dyn Store) -> Checked {
    let path = "conformance/short";
    same("head of nothing", is_there(store, path).await?, false)?;
    let missing = store.read(path, 0..1, None).await;
    expect("read of nothing", missing, |error| {
        matches!(error, StorageError::NotFound { .. })
    })?;
    put(store, path, b"abc").await?;
    let short = store.read(path, 1..9, None).await;
    expect("read behind the end", short, |error| {
        matches!(
            error,
            StorageError::TooShort {
                wanted_end: 9,
                actual_bytes: 3,
                ..
            }
        )
    })?;
    let behind = store.read(path, 7..9, None).await;
    expect("read that begins behind the end", behind, |error| {
        matches!(error, StorageError::TooShort { .. })
    })?;
    for _ in 0..2 {
        store.delete(&[path]).await.map_err(failed("delete"))?;
    }
    same(
        "head of what is deleted",
        is_there(store, path).await?,
        false,
    )
}

async fn what_is_written_again_replaces(store: &dyn Store) -> Checked {
    let path = "conformance/again";
    let first = put(store, path, b"first").await?;
    let second = upload(store, path, &[Bytes::from_static(b"the second")]).await?;
    same("bytes", read(store, path, 0..10).await?, "the second")?;
    let third = put(store, path, b"third").await?;
    same("size", third.stored_bytes, 5)?;
    same("bytes", read(store, path, 0..5).await?, "third")?;
    let versions = [first, second, third].map(|object| object.version);
    let distinct: BTreeSet<_> = versions.iter().flatten().map(Version::as_str).collect();
    same("versions", distinct.len(), 3)?;
    // Given up, it leaves what was there.
    let mut begun = store
        .upload(path)
        .await
        .map_err(failed("begin an upload"))?;
    let written = begun.write(Bytes::from_static(b"fourth")).await;
    written.map_err(failed("write to an upload"))?;
    drop(begun);
    same("bytes", read(store, path, 0..5).await?, "third")
}

async fn a_version_is_not_mixed_with_another(store: &dyn Store) -> Checked {
    let path = "conformance/version";
    let first = put(store, path, b"first").await?;
    let read = store.read(path, 0..3, first.version.as_ref()).await;
    same("bytes", read.map_err(failed("read a version"))?, "fir")?;
    put(store, path, b"other").await?;
    let changed = store.read(path, 3..5, first.version.as_ref()).await;
    expect("read of a version that is gone", changed, |error| {
        matches!(error, StorageError::Changed { .. })
    })
}

/// But for the backslash, which is a slash to some stores, and which no file of a dump has in its name.
async fn names_keep_every_character(store: &dyn Store) -> Checked {
    let names = [
        "with space",
        "per%cent",
        "per%2Fcent",
        "plus+sign",
        "a&b=c?d#e",
        "caf\u{e9}",
        "\u{65e5}\u{672c}\u{8a9e}",
        "\u{1f4be}",
        "quote'\"<>",
        "$dollar:colon;semi,comma@at!bang*star(paren)",
        ".dotted",
        "~tilde",
    ];
    let path = |name: &str| format!("{ROOT}{name}/{name}");
    for name in names {
        put(store, &path(name), name.as_bytes()).await?;
    }
    let mut expected: Vec<String> = names.map(path).to_vec();
    expected.sort();
    same("list", paths(store, ROOT).await?, expected)?;
    for name in names {
        let end = name.len() as u64;
        same(
            "bytes",
            read(store, &path(name), 0..end).await?,
            name.as_bytes(),
        )?;
    }
    Ok(())
}

async fn paths_that_lead_elsewhere_are_refused(store: &dyn Store) -> Checked {
    for path in [
        "",
        "/a",
        "../a",
        "a/../../a",
        "a//b",
        "./a",
        "a/",
        "a\0b",
        "1/2/3/4/5/6",
    ] {
        let put = store.put(path, Bytes::new(), PutIf::Always).await;
        let is_refused = |error: &StorageError| matches!(error, StorageError::InvalidPath { .. });
        expect(&format!("put of {path:?}"), put, is_refused)?;
        let upload = store.upload(path).await;
        expect(&format!("upload of {path:?}"), upload, is_refused)?;
        let read = store.read(path, 0..0, None).await;
        expect(&format!("read of {path:?}"), read, is_refused)?;
        let head = store.head(path).await;
        expect(&format!("head of {path:?}"), head, is_refused)?;
        let delete = store.delete(&[path]).await;
        expect(&format!("delete of {path:?}"), delete, is_refused)?;
    }
    Ok(())
}

async fn a_prefix_selects(store: &dyn Store) -> Checked {
    let all = ["a/1", "a/2", "a/deep/er/3", "ab", "b/1"];
    let all = all.map(|name| format!("{ROOT}{name}"));
    for path in &all {
        put(store, path, b"x").await?;
    }
    for (prefix, found) in [
        ("", &all[..]),
        ("a/", &all[..3]),
        ("a", &all[..4]),
        ("a/d", &all[2..3]),
        ("b/1", &all[4..]),
        ("c", &[]),
        ("a/1/", &[]),
        ("none/", &[]),
    ] {
        let listed = paths(store, &format!("{ROOT}{prefix}")).await?;
        same(&format!("list of {prefix:?}"), listed.as_slice(), found)?;
    }
    Ok(())
}

async fn a_copy_is_the_same(store: &dyn Store) -> Checked {
    let (from, to) = ("conformance/from here", "conformance/to/there");
    put(store, from, b"content").await?;
    put(store, to, b"older").await?;
    let copied = store.copy(from, to).await.map_err(failed("copy"))?;
    same("size", copied.stored_bytes, 7)?;
    same("path", copied.path.as_str(), to)?;
    same("bytes", read(store, to, 0..7).await?, "content")?;
    same("the first", read(store, from, 0..7).await?, "content")?;
    let none = store.copy("conformance/none", to).await;
    expect("copy of nothing", none, |error| {
        matches!(error, StorageError::NotFound { .. })
    })
}

/// Where it makes any: whoever cannot says so.
async fn a_copy_by_the_store_is_the_same(store: &dyn Store) -> Checked {
    let (from, to) = ("conformance/from here", "conformance/to/there");
    put(store, from, b"content").await?;
    put(store, to, b"older").await?;
    let Some(of) = store.checksum(from).await.map_err(failed("checksum"))? else {
        return Ok(());
    };
    same("size", of.info.stored_bytes, 7)?;
    match store.copy_from(&store.location(), &of, to).await {
        Ok(copied) => {
            same("size", copied.stored_bytes, 7)?;
            same("bytes", read(store, to, 0..7).await?, "content")
        }
        Err(StorageError::Refused { .. }) => same("bytes", read(store, to, 0..5).await?, "older"),
        Err(error) => Err(failed("copy")(error)),
    }
}

async fn an_object_is_of_a_class(store: &dyn Store) -> Checked {
    let path = "conformance/of a class";
    let none = store.class(path).await.map_err(failed("class"))?;
    same("class of nothing", none, None)?;
    put(store, path, b"content").await?;
    let class = store.class(path).await.map_err(failed("class"))?;
    let can_be_read = class.is_some_and(|class| class.is_readable());
    same("whether it can be read", can_be_read, true)
}

async fn many_objects_are_listed_and_deleted(store: &dyn Store) -> Checked {
    let expected: Vec<String> = (0..MANY)
        .map(|number| format!("{ROOT}many/{number:05}"))
        .collect();
    for paths in expected.chunks(AT_ONCE) {
        let puts = paths.iter().map(|path| put(store, path, b"x"));
        future::try_join_all(puts).await?;
    }
    same(
        "list",
        paths(store, "conformance/many/").await?,
        expected.as_slice(),
    )?;
    let all: Vec<&str> = expected.iter().map(String::as_str).collect();
    let (first, rest) = all.split_at(MANY / 2);
    store.delete(rest).await.map_err(failed("delete"))?;
    let left = paths(store, "conformance/many/").await?;
    same(
        "list",
        left.iter().map(String::as_str).collect::<Vec<_>>(),
        first,
    )
}

async fn one_of_many_wins(store: &dyn Store) -> Checked {
    if !minds_conditions(store).await? {
        return Ok(());
    }
    let path = "conformance/once";
    let race = (0..AT_ONCE).map(|writer| {
        let bytes = Bytes::from(format!("{writer:03}"));
        async move { (writer, store.put(path, bytes, PutIf::Absent).await) }
    });
    let mut winners = Vec::new();
    for (writer, put) in future::join_all(race).await {
        match put {
            Ok(_) => winners.push(format!("{writer:03}")),
            Err(StorageError::Exists { .. }) => {}
            Err(error) => return Err(failed("put what must not be there")(error)),
        }
    }
    same("number of winners", winners.len(), 1)?;
    let stored = read(store, path, 0..3).await?;
    same("bytes", &*stored, winners.concat().as_bytes())
}

async fn what_was_changed_is_not_replaced(store: &dyn Store) -> Checked {
    if !minds_conditions(store).await? {
        return Ok(());
    }
    let path = "conformance/changed";
    let first = version_of(put(store, path, b"first").await?)?;
    let replace = |bytes: &'static [u8], version: &Version| {
        store.put(
            path,
            Bytes::from_static(bytes),
            PutIf::Unchanged(version.clone()),
        )
    };
    let second = replace(b"second", &first)
        .await
        .map_err(failed("replace what is unchanged"))?;
    let second = version_of(second)?;
    let is_changed = |error: &StorageError| matches!(error, StorageError::Changed { .. });
    expect(
        "replacing what was replaced",
        replace(b"x", &first).await,
        is_changed,
    )?;
    same("bytes", read(store, path, 0..6).await?, "second")?;
    store.delete(&[path]).await.map_err(failed("delete"))?;
    expect(
        "replacing what is gone",
        replace(b"x", &second).await,
        is_changed,
    )?;
    same("object", is_there(store, path).await?, false)
}

async fn minds_conditions(store: &dyn Store) -> Result<bool, String> {
    let capabilities = store.capabilities().await;
    let capabilities = capabilities.map_err(failed("ask what the store can do"))?;
    Ok(capabilities.conditional_put)
}

fn version_of(object: ObjectInfo) -> Result<Version, String> {
    object
        .version
        .ok_or_else(|| "what was put has no version".to_owned())
}

async fn put(store: &dyn Store, path: &str, bytes: &[u8]) -> Result<ObjectInfo, String> {
    let bytes = Bytes::copy_from_slice(bytes);
    let put = store.put(path, bytes, PutIf::Always).await;
    put.map_err(failed("put"))
}

async fn upload(store: &dyn Store, path: &str, pieces: &[Bytes]) -> Result<ObjectInfo, String> {
    let upload = store.upload(path).await;
    let mut upload = upload.map_err(failed("begin an upload"))?;
    for piece in pieces {
        let written = upload.write(piece.clone()).await;
        written.map_err(failed("write to an upload"))?;
    }
    upload.finish().await.map_err(failed("finish an upload"))
}

async fn read(store: &dyn Store, path: &str, range: std::ops::Range<u64>) -> Result<Bytes, String> {
    store.read(path, range, None).await.map_err(failed("read"))
}

async fn is_there(store: &dyn Store, path: &str) -> Result<bool, String> {
    let head = store.head(path).await.map_err(failed("head"))?;
    let listed = paths(store, path).await?.contains(&path.to_owned());
    same("whether it is listed", listed, head.is_some())?;
    Ok(listed)
}

async fn paths(store: &dyn Store, prefix: &str) -> Result<Vec<String>, String> {
    let listing = Listing::of(store, prefix).await.map_err(failed("list"))?;
    let paths = listing.objects.into_iter().map(|object| object.path);
    Ok(paths.collect())
}

fn failed(what: &str) -> impl Fn(StorageError) -> String {
    move |error| {
        let source = std::error::Error::source(&error);
        let source = source.map_or(String::new(), |source| format!(": {source}"));
        format!("could not {what}: {error}{source}")
    }
}

fn same<F, E>(what: &str, found: F, expected: E) -> Checked
where
    F: PartialEq<E> + fmt::Debug,
    E: fmt::Debug,
{
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?} instead of {expected:?}")),
    }
}

fn expect<T: fmt::Debug>(
    what: &str,
    found: Result<T>,
    is_expected: impl Fn(&StorageError) -> bool,
) -> Checked {
    match found {
        Err(error) if is_expected(&error) => Ok(()),
        found => Err(format!("{what}: {found:?}")),
    }
}
