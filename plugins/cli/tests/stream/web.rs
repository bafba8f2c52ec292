//! A web server of the real world behind the command, what it was asked, and the programs that make what it serves.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ganymede_kit::{Daemon, wait_until};

use crate::serving::Serving;

/// An nginx, and what of its log was read.
pub(crate) struct Web {
    nginx: Daemon,
    read: Mutex<usize>,
}

impl Web {
    /// Starts it with these further directives.
    pub(crate) fn start(directives: &str) -> Self {
        let directives = directives.to_owned();
        Self { nginx: Daemon::nginx("", |_| directives), read: Mutex::new(0) }
    }

    /// The folder that it serves.
    pub(crate) fn content(&self) -> PathBuf {
        self.nginx.folder.file("content")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.nginx.url("http", path)
    }

    /// What it was asked for by the server before it, and what it answered, since this was asked the last time.
    pub(crate) fn asked(&self, by: &Serving) -> Vec<(String, u16)> {
        let lines = || self.nginx.log("access.log").lines().map(str::to_owned).collect::<Vec<_>>();
        // A line may be written when the answer has long been read.
        wait_until("all that was asked to be logged", || {
            lines().len() as u64 >= by.metric("ganymede_fetches_total")
        });
        let lines = lines();
        let mut read = self.read.lock().unwrap();
        let parse = |line: &String| {
            let (_, rest) = line.split_once("] \"GET ").unwrap();
            let (path, rest) = rest.split_once(" HTTP/1.1\" ").unwrap();
            (path.to_owned(), rest.split(' ').next().unwrap().parse().unwrap())
        };
        let new = lines[*read..].iter().map(parse).collect();
        *read = lines.len();
        new
    }
}

/// Makes all files below a folder so old: what has not changed for long is taken to be fresh for a while.
pub(crate) fn age(folder: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path, days);
        } else {
            File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Runs a program in a folder that is its user's, with an environment of its own, and returns what it has printed.
#[track_caller]
pub(crate) fn program<A: AsRef<OsStr>>(
    name: &str,
    folder: &Path,
    environment: &[(&str, &Path)],
    arguments: impl IntoIterator<Item = A>,
) -> Vec<u8> {
    let output = Command::new(name)
        .env_clear()
        // Some are where others are not looked for.
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .envs(environment.iter().copied())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (told(&output.stdout), told(&output.stderr));
    assert!(output.status.success(), "{name} has ended with {}:\n{stdout}\n{stderr}", output.status);
    output.stdout
}
