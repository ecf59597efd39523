//! Verifies a dump folder, or the newest snapshot of a repository: `verify FOLDER|REPOSITORY`.
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::{env, error::Error, sync::Arc};

use rdump::{CancellationToken, Location, Repository, SnapshotVerifyOptions, verify_folder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = env::args()
        .nth(1)
        .ok_or("usage: verify FOLDER|REPOSITORY")?;
    let location: Location = place.parse()?;
    let (observer, cancel) = (Arc::new(()), CancellationToken::new());
    let damage = if Repository::is_at(&location).await? {
        let repository = Repository::open(&location).await?;
        let snapshot = repository.find_snapshot("latest").await?;
        let options = SnapshotVerifyOptions::default().deep(true);
        snapshot.verify(&options, observer, cancel).await?.damage
    } else {
        verify_folder(&location, observer, cancel).await?.damage
    };
    for damage in &damage {
        println!("{damage}");
    }
    match damage.len() {
        0 => Ok(()),
        damages => Err(format!("{damages} places of damage in {place}").into()),
    }
}
