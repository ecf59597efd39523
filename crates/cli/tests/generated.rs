use std::fs;

use crate::program::{rdump, rrestore, run};

#[tokio::test]
async fn completions_and_manual_pages_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(rrestore(), ["--generate-completions", shell])
            .await
            .expect(0);
        assert!(
            ran.stdout.contains("numInsertionWorkersPerCollection"),
            "{shell}"
        );
    }
    let ran = run(rdump(), ["--generate-man"]).await.expect(0);
    assert!(ran.stdout.contains(".TH rdump 1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("readPreference"));
}

#[tokio::test]
async fn everything_is_written_where_shells_and_man_look_for_it() {
    let folder = tempfile::tempdir().unwrap();
    for program in [rdump(), rrestore()] {
        run(
            program,
            ["--generate-into", folder.path().to_str().unwrap()],
        )
        .await
        .expect(0);
    }
    for path in [
        "man/man1/rdump.1",
        "man/man1/rdump-verify.1",
        "man/man1/rrestore.1",
        "bash-completion/completions/rdump",
        "zsh/site-functions/_rrestore",
        "fish/vendor_completions.d/rdump.fish",
    ] {
        assert!(
            fs::metadata(folder.path().join(path)).unwrap().len() > 100,
            "{path}"
        );
    }
}
