use std::path::PathBuf;

use clap::Args;

/// What opens a snapshot that is encrypted.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct IdentityArgs {
    /// Open encrypted snapshots with the secret keys in this file, of age or SSH; may also be in RDUMP_IDENTITY
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

/// A passphrase.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct PassphraseArgs {
    /// Encrypt, and open what is encrypted, with the passphrase in this file; may also be in RDUMP_PASSPHRASE
    #[arg(long = "passphrase-file", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// Who will be able to read what is written.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct RecipientArgs {
    /// Encrypt to a public key, of age or SSH, or to those in a file; may be repeated; may also be in RDUMP_ENCRYPT_TO
    #[arg(long = "encrypt-to", value_name = "KEY|FILE")]
    pub(crate) encrypt_to: Vec<String>,
}

/// Wrap the keys of snapshots that are encrypted for others than before; the data stays as it is.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(
    disable_help_flag = true,
    override_usage = "rdump rekey [OPTIONS] ID…|latest|--all",
    after_help = super::AFTER_HELP_REKEY
)]
pub(crate) struct RekeyArgs {
    /// The snapshots
    #[arg(value_name = "ID")]
    pub(crate) snapshots: Vec<String>,

    /// Change the keys of all snapshots that are encrypted
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,

    /// Encrypt with the passphrase in this file from now on; may also be in RDUMP_NEW_PASSPHRASE
    #[arg(long = "new-passphrase-file", value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) identity: IdentityArgs,

    #[command(flatten)]
    pub(crate) local: super::repository::LocalArgs,
}
