//! What every server of the kit needs: a folder, ports, connections, and to die with the test.

pub(crate) mod folder;
pub(crate) mod listening;
pub(crate) mod port;
pub(crate) mod spawner;
