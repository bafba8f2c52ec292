//! Running the command, and what came of it.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use ganymede_kit::Folder;
use serde_json::Value;

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs the command in a folder until it ends.
#[track_caller]
pub fn run<A: AsRef<OsStr>>(folder: &Folder, arguments: impl IntoIterator<Item = A>) -> Finished {
    finish(start(folder, arguments))
}

/// Runs `ganymede get` in a folder until it ends.
#[track_caller]
pub fn get<A: AsRef<OsStr>>(folder: &Folder, arguments: impl IntoIterator<Item = A>) -> Finished {
    finish(command(folder).arg("get").args(arguments).spawn().expect("the command"))
}

/// Runs `ganymede get` with this standard input.
#[track_caller]
pub fn get_with_input<A: AsRef<OsStr>>(
    folder: &Folder,
    arguments: impl IntoIterator<Item = A>,
    input: impl Into<Vec<u8>>,
) -> Finished {
    let mut command = command(folder);
    let mut child = command.arg("get").args(arguments).stdin(Stdio::piped()).spawn().expect("the command");
    let (mut stdin, input) = (child.stdin.take().expect("its input"), input.into());
    // It may end without reading all of it.
    let writing = thread::spawn(move || drop(stdin.write_all(&input)));
    let finished = finish(child);
    writing.join().expect("the thread that writes");
    finished
}

/// Starts the command in a folder.
#[track_caller]
pub fn start<A: AsRef<OsStr>>(folder: &Folder, arguments: impl IntoIterator<Item = A>) -> Child {
    command(folder).args(arguments).spawn().expect("the command")
}

/// The command, in a folder that is its user's too, and with an environment that says nothing.
pub fn command(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ganymede"));
    command.current_dir(folder.path()).env_clear().env("HOME", folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until it ends.
#[track_caller]
pub fn finish(child: Child) -> Finished {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the end of the command");
    Finished { status: status.code(), stdout, stderr: String::from_utf8(stderr).expect("text") }
}

impl Finished {
    /// Asserts the exit status.
    #[track_caller]
    pub fn exited(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stderr: {}\nstdout: {}", self.stderr, self.text());
        self
    }

    /// Asserts that standard error holds a text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in: {}", self.stderr);
        self
    }

    /// What it printed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The JSON objects it printed, one a line.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        self.text().lines().map(parse).collect()
    }

    /// The only event of that kind.
    #[track_caller]
    pub fn event(&self, kind: &str) -> Value {
        let mut found: Vec<_> = self.events().into_iter().filter(|event| event["event"] == kind).collect();
        assert_eq!(found.len(), 1, "events {kind} in {}\n{}", self.text(), self.stderr);
        found.remove(0)
    }
}

/// The hexadecimal digits of the digest of some bytes.
pub fn digest(algorithm: &str, bytes: &[u8]) -> String {
    let algorithm: ganymede::Algorithm = algorithm.parse().expect("an algorithm");
    ganymede::Facts::of(bytes, [algorithm]).expect("facts").digest(algorithm).expect("a digest").hex()
}
