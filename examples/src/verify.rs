//! Verifies a dump folder: `verify FOLDER`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{CancellationToken, verify_folder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: verify FOLDER")?;
    let report = verify_folder(&folder.parse()?, Arc::new(()), CancellationToken::new()).await?;
    for damage in &report.damage {
        println!("{damage}");
    }
    match report.damage.len() {
        0 => Ok(()),
        damages => Err(format!("{damages} places of damage in {folder}").into()),
    }
}
