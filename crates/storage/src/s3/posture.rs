//! How a bucket is set up.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use aws_sdk_s3::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, http::HttpResponse,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
    primitives::{DateTime, DateTimeFormat},
    types::{
        BucketVersioningStatus, ExpirationStatus, LifecycleRule, ObjectLockConfiguration,
        ObjectLockEnabled, TransitionStorageClass,
    },
};

use super::{bucket::Bucket, error::Request};
use crate::{Lifecycle, ObjectLock, Posture, Result, StorageError, Told, UnfinishedUpload};

impl Bucket {
    /// Asks one question after the other; what is not answered is told as that.
    pub(super) async fn posture(&self) -> Posture {
        let date = Date::default();
        let mut posture = Posture {
            versioning: self.versioning(&date).await.into(),
            object_lock: self.object_lock().await.into(),
            lifecycle: self.lifecycle().await.into(),
            encryption: self.encryption().await.into(),
            blocks_public_access: self.blocks_public_access().await.into(),
            ..Posture::default()
        };
        posture.now = match date.told() {
            Some(now) => Told::Is(now),
            None => Told::Not(StorageError::Io {
                action: "s3:GetBucketVersioning",
                path: self.location.to_string(),
                source: "the store does not say what time it is".into(),
            }),
        };
        posture
    }

    async fn versioning(&self, date: &Date) -> Result<bool> {
        let request = self.request_of_bucket("s3:GetBucketVersioning");
        let asked = self.client.get_bucket_versioning().bucket(self.name());
        let told = asked.customize().interceptor(date.clone()).send().await;
        let told = told.map_err(|error| request.failed(error))?;
        Ok(told.status == Some(BucketVersioningStatus::Enabled))
    }

    async fn object_lock(&self) -> Result<Option<ObjectLock>> {
        let request = self.request_of_bucket("s3:GetBucketObjectLockConfiguration");
        let asked = self.client.get_object_lock_configuration();
        let told = asked.bucket(self.name()).send().await;
        let unset = [
            "ObjectLockConfigurationNotFoundError",
            "NoSuchObjectLockConfiguration",
        ];
        let told = set(told, &unset, &request)?;
        let told = told.and_then(|told| told.object_lock_configuration);
        Ok(told.and_then(|told| lock(&told)))
    }

    async fn lifecycle(&self) -> Result<Lifecycle> {
        let request = self.request_of_bucket("s3:GetLifecycleConfiguration");
        let asked = self.client.get_bucket_lifecycle_configuration();
        let told = asked.bucket(self.name()).send().await;
        let told = set(told, &["NoSuchLifecycleConfiguration"], &request)?;
        let mut all = Lifecycle::default();
        let prefix = self.key("");
        for rule in told.as_ref().map_or(&[][..], |told| told.rules()) {
            if rule.status() == &ExpirationStatus::Enabled {
                add(&mut all, rule, &prefix);
            }
        }
        Ok(all)
    }

    async fn encryption(&self) -> Result<Option<String>> {
        let request = self.request_of_bucket("s3:GetEncryptionConfiguration");
        let asked = self.client.get_bucket_encryption();
        let told = asked.bucket(self.name()).send().await;
        let unset = [
            "ServerSideEncryptionConfigurationNotFoundError",
            "NoSuchEncryptionConfiguration",
        ];
        let told = set(told, &unset, &request)?;
        let told = told.and_then(|told| told.server_side_encryption_configuration);
        let mut rules = told.map_or_else(Vec::new, |told| told.rules).into_iter();
        let default = rules.find_map(|rule| rule.apply_server_side_encryption_by_default);
        Ok(default.map(|default| default.sse_algorithm.as_str().to_owned()))
    }

    async fn blocks_public_access(&self) -> Result<bool> {
        let request = self.request_of_bucket("s3:GetBucketPublicAccessBlock");
        let asked = self.client.get_public_access_block();
        let told = asked.bucket(self.name()).send().await;
        let told = set(told, &["NoSuchPublicAccessBlockConfiguration"], &request)?;
        let told = told.and_then(|told| told.public_access_block_configuration);
        Ok(told.is_some_and(|it| {
            let all = [
                it.block_public_acls,
                it.ignore_public_acls,
                it.block_public_policy,
                it.restrict_public_buckets,
            ];
            all.into_iter().all(|it| it == Some(true))
        }))
    }

    /// The uploads below the location that were begun and have not ended.
    pub(super) async fn unfinished_uploads(&self) -> Result<Vec<UnfinishedUpload>> {
        let uploads = self.uploads("").await?.into_iter();
        let uploads = uploads.filter_map(|upload| {
            let path = self.location.path(upload.key.as_deref()?)?.to_owned();
            let since = upload.initiated.and_then(|at| at.try_into().ok());
            Some(UnfinishedUpload { path, since })
        });
        Ok(uploads.collect())
    }
}

/// What is set; `None` where an error has one of the codes that say that nothing is.
fn set<T, E>(
    told: Result<T, SdkError<E, HttpResponse>>,
    unset: &[&str],
    request: &Request,
) -> Result<Option<T>>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    match told {
        Ok(told) => Ok(Some(told)),
        Err(error) if error.code().is_some_and(|code| unset.contains(&code)) => Ok(None),
        Err(error) => Err(request.failed(error)),
    }
}

fn lock(told: &ObjectLockConfiguration) -> Option<ObjectLock> {
    (told.object_lock_enabled() == Some(&ObjectLockEnabled::Enabled)).then(|| {
        let default = told.rule().and_then(|rule| rule.default_retention());
        let days = default.and_then(|it| days(it.days()));
        let years = default.and_then(|it| days_of_years(it.years()));
        ObjectLock {
            default_days: days.or(years),
        }
    })
}

