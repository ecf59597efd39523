//! Starts servers so that the kernel kills them when this process dies, even by SIGKILL.
//!
//! `setpriv --pdeathsig KILL` (util-linux) asks the kernel for that. The kernel means the *thread* that
//! started the child, so all children are started by one thread that lives as long as the process.

use std::{
    io,
    path::Path,
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

type Request = (Command, SyncSender<io::Result<Child>>);

/// A command that runs `program` and dies with this process.
pub(crate) fn dying_with_us(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command made by [`dying_with_us`].
pub(crate) fn spawn(command: Command) -> Child {
    static SPAWNER: OnceLock<SyncSender<Request>> = OnceLock::new();
    let requests = SPAWNER.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Request>(1);
        thread::Builder::new()
            .name("server-spawner".into())
            .spawn(move || {
                for (mut command, answer) in receiver {
                    // Fails only when the asking thread is gone; the child is then ours to let go.
                    drop(answer.send(command.spawn()));
                }
            })
            .expect("a thread can be started");
        sender
    });
    let (answer, child) = sync_channel(1);
    requests
        .send((command, answer))
        .expect("the spawner lives as long as the process");
    child
        .recv()
        .expect("the spawner answers every request")
        .unwrap_or_else(|error| {
            panic!("cannot run setpriv, which ties servers to this process: {error}; install util-linux")
        })
}
