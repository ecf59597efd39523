use std::{
    error::Error as _,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use bson::rawdoc;
use mongodb::options::{ClientOptions, ConnectionString};

use super::*;
use crate::{Acknowledgement, ErrorKind, ReadMode};

const CANARY: &str = "canary7";

fn options() -> ConnectOptions {
    ConnectOptions::default()
}

/// Everything of an error that anybody could print.
fn shown(error: &crate::Error) -> String {
    let mut shown = format!(
        "{error} {error:?} {:?} {:?}",
        error.hint(),
        error.location()
    );
    let mut cause = error.source();
    while let Some(error) = cause {
        shown += &format!(" {error} {error:?}");
        cause = error.source();
    }
    shown
}

fn message(options: &ConnectOptions) -> String {
    options.plan().unwrap_err().to_string()
}

#[test]
fn without_options_it_is_the_local_server() {
    let plan = options().plan().unwrap();
    assert_eq!(plan.address(), "localhost:27017");
    assert_eq!(plan.database(), None);
    assert_eq!(plan.username(), None);
    assert!(!plan.needs_password());
    assert_eq!(plan.warnings(), [] as [String; 0]);
}

#[test]
fn hosts_are_taken_in_every_spelling() {
    for (host, port, address) in [
        ("db1", None, "db1:27017"),
        ("db1", Some(1), "db1:1"),
        ("db1:2", Some(2), "db1:2"),
        ("rs0/a,b:2", None, "rs0/a:27017,b:2"),
        ("rs0/a,b:2", Some(2), "rs0/a:2,b:2"),
        ("[::1]:5", None, "[::1]:5"),
        ("::1", Some(5), "[::1]:5"),
    ] {
        let mut options = options().host(host);
        options.port = port;
        assert_eq!(
            options.plan().unwrap().address(),
            address,
            "{host} {port:?}"
        );
    }
}

#[test]
fn a_connection_string_in_the_place_of_a_host_is_not_quoted() {
    for host in [
        "mongodb://u:canary7@h",
        "mongodb://h/canary7",
        "u:canary7@h",
        "u:canary7@h:1",
    ] {
        let error = options().host(host).plan().unwrap_err();
        assert!(!shown(&error).contains(CANARY), "{host}: {error}");
        assert_eq!(error.hint(), Some("give the connection string by --uri"));
    }
}

#[test]
fn the_port_of_the_option_and_of_the_host_must_be_the_same() {
    assert_eq!(
        message(&options().host("a:1").port(2)),
        "--host says port 1 and --port says 2"
    );
}

#[test]
fn what_only_one_side_says_counts() {
    let plan = options()
        .uri("mongodb://u:p@a,b:2/shop?replicaSet=rs0&authSource=admin&readPreference=nearest")
        .plan()
        .unwrap();
    assert_eq!(plan.address(), "rs0/a:27017,b:2");
    assert_eq!(plan.database(), Some("shop"));
    assert_eq!(plan.username(), Some("u"));
    assert_eq!(plan.read_preference().unwrap().mode, ReadMode::Nearest);

    let plan = options()
        .uri("mongodb://a")
        .username("u")
        .db("shop")
        .plan()
        .unwrap();
    assert_eq!(plan.database(), Some("shop"));
    assert!(plan.needs_password());
    // The database is not pressed on the driver: an authentication database in the DNS comes before it.
    assert_eq!(plan.login.unwrap().source, None);
}

#[test]
fn what_both_sides_say_must_agree() {
    type Change = fn(ConnectOptions) -> ConnectOptions;
    let uri = "mongodb://u:p@a:1/shop?replicaSet=rs0&authSource=x&authMechanism=SCRAM-SHA-1&tls=true&tlsCAFile=/ca\
               &tlsCertificateKeyFile=/key&tlsInsecure=false&serverSelectionTimeoutMS=1000&connectTimeoutMS=2000\
               &compressors=zlib";
    let cases: &[(&str, &str, Change, Change)] = &[
        ("host", "--host", |o| o.host("a:1"), |o| o.host("b:1")),
        ("port", "--port", |o| o.port(1), |o| o.port(2)),
        (
            "replica set name",
            "--host",
            |o| o.host("rs0/a:1"),
            |o| o.host("rs1/a:1"),
        ),
        (
            "username",
            "--username",
            |o| o.username("u"),
            |o| o.username("v"),
        ),
        ("database", "--db", |o| o.db("shop"), |o| o.db("other")),
        (
            "authSource",
            "--authenticationDatabase",
            |o| o.authentication_database("x"),
            |o| o.authentication_database("y"),
        ),
        (
            "authMechanism",
            "--authenticationMechanism",
            |o| o.authentication_mechanism("SCRAM-SHA-1"),
            |o| o.authentication_mechanism("SCRAM-SHA-256"),
        ),
        (
            "sslCAFile",
            "--sslCAFile",
            |o| o.tls_ca_file("/ca"),
            |o| o.tls_ca_file("/other"),
        ),
        (
            "sslClientCertificateKeyFile",
            "--sslPEMKeyFile",
            |o| o.tls_certificate_key_file("/key"),
            |o| o.tls_certificate_key_file("/other"),
        ),
        (
            "sslInsecure or tlsInsecure",
            "--tlsInsecure",
            |o| o,
            |o| o.tls_insecure(true),
        ),
        (
            "serverSelectionTimeout",
            "--serverSelectionTimeout",
            |o| o.server_selection_timeout(Duration::from_secs(1)),
            |o| o.server_selection_timeout(Duration::from_secs(2)),
        ),
        (
            "connectTimeout",
            "--dialTimeout",
            |o| o.connect_timeout(Duration::from_secs(2)),
            |o| o.connect_timeout(Duration::from_secs(1)),
        ),
        (
            "compressors",
            "--compressors",
            |o| o.compressors(vec!["zlib".into()]),
            |o| o.compressors(vec!["zstd".into()]),
        ),
    ];
    for (what, flag, same, different) in cases {
        same(options().uri(uri))
            .plan()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let error = different(options().uri(uri)).plan().unwrap_err();
        let text = error.to_string();
        let start = format!(
            "Invalid Options: Cannot specify different {what} in connection URI and command-line option"
        );
        assert!(text.starts_with(&start), "{what}: {text}");
        assert!(
            text.ends_with(&format!("in the {flag} option")),
            "{what}: {text}"
        );
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let error = options()
        .uri("mongodb://a/?tls=false")
        .tls(true)
        .plan()
        .unwrap_err();
    assert!(error.to_string().contains("different ssl"), "{error}");
}

#[test]
fn invalid_host_names_do_not_switch_off_the_check_of_certificates() {
    for name in ["tlsAllowInvalidHostnames", "sslAllowInvalidHostnames"] {
        let plan = options().uri(format!("mongodb://a/?tls=true&{name}=true"));
        let plan = plan.plan().unwrap();
        assert!(!plan.tls.as_ref().unwrap().insecure, "{name}");
        let warning = format!(
            "ignoring unsupported URI parameter `{}`",
            name.to_lowercase()
        );
        assert_eq!(plan.warnings(), [warning]);
    }
    for name in ["tlsInsecure", "sslInsecure", "tlsAllowInvalidCertificates"] {
        let plan = options().uri(format!("mongodb://a/?tls=true&{name}=true"));
        assert!(plan.plan().unwrap().tls.unwrap().insecure, "{name}");
    }
}

#[test]
fn what_says_that_certificates_are_checked_and_that_they_are_not_is_refused() {
    for (one, other) in [
        ("tlsInsecure=true", "tlsAllowInvalidCertificates=false"),
        ("tlsInsecure=false", "tlsAllowInvalidCertificates=true"),
        ("tlsInsecure=true", "sslInsecure=false"),
    ] {
        for parameters in [format!("{one}&{other}"), format!("{other}&{one}")] {
            let uri = format!("mongodb://a/?tls=true&{parameters}");
            assert_eq!(
                message(&options().uri(uri)),
                format!(
                    "the connection string says {one} and {other}, which contradict each other"
                )
            );
        }
    }
    let agreed = "mongodb://a/?tls=true&tlsInsecure=false&tlsAllowInvalidCertificates=false";
    assert!(!options().uri(agreed).plan().unwrap().tls.unwrap().insecure);
}

#[test]
fn what_a_connection_string_says_of_the_deployment_must_be_possible() {
    for (parameters, message_end) in [
        (
            "a,b/?loadBalanced=true",
            "true if multiple hosts are specified",
        ),
        (
            "a/?loadBalanced=true&directConnection=true",
            "true if the direct connection option is specified",
        ),
        (
            "a/?loadBalanced=true&replicaSet=rs0",
            "true if a replica set name is specified",
        ),
        (
            "a,b/?directConnection=true",
            "a direct connection cannot be made if multiple hosts are specified",
        ),
        (
            "a,b/?connect=direct",
            "a direct connection cannot be made if multiple hosts are specified",
        ),
    ] {
        let message = message(&options().uri(format!("mongodb://{parameters}")));
        assert!(message.ends_with(message_end), "{parameters}: {message}");
    }
}

#[test]
fn a_database_that_no_server_can_have_is_refused_in_mongorestores_words() {
    assert_eq!(
        message(&options().db("a.b")),
        "invalid db name: illegal character `.` found in db name `a.b`"
    );
    let long = "x".repeat(64);
    assert_eq!(
        message(&options().db(&long)),
        format!("invalid db name: db name `{long}` is longer than 63 characters")
    );
    options().db("x".repeat(63)).plan().unwrap();
}

#[test]
fn different_passwords_are_refused_without_showing_them() {
    let uri = format!("mongodb://u:{CANARY}@a");
    options().uri(&*uri).password(CANARY).plan().unwrap();
    let error = options()
        .uri(&*uri)
        .password(format!("{CANARY}x"))
        .plan()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid Options: Cannot specify different password in connection URI and command-line option"
    );
    assert!(!shown(&error).contains(CANARY));
    let key = "mongodb://a/?tls=true&tlsCertificateKeyFilePassword=";
    let options = options()
        .uri(format!("{key}{CANARY}"))
        .tls_certificate_key_file_password("other");
    assert!(!shown(&options.plan().unwrap_err()).contains(CANARY));
}

#[test]
fn no_error_quotes_a_malformed_connection_string() {
    for uri in [
        "canary7",
        "http://u:canary7@a",
        "mongodb://u:canary7",
        "mongodb://u:can/ary7canary7@a",
        "mongodb://u:can@canary7@a",
        "mongodb://u:canary7?x@a",
        "mongodb://u:12?canary7=1@a",
        "mongodb://u:1?canary7@a/",
        "mongodb://u@a:12?canary7=1@b",
        "mongodb://u:canary7%@a",
        "mongodb://u:canary7%zz@a",
        "mongodb://u:p:canary7@a",
        "mongodb://u:[canary7]@a",
        "mongodb://:canary7@a",
        "mongodb://u:p@canary7:port",
        "mongodb://u:p@a:canary7",
        "mongodb://u:p@a/canary7$",
        "mongodb://u:p@a/?canary7",
        "mongodb://u:p@a/?x=canary7%",
        "mongodb+srv://u:canary7@a,b",
        "mongodb+srv://u:canary7@a:1",
        "mongodb://u:canary7@a/?authMechanism=NONSENSE",
        "mongodb://u:canary7@a/?w=-1",
        "mongodb://u:canary7@a/?tls=maybe",
        "mongodb://u:canary7@a/?maxPoolSize=x",
        "mongodb://u:canary7@a/?readPreference=nonsense",
        "mongodb://u:canary7@a/?authMechanismProperties=nonsense",
        "mongodb://u:canary7@a,b/?directConnection=true&loadBalanced=true&connectTimeoutMS=x",
    ] {
        let error = options().uri(uri).plan().unwrap_err();
        let shown = shown(&error);
        assert!(!shown.contains(CANARY), "{uri}: {shown}");
    }
}

#[tokio::test]
async fn no_secret_shows_in_what_a_plan_and_its_errors_print() {
    let uri = format!(
        "mongodb://u:{CANARY}@127.0.0.1:1/?serverSelectionTimeoutMS=1&tlsCertificateKeyFilePassword={CANARY}\
         &authMechanismProperties=AWS_SESSION_TOKEN:{CANARY}&nonsense={CANARY}&password={CANARY}"
    );
    let options = options().uri(uri).password(CANARY);
    assert!(!format!("{options:?}").contains(CANARY));
    let plan = options.plan().unwrap();
    assert!(!format!("{plan:?} {plan}").contains(CANARY));
    let error = Source::connect(&options).await.unwrap_err();
    assert!(!shown(&error).contains(CANARY));
}

#[test]
fn credentials_are_decoded() {
    let plan = options()
        .uri("mongodb://us%40er:p%2Fw%3F%25@a")
        .plan()
        .unwrap();
    assert_eq!(plan.username(), Some("us@er"));
    assert_eq!(plan.login.unwrap().password.unwrap().reveal(), "p/w?%");
}

#[tokio::test]
async fn users_are_looked_for_where_mongodump_looks() {
    for (options, source) in [
        (options().username("u").password("p"), "admin"),
        (options().username("u").password("p").db("shop"), "shop"),
        (options().uri("mongodb://u:p@a/shop"), "shop"),
        (
            options()
                .uri("mongodb://u:p@a/shop")
                .authentication_database("x"),
            "x",
        ),
        (
            options()
                .username("u")
                .password("p")
                .db("shop")
                .authentication_mechanism("PLAIN"),
            "$external",
        ),
        (
            options()
                .db("shop")
                .authentication_mechanism("MONGODB-X509"),
            "$external",
        ),
    ] {
        let plan = options.plan().unwrap();
        let credential = client_options(&plan).await.credential.unwrap();
        assert_eq!(credential.source.as_deref(), Some(source), "{options:?}");
    }
}

#[test]
fn only_mechanisms_with_passwords_need_one() {
    for (mechanism, needs) in [
        ("SCRAM-SHA-256", true),
        ("PLAIN", true),
        ("MONGODB-X509", false),
        ("MONGODB-OIDC", false),
    ] {
        let plan = options()
            .username("u")
            .authentication_mechanism(mechanism)
            .plan()
            .unwrap();
        assert_eq!(plan.needs_password(), needs, "{mechanism}");
    }
    assert!(
        options()
            .username("u")
            .password("")
            .plan()
            .unwrap()
            .needs_password()
    );
    for mechanism in ["GSSAPI", "MONGODB-AWS"] {
        let error = options()
            .username("u")
            .authentication_mechanism(mechanism)
            .plan()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(mechanism));
    }
}