fn days(number: Option<i32>) -> Option<u32> {
    number.and_then(|days| u32::try_from(days).ok())
}

fn days_of_years(number: Option<i32>) -> Option<u32> {
    days(number).map(|years| years.saturating_mul(365))
}

/// What a rule does with what is below a prefix, or a part of it.
fn add(all: &mut Lifecycle, rule: &LifecycleRule, prefix: &str) {
    let filter = rule.filter();
    let and = filter.and_then(|filter| filter.and());
    #[expect(deprecated, reason = "old rules have it")]
    let of_rule = rule.prefix();
    let only = of_rule
        .or(filter.and_then(|filter| filter.prefix()))
        .or(and.and_then(|and| and.prefix()))
        .unwrap_or_default();
    let is_of_all = prefix.starts_with(only);
    if !is_of_all && !only.starts_with(prefix) {
        return;
    }
    let first = |one: &mut Option<u32>, other: Option<u32>| {
        *one = (*one).into_iter().chain(other).min();
    };
    if let Some(expiration) = rule.expiration() {
        let at_date = expiration.date().map(|_| 0);
        first(&mut all.deletes, days(expiration.days()).or(at_date));
    }
    for transition in rule.transitions() {
        let class = transition.storage_class();
        let is_far = [
            TransitionStorageClass::Glacier,
            TransitionStorageClass::DeepArchive,
        ];
        if class.is_some_and(|class| is_far.contains(class)) {
            first(&mut all.archives, days(transition.days()).or(Some(0)));
        }
    }
    // What is only of some is no help with the others.
    let has_condition = filter.is_some_and(|filter| {
        filter.tag().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some()
    });
    if !is_of_all || has_condition || and.is_some() {
        return;
    }
    if let Some(abort) = rule.abort_incomplete_multipart_upload() {
        first(&mut all.aborts_uploads, days(abort.days_after_initiation()));
    }
    if let Some(older) = rule.noncurrent_version_expiration() {
        first(&mut all.deletes_versions, days(older.noncurrent_days()));
    }
}

/// The `Date` of an answer, which refusals have too.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<SystemTime>>>);

impl Date {
    fn told(&self) -> Option<SystemTime> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|it| DateTime::from_str(it, DateTimeFormat::HttpDate).ok());
        let date = date.and_then(|it| SystemTime::try_from(it).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{
        AbortIncompleteMultipartUpload, DefaultRetention, LifecycleExpiration, LifecycleRuleFilter,
        ObjectLockRule, Tag, Transition,
    };

    use super::*;

    fn rule() -> aws_sdk_s3::types::builders::LifecycleRuleBuilder {
        LifecycleRule::builder().status(ExpirationStatus::Enabled)
    }

    fn filter(prefix: &str) -> LifecycleRuleFilter {
        LifecycleRuleFilter::builder().prefix(prefix).build()
    }

    fn all(rules: &[LifecycleRule]) -> Lifecycle {
        let mut all = Lifecycle::default();
        for rule in rules {
            add(&mut all, rule, "backups/shop/");
        }
        all
    }

    #[test]
    fn rules_count_that_are_of_the_prefix_and_the_first_of_several() {
        let abort = |days| {
            let abort = AbortIncompleteMultipartUpload::builder();
            abort.days_after_initiation(days).build()
        };
        let expire = |days| LifecycleExpiration::builder().days(days).build();
        let aborts = |prefix: &str, days| {
            let rule = rule().filter(filter(prefix));
            rule.abort_incomplete_multipart_upload(abort(days))
                .build()
                .unwrap()
        };
        let found = all(&[aborts("", 7), aborts("backups/", 3), aborts("other/", 1)]);
        assert_eq!(found.aborts_uploads, Some(3));
        // Only a part of what is below is no help, but what deletes it does harm.
        let found = all(&[aborts("backups/shop/snapshots/", 3)]);
        assert_eq!(found, Lifecycle::default());
        let deletes = rule().filter(filter("backups/shop/snapshots/"));
        let deletes = deletes.expiration(expire(30)).build().unwrap();
        assert_eq!(all(&[deletes]).deletes, Some(30));
        let tag = Tag::builder().key("a").value("b").build().unwrap();
        let tagged = LifecycleRuleFilter::builder().tag(tag).build();
        let tagged = rule()
            .filter(tagged)
            .expiration(expire(9))
            .abort_incomplete_multipart_upload(abort(9));
        let found = all(&[tagged.build().unwrap()]);
        assert_eq!((found.deletes, found.aborts_uploads), (Some(9), None));
        let transition = |class| {
            let transition = Transition::builder().days(90).storage_class(class).build();
            rule().transitions(transition).build().unwrap()
        };
        let found = all(&[
            transition(TransitionStorageClass::StandardIa),
            transition(TransitionStorageClass::DeepArchive),
        ]);
        assert_eq!(found.archives, Some(90));
    }

    #[test]
    fn a_lock_lasts_for_days_or_years_or_as_each_object_says() {
        let of = |default: Option<DefaultRetention>| {
            let rule = default.map(|it| ObjectLockRule::builder().default_retention(it).build());
            let told = ObjectLockConfiguration::builder();
            let told = told.object_lock_enabled(ObjectLockEnabled::Enabled);
            lock(&told.set_rule(rule).build())
        };
        let days = |default_days| Some(ObjectLock { default_days });
        assert_eq!(of(None), days(None));
        let default = DefaultRetention::builder;
        assert_eq!(of(Some(default().days(30).build())), days(Some(30)));
        assert_eq!(of(Some(default().years(2).build())), days(Some(730)));
        assert_eq!(lock(&ObjectLockConfiguration::builder().build()), None);
    }
}
