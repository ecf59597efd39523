use std::{
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    process,
};

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::*;
use crate::{Listing, Unreadable};

fn setup() -> (TempDir, FolderStore) {
    let folder = TempDir::new().unwrap();
    let store = FolderStore::create(&folder.path().join("dump")).unwrap();
    (folder, store)
}

async fn put(store: &FolderStore, path: &str, content: &'static [u8]) -> Result<ObjectInfo> {
    let mut upload = store.upload(path).await?;
    upload.write(Bytes::from_static(content)).await?;
    upload.finish().await
}

async fn listed(store: &FolderStore) -> Listing {
    Listing::of(store, "").await.unwrap()
}

fn paths(listing: &Listing) -> Vec<&str> {
    let objects = listing.objects.iter();
    objects.map(|object| object.path.as_str()).collect()
}

#[tokio::test]
async fn an_object_is_visible_when_it_is_finished_and_not_before() {
    let (_folder, store) = setup();
    let mut upload = store.upload("a/b.bson").await.unwrap();
    upload.write(Bytes::from_static(b"hello ")).await.unwrap();
    assert_eq!(store.head("a/b.bson").await.unwrap(), None);
    assert_eq!(listed(&store).await.objects, []);
    upload.write(Bytes::from_static(b"world")).await.unwrap();
    let info = upload.finish().await.unwrap();
    assert_eq!((info.path.as_str(), info.stored_bytes), ("a/b.bson", 11));
    store.flush().await.unwrap();
    let mut listed = listed(&store).await.objects;
    let modified = listed[0].modified.take().unwrap();
    assert!(modified.elapsed().unwrap().as_secs() < 3_600);
    assert_eq!(listed, [info]);
    assert_eq!(store.read("a/b.bson", 6..11, None).await.unwrap(), "world");
}

#[tokio::test]
async fn nothing_is_created_before_there_is_something_to_write() {
    let (folder, store) = setup();
    assert_eq!(listed(&store).await.objects, []);
    let folders = ["db".to_owned()];
    assert_eq!(store.remove_leftovers(&folders).await.unwrap(), []);
    store.flush().await.unwrap();
    assert!(!folder.path().join("dump").exists());
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing_and_an_older_object_in_place() {
    let (folder, store) = setup();
    put(&store, "a", b"old").await.unwrap();
    let mut upload = store.upload("a").await.unwrap();
    upload.write(Bytes::from_static(b"new")).await.unwrap();
    drop(upload);
    assert_eq!(store.read("a", 0..3, None).await.unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path().join("dump")).unwrap().count(), 1);
}