#[tokio::test]
async fn a_single_host_without_a_set_is_connected_to_directly() {
    for (uri, direct) in [
        ("mongodb://a", Some(true)),
        ("mongodb://a,b", None),
        ("mongodb://a/?replicaSet=rs0", None),
        ("mongodb://a/?loadBalanced=true", None),
        ("mongodb://a/?directConnection=false", Some(false)),
        (
            "mongodb://a/?replicaSet=rs0&directConnection=true",
            Some(true),
        ),
        ("mongodb://a/?replicaSet=rs0&connect=direct", Some(true)),
    ] {
        let plan = options().uri(uri).plan().unwrap();
        assert_eq!(
            client_options(&plan).await.direct_connection,
            direct,
            "{uri}"
        );
    }
    let plan = options().host("rs0/a").plan().unwrap();
    assert_eq!(client_options(&plan).await.direct_connection, None);
}

#[tokio::test]
async fn every_option_reaches_the_driver() {
    let plan = options()
        .uri("mongodb://a/?retryWrites=false&w=2&journal=true&wtimeoutMS=5&maxPoolSize=7&appName=@nightly@")
        .server_selection_timeout(Duration::from_millis(1500))
        .connect_timeout(Duration::from_secs(3))
        .compressors(vec!["zstd".into(), "snappy".into()])
        .replica_set("rs0")
        .tls(true)
        .tls_insecure(true)
        .plan()
        .unwrap();
    let options = client_options(&plan).await;
    assert_eq!(
        options.server_selection_timeout,
        Some(Duration::from_millis(1500))
    );
    assert_eq!(options.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(options.repl_set_name.as_deref(), Some("rs0"));
    assert_eq!(options.retry_writes, Some(false));
    assert_eq!(options.max_pool_size, Some(7));
    assert_eq!(options.app_name.as_deref(), Some("@nightly@"));
    assert_eq!(options.compressors.unwrap().len(), 2);
    assert!(
        matches!(options.tls, Some(mongodb::options::Tls::Enabled(tls)) if tls.allow_invalid_certificates == Some(true))
    );
    let concern = plan.write_concern().unwrap();
    assert_eq!(concern.w, Acknowledgement::Members(2));
    assert_eq!(
        (concern.journal, concern.timeout),
        (Some(true), Some(Duration::from_millis(5)))
    );
}

#[test]
fn a_read_preference_keeps_its_tags_in_order() {
    let uri = "mongodb://a/?readPreference=secondary&readPreferenceTags=dc:ny,use:r&readPreferenceTags=&maxStalenessSeconds=90";
    let preference = options()
        .uri(uri)
        .plan()
        .unwrap()
        .read_preference()
        .unwrap();
    assert_eq!(preference.mode, ReadMode::Secondary);
    assert_eq!(preference.tag_sets.len(), 2);
    assert_eq!(preference.tag_sets[0]["dc"], "ny");
    assert!(preference.tag_sets[1].is_empty());
    assert_eq!(preference.max_staleness_seconds, Some(90));
}

#[test]
fn unknown_parameters_are_warned_of_and_the_last_of_several_counts() {
    let plan = options()
        .uri("mongodb://a/?socketTimeoutMS=5&Nonsense=1&w=1&w=3")
        .plan()
        .unwrap();
    let mut warnings = plan.warnings().to_vec();
    warnings.sort();
    assert_eq!(
        warnings,
        [
            "ignoring unsupported URI parameter `nonsense`",
            "ignoring unsupported URI parameter `sockettimeoutms`",
        ]
    );
    assert_eq!(plan.write_concern().unwrap().w, Acknowledgement::Members(3));
}

#[tokio::test]
async fn an_unreachable_server_is_named_with_the_time_spent() {
    let options = options()
        .host("127.0.0.1")
        .port(1)
        .server_selection_timeout(Duration::from_millis(500));
    let error = Source::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "no server could be reached at 127.0.0.1:1 within 0.5 seconds"
    );
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("Connection refused"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused_at_once() {
    let address = old_server();
    let uri = format!("mongodb://{address}/?directConnection=true");
    let clock = Instant::now();
    let error = Source::connect(&options().uri(uri)).await.unwrap_err();
    assert!(clock.elapsed() < Duration::from_secs(10), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        format!("the server at {address} has a version that cannot be talked to")
    );
    let shown = shown(&error);
    assert!(shown.contains("reports wire version 6"), "{shown}");
}

/// Starts a server that only says that it is MongoDB 3.6, for as long as the test runs, and gives its address.
fn old_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || while answer(stream.as_ref().unwrap()).is_ok() {});
        }
    });
    address
}

