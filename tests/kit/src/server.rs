//! What all servers have in common: a listener, a thread for each connection, and a prompt end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::ledger::{Ledger, Visit};

/// A listener that serves each connection on a thread of its own, until dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Ledger>,
    listening: Option<JoinHandle<()>>,
}

/// Gives a kind of server, which has its `server` in a field of that name, the face that all have.
macro_rules! face {
    ($kind:ident) => {
        impl $kind {
            /// The address it listens on.
            #[must_use]
            pub fn address(&self) -> std::net::SocketAddr {
                self.server.address
            }
        }

        impl std::ops::Deref for $kind {
            type Target = crate::ledger::Ledger;

            fn deref(&self) -> &crate::ledger::Ledger {
                &self.server.ledger
            }
        }
    };
}

pub(crate) use face;

impl Server {
    /// A URL with this scheme and path that leads to it.
    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }

    /// Starts threads called `name` that call `serve` for each connection.
    ///
    /// The connection is over when the visit is dropped; `serve` must not keep its socket longer.
    pub(crate) fn start<S>(name: &'static str, serve: S) -> Self
    where
        S: Fn(&Visit) -> io::Result<()> + Send + Sync + 'static,
    {
        Self::listen(name, loopback(), serve)
    }

    /// Does the same on a listener that is there already.
    pub(crate) fn listen<S>(name: &'static str, listener: TcpListener, serve: S) -> Self
    where
        S: Fn(&Visit) -> io::Result<()> + Send + Sync + 'static,
    {
        let address = listener.local_addr().expect("the address of a listener");
        let ledger = Arc::new(Ledger::default());
        let shared = Arc::clone(&ledger);
        let listening = spawn(name, move || accept(name, &listener, &shared, &Arc::new(serve)));
        Self { address, ledger, listening: Some(listening) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ledger.stop();
        let Some(listening) = self.listening.take() else { return };
        // The thread waits for a connection: here is one.
        while !listening.is_finished() && TcpStream::connect(self.address).is_err() {
            thread::sleep(Duration::from_millis(5));
        }
        if let Err(panic) = listening.join()
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A listener on a port that the system chooses.
pub(crate) fn loopback() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on the loopback interface")
}

fn accept<S>(name: &'static str, listener: &TcpListener, ledger: &Arc<Ledger>, serve: &Arc<S>)
where
    S: Fn(&Visit) -> io::Result<()> + Send + Sync + 'static,
{
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    let mut panicked = None;
    loop {
        let accepted = listener.accept();
        if ledger.stopped() {
            break;
        }
        let Ok((socket, _)) = accepted else {
            // Out of descriptors, most likely: some will be given back.
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let _ = socket.set_nodelay(true);
        let Some(visit) = ledger.admit(&Arc::new(socket)) else { break };
        let serve = Arc::clone(serve);
        for ended in serving.extract_if(.., |thread| thread.is_finished()) {
            panicked = ended.join().err().or(panicked);
        }
        // How a connection ended is the client's to judge: here it is part of the script.
        serving.push(spawn(name, move || drop(serve(&visit))));
    }
    for thread in serving {
        panicked = thread.join().err().or(panicked);
    }
    // One in a test's own handler must not go unnoticed.
    if let Some(panic) = panicked {
        std::panic::resume_unwind(panic);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread")
}
