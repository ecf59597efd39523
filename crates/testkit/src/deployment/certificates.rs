//! A certificate authority of the test's own, with a certificate for servers and one for clients.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

/// Subject of the client's certificate as MongoDB spells it (RFC 2253), which is the name of its user.
pub(super) const CLIENT_SUBJECT: &str = "CN=client,OU=tests,O=rdump";

/// The files of one authority.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// Certificate of the authority.
    pub(crate) ca_file: PathBuf,
    /// Certificate and key for servers at `localhost` and 127.0.0.1.
    pub(crate) server_pem: PathBuf,
    /// Certificate and key for clients.
    pub(super) client_pem: PathBuf,
}

impl Certificates {
    /// Makes an authority and its certificates and writes them into `folder`.
    pub(crate) fn create(folder: &Path) -> Self {
        let mut params = params("authority", "authorities");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be generated");
        let authority = params
            .self_signed(&key)
            .expect("the parameters can be signed");
        let files = Self {
            ca_file: folder.join("ca.pem"),
            server_pem: folder.join("server.pem"),
            client_pem: folder.join("client.pem"),
        };
        write(&files.ca_file, &authority.pem());
        let issuer = Issuer::new(params, key);
        write(&files.server_pem, &signed(&issuer, "server", "servers"));
        write(&files.client_pem, &signed(&issuer, "client", "tests"));
        files
    }
}

/// Certificate and key of `name`, one after the other.
fn signed(issuer: &Issuer<'_, KeyPair>, name: &str, unit: &str) -> String {
    let mut params = params(name, unit);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    // Members of a replica set are clients of each other.
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into().expect("localhost is ASCII")),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    ];
    let key = KeyPair::generate().expect("a key can be generated");
    let certificate = params
        .signed_by(&key, issuer)
        .expect("the parameters can be signed");
    certificate.pem() + &key.serialize_pem()
}

fn params(name: &str, unit: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "rdump");
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, unit);
    params.distinguished_name.push(DnType::CommonName, name);
    // mongod refuses certificates that outlive what its date type holds.
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
}
