//! What is found, and in which order it is told.

use std::{error::Error as StdError, fmt};

use serde::{Serialize, Serializer};

use crate::{Error, ErrorKind};

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Severity {
    /// Something is lost, or will be, or the next backup or capture fails.
    Danger,
    /// It works, and not as well as it should.
    Warning,
    /// It could not be looked at.
    Unknown,
    /// It is good to know.
    Note,
    /// It is as it should be.
    Good,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Note => "note",
            Self::Good => "good",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Makes the enum of checks, and their names.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident $name:literal,)*) => {
        /// What is looked at. Its name never changes; of what is equally bad the first here is told first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            /// Every check, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$check),*];

            /// Its name, such as `oplog-window`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$check => $name,)*
                }
            }
        }
    };
}

checks! {
    /// Whether the deployment can be reached.
    Deployment "deployment",
    /// Whether the store can be reached and read.
    Store "store",
    /// Whether there is a repository that can be read.
    Repository "repository",
    /// Whether snapshots, manifests and slices are whole as far as that is known.
    Damage "damage",
    /// Whether the oplog has what was written since the newest slice.
    CaptureAge "capture-age",
    /// Whether change streams tell of everything, and lead on from the newest slice.
    ChangeStreams "change-streams",
    /// Whether what is captured leads on from a snapshot.
    Gaps "gaps",
    /// Whether somebody captures.
    Capture "capture",
    /// How far the oplog reaches back, and how long snapshots take.
    OplogWindow "oplog-window",
    /// How old the newest snapshot is.
    NewestSnapshot "newest-snapshot",
    /// Whether it is of one moment, and had no problems.
    Consistency "consistency",
    /// Whether snapshots were verified.
    Verification "verification",
    /// What the user may read for a backup.
    BackupPrivileges "backup-privileges",
    /// What the user may read for a capture.
    CapturePrivileges "capture-privileges",
    /// Whether objects can be written and read.
    StoreWrite "store-write",
    /// Whether the store minds the conditions that leases need.
    ConditionalPut "conditional-put",
    /// Whether there is room for another snapshot.
    FreeSpace "free-space",
    /// Whether objects are locked for as long as they are kept.
    ObjectLock "object-lock",
    /// Whether what is deleted or replaced stays as an older version.
    Versioning "versioning",
    /// What the bucket does with objects by their age.
    Lifecycle "lifecycle",
    /// Whether the bucket refuses to be made public.
    PublicAccess "public-access",
    /// Whether the clock of the store is that of this machine.
    StoreClock "store-clock",
    /// Whether the clock of the server is that of this machine.
    ServerClock "server-clock",
    /// What kind of deployment it is.
    Topology "topology",
    /// The version of the server.
    ServerVersion "server-version",
    /// The version that it behaves as.
    FeatureCompatibility "feature-compatibility",
    /// For how long the server keeps what was there at a moment, and how long snapshots take.
    SnapshotHistory "snapshot-history",
    /// Whether who asks has to log in.
    AccessControl "access-control",
    /// How full the disk of the server is.
    ServerDisk "server-disk",
    /// Whether snapshots and slices are encrypted.
    Encryption "encryption",
    /// How the bucket encrypts by itself.
    BucketEncryption "bucket-encryption",
    /// What was begun and never finished.
    UnfinishedSnapshots "unfinished-snapshots",
    /// What is left of objects that nobody finished writing.
    UnfinishedUploads "unfinished-uploads",
    /// Who writes, and what is left of who did.
    Leases "leases",
    /// Whether objects can be deleted.
    StoreDelete "store-delete",
    /// What the user may write.
    RestorePrivileges "restore-privileges",
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What was seen, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub check: Check,
    /// What was seen: one line.
    pub seen: String,
    /// What to do: one line, unless there is nothing to be done.
    pub advice: Option<String>,
}

/// What was found until now.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(
        &mut self,
        severity: Severity,
        check: Check,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let advice = Some(advice.into()).filter(|advice| !advice.is_empty());
        let seen = one_line(&seen.into());
        let finding = Finding {
            severity,
            check,
            seen,
            advice: advice.as_deref().map(one_line),
        };
        self.0.push(finding);
    }

    pub(super) fn danger(
        &mut self,
        check: Check,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Severity::Danger, check, seen, advice);
    }

    pub(super) fn warning(
        &mut self,
        check: Check,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Severity::Warning, check, seen, advice);
    }

    pub(super) fn note(
        &mut self,
        check: Check,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Severity::Note, check, seen, advice);
    }

    pub(super) fn good(&mut self, check: Check, seen: impl Into<String>) {
        self.add(Severity::Good, check, seen, "");
    }

    /// Something could not be looked at. What to do about that the error says, or else this.
    pub(super) fn unknown(&mut self, check: Check, error: &Error, advice: &str) {
        let seen = format!("not looked at: {}", why(error));
        let hint = error.hint().filter(|_| advice.is_empty());
        self.add(Severity::Unknown, check, seen, hint.unwrap_or(advice));
    }

    /// The worst first.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0
            .sort_by_key(|finding| (finding.severity, finding.check));
        self.0
    }
}

/// An error and its causes.
pub(super) fn why(error: &Error) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |&error| error.source());
    for cause in causes.map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether an error is one of what is asked for, and not of the asking.
pub(super) fn is_about_data(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Data | ErrorKind::Unsupported)
}

fn one_line(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_of_equals_what_matters_more() {
        let mut findings = Findings::default();
        findings.good(Check::Deployment, "a");
        findings.warning(Check::Leases, "b", "");
        findings.unknown(Check::Damage, &Error::invalid("c\nd"), "e");
        findings.danger(Check::Gaps, "f", "g");
        findings.danger(Check::Damage, "h", "i");
        let order = findings.sorted();
        let seen: Vec<_> = order.iter().map(|it| it.seen.as_str()).collect();
        assert_eq!(seen, ["h", "f", "b", "not looked at: c d", "a"]);
        assert_eq!(order[2].advice, None);
    }

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            Check::ALL.iter().map(|check| check.as_str()).collect();
        assert_eq!(names.len(), Check::ALL.len());
    }
}
