//! The command lines of both binaries, as they are typed.
//!
//! The habits are those of go-flags, which mongodump and mongorestore use: the last of a repeated option counts,
//! `-h` is the host, optional values follow only an `=`, and a connection string may stand anywhere.

mod audit;
mod classes;
mod connection;
mod copy;
mod doctor;
mod drill;
mod dump;
mod general;
mod go_flags;
mod keys;
mod medium;
mod monitor;
mod namespace;
mod prune;
mod rate;
mod repository;
mod restore;
mod s3;
mod schedule;
#[cfg(test)]
mod tests;
mod unquote;

use std::ffi::OsString;

use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::convert::is_like_uri;

pub(crate) use audit::AuditArgs;
pub(crate) use classes::{ThawArgs, TierArgs};
pub(crate) use connection::ConnectionArgs;
pub(crate) use copy::CopyArgs;
pub(crate) use doctor::DoctorArgs;
pub(crate) use drill::{CompareArgs, DrillArgs};
pub(crate) use dump::{DumpArgs, DumpCommand};
pub(crate) use general::{FlavorArgs, GeneralArgs, GenerateArgs, ToolArgs, VerbosityArgs};
pub(crate) use keys::{IdentityArgs, PassphraseArgs, RecipientArgs, RekeyArgs};
pub(crate) use monitor::{MonitorArgs, address};
pub(crate) use namespace::PatternArgs;
pub(crate) use prune::{PolicyArgs, PruneArgs};
pub(crate) use repository::{
    BackupArgs, BundleArgs, CaptureArgs, ExportArgs, ImportArgs, LocalArgs, OplogExportArgs,
    RepositoryArgs, ShowArgs, StatusArgs, UnbundleArgs, VerifyArgs,
};
pub(crate) use restore::{PointArgs, RestoreArgs};
pub(crate) use s3::{S3Option, S3WriteArgs};
pub(crate) use schedule::ScheduleArgs;

const AFTER_HELP_DUMP: &str = "\
Environment:
  RDUMP_URI  connection string, where neither --uri, --host nor --port is given

Exit codes: 0 done, 1 failed. With --strict: 3 done with problems, 130 stopped by a signal.";

const AFTER_HELP_RESTORE: &str = "\
`rrestore drill` restores a backup for practice, to a scratch deployment: see its --help. A folder of that name is ./drill.

Environment:
  RDUMP_URI  connection string, where neither --uri, --host nor --port is given

Exit codes: 0 done, even if the server refused documents; 1 failed, or done with other problems.
With --strict: 3 if it refused any or there were other problems, 130 stopped by a signal.";

const AFTER_HELP_BACKUP: &str = "\
The id of the snapshot is all that is printed on stdout. A repository is made of an empty place by its first backup.

Environment:
  RDUMP_URI   connection string, where neither --uri, --host nor --port is given
  RDUMP_REPO  repository, where --repo is not given
  RDUMP_ENCRYPT_TO, RDUMP_PASSPHRASE, RDUMP_IDENTITY  public keys, passphrase, secret keys, where no flag gives any

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with problems, 130 stopped by a signal.";

const AFTER_HELP_CAPTURE: &str = "\
SIGTERM and SIGINT end it with 0, once what was read is stored; killed, it goes on where it was. The last moment that is stored is
printed on stdout at the end. The user needs the built-in role backup; for a change stream readAnyDatabase, or read on the one database
that is selected.

Environment:
  RDUMP_URI   connection string, where neither --uri, --host nor --port is given
  RDUMP_REPO  repository, where --repo is not given
  RDUMP_ENCRYPT_TO, RDUMP_PASSPHRASE  public keys, passphrase, where no flag gives any

Exit codes: 0 stopped or caught up, 1 failed, 2 wrong usage, 3 there is a gap that no
snapshot is after: take one; or it could not be recorded that this was captured, or somebody not be told of a gap.";

const AFTER_HELP_STATUS: &str = "\
Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 as it should be, 1 failed, 2 wrong usage, 3 further behind than --max-lag or older than --max-age, or somebody could not be told, 130 stopped by a signal.";

const AFTER_HELP_REPOSITORY: &str = "\
Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by a signal.";

const AFTER_HELP_TRANSFER: &str = "\
Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with problems, 130 stopped by a signal.";

const AFTER_HELP_AUDIT: &str = "\
Each line is an entry, the oldest first. Whoever can write to the repository can remove the newest ones unseen: keep the
digest of the newest elsewhere, and give it to --expect the next time.

Environment:
  RDUMP_REPO   repository, where --repo is not given
  RDUMP_ACTOR  for the other commands: what an entry says beside the user, such as the name of a service

Exit codes: 0 whole, or nothing is recorded; 1 failed, 2 wrong usage, 4 an entry is missing or was changed, 130 stopped by a signal.";

const AFTER_HELP_LIST: &str = "\
Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 done, 1 failed, 2 wrong usage, 4 a manifest is lost or damaged, 130 stopped by a signal.";

const AFTER_HELP_COPY: &str = "\
The ids of the snapshots that were copied are all that is printed on stdout. Each side has its own options and credentials, as in
s3://bucket/prefix?region=eu-west-1&profile=vault.

Environment:
  RDUMP_REPO  repository, where --from is not given

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something could not be copied or somebody not be told, 130 stopped by a signal.";

