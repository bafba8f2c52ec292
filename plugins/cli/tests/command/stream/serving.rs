//! A run of `ganymede stream`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use ganymede_kit::{Client, Folder, Origin, PATIENCE, Response, wait_until};

use crate::ganymede::command;

/// A run, which is killed when it is dropped.
pub(crate) struct Serving {
    process: Child,
    addresses: Vec<SocketAddr>,
    said: Heard,
    printed: Heard,
}

/// What comes out of a run, read as it comes.
#[derive(Default)]
struct Heard {
    text: Arc<Mutex<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts it in a folder, on a port that the system chooses, and waits until it says which.
    #[track_caller]
    pub(crate) fn start<A: AsRef<OsStr>>(folder: &Folder, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = command(folder);
        command.args(["stream", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::run(command, 1)
    }

    /// Starts it before an origin, with a cache in its folder.
    #[track_caller]
    pub(crate) fn keeping(folder: &Folder, origin: &Origin, more: &[&str]) -> Self {
        Self::start(folder, ["--remote", &origin.url("/"), "--cache", "cache"].iter().chain(more))
    }

    /// Starts a command, and waits until it says so many times where it listens.
    #[track_caller]
    pub(crate) fn run(mut command: Command, places: usize) -> Self {
        let mut process = command.spawn().expect("the command");
        let printed = process.stdout.take().map_or_else(Heard::default, Heard::of);
        let said = Heard::of(process.stderr.take().expect("its standard error"));
        let mut serving = Self { process, addresses: Vec::new(), said, printed };
        wait_until("it to listen", || {
            let said = serving.said();
            let address =
                |line: &str| line.strip_prefix("Listening on http://")?.strip_suffix('/')?.parse().ok();
            serving.addresses = said.lines().filter_map(address).collect();
            let ended = serving.process.try_wait().unwrap();
            assert!(ended.is_none(), "it has ended with {ended:?}: {said}");
            serving.addresses.len() == places
        });
        serving
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.addresses[0]).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Begins a request, of which nothing is read yet.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Client {
        Client::ask(self.connect(), method, target, "HTTP/1.1", headers)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[]).read()
    }

    /// Tells whether it has something, without asking anybody for it.
    pub(crate) fn has(&self, target: &str) -> bool {
        self.ask("GET", target, &[("Cache-Control", "only-if-cached")]).read().status == 200
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.text.lock().unwrap().clone()
    }

    /// What it has printed on standard output so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.text.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn wait_said(&self, text: &str) {
        wait_until(&format!("{text:?}"), || self.said().contains(text));
    }

    #[track_caller]
    pub(crate) fn wait_printed(&self, text: &str) {
        wait_until(&format!("{text:?}"), || self.printed().contains(text));
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &process]).status().unwrap().success());
    }

    /// Waits until it ends, and returns its exit status and all that it has said.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_until("its end", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        self.said.join();
        self.printed.join();
        (status.unwrap().code(), self.said())
    }

    /// Tells it to end, and waits until it has.
    #[track_caller]
    pub(crate) fn end(self) {
        self.signal("TERM");
        let (status, said) = self.ended();
        assert_eq!(status, Some(0), "{said}");
    }

    /// Kills it without any warning.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.said.join();
        self.printed.join();
        if thread::panicking() {
            let _ = std::io::stderr().write_all(self.said().as_bytes());
        }
    }
}

impl Heard {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let thread = thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap();
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Self { text, thread: Some(thread) }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts it with a standard output that nobody reads, which is returned.
#[track_caller]
pub(crate) fn unread(folder: &Folder, arguments: &[&str]) -> (Serving, PipeReader) {
    let mut command = command(folder);
    let (reader, writer) = pipe().unwrap();
    command.args(["stream", "--listen", "127.0.0.1:0"]).args(arguments).stdout(writer);
    (Serving::run(command, 1), reader)
}
