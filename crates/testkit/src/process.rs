//! What every server of the kit needs: a folder, ports, and to die with the test.

pub(crate) mod folder;
pub(crate) mod port;
pub(crate) mod spawner;
