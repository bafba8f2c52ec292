//! A run of `ganymede stream`, until it is dropped.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use ganymede_kit::{Client, Folder, PATIENCE, Response};

/// A run of `ganymede stream`, until it is dropped.
pub(crate) struct Serving {
    process: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts it with these arguments, on a port that the system chooses, and waits until it says which.
    #[track_caller]
    pub(crate) fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ganymede"))
            .args(["stream", "--listen", "127.0.0.1:0", "--access-log", "none"])
            .args(arguments)
            // Nothing of what is set here is for it, such as a proxy.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut lines = BufReader::new(process.stderr.take().expect("its standard error")).lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("it has ended with {:?}: {said}", process.wait());
            };
            said.push_str(&line);
            said.push('\n');
            if let Some(address) = address(&line) {
                break address;
            }
        };
        let said = Arc::new(Mutex::new(said));
        let heard = Arc::clone(&said);
        // It must never wait for somebody to read what it says.
        let listening = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut said = heard.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        Self { process, address, said, listening: Some(listening) }
    }

    /// Starts it before an origin, with a cache in a folder.
    #[track_caller]
    pub(crate) fn keeping<A: AsRef<OsStr>>(
        remote: &str,
        folder: &Folder,
        more: impl IntoIterator<Item = A>,
    ) -> Self {
        let cache = folder.file("cache").into_os_string();
        let arguments = [OsStr::new("--remote"), OsStr::new(remote), OsStr::new("--cache"), &cache];
        let more: Vec<A> = more.into_iter().collect();
        Self::start(arguments.into_iter().chain(more.iter().map(AsRef::as_ref)))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Sends a request, of whose response nothing is read yet.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Client {
        let socket = TcpStream::connect(self.address).unwrap();
        // Whoever waits for a time-out of the server's must have more patience than that.
        socket.set_read_timeout(Some(PATIENCE * 6)).unwrap();
        Client::ask(socket, method, target, "HTTP/1.1", headers)
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[]).read()
    }

    /// What its metrics say of a name, which has no labels or these.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.get("/-/metrics").body).unwrap();
        let mut lines = text.lines().filter_map(|line| line.rsplit_once(' '));
        let value = lines.find(|(known, _)| *known == name).map(|(_, value)| value.parse().unwrap());
        value.unwrap_or_else(|| panic!("{name} is not in {text}"))
    }

    /// How much memory it has now, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        if thread::panicking() {
            let said = self.said();
            let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        }
    }
}

/// The address in a line that tells where it listens.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    rest.trim_end_matches('/').parse().ok()
}