/// Reads one message and answers it: an OP_QUERY by OP_REPLY with one document, an OP_MSG by its like.
fn answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut header = [0; 16];
    stream.read_exact(&mut header)?;
    let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
    let (length, request, operation) = (number(0), number(4), number(12));
    stream.read_exact(&mut vec![0; length as usize - 16])?;
    let reply = rawdoc! {
        "ismaster": true, "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000,
        "minWireVersion": 0, "maxWireVersion": 6, "ok": 1.0,
    };
    let (operation, fields): (u32, &[u8]) = match operation {
        2004 => (1, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0"),
        _ => (2013, b"\0\0\0\0\0"),
    };
    let body = [fields, reply.as_bytes()].concat();
    let length = u32::try_from(16 + body.len()).unwrap();
    let header = [length, 0, request, operation]
        .map(u32::to_le_bytes)
        .concat();
    stream.write_all(&[header, body].concat())
}

#[tokio::test]
async fn an_empty_name_of_a_replica_set_is_none() {
    for options in [
        options().uri("mongodb://a/?replicaSet="),
        options().host("/a:27017"),
    ] {
        let plan = options.plan().unwrap();
        assert_eq!(plan.address(), "a:27017");
        assert_eq!(client_options(&plan).await.direct_connection, Some(true));
    }
}

