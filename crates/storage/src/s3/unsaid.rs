//! Refusals that no store has spoken.

use aws_sdk_s3::{
    config::{
        interceptors::InterceptorContext,
        retry::{ClassifyRetry, RetryAction},
    },
    operation::head_object::HeadObjectError,
};

/// Makes a request again that was answered 400 without the code that every error of S3 has.
///
/// A server or what is before it answers so to a request that it could not read, be it that a part of it got lost on the way.
/// Errors of HEAD have no code.
#[derive(Debug)]
pub(super) struct Unsaid;

impl ClassifyRetry for Unsaid {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else {
            return RetryAction::NoActionIndicated;
        };
        let error = context.output_or_error().and_then(Result::err);
        let error = error.and_then(|error| error.as_operation_error());
        let is_head = error.is_some_and(|error| error.downcast_ref::<HeadObjectError>().is_some());
        let body = response.body().bytes().unwrap_or_default();
        let has_code = body.windows(CODE.len()).any(|window| window == CODE);
        let is_unsaid = response.status().as_u16() == 400 && !has_code;
        match is_unsaid && !is_head {
            true => RetryAction::transient_error(),
            false => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "a refusal without a code"
    }
}

const CODE: &[u8] = b"<Code>";
