//! A scripted FTP server: every reply, and every byte of data, is under the test's control.

mod session;

use std::collections::{HashMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustls::ServerConfig;

use crate::identity::Identity;
use crate::process::wait_until;
use crate::server::{Server, face};

/// A server of FTP (RFC 959, RFC 2428, RFC 3659), plain or over TLS (RFC 4217), in passive mode.
///
/// Its [`Ledger`](crate::Ledger) counts the connections for commands. Everybody may log in, unless
/// [said otherwise](Self::require).
///
/// ```
/// use ganymede_kit::{FtpFile, FtpOrigin};
///
/// let origin = FtpOrigin::start();
/// let url = origin.sequence("pub/file", [FtpFile::new("hello").cut_after(2), FtpFile::new("hello")]);
/// assert_eq!(url, format!("ftp://{}/pub/file", origin.address()));
/// // .. download it ..
/// assert!(origin.commands().is_empty());
/// ```
#[derive(Debug)]
pub struct FtpOrigin {
    server: Server,
    script: Arc<Script>,
    scheme: &'static str,
}

/// A file, and what becomes of it on the way.
#[derive(Clone, Debug)]
pub struct FtpFile {
    bytes: Arc<[u8]>,
    modified: Option<String>,
    /// How many bytes the server says that there are.
    told: Option<u64>,
    end: End,
    farewell: FtpReply,
}

/// How a connection for data ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// It is closed after so many bytes from where it begins.
    Cut(usize),
    /// Nothing more comes after so many.
    Stalled(usize),
}

/// What the server says to a command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FtpReply {
    /// These lines.
    Say(String),
    /// These lines, and then nothing, until the client leaves.
    Last(String),
    /// Nothing, until the client leaves.
    Silence,
    /// Nothing any more: it closes the connection.
    HangUp,
}

#[derive(Debug, Default)]
pub(crate) struct Script {
    state: Mutex<State>,
    tls: Option<Arc<ServerConfig>>,
    implicit: bool,
}

#[derive(Debug, Default)]
struct State {
    files: HashMap<Vec<u8>, VecDeque<FtpFile>>,
    folders: Vec<Vec<u8>>,
    account: Option<(String, String)>,
    replies: Vec<(String, VecDeque<FtpReply>)>,
    commands: Vec<String>,
    sessions: Vec<Weak<TcpStream>>,
}

impl From<&str> for FtpReply {
    fn from(text: &str) -> Self {
        Self::Say(text.to_owned())
    }
}

impl FtpFile {
    /// A file that was modified on 2 January 2024 at 03:04:05.
    #[must_use]
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        let bytes: Arc<[u8]> = bytes.as_ref().into();
        Self {
            told: Some(bytes.len() as u64),
            bytes,
            modified: Some("20240102030405".to_owned()),
            end: End::Whole,
            farewell: "226 Transfer complete".into(),
        }
    }

    /// When it was modified, as `YYYYMMDDHHMMSS`.
    #[must_use]
    pub fn modified(mut self, stamp: &str) -> Self {
        self.modified = Some(stamp.to_owned());
        self
    }

    /// Says that it has so many bytes, or refuses to say it.
    #[must_use]
    pub fn told(mut self, bytes: Option<u64>) -> Self {
        self.told = bytes;
        self
    }

    /// Closes the connection for data after so many bytes, and says that it was not all.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.end = End::Cut(bytes);
        self.farewell("426 Connection closed; transfer aborted")
    }

    /// Sends so many bytes, and then nothing.
    #[must_use]
    pub fn stall_after(mut self, bytes: usize) -> Self {
        self.end = End::Stalled(bytes);
        self
    }

    /// What is said at the end.
    #[must_use]
    pub fn farewell(mut self, farewell: impl Into<FtpReply>) -> Self {
        self.farewell = farewell.into();
        self
    }
}

impl FtpOrigin {
    /// Starts it, without TLS.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Script::default(), "ftp")
    }

    /// Starts it; connections become secure when they ask for that.
    #[must_use]
    pub fn explicit(identity: &Identity) -> Self {
        let tls = Some(Arc::new(identity.server_config(None)));
        Self::with(Script { tls, ..Script::default() }, "ftpes")
    }

    /// Starts it; connections are secure from the first byte.
    #[must_use]
    pub fn implicit(identity: &Identity) -> Self {
        let tls = Some(Arc::new(identity.server_config(None)));
        Self::with(Script { tls, implicit: true, ..Script::default() }, "ftps")
    }

    fn with(script: Script, scheme: &'static str) -> Self {
        let script = Arc::new(script);
        let shared = Arc::clone(&script);
        let server = Server::start("kit-ftp", move |visit| session::serve(visit, &shared));
        Self { server, script, scheme }
    }

    /// Has a file, and returns its URL.
    pub fn on(&self, path: &str, file: FtpFile) -> String {
        self.sequence(path, [file])
    }

    /// Has a file that is another one each time that it is fetched; the last one stays. Returns its URL.
    pub fn sequence(&self, path: &str, files: impl IntoIterator<Item = FtpFile>) -> String {
        self.on_bytes(path.as_bytes(), files);
        self.url(&format!("/{path}"))
    }

    /// Has a file whose path is any bytes.
    pub fn on_bytes(&self, path: &[u8], files: impl IntoIterator<Item = FtpFile>) {
        self.script.state().files.insert(path.to_vec(), files.into_iter().collect());
    }

    /// Has a folder.
    pub fn folder(&self, path: &str) {
        self.script.state().folders.push(path.as_bytes().to_vec());
    }

    /// Lets nobody else in.
    pub fn require(&self, user: &str, password: &str) {
        self.script.state().account = Some((user.to_owned(), password.to_owned()));
    }

    /// Gives these replies to commands that begin like that, one after the other, and its own to all others; `""` is
    /// the greeting.
    pub fn reply(&self, command: &str, replies: impl IntoIterator<Item = impl Into<FtpReply>>) {
        let replies = replies.into_iter().map(Into::into).collect();
        self.script.state().replies.push((command.to_owned(), replies));
    }

    /// A URL of this path that leads to it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.server.url(self.scheme, path)
    }

    /// All commands so far, in the order they came.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.script.state().commands.clone()
    }

    /// How many commands began like that.
    #[must_use]
    pub fn count(&self, command: &str) -> usize {
        self.script.state().commands.iter().filter(|given| given.starts_with(command)).count()
    }

    /// Waits until so many commands have begun like that.
    #[track_caller]
    pub fn wait_command(&self, command: &str, count: usize) {
        wait_until(command, || self.count(command) >= count);
    }

    /// Closes all connections for commands, as a server does that has waited long enough.
    pub fn hang_up(&self) {
        for socket in self.script.state().sessions.drain(..).filter_map(|socket| socket.upgrade()) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

face!(FtpOrigin);

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the test wants to be said to a command.
    fn reply(&self, command: &str) -> Option<FtpReply> {
        let mut state = self.state();
        let fits =
            |given: &str| if given.is_empty() { command.is_empty() } else { command.starts_with(given) };
        let mut fitting =
            state.replies.iter_mut().filter(|(given, replies)| fits(given) && !replies.is_empty());
        fitting.next()?.1.pop_front()
    }

    /// Returns the file at a path; `fetched` passes on to the next one there.
    fn file(&self, path: &[u8], fetched: bool) -> Option<FtpFile> {
        let mut state = self.state();
        let files = state.files.get_mut(path)?;
        match fetched && files.len() > 1 {
            true => files.pop_front(),
            false => files.front().cloned(),
        }
    }
}
