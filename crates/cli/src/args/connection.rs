use std::{convert::Infallible, path::PathBuf};

use clap::Args;
use rdump::Secret;

/// How to reach the server.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ConnectionArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    #[command(flatten)]
    pub(crate) auth: AuthArgs,
    #[command(flatten)]
    pub(crate) kerberos: KerberosArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct ServerArgs {
    /// Server to connect to: host[:port], or setname/host1,host2 for a replica set
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// Port of each host that names none; 27017 by default
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<String>,

    /// Seconds that opening a connection may take; 10 by default
    #[arg(
        long = "dialTimeout",
        value_name = "SECONDS",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) dial_timeout: Option<i64>,

    /// Without effect, as in mongodump since 100.15
    #[arg(
        long = "socketTimeout",
        value_name = "SECONDS",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) socket_timeout: Option<i64>,

    /// Without effect, as in mongodump since 100.15
    #[arg(
        long = "TCPKeepAliveSeconds",
        value_name = "SECONDS",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) tcp_keep_alive_seconds: Option<i64>,

    /// Seconds to look for a server that fits; 0 is the default of 30
    #[arg(
        long = "serverSelectionTimeout",
        value_name = "SECONDS",
        hide = true,
        allow_negative_numbers = true
    )]
    pub(crate) server_selection_timeout: Option<i64>,

    /// Compress messages on the network: snappy, zlib, zstd, several with commas
    #[arg(long, value_name = "NAMES", hide = true)]
    pub(crate) compressors: Option<String>,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "SSL options")]
pub(crate) struct TlsArgs {
    /// Encrypt the connection (TLS)
    #[arg(long)]
    pub(crate) ssl: bool,

    /// PEM file of the certificate authorities to trust; implies --ssl
    #[arg(long = "sslCAFile", value_name = "FILE", value_parser = path)]
    pub(crate) ssl_ca_file: Option<PathBuf>,

    /// PEM file with the client's certificate and key; implies --ssl
    #[arg(long = "sslPEMKeyFile", value_name = "FILE", value_parser = path)]
    pub(crate) ssl_pem_key_file: Option<PathBuf>,

    /// Password of the key in --sslPEMKeyFile; without it, it is asked for
    #[arg(long = "sslPEMKeyPassword", value_name = "PASSWORD", value_parser = secret)]
    pub(crate) ssl_pem_key_password: Option<Secret>,

    /// Revocation lists: refused, revoke certificates at the authority
    #[arg(long = "sslCRLFile", value_name = "FILE", value_parser = path)]
    pub(crate) ssl_crl_file: Option<PathBuf>,

    /// FIPS mode of OpenSSL: refused, there is no OpenSSL in here
    #[arg(long = "sslFIPSMode")]
    pub(crate) ssl_fips_mode: bool,

    /// Accept any server certificate for any host name: unsafe
    #[arg(long = "tlsInsecure")]
    pub(crate) tls_insecure: bool,

    /// Deprecated: as --tlsInsecure
    #[arg(long = "sslAllowInvalidCertificates", hide = true)]
    pub(crate) ssl_allow_invalid_certificates: bool,

    /// Deprecated: as --tlsInsecure
    #[arg(long = "sslAllowInvalidHostnames", hide = true)]
    pub(crate) ssl_allow_invalid_hostnames: bool,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Authentication options")]
pub(crate) struct AuthArgs {
    /// User to authenticate as
    #[arg(short, long, value_name = "USER")]
    pub(crate) username: Option<String>,

    /// Password of the user; without it, it is asked for
    #[arg(short, long, value_name = "PASSWORD", value_parser = secret)]
    pub(crate) password: Option<Secret>,

    /// Database that knows the user
    #[arg(long = "authenticationDatabase", value_name = "DB")]
    pub(crate) authentication_database: Option<String>,

    /// Mechanism: SCRAM-SHA-256, SCRAM-SHA-1, MONGODB-X509, MONGODB-OIDC or PLAIN
    #[arg(long = "authenticationMechanism", value_name = "NAME")]
    pub(crate) authentication_mechanism: Option<String>,

    /// Session token of temporary AWS credentials: refused, MONGODB-AWS is not supported
    #[arg(long = "awsSessionToken", value_name = "TOKEN", value_parser = secret)]
    pub(crate) aws_session_token: Option<Secret>,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Kerberos options")]
pub(crate) struct KerberosArgs {
    /// Service name for Kerberos: refused, GSSAPI is not supported
    #[arg(long = "gssapiServiceName", value_name = "NAME")]
    pub(crate) gssapi_service_name: Option<String>,

    /// Host name for Kerberos: refused, GSSAPI is not supported
    #[arg(long = "gssapiHostName", value_name = "NAME")]
    pub(crate) gssapi_host_name: Option<String>,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "URI options")]
pub(crate) struct UriArgs {
    /// Connection string; may also stand without --uri, or in the environment variable RDUMP_URI
    #[arg(long, value_name = "URI", value_parser = secret)]
    pub(crate) uri: Option<Secret>,
}

/// A path, which may be empty: that is none.
pub(super) fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(text.into())
}

/// Never fails: the parser would quote what it fails at.
pub(super) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(text.into())
}
