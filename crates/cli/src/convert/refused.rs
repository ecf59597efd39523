//! Options that are known and not followed, each with its reason.

use super::Refusal;
use crate::args::{ConnectionArgs, DumpArgs, GeneralArgs, RestoreArgs};

const NOT_YET: &str = "not yet supported by this version";

/// Refuses options of rdump.
pub(super) fn check_dump(args: &DumpArgs) -> Result<(), Refusal> {
    check_shared(&args.general, &args.connection)?;
    refuse(&[
        (args.oplog, "--oplog", NOT_YET),
        (args.out.as_deref() == Some("-"), "--out -", NOT_YET),
        (
            args.internal_only_source_writes_done_barrier.is_some(),
            "--internalOnlySourceWritesDoneBarrier",
            NOT_YET,
        ),
    ])
}

/// Refuses options of rrestore.
pub(super) fn check_restore(args: &RestoreArgs) -> Result<(), Refusal> {
    check_shared(&args.general, &args.connection)?;
    refuse(&[
        (args.oplog_replay, "--oplogReplay", NOT_YET),
        (args.oplog_limit.is_some(), "--oplogLimit", NOT_YET),
        (args.oplog_file.is_some(), "--oplogFile", NOT_YET),
        (
            args.archive.is_none() && args.dir.as_deref() == Some("-"),
            "--dir -",
            NOT_YET,
        ),
        (
            args.archive.is_none()
                && args
                    .positional
                    .iter()
                    .any(|argument| argument.reveal() == "-"),
            "restoring from standard input",
            NOT_YET,
        ),
    ])
}

fn check_shared(general: &GeneralArgs, connection: &ConnectionArgs) -> Result<(), Refusal> {
    refuse(&[
        (general.config.is_some(), "--config", NOT_YET),
        (
            general.failpoints.is_some(),
            "--failpoints",
            "not supported: fail points exist only in test builds of mongodump",
        ),
        (
            connection.tls.ssl_crl_file.is_some(),
            "--sslCRLFile",
            "not supported: mongodump's driver has dropped revocation lists too; revoke certificates at the \
             authority named by --sslCAFile",
        ),
        (
            connection.tls.ssl_fips_mode,
            "--sslFIPSMode",
            "not supported: it is a mode of OpenSSL, which is not used here",
        ),
    ])
}

fn refuse(options: &[(bool, &str, &str)]) -> Result<(), Refusal> {
    match options.iter().find(|(given, ..)| *given) {
        Some((_, option, reason)) => Err(Refusal::Option(anyhow::anyhow!("{option}: {reason}"))),
        None => Ok(()),
    }
}
