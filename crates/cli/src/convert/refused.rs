//! Options that are known and not followed, each with its reason and what to use instead.

use super::{Refusal, filled, filled_path};
use crate::args::{ConnectionArgs, GeneralArgs};

/// Refuses options of either program.
pub(super) fn check(general: &GeneralArgs, connection: &ConnectionArgs) -> Result<(), Refusal> {
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
