//! A server that runs, on an event loop of its own.

use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use ganymede_kit::{Client, Response};
use ganymede_streamer::{Server, Streamer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A server that runs until it is dropped.
pub(crate) struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(streamer: Streamer) -> Self {
        Self::with(streamer, |server| server)
    }

    /// Starts it with other settings of the server.
    pub(crate) fn with(streamer: Streamer, set: impl FnOnce(Server) -> Server) -> Self {
        Self::serving(streamer.router(), set)
    }

    pub(crate) fn serving(router: axum::Router, set: impl FnOnce(Server) -> Server) -> Self {
        let server = set(Server::new(router).drain(Duration::from_millis(100)));
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let stop = async { drop(stopped.await) };
                server.run(listener, stop).await.unwrap();
            });
            runtime.shutdown_timeout(Duration::from_secs(5));
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(ganymede_kit::PATIENCE)).unwrap();
        socket
    }

    /// Begins a request, of which nothing is read yet.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Client {
        Client::ask(self.connect(), method, target, "HTTP/1.1", headers)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.get_with(target, &[])
    }

    pub(crate) fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.ask("GET", target, headers).read()
    }

    pub(crate) fn head(&self, target: &str) -> Response {
        self.ask("HEAD", target, &[]).read()
    }

    /// Tells it to stop, and does not wait for that.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }

    /// Waits until it has stopped.
    pub(crate) fn join(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the server has panicked");
        }
    }
}