#[tokio::test]
async fn the_permissions_of_a_file_that_is_replaced_stay_and_hold_before_anything_is_written() {
    let (folder, store) = setup();
    put(&store, "a", b"old").await.unwrap();
    let dump = folder.path().join("dump");
    for mode in [0o600, 0o640, 0o666, 0o444] {
        fs::set_permissions(dump.join("a"), fs::Permissions::from_mode(mode)).unwrap();
        let mut upload = store.upload("a").await.unwrap();
        let modes = || {
            let entries = fs::read_dir(&dump).unwrap();
            let mode = |entry: fs::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o777;
            entries
                .map(|entry| mode(entry.unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(modes(), [mode; 2], "{mode:o}");
        upload.write(Bytes::from_static(b"new")).await.unwrap();
        upload.finish().await.unwrap();
        assert_eq!(modes(), [mode], "{mode:o}");
    }
}

#[tokio::test]
async fn a_temporary_name_that_another_process_of_the_same_id_took_is_left_to_it() {
    let (folder, store) = setup();
    let dump = folder.path().join("dump");
    fs::create_dir(&dump).unwrap();
    // Other tests count on at the same time.
    let taken: Vec<_> = (0..1_000)
        .map(|number| dump.join(format!(".rdump-{}-{number}.part", process::id())))
        .collect();
    for name in &taken {
        fs::write(name, "theirs").unwrap();
    }
    put(&store, "a", b"ours").await.unwrap();
    assert_eq!(store.read("a", 0..4, None).await.unwrap(), "ours");
    for name in &taken {
        assert_eq!(fs::read(name).unwrap(), b"theirs");
    }
}

#[tokio::test]
async fn leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not() {
    let (folder, store) = setup();
    put(&store, "db/a", b"x").await.unwrap();
    for path in [".rdump-1-0.part", "db/.rdump-1-0.part"] {
        fs::write(folder.path().join("dump").join(path), b"left").unwrap();
    }
    let upload = store.upload("db/b").await.unwrap();
    let found: Vec<_> = store
        .remove_leftovers(&["db".to_owned()])
        .await
        .unwrap()
        .into_iter()
        .map(|leftover| (leftover.path, leftover.removed))
        .collect();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], (".rdump-1-0.part".to_owned(), true));
    assert_eq!(found[1], ("db/.rdump-1-0.part".to_owned(), true));
    assert!(!found[2].1, "{found:?}");
    upload.finish().await.unwrap();
    assert_eq!(paths(&listed(&store).await), ["db/a", "db/b"]);
}

#[tokio::test]
async fn writing_never_follows_a_link_out_of_the_folder() {
    let (folder, store) = setup();
    let outside = folder.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("precious"), b"keep").unwrap();
    fs::create_dir_all(folder.path().join("dump")).unwrap();
    symlink(&outside, folder.path().join("dump/db")).unwrap();
    symlink(outside.join("precious"), folder.path().join("dump/file")).unwrap();

    let error = put(&store, "db/a.bson", b"x").await.unwrap_err();
    assert!(matches!(error, StorageError::Symlink { .. }), "{error}");
    put(&store, "file", b"x").await.unwrap();
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"keep");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn leftovers_are_looked_for_through_no_link_and_only_where_asked() {
    let (folder, store) = setup();
    let outside = folder.path().join("outside");
    put(&store, "other/a", b"x").await.unwrap();
    fs::create_dir(&outside).unwrap();
    let left = |folder: &Path| folder.join(".rdump-1-0.part");
    fs::write(left(&outside), b"keep").unwrap();
    let dump = folder.path().join("dump");
    fs::write(left(&dump.join("other")), b"keep").unwrap();
    symlink(&outside, dump.join("db")).unwrap();
    symlink(left(&outside), left(&dump)).unwrap();

    let folders = ["db".to_owned(), "missing".to_owned()];
    assert_eq!(store.remove_leftovers(&folders).await.unwrap(), []);
    assert!(left(&outside).exists() && left(&dump).is_symlink());
    assert!(left(&dump.join("other")).exists());
}

#[tokio::test]
async fn what_cannot_be_looked_into_is_listed_as_such() {
    let (folder, store) = setup();
    put(&store, "db/a", b"x").await.unwrap();
    // Not even root can follow a link to itself.
    symlink("loop", folder.path().join("dump/loop")).unwrap();
    symlink("nowhere", folder.path().join("dump/db/gone")).unwrap();
    let listing = listed(&store).await;
    assert_eq!(paths(&listing), ["db/a"]);
    let [dangling, unreadable] = listing.unreadable.as_slice() else {
        panic!("{:?}", listing.unreadable);
    };
    assert!(dangling.hides("db/gone"));
    assert_eq!(dangling.reason(), "it is a symbolic link to nothing");
    assert!(unreadable.hides("loop") && unreadable.hides("loop/c.bson"));
    assert!(!unreadable.hides("looping/c.bson"));
    assert!(unreadable.reason().contains("symbolic links"));

    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let error = StorageError::from_io("list", Path::new("/dump/lost+found"), denied);
    let path = "lost+found".to_owned();
    assert_eq!(Unreadable { path, error }.reason(), "permission denied");
}

