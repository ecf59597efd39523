//! Object stores that speak the S3 protocol, each with one bucket.
//!
//! [`SeaweedFs`] is a real one, in processes of its own; [`S3Server`] is a small one in the test's own process, which is
//! there at once and knows less. A [`Gateway`] in front of either fails as a test tells it to; a [`Freezer`] has it freeze
//! what is in classes that are not read from.

mod access;
mod freezer;
pub mod gateway;
mod in_process;
mod seaweedfs;

pub use self::{
    access::{Access, Policy},
    freezer::Freezer,
    gateway::Gateway,
    in_process::S3Server,
    seaweedfs::SeaweedFs,
};

/// The bucket that is there.
pub const BUCKET: &str = "tested";
/// The access key that may do everything.
pub const ACCESS_KEY: &str = "rdump-access-key";
/// Its secret key.
pub const SECRET_KEY: &str = "rdump-secret-key";

/// A prefix of the bucket at an address, as a location.
fn location(address: &str, prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}?endpoint=http://{address}&region=us-east-1")
}
