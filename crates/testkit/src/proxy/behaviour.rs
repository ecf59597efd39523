//! What a proxy does to the connections through it.

use std::time::Duration;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// By RST, as when a host dies or a firewall loses its state: "connection reset by peer".
    #[default]
    Reset,
    /// By FIN, as when a server is shut down: end of file in the middle of a message.
    Finish,
}

/// What to do with each piece of data; the default passes it on.
#[derive(Clone, Debug, Default)]
pub(super) struct Behaviour {
    pub(super) cut_after: Option<u64>,
    pub(super) cut_once_after: Option<u64>,
    pub(super) refuse: bool,
    pub(super) delay: Duration,
    pub(super) bytes_per_second: Option<u64>,
    pub(super) ending: Ending,
}

impl Behaviour {
    /// How much of a piece of `bytes` a client gets through a connection that has carried `carried`, and whether
    /// the connection is cut then.
    pub(super) fn admit(&mut self, carried: u64, bytes: u64) -> (u64, bool) {
        let mut admitted = bytes;
        let mut cut = false;
        if let Some(most) = self.cut_after {
            let left = most.saturating_sub(carried);
            if left <= admitted {
                (admitted, cut) = (left, true);
            }
        }
        if let Some(left) = self.cut_once_after {
            if left <= admitted {
                (admitted, cut) = (left, true);
                self.cut_once_after = None;
            } else {
                self.cut_once_after = Some(left - admitted);
            }
        }
        (admitted, cut)
    }
}
