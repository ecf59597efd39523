//! What was done, kept in a file over restarts.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::timetable::Past;

/// The version of the file.
const VERSION: u32 = 1;

/// The folder of a plan, which nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    jobs: BTreeMap<String, Past>,
    /// Whether something is not in the file yet.
    is_new: bool,
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
    /// Opens the folder, which is made if need be. A file that cannot be understood is put aside: nothing counts as done before then,
    /// and the message says so.
    pub(super) fn open(folder: &Path) -> anyhow::Result<(Self, Option<String>)> {
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
        let (mut jobs, mut damage) = (BTreeMap::new(), None);
        match fs::read(&file) {
            Ok(bytes) => match read(&bytes) {
                Ok(kept) => jobs = kept,
                Err(error) => {
                    let aside = file.with_extension("json.damaged");
                    fs::rename(&file, &aside)
                        .with_context(|| format!("cannot rename {}", file.display()))?;
                    damage = Some(format!(
                        "{} cannot be understood ({error:#}): it is {} now, and nothing counts as done before",
                        file.display(),
                        aside.display()
                    ));
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        }
        let memory = Self {
            file,
            jobs,
            is_new: false,
            _lock: lock,
        };
        Ok((memory, damage))
    }

    pub(super) fn past(&self, job: &str) -> Past {
        self.jobs.get(job).cloned().unwrap_or_default()
    }

    /// Notes what is known of a job, to be kept.
    pub(super) fn note(&mut self, job: &str, past: &Past) {
        if self.jobs.get(job) != Some(past) {
            self.jobs.insert(job.to_owned(), past.clone());
            self.is_new = true;
        }
    }

    /// Writes what is new; what could not be written is, the next time.
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        if self.is_new {
            let written = self.write();
            written.with_context(|| format!("cannot write {}", self.file.display()))?;
            self.is_new = false;
        }
        Ok(())
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

fn read(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, Past>> {
    let kept: Kept = serde_json::from_slice(bytes)?;
    let version = kept.version;
    ensure!(
        version == VERSION,
        "it is of version {version}, and this release reads {VERSION}"
    );
    Ok(kept.jobs)
}
