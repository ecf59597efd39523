use std::path::PathBuf;

use clap::Args;
use rdump::Secret;

use super::values::{path, secret, text};

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
    pub(crate) uri: UriArgs,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct ServerArgs {
    /// Server to connect to: host[:port], or setname/host1,host2 for a replica set
    #[arg(short = 'h', long, value_name = "HOST", value_parser = text)]
    pub(crate) host: Option<String>,

    /// Port of each host that names none; 27017 by default
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// Seconds that opening a connection may take; 10 by default
    #[arg(
        long = "dialTimeout",
        alias = "dial-timeout",
        value_name = "SECONDS",
        hide = true
    )]
    pub(crate) dial_timeout: Option<u64>,

    /// Without effect, as in mongodump since 100.15
    #[arg(
        long = "socketTimeout",
        alias = "socket-timeout",
        value_name = "SECONDS",
        hide = true
    )]
    pub(crate) socket_timeout: Option<u64>,

    /// Without effect, as in mongodump since 100.15
    #[arg(
        long = "TCPKeepAliveSeconds",
        alias = "tcp-keep-alive-seconds",
        value_name = "SECONDS",
        hide = true
    )]
    pub(crate) tcp_keep_alive_seconds: Option<u64>,

    /// Seconds to look for a server that fits; 0 is the default of 30
    #[arg(
        long = "serverSelectionTimeout",
        alias = "server-selection-timeout",
        value_name = "SECONDS",
        hide = true
    )]
    pub(crate) server_selection_timeout: Option<u64>,

    /// Compress messages on the network: snappy, zlib, zstd, several with commas
    #[arg(long, value_name = "NAMES", value_parser = text, hide = true)]
    pub(crate) compressors: Option<String>,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "SSL options")]
pub(crate) struct TlsArgs {
    /// Encrypt the connection (TLS)
    #[arg(long)]
    pub(crate) ssl: bool,

    /// PEM file of the certificate authorities to trust; implies --ssl
    #[arg(long = "sslCAFile", alias = "ssl-ca-file", value_name = "FILE", value_parser = path)]
    pub(crate) ssl_ca_file: Option<PathBuf>,

    /// PEM file with the client's certificate and key; implies --ssl
    #[arg(long = "sslPEMKeyFile", alias = "ssl-pem-key-file", value_name = "FILE", value_parser = path)]
    pub(crate) ssl_pem_key_file: Option<PathBuf>,

    /// Password of the key in --sslPEMKeyFile
    #[arg(
        long = "sslPEMKeyPassword",
        alias = "ssl-pem-key-password",
        value_name = "PASSWORD",
        value_parser = secret
    )]
    pub(crate) ssl_pem_key_password: Option<Secret>,

    /// Revocation lists (refused)
    #[arg(long = "sslCRLFile", alias = "ssl-crl-file", value_name = "FILE", value_parser = path, hide = true)]
    pub(crate) ssl_crl_file: Option<PathBuf>,

    /// FIPS mode of OpenSSL (refused)
    #[arg(long = "sslFIPSMode", alias = "ssl-fips-mode", hide = true)]
    pub(crate) ssl_fips_mode: bool,

    /// Accept any server certificate for any host name: unsafe
    #[arg(long = "tlsInsecure", alias = "tls-insecure")]
    pub(crate) tls_insecure: bool,

    /// Deprecated: as --tlsInsecure
    #[arg(
        long = "sslAllowInvalidCertificates",
        alias = "ssl-allow-invalid-certificates",
        hide = true
    )]
    pub(crate) ssl_allow_invalid_certificates: bool,

    /// Deprecated: as --tlsInsecure
    #[arg(
        long = "sslAllowInvalidHostnames",
        alias = "ssl-allow-invalid-hostnames",
        hide = true
    )]
    pub(crate) ssl_allow_invalid_hostnames: bool,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Authentication options")]
pub(crate) struct AuthArgs {
    /// User to authenticate as
    #[arg(short, long, value_name = "USER", value_parser = text)]
    pub(crate) username: Option<String>,

    /// Password of the user; without it, it is asked for
    #[arg(short, long, value_name = "PASSWORD", value_parser = secret)]
    pub(crate) password: Option<Secret>,

    /// Session token of temporary AWS credentials
    #[arg(
        long = "awsSessionToken",
        alias = "aws-session-token",
        value_name = "TOKEN",
        value_parser = secret
    )]
    pub(crate) aws_session_token: Option<Secret>,

    /// Database that knows the user
    #[arg(
        long = "authenticationDatabase",
        alias = "authentication-database",
        value_name = "DB",
        value_parser = text
    )]
    pub(crate) authentication_database: Option<String>,

    /// Mechanism: SCRAM-SHA-256, SCRAM-SHA-1, MONGODB-X509 or PLAIN
    #[arg(
        long = "authenticationMechanism",
        alias = "authentication-mechanism",
        value_name = "NAME",
        value_parser = text
    )]
    pub(crate) authentication_mechanism: Option<String>,

    /// Service name for Kerberos (not yet supported)
    #[arg(
        long = "gssapiServiceName",
        alias = "gssapi-service-name",
        value_name = "NAME",
        value_parser = text,
        hide = true
    )]
    pub(crate) gssapi_service_name: Option<String>,

    /// Host name for Kerberos (not yet supported)
    #[arg(
        long = "gssapiHostName",
        alias = "gssapi-host-name",
        value_name = "NAME",
        value_parser = text,
        hide = true
    )]
    pub(crate) gssapi_host_name: Option<String>,
}

#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "URI options")]
pub(crate) struct UriArgs {
    /// Connection string; may also stand without --uri, or in the environment variable RDUMP_URI
    #[arg(long, value_name = "URI", value_parser = secret)]
    pub(crate) uri: Option<Secret>,
}
