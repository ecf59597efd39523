//! Who asks an object store, and what that one may do.

use std::{fs, path::PathBuf};

use rdump_testkit::{
    Fingerprint, FingerprintOptions, ReplicaSet, SeaweedFs, dataset,
    fingerprint::assert_same,
    s3::{Access, Policy, SECRET_KEY},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

use crate::program::{rdump, rrestore, run};

const PAGE: &str = include_str!("../../../docs/s3.md");

/// Lets a program ask as a user of the object store of the test.
pub(crate) fn asked_by(user: &str, mut command: Command) -> Command {
    command
        .env("AWS_ACCESS_KEY_ID", user)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Lets a program find everything in a configuration file.
fn configured(configuration: &PathBuf, mut command: Command) -> Command {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_CONFIG_FILE", configuration)
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[tokio::test]
async fn the_policies_of_the_documentation_are_enough() {
    let policy = |name| Policy::in_page(PAGE, name, "dumps");
    let access = Access::default()
        .user("dumper", policy("dump"))
        .user("restorer", policy("restore"))
        .user(
            "shopkeeper",
            Policy::in_page(PAGE, "restore", "dumps/today/shop"),
        );
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::with(&access).await);
    dataset::orders(1_000).seed(&source.client()).await;
    let options = FingerprintOptions::new();
    let expected = Fingerprint::of(&source.client(), &options).await;
    let place = server.location("dumps/today");
    // The second one takes the place of the first.
    for _ in 0..2 {
        let arguments = ["--uri", &source.uri(), "--out", &place, "--overwrite"];
        let ran = run(asked_by("dumper", rdump()), arguments).await;
        let messages = ran.expect(0).stderr;
        assert!(!messages.contains("stays"), "{messages}");
    }
    let command = asked_by("restorer", rdump());
    run(command, ["verify", &place]).await.expect(0);
    let target = ReplicaSet::start().await;
    let arguments = ["--uri", &target.uri(), "--keepIndexVersion", &place];
    let command = asked_by("restorer", rrestore());
    run(command, arguments).await.expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_same(&expected, &restored);

    // Who may read one database of it restores that, though not what lies above.
    let target = ReplicaSet::start().await;
    let shop = server.location("dumps/today/shop");
    let arguments = ["--uri", &target.uri(), "-d", "shop", &shop];
    run(asked_by("shopkeeper", rrestore()), arguments)
        .await
        .expect(0);
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_eq!(restored.documents(), 1_000);

    // Neither may do what the other does, nor go elsewhere.
    for (user, prefix, lacking) in [
        (
            "restorer",
            "dumps/new",
            "s3:ListBucketMultipartUploads s3://tested/dumps/new",
        ),
        (
            "dumper",
            "elsewhere",
            "s3:GetObject s3://tested/elsewhere/repository.json",
        ),
    ] {
        let place = server.location(prefix);
        let arguments = ["--uri", &source.uri(), "--out", &place, "--overwrite"];
        let ran = run(asked_by(user, rdump()), arguments).await.expect(1);
        ran.says(&format!("Failed: no permission to {lacking}"));
    }
}

#[tokio::test]
async fn who_backs_up_need_not_be_able_to_delete() {
    let policy = |name| Policy::in_page(PAGE, name, "backups/shop");
    let access = Access::default()
        .user("keeper", policy("backup"))
        .user("restorer", policy("restore"))
        .user("verifier", policy("restore").and(policy("note")));
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::with(&access).await);
    dataset::orders(1_000).seed(&source.client()).await;
    let (uri, place) = (source.uri(), server.location("backups/shop"));
    let on = |user| {
        let mut command = asked_by(user, rdump());
        command.env("RDUMP_REPO", &place);
        command
    };
    for _ in 0..2 {
        let ran = run(on("keeper"), ["backup", &uri, "--resume"]).await;
        ran.expect(0);
    }
    let listed = run(on("restorer"), ["list", "--json"]).await.expect(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(2));
    assert_eq!(listed["running"].as_array().map(Vec::len), Some(0));
    let status = async || {
        let ran = run(on("restorer"), ["status", "--json"]).await.expect(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    };
    let verify = ["verify", "--all", "--deep"];
    let ran = run(on("restorer"), verify).await.expect(0);
    ran.says("that it was verified could not be recorded: it does not count as good");
    assert!(status().await["last-good-snapshot"].is_null());
    let ran = run(on("verifier"), verify).await.expect(0);
    assert!(!ran.stderr.contains("could not be"), "{}", ran.stderr);
    assert!(status().await["last-good-snapshot"].is_object());
    let target = ReplicaSet::start().await;
    let command = asked_by("restorer", rrestore());
    run(command, [&target.uri(), &place]).await.expect(0);
    let options = FingerprintOptions::new().ignore_index_version(true);
    let expected = Fingerprint::of(&source.client(), &options).await;
    let restored = Fingerprint::of(&target.client(), &options).await;
    assert_same(&expected, &restored);
}

#[tokio::test]
async fn a_role_is_assumed_by_the_user_of_a_profile() {
    let access = Access::default()
        .user("operator", Policy::in_page(PAGE, "restore", "of operators"))
        .user("stranger", Policy::in_page(PAGE, "restore", "of strangers"))
        .role("backup", Policy::in_page(PAGE, "dump", "dumps"), "operator");
    let (source, server) = (ReplicaSet::start().await, SeaweedFs::with(&access).await);
    dataset::orders(10).seed(&source.client()).await;
    let folder = TempDir::new().unwrap();
    let configuration = folder.path().join("config");
    let address = server.address();
    let profile = |user| {
        format!(
            "[profile {user}]\naws_access_key_id = {user}\naws_secret_access_key = {SECRET_KEY}\nservices = test\n"
        )
    };
    let services = format!("[services test]\nsts =\n  endpoint_url = http://{address}\n");
    let text = [profile("operator"), profile("stranger"), services].concat();
    fs::write(&configuration, text).unwrap();

    let place = server.location("dumps/today");
    let role = Access::role_arn("backup");
    let in_role = |user| format!("{place}&profile={user}&role-arn={role}&external-id=a%26b");
    let uri = source.uri();
    let arguments = ["--uri", &uri, "--out", &in_role("operator")];
    let command = || configured(&configuration, rdump());
    run(command(), arguments).await.expect(0);
    let verify = ["verify", &in_role("operator")];
    run(command(), verify).await.expect(0);

    // The user has nothing to look for there, and not everybody may assume the role.
    let alone = format!("{place}&profile=operator");
    let refused = run(command(), ["verify", &alone]).await.expect(1);
    refused.says("Failed: no permission to s3:GetObject s3://tested/dumps/today/");
    let refused = run(command(), ["verify", &in_role("stranger")]).await;
    refused
        .expect(1)
        .says("Failed: the credentials for s3://tested/dumps/today/");
}

#[tokio::test]
async fn the_external_id_is_told_where_a_role_is_assumed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let sts = format!("http://{}", listener.local_addr().unwrap());
    let place =
        "s3://bucket/dump?region=eu-north-1&role-arn=arn:aws:iam::1:role/b&external-id=a%26b";
    let mut command = asked_by("operator", rdump());
    command.env("AWS_ENDPOINT_URL_STS", sts);
    let asked = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.windows(10).any(|bytes| bytes == b"ExternalId") {
            assert!(socket.read_buf(&mut request).await.unwrap() > 0);
        }
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>";
        let length = body.len();
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n");
        let answer = format!("{head}{body}");
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let (ran, asked) = tokio::join!(run(command, ["verify", place]), asked);
    ran.expect(1)
        .says("Failed: the credentials for s3://bucket/dump/");
    for told in [
        "Action=AssumeRole",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fb",
        "RoleSessionName=rdump",
        "ExternalId=a%26b",
    ] {
        assert!(asked.contains(told), "{asked}");
    }
}
