//! What was done, kept in a file over restarts.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::timetable::Past;

/// The version of the file.
const VERSION: u32 = 1;

/// The folder of a plan, which nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    jobs: BTreeMap<String, Past>,
    /// Locked as long as it is open.
    _lock: File,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    jobs: BTreeMap<String, Past>,
}

impl Memory {
    /// Opens the folder, which is made if need be.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {shown}"))?;
        let lock = folder.join("schedule.lock");
        let lock =
            File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another rdump schedule uses {shown}: each needs a `state` of its own")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {shown}"));
            }
        }
        let file = folder.join("schedule.json");
        let jobs = match fs::read(&file) {
            Ok(bytes) => {
                let kept: Kept = serde_json::from_slice(&bytes).with_context(|| {
                    format!(
                        "{} is damaged: remove it, and nothing counts as done before",
                        file.display()
                    )
                })?;
                if kept.version != VERSION {
                    bail!(
                        "{} is of version {}, and this release reads {VERSION}",
                        file.display(),
                        kept.version
                    );
                }
                kept.jobs
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        Ok(Self {
            file,
            jobs,
            _lock: lock,
        })
    }

    pub(super) fn past(&self, job: &str) -> Past {
        self.jobs.get(job).cloned().unwrap_or_default()
    }

    /// Notes what is known of a job; written if that is something new.
    pub(super) fn note(&mut self, job: &str, past: &Past) -> anyhow::Result<()> {
        if self.jobs.get(job) == Some(past) {
            return Ok(());
        }
        self.jobs.insert(job.to_owned(), past.clone());
        self.write()
            .with_context(|| format!("cannot write {}", self.file.display()))
    }

    /// Whole or not at all, and there even if the power fails.
    fn write(&self) -> anyhow::Result<()> {
        let kept = Kept {
            version: VERSION,
            jobs: self.jobs.clone(),
        };
        let text = serde_json::to_string_pretty(&kept)?;
        let unfinished = self.file.with_extension("json.tmp");
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.file)?;
        if let Some(folder) = self.file.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}