/// A file for `--sslPEMKeyFile` with these lines in it.
fn key_file(lines: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    file
}

#[tokio::test]
async fn a_password_is_for_encrypted_keys_alone() {
    for (begin, reaches_driver) in [
        ("-----BEGIN PRIVATE KEY-----", false),
        ("-----BEGIN RSA PRIVATE KEY-----", false),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----", true),
    ] {
        let file = key_file(begin);
        let options = options().tls_certificate_key_file(file.path());
        let asks = options.plan().unwrap().needs_key_password().is_some();
        assert_eq!(asks, reaches_driver, "{begin}");
        let plan = options
            .tls_certificate_key_file_password(CANARY)
            .plan()
            .unwrap();
        let Some(mongodb::options::Tls::Enabled(tls)) = client_options(&plan).await.tls else {
            panic!("a key file implies TLS")
        };
        let password = tls.tls_certificate_key_file_password;
        assert_eq!(password.is_some(), reaches_driver, "{begin}");
    }
}

#[test]
fn a_key_encrypted_in_the_traditional_format_is_refused_by_name() {
    let file = key_file("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    let error = options()
        .tls_certificate_key_file(file.path())
        .plan()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let path = file.path().display();
    assert_eq!(
        error.to_string(),
        format!(
            "the key in {path} (--sslPEMKeyFile) is encrypted in the traditional format of OpenSSL (Proc-Type: \
             4,ENCRYPTED), which is not supported"
        )
    );
    let convert = format!("openssl pkcs8 -topk8 -in {path} -out");
    assert!(error.hint().unwrap().contains(&convert));
}

#[tokio::test]
async fn a_missing_certificate_is_named_with_its_flag() {
    let options = options().tls(true).tls_ca_file("/nonexistent/ca.pem");
    let error = Source::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        "cannot read /nonexistent/ca.pem (--sslCAFile)"
    );
}

async fn client_options(plan: &ConnectPlan) -> ClientOptions {
    // The driver must be able to read what we hand to it.
    ConnectionString::parse(plan.parameters.to_string()).unwrap();
    plan.client_options().await.unwrap()
}