#[tokio::test]
async fn what_is_no_file_or_has_no_plain_name_is_listed_as_such() {
    let (folder, store) = setup();
    put(&store, "db/a", b"x").await.unwrap();
    let db = folder.path().join("dump/db");
    nix::unistd::mkfifo(&db.join("pipe"), Mode::S_IRUSR).unwrap();
    let _socket = UnixListener::bind(db.join("socket")).unwrap();
    symlink("/dev/null", db.join("null")).unwrap();
    fs::write(db.join(OsStr::from_bytes(b"caf\xe9.bson")), b"").unwrap();
    symlink(db.join("a"), db.join("linked")).unwrap();
    let listing = listed(&store).await;
    assert_eq!(paths(&listing), ["db/a", "db/linked"]);
    let found: Vec<_> = listing
        .unreadable
        .iter()
        .map(|unreadable| format!("{}: {}", unreadable.path, unreadable.reason()))
        .collect();
    let expected = [
        "db/caf\u{fffd}.bson: its name is not UTF-8",
        "db/null: it is a device",
        "db/pipe: it is a named pipe",
        "db/socket: it is a socket",
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_lock_keeps_other_writers_out_and_leaves_no_file_behind() {
    let (folder, store) = setup();
    let path = folder.path().join("dump");
    let lock = store.lock().await.unwrap();
    put(&store, "a", b"x").await.unwrap();
    let other = FolderStore::open(&path).unwrap();
    let error = other.lock().await.unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    assert_eq!(listed(&other).await.objects.len(), 1);
    drop(lock);
    let _lock = other.lock().await.unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), 1);
}

#[tokio::test]
async fn paths_that_lead_elsewhere_are_refused() {
    let (_folder, store) = setup();
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/"] {
        let error = put(&store, path, b"x").await.unwrap_err();
        assert!(
            matches!(error, StorageError::InvalidPath { .. }),
            "{path}: {error}"
        );
    }
}

#[tokio::test]
async fn failures_are_told_apart() {
    let (folder, store) = setup();
    put(&store, "a", b"abc").await.unwrap();
    assert!(matches!(
        store.read("b", 0..1, None).await,
        Err(StorageError::NotFound { .. })
    ));
    assert!(matches!(
        store.read("a", 1..9, None).await,
        Err(StorageError::TooShort {
            wanted_end: 9,
            actual_bytes: 3,
            ..
        })
    ));
    assert!(matches!(
        put(&store, "a/b", b"x").await,
        Err(StorageError::NotAFolder { .. })
    ));
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(
        FolderStore::open(&file),
        Err(StorageError::NotAFolder { .. })
    ));
    assert!(matches!(
        FolderStore::create(&file),
        Err(StorageError::NotAFolder { .. })
    ));
    assert!(matches!(
        FolderStore::open(&folder.path().join("no")),
        Err(StorageError::NotFound { .. })
    ));
    store.delete(&["a"]).await.unwrap();
    store.delete(&["a"]).await.unwrap();
    assert_eq!(store.head("a").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_file_is_not_there() {
    let (folder, _) = setup();
    let store = FolderStore::open(folder.path()).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe"), Mode::S_IRWXU).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    for path in ["folder", "pipe", "loop", "nothing"] {
        assert_eq!(store.head(path).await.unwrap(), None, "{path}");
        let error = store.read(path, 0..1, None).await.unwrap_err();
        assert!(matches!(error, StorageError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn large_objects_are_written_back_as_they_grow() {
    let (_folder, store) = setup();
    let piece = Bytes::from(vec![7; 16 << 20]);
    let mut upload = store.upload("large").await.unwrap();
    for _ in 0..9 {
        upload.write(piece.clone()).await.unwrap();
    }
    let info = upload.finish().await.unwrap();
    assert_eq!(info.stored_bytes, 9 * (16 << 20));
}

#[test]
fn a_file_system_without_locks_is_written_to_without_them() {
    let refused = |code| without_if_unsupported(Err(io::Error::from_raw_os_error(code)));
    for code in [Errno::ENOSYS, Errno::EOPNOTSUPP, Errno::ENOLCK] {
        refused(code as i32).unwrap();
    }
    refused(Errno::EIO as i32).unwrap_err();
}