const AFTER_HELP_NOTIFY_TEST: &str = "\
Exit codes: 0 all were told, 1 somebody was not, or the file makes no sense; 2 wrong usage, 130 stopped by a signal.";

const AFTER_HELP_SCHEDULE: &str = "\
SIGHUP has the plan read again: one that makes no sense changes nothing. SIGTERM and SIGINT end what is under way, which is done another time, and
then the process with 0.

Exit codes: 0 stopped, 1 the plan makes no sense or what was done cannot be noted, 2 wrong usage.";

const AFTER_HELP_PLAN: &str = "\
Exit codes: 0 it makes sense, 1 it does not, 2 wrong usage.";

const AFTER_HELP_DRILL: &str = "\
A document of which the oplog tells no more than that a part of it changed is not compared, nor is one that a TTL index may
remove within six hours; both are counted.

Environment:
  RDUMP_SCRATCH_URI  connection string of the scratch deployment, where neither --uri, --host, --port nor --mongod is given
  RDUMP_REPO  repository, where none is given
  RDUMP_PASSPHRASE, RDUMP_IDENTITY  passphrase and secret keys, where no flag gives any

Exit codes: 0 restored, and nothing differs; 1 failed; 2 wrong usage; 3 slower than --max-rto, or more would have been lost than
--max-rpo; 4 something differs, or the backup is damaged; 130 stopped by a signal.";

const AFTER_HELP_COMPARE: &str = "\
Neither deployment may be written to meanwhile. Users, roles, config and local are not compared.

Exit codes: 0 nothing differs, 1 failed, 2 wrong usage, 4 something differs, 130 stopped by a signal.";
const AFTER_HELP_DOCTOR: &str = "\
What could not be looked at is told as unknown, with the reason. Nothing is written without --probe.

Environment:
  RDUMP_URI   connection string, where neither --uri, --host nor --port is given
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 nothing is dangerous, 1 nothing could be looked at, 2 wrong usage, 3 something is dangerous,
130 stopped by a signal.";

const AFTER_HELP_PRUNE: &str = "\
The newest snapshot of each deployment, the newest that was verified and found whole, and what restorable moments are restored from
stay whatever the rules say. --dry-run says what would go, and why the rest stays.

Environment:
  RDUMP_REPO  repository, where --repo is not given
  RDUMP_PASSPHRASE, RDUMP_IDENTITY  passphrase and secret keys, where no flag gives any: to tell snapshots of parts apart

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a manifest is lost or damaged or something could not be deleted,
130 stopped by a signal.";

const AFTER_HELP_TIER: &str = "\
The newest snapshot of each deployment, and its newest that was verified and found whole, stay where they are unless they are named.
--dry-run says what would be moved. From a class such as DEEP_ARCHIVE nothing is read before `rdump thaw` and its hours.

Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something could not be moved, 130 stopped by a signal.";

const AFTER_HELP_THAW: &str = "\
To ask again is no error, and tells how much is left. Stopped while it waits, what was asked for goes on in the store.

Environment:
  RDUMP_REPO  repository, where --repo is not given

Exit codes: 0 all can be read, 1 failed, 2 wrong usage, 3 something cannot be read yet, 130 stopped by a signal.";

const AFTER_HELP_REKEY: &str = "\
Who has opened a snapshot once can keep its keys and read it for ever: to shut somebody out who had the data, take new snapshots.

Environment:
  RDUMP_REPO  repository, where --repo is not given
  RDUMP_PASSPHRASE, RDUMP_IDENTITY, RDUMP_NEW_PASSPHRASE  passphrase and secret keys, where no flag gives any

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done, and could not be recorded, 4 a manifest is lost or damaged,
130 stopped by a signal.";

const AFTER_HELP_VERIFY: &str = "\
Environment:
  RDUMP_REPO  repository, where neither --repo nor a folder is given

Exit codes: 0 whole, 1 nothing to verify against or not readable, 2 wrong usage, 3 whole, but somebody could not be told, 4 damaged,
130 stopped by a signal.";

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed<A> {
    /// To do the work.
    Run(A),
    /// To print this on stdout: the help of a subcommand.
    Print(String),
}

/// Reads a command line, or says in one line why it cannot.
pub(crate) fn parse<A: Parser + CommandFactory>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Parsed<A>, String> {
    let line = go_flags::canonical(&A::command(), arguments)?;
    match A::try_parse_from(line) {
        Ok(parsed) => Ok(Parsed::Run(parsed)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Ok(Parsed::Print(error.to_string()))
        }
        Err(error) => Err(reason(&error)),
    }
}

impl GeneralArgs {
    /// What is to be printed on stdout instead of doing the work.
    pub(crate) fn to_print<A: CommandFactory>(&self) -> Option<String> {
        let mut command = A::command();
        if self.help {
            return Some(command.render_help().to_string());
        }
        let name = command.get_name();
        let version = env!("CARGO_PKG_VERSION");
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        self.version.then(|| {
            format!("{name} version: {version}\n   os: {os}\n   arch: {arch}\n   compiler: rustc\n")
        })
    }
}

/// clap's reason in one line, without its tips on usage, which come after an empty line.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let reason: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let reason = reason.join(" ");
    if reason.split('\'').any(is_like_uri) {
        return "a connection string stands where none is expected".to_owned();
    }
    reason.strip_prefix("error: ").unwrap_or(&reason).to_owned()
}
