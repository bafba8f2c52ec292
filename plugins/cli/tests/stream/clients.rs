//! Those who ask: curl, a raw socket, and one who reads slowly.

use std::process::{Command, Stdio};
use std::time::Duration;

use ganymede_kit::{End, Response};

use crate::serving::Serving;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Curl,
    /// The same over HTTP/2.
    CurlHttp2,
    /// A raw socket, of which all is read by hand.
    Raw,
    /// The same, without haste.
    Slow,
}

/// What came of a request, as its client takes it.
#[derive(Debug)]
pub(crate) enum Taken {
    /// For a complete response with this status.
    Complete(u16, Vec<u8>),
    /// For one that broke off, with the exit status of a program.
    Broken(Option<i32>),
}

impl Asker {
    pub(crate) const ALL: [Self; 4] = [Self::Curl, Self::CurlHttp2, Self::Raw, Self::Slow];

    /// Asks for a path, and reads to the end.
    pub(crate) fn get(self, server: &Serving, path: &str) -> Taken {
        match self {
            Self::Curl => curl(server, path, &["--http1.1"]).taken(),
            Self::CurlHttp2 => curl(server, path, &["--http2-prior-knowledge"]).taken(),
            Self::Raw => taken(server.get(path)),
            Self::Slow => taken(server.ask("GET", path, &[]).read_slowly(16 << 10, Duration::from_millis(2))),
        }
    }
}

fn taken(response: Response) -> Taken {
    match response.end {
        End::Whole => Taken::Complete(response.status, response.body),
        _ => Taken::Broken(None),
    }
}

impl Taken {
    /// Whether the client has this content, and knows no better than that it is complete.
    pub(crate) fn is_content(&self, content: &[u8]) -> bool {
        matches!(self, Self::Complete(200, bytes) if bytes == content)
    }

    /// Whether the client takes something for the content.
    pub(crate) fn is_taken_for_content(&self) -> bool {
        matches!(self, Self::Complete(200..300, _))
    }

    /// In short, for who reads why a test has failed.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Complete(status, bytes) => format!("{status} with {} bytes", bytes.len()),
            Self::Broken(status) => format!("broken off {status:?}"),
        }
    }
}

/// What curl has made of a response.
#[derive(Debug)]
pub(crate) struct Curled {
    pub(crate) exit: Option<i32>,
    pub(crate) status: u16,
    /// The version of HTTP, like 2 or 1.1.
    pub(crate) version: String,
    pub(crate) body: Vec<u8>,
}

/// Asks for a path with curl, and these further arguments.
pub(crate) fn curl(server: &Serving, path: &str, arguments: &[&str]) -> Curled {
    let output = Command::new("curl")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        // Its own configuration is not for tests, so this comes first.
        .args(["--disable", "--silent", "--max-time", "120", "--path-as-is"])
        .args(["--write-out", "%{stderr}%{http_code} %{http_version}"])
        .args(arguments)
        .arg(server.url(path))
        .stdin(Stdio::null())
        .output()
        .expect("curl");
    let told = String::from_utf8(output.stderr).unwrap();
    let (status, version) = told.split_once(' ').expect("a status and a version");
    Curled {
        exit: output.status.code(),
        status: status.parse().unwrap(),
        version: version.to_owned(),
        body: output.stdout,
    }
}

impl Curled {
    fn taken(self) -> Taken {
        match self.exit {
            Some(0) => Taken::Complete(self.status, self.body),
            exit => Taken::Broken(exit),
        }
    }
}
