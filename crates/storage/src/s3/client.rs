//! The client of an object store: where it is, who asks, how patiently.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region,
    environment::EnvironmentVariableRegionProvider,
    imds::region::ImdsRegionProvider,
    meta::region::RegionProviderChain,
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    sts::AssumeRoleProvider,
    timeout::TimeoutConfig,
};
use aws_sdk_s3::{
    Client,
    config::{
        RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
        StalledStreamProtectionConfig,
        retry::{RetryPartition, TokenBucket},
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{S3Location, headers::Headers, unsaid::Unsaid};

/// How often a request is made before its failure is one.
pub(super) const ATTEMPTS: u32 = 8;
/// The longest wait before a request is made again.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a store may take to begin with its answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nothing may come or go before a request is given up and made again.
const STALLED: Duration = Duration::from_secs(30);
/// Where a bucket is that nothing says the region of.
const DEFAULT_REGION: &str = "us-east-1";
/// What the audit trail of another account calls us.
const SESSION_NAME: &str = "rdump";

/// Finds region and credentials as the AWS tools do. No request is made to the bucket yet.
pub(super) async fn connect(location: &S3Location, headers: &Headers) -> Client {
    let http = http_client();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_max_backoff(LONGEST_WAIT);
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .timeout_config(timeouts)
        .retry_config(retries)
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled()
                .grace_period(STALLED)
                .build(),
        );
    let region = region(location, &http).region().await;
    loader = loader.region(region.clone());
    if let Some(profile) = &location.options.profile {
        // One that is named counts more than the environment, as with the AWS tools.
        let named = ProfileFileCredentialsProvider::builder().profile_name(profile);
        let config = ProviderConfig::without_region().with_http_client(http.clone());
        let named = named.configure(&config.with_region(region.clone()));
        loader = loader
            .profile_name(profile)
            .credentials_provider(named.build());
    }
    if let Some(credentials) = &location.options.credentials {
        loader = loader.credentials_provider(credentials.for_client());
    }
    if location.options.anonymous {
        loader = loader.no_credentials();
    }
    let shared = loader.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&shared);
    if let Some(role) = &location.options.role_arn {
        let mut provider = AssumeRoleProvider::builder(role)
            .configure(&shared)
            .session_name(SESSION_NAME);
        if let Some(id) = &location.options.external_id {
            provider = provider.external_id(id);
        }
        config = config.credentials_provider(provider.build().await);
    }
    if let Some(endpoint) = &location.options.endpoint {
        config = config.endpoint_url(endpoint);
    }
    // The SDK's own would let all requests of a process share some fifty repetitions, and an outage of a second use up
    // those of a dump that is otherwise patient. How often and how fast each may be made again is bounded all the same.
    let retries = RetryPartition::custom("rdump").token_bucket(TokenBucket::unlimited());
    config = config.retry_partition(retries.build());
    let path_style = location
        .options
        .path_style
        .unwrap_or(location.options.endpoint.is_some());
    let config = config
        .force_path_style(path_style)
        .interceptor(headers.clone())
        .retry_classifier(Unsaid)
        // Ours are sent with what they are of. Ranges of an object cannot be checked with those of the whole.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    Client::from_conf(config.build())
}

/// What the SDK sends requests by.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

/// Where the region is looked for. Only a bucket of Amazon's may be in that of the machine that asks.
fn region(location: &S3Location, http: &SharedHttpClient) -> RegionProviderChain {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &location.options.profile {
        profile = profile.profile_name(name);
    }
    let given = location.options.region.clone().map(Region::new);
    let regions = RegionProviderChain::first_try(given)
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build());
    let regions = match &location.options.endpoint {
        Some(_) => regions,
        None => {
            let machine = ProviderConfig::without_region().with_http_client(http.clone());
            regions.or_else(ImdsRegionProvider::builder().configure(&machine).build())
        }
    };
    regions.or_else(Region::from_static(DEFAULT_REGION))
}
