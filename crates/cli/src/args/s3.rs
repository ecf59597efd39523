use clap::Args;

/// How an object store is reached. Each is an option of the location too.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    next_help_heading = "Options that mongodump and mongorestore do not have, for s3://bucket/prefix"
)]
pub(crate) struct S3Args {
    /// Region of the bucket; as the AWS tools find it, else us-east-1, by default
    #[arg(long = "s3-region", value_name = "REGION")]
    region: Option<String>,

    /// URL of another store than Amazon's
    #[arg(long = "s3-endpoint", value_name = "URL")]
    endpoint: Option<String>,

    /// Whether the bucket is a part of the path, and not of the host; true with --s3-endpoint by default
    #[arg(long = "s3-path-style", value_name = "true|false")]
    path_style: Option<String>,

    /// Profile of the AWS configuration files
    #[arg(long = "s3-profile", value_name = "NAME")]
    profile: Option<String>,

    /// Role to assume, such as one of another account
    #[arg(long = "role-arn", value_name = "ARN")]
    role_arn: Option<String>,

    /// External id that the role wants
    #[arg(long = "external-id", value_name = "ID")]
    external_id: Option<String>,

    /// Do not sign requests, as for a public bucket
    #[arg(long = "s3-anonymous")]
    anonymous: bool,

    /// Pay for the requests to a bucket of somebody else
    #[arg(long = "s3-request-payer")]
    request_payer: bool,

    /// Fail if the bucket is not of this account
    #[arg(long = "s3-expected-bucket-owner", value_name = "ACCOUNT")]
    expected_bucket_owner: Option<String>,

    /// File with a key that the store encrypts with and does not keep (SSE-C)
    #[arg(long = "s3-sse-c-key-file", value_name = "FILE")]
    sse_c_key_file: Option<String>,
}

/// How an object store keeps what is written. Each is an option of the location too.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct S3WriteArgs {
    /// What the store checks everything with: auto, sha256, crc32c, when-required or none; auto by default
    #[arg(long = "s3-checksum", value_name = "HOW")]
    checksum: Option<String>,

    /// Storage class of the data, such as STANDARD_IA
    #[arg(long = "s3-storage-class", value_name = "CLASS")]
    storage_class: Option<String>,

    /// How the store encrypts: AES256, aws:kms or aws:kms:dsse; as the bucket does by default
    #[arg(long = "s3-sse", value_name = "HOW")]
    sse: Option<String>,

    /// Key of aws:kms
    #[arg(long = "s3-sse-kms-key-id", value_name = "KEY")]
    sse_kms_key_id: Option<String>,

    /// Tag of every object; may be given again
    #[arg(long = "s3-tag", value_name = "KEY=VALUE", action = clap::ArgAction::Append)]
    tag: Vec<String>,

    /// Lock every object for so long from when it is written, such as 30d, or until a time; as --s3-object-lock-retain-until, with GOVERNANCE where no mode is given
    #[arg(
        long = "lock-until",
        value_name = "WHEN",
        conflicts_with = "object_lock_retain_until"
    )]
    lock_until: Option<String>,

    /// Lock every object: GOVERNANCE or COMPLIANCE
    #[arg(long = "s3-object-lock-mode", value_name = "MODE")]
    object_lock_mode: Option<String>,

    /// Until when: a time such as 2030-01-31T00:00:00Z, or days from now such as 30d
    #[arg(long = "s3-object-lock-retain-until", value_name = "WHEN")]
    object_lock_retain_until: Option<String>,

    /// Lock every object until someone lifts that: on or off
    #[arg(long = "s3-object-lock-legal-hold", value_name = "on|off")]
    object_lock_legal_hold: Option<String>,

    /// Size of every part of an upload, for stores that want all alike; grows from 8MiB by default
    #[arg(long = "s3-part-size", value_name = "SIZE")]
    part_size: Option<String>,

    /// Remove uploads of dumps to this location that were begun more than a day ago and never ended
    #[arg(long = "clean-uploads")]
    clean_uploads: bool,
}

/// An option of a location: the flag, its name there, its value.
pub(crate) type S3Option = (&'static str, &'static str, String);

impl S3Args {
    /// Those that are given.
    pub(crate) fn given(&self) -> Vec<S3Option> {
        let texts = [
            ("s3-region", "region", &self.region),
            ("s3-endpoint", "endpoint", &self.endpoint),
            ("s3-path-style", "path-style", &self.path_style),
            ("s3-profile", "profile", &self.profile),
            ("role-arn", "role-arn", &self.role_arn),
            ("external-id", "external-id", &self.external_id),
            (
                "s3-expected-bucket-owner",
                "expected-bucket-owner",
                &self.expected_bucket_owner,
            ),
            ("s3-sse-c-key-file", "sse-c-key-file", &self.sse_c_key_file),
        ];
        let flags = [
            ("s3-anonymous", "anonymous", self.anonymous),
            ("s3-request-payer", "request-payer", self.request_payer),
        ];
        given(&texts, &flags)
    }
}

impl S3WriteArgs {
    /// Those that are given.
    pub(crate) fn given(&self) -> Vec<S3Option> {
        let governance = self.lock_until.as_ref().map(|_| "GOVERNANCE".to_owned());
        let mode = self.object_lock_mode.clone().or(governance);
        let texts = [
            ("s3-checksum", "checksum", &self.checksum),
            ("s3-storage-class", "storage-class", &self.storage_class),
            ("s3-sse", "sse", &self.sse),
            ("s3-sse-kms-key-id", "sse-kms-key-id", &self.sse_kms_key_id),
            ("s3-object-lock-mode", "object-lock-mode", &mode),
            ("lock-until", "object-lock-retain-until", &self.lock_until),
            (
                "s3-object-lock-retain-until",
                "object-lock-retain-until",
                &self.object_lock_retain_until,
            ),
            (
                "s3-object-lock-legal-hold",
                "object-lock-legal-hold",
                &self.object_lock_legal_hold,
            ),
            ("s3-part-size", "part-size", &self.part_size),
        ];
        let flags = [("clean-uploads", "clean-uploads", self.clean_uploads)];
        let tags = self.tag.iter().map(|tag| ("s3-tag", "tag", tag.clone()));
        given(&texts, &flags).into_iter().chain(tags).collect()
    }
}

fn given(
    texts: &[(&'static str, &'static str, &Option<String>)],
    flags: &[(&'static str, &'static str, bool)],
) -> Vec<S3Option> {
    let texts = texts.iter();
    let texts = texts.filter_map(|(flag, name, value)| Some((*flag, *name, (*value).clone()?)));
    let flags = flags.iter().filter(|(.., is_given)| *is_given);
    let flags = flags.map(|(flag, name, _)| (*flag, *name, "true".to_owned()));
    texts.chain(flags).collect()
}
