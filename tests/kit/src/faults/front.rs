//! What stands before the source of a cell whose fault is below HTTP.

use std::mem::take;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use crate::faults::source::passages;
use crate::faults::{Cell, Fault, Phase};
use crate::relay::Relay;
use crate::silent::{Backlog, Refusing};

/// What stands before the source of a cell whose fault is below HTTP.
#[derive(Debug)]
pub struct Front {
    entrance: Mutex<Entrance>,
    base: String,
    source: SocketAddr,
}

#[derive(Debug, Default)]
enum Entrance {
    Refusing(Refusing),
    Full(Backlog),
    Open(Relay),
    #[default]
    Gone,
}

impl Front {
    /// Starts what stands before the source at `plain`, or with TLS at `secure`; nothing, if the fault is not there.
    #[must_use]
    pub fn start(cell: &Cell, plain: SocketAddr, secure: SocketAddr) -> Option<Self> {
        if cell.fault.is_own() || cell.is_a_stranger() {
            return None;
        }
        let (entrance, base, source) = match (cell.phase, cell.fault) {
            (Phase::Connect, Fault::Refused) => {
                let refusing = Refusing::start();
                let base = refusing.url("http", "");
                (Entrance::Refusing(refusing), base, plain)
            }
            (Phase::Connect, Fault::Stalled) => {
                let backlog = Backlog::start();
                let base = backlog.url("http", "");
                (Entrance::Full(backlog), base, plain)
            }
            (Phase::Connect, _) => {
                let relay = Relay::start(plain, passages(cell));
                let base = relay.url("http", "");
                (Entrance::Open(relay), base, plain)
            }
            (Phase::Tls, _) => {
                let relay = Relay::start(secure, passages(cell));
                let base = relay.url("https", "");
                (Entrance::Open(relay), base, secure)
            }
            _ => return None,
        };
        Some(Self { entrance: Mutex::new(entrance), base, source })
    }

    /// The URL of a path behind it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether it lets nobody in until it is opened, be the fault one that comes only once.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let entrance = self.entrance.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*entrance, Entrance::Refusing(_) | Entrance::Full(_))
    }

    /// Lets everybody through from now on.
    pub fn open(&self) {
        let mut entrance = self.entrance.lock().unwrap_or_else(PoisonError::into_inner);
        let relay = match take(&mut *entrance) {
            Entrance::Refusing(refusing) => refusing.open(self.source),
            Entrance::Full(backlog) => backlog.open(self.source),
            Entrance::Open(relay) => {
                relay.mend();
                relay
            }
            Entrance::Gone => return,
        };
        *entrance = Entrance::Open(relay);
    }
}
