//! What is left for playing.

use anyhow::{Context as _, Result};

use super::Demo;
use crate::screen;

impl Demo {
    /// Says how to reach what is there, and waits for Ctrl-C.
    pub(super) async fn keep(&self) -> Result<()> {
        let (rdump, rrestore) = (
            self.programs.rdump.display(),
            self.programs.rrestore.display(),
        );
        let (source, target) = (self.source.uri(), self.target.uri());
        let folder = self.dump_folder();
        let (dump, again) = (folder.display(), self.folder.path().join("again"));
        screen::line(format!(
            "
  source     {source}
  target     {target}
  dump       {dump}

  {rdump} --uri '{source}' --out {again} --compress zstd:1
  {rdump} verify {dump}
  {rrestore} --uri '{target}' --drop --bypassDocumentValidation {dump}
  {rrestore} --uri '{target}' --nsInclude 'demo.*' --nsFrom 'demo.*' --nsTo 'copy.*' {dump}

Press Ctrl-C to stop the servers and remove everything.",
            again = again.display(),
        ));
        tokio::signal::ctrl_c()
            .await
            .context("could not wait for Ctrl-C")
    }
}
