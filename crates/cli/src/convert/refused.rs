//! Options that are known and not followed, each with its reason and what to use instead.

use super::{Refusal, filled, filled_path};
use crate::args::{ConnectionArgs, DumpArgs, GeneralArgs, RestoreArgs};

/// Why an option is refused that a later version will follow.
pub(crate) const NOT_YET: &str = "not yet supported by this version";

/// Refuses options of rdump.
pub(super) fn check_dump(args: &DumpArgs) -> Result<(), Refusal> {
    check_shared(&args.tool.general, &args.tool.connection)?;
    let output = &args.output;
    let barrier = args.query.internal_only_source_writes_done_barrier.as_ref();
    refuse(&[
        (output.out.as_deref() == Some("-"), "--out -", NOT_YET),
        (
            filled_path(barrier).is_some(),
            "--internalOnlySourceWritesDoneBarrier",
            NOT_YET,
        ),
    ])
}

/// Refuses options of rrestore.
pub(super) fn check_restore(args: &RestoreArgs) -> Result<(), Refusal> {
    check_shared(&args.tool.general, &args.tool.connection)?;
    let input = &args.input;
    let is_stdin = |argument: &rdump::Secret| argument.reveal() == "-";
    refuse(&[
        (input.dir.as_deref() == Some("-"), "--dir -", NOT_YET),
        (
            args.tool.positional.iter().any(is_stdin),
            "restoring from standard input",
            NOT_YET,
        ),
    ])
}

fn check_shared(general: &GeneralArgs, connection: &ConnectionArgs) -> Result<(), Refusal> {
    let ConnectionArgs {
        tls,
        auth,
        kerberos,
        ..
    } = connection;
    let aws_token = auth.aws_session_token.as_ref();
    let no_kerberos = "GSSAPI (Kerberos) is not supported: use SCRAM, X.509, OIDC or PLAIN (LDAP)";
    refuse(&[
        (
            filled(general.failpoints.as_ref()).is_some(),
            "--failpoints",
            "not supported: fail points exist only in test builds of mongodump",
        ),
        (
            filled_path(tls.ssl_crl_file.as_ref()).is_some(),
            "--sslCRLFile",
            "CRL files are not supported, by mongodump neither: revoke certificates at the authority named by \
             --sslCAFile",
        ),
        (
            tls.ssl_fips_mode,
            "--sslFIPSMode",
            "FIPS mode is not supported, by mongodump neither: it is a mode of OpenSSL, which is not used here",
        ),
        (
            aws_token.is_some_and(|token| !token.is_empty()),
            "--awsSessionToken",
            "MONGODB-AWS is not supported: use SCRAM, X.509 or OIDC",
        ),
        (
            filled(kerberos.gssapi_service_name.as_ref()).is_some(),
            "--gssapiServiceName",
            no_kerberos,
        ),
        (
            filled(kerberos.gssapi_host_name.as_ref()).is_some(),
            "--gssapiHostName",
            no_kerberos,
        ),
    ])
}

fn refuse(options: &[(bool, &str, &str)]) -> Result<(), Refusal> {
    match options.iter().find(|(given, ..)| *given) {
        Some((_, option, reason)) => Err(Refusal::Failed(anyhow::anyhow!("{option}: {reason}"))),
        None => Ok(()),
    }
}
