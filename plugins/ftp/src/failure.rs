//! What the client library's errors, and the replies of servers, mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use ganymede::{ErrorKind, Failure, StatusCode};
use suppaftp::types::Response;
use suppaftp::{FtpError, ReplyTooLarge};

/// The most of a reply's text that is told, in characters.
const LONGEST: usize = 200;

/// What a server has answered: a code and a text (RFC 959 §4.2).
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u32,
    /// The last line, code included, as it may be shown.
    text: String,
}

impl Answer {
    pub(crate) fn of(response: &Response) -> Self {
        let text = String::from_utf8_lossy(&response.body);
        let last = text.lines().next_back().unwrap_or_default();
        // The library knows no other codes than those of its list.
        let code = last.get(..3).and_then(|code| code.parse().ok()).unwrap_or(response.status.code());
        let shown = last.trim().chars().take(LONGEST);
        let text = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { code, text }
    }

    /// Tells whether the server does not know the command, or what it was given.
    pub(crate) fn is_unknown_command(&self) -> bool {
        matches!(self.code, 500..=504 | 522)
    }

    /// Tells whether its text holds one of these words.
    fn says(&self, words: &[&str]) -> bool {
        let text = self.text.to_ascii_lowercase();
        words.iter().any(|word| text.contains(word))
    }

    /// Tells whether a file was refused because it is none.
    pub(crate) fn is_about_a_folder(&self) -> bool {
        self.says(&["is a directory", "is a folder", "not a regular file", "not a plain file", "not a file"])
    }

    /// Returns the failure that it stands for (RFC 959 §4.2.2, RFC 4217 §3, RFC 7151 §3.2).
    pub(crate) fn failure(&self) -> Failure {
        let message = format!("the server answered {}", self.text);
        let of = |kind: ErrorKind| Failure::new(kind, message.clone());
        let like = |status: StatusCode| Failure::from_status(status).message(message.clone());
        match self.code {
            // It is busy: no more connections for now.
            120 | 421 | 434 => like(StatusCode::SERVICE_UNAVAILABLE),
            426 => of(ErrorKind::Incomplete),
            530 if self.says(&["too many", "maximum", "limit", "busy"]) => {
                like(StatusCode::SERVICE_UNAVAILABLE)
            }
            332 | 430 | 530 | 532 => of(ErrorKind::Unauthorized),
            400..=499 => of(ErrorKind::Status).transient(true),
            521 | 522 | 533..=537 => of(ErrorKind::Tls),
            550 if self.says(&[
                "permission denied",
                "access denied",
                "access is denied",
                "not permitted",
            ]) =>
            {
                like(StatusCode::FORBIDDEN)
            }
            550 => of(ErrorKind::NotFound),
            500..=599 => of(ErrorKind::Status),
            _ => of(ErrorKind::Malformed),
        }
    }
}

/// Returns the failure that an error of the client library stands for.
pub(crate) fn failure_of(error: FtpError, patience: Duration) -> Failure {
    match error {
        FtpError::ConnectionError(error) => of_connection(error, patience),
        FtpError::SecureError(text) => Failure::new(ErrorKind::Tls, format!("no secure connection: {text}")),
        FtpError::UnexpectedResponse(response) => Answer::of(&response).failure(),
        FtpError::BadResponse => Failure::new(ErrorKind::Malformed, "the server's reply is none of FTP"),
        error => Failure::new(ErrorKind::Other, error.to_string()),
    }
}

/// Returns the failure that an error of a connection stands for.
pub(crate) fn of_connection(error: io::Error, patience: Duration) -> Failure {
    if cause::<ReplyTooLarge>(&error).is_some() {
        return Failure::new(ErrorKind::Malformed, error.to_string());
    }
    if let Some(tls) = cause::<ganymede::rustls::Error>(&error) {
        return Failure::new(ErrorKind::Tls, format!("no secure connection: {tls}"));
    }
    match error.kind() {
        _ if cause::<Failure>(&error).is_some() => error.into(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let message = format!("the server was silent for {} s", patience.as_secs_f64());
            Failure::new(ErrorKind::Timeout, message)
        }
        io::ErrorKind::InvalidInput => {
            Failure::new(ErrorKind::Unsupported, format!("it cannot be said in a command: {error}"))
        }
        _ => {
            let message = format!("the server closed the connection: {error}");
            Failure::new(ErrorKind::Incomplete, message)
        }
    }
}

/// Returns what is inside an error of a connection, if it is of this type.
fn cause<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref()?.downcast_ref()
}

/// Tells whether the server has left a session, so that a new one may do better.
pub(crate) fn has_left(error: &FtpError) -> bool {
    match error {
        FtpError::ConnectionError(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
        ),
        FtpError::UnexpectedResponse(response) => Answer::of(response).code == 421,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use suppaftp::Status;

    use super::*;

    fn answer(text: &str) -> Answer {
        let code = text[..3].parse::<u32>().unwrap();
        Answer::of(&Response::new(Status::from(code), format!("{text}\r\n").into_bytes()))
    }

    #[test]
    fn each_reply_is_a_failure_of_its_kind() {
        for (text, kind, status, transient) in [
            ("550 Failed to open file.", "not-found", None, false),
            ("550 x: Permission denied", "unauthorized", Some(403), false),
            ("530 Login incorrect.", "unauthorized", None, false),
            ("530 Sorry, the maximum number of clients (5) are already connected", "status", Some(503), true),
            ("430 Invalid username or password", "unauthorized", None, false),
            ("532 Need account", "unauthorized", None, false),
            ("421 Too many connections", "status", Some(503), true),
            ("425 Can't open data connection", "status", None, true),
            ("426 Connection closed; transfer aborted", "incomplete", None, true),
            ("450 File busy", "status", None, true),
            ("451 Local error in processing", "status", None, true),
            ("452 Insufficient storage", "status", None, true),
            ("499 Whatever", "status", None, true),
            ("500 What?", "status", None, false),
            ("522 SSL connection failed: session reuse required", "tls", None, false),
            ("534 Policy requires TLS", "tls", None, false),
            ("553 Could not determine file name", "status", None, false),
            ("599 Whatever", "status", None, false),
            ("200 Why not", "other", None, false),
        ] {
            let failure = answer(text).failure();
            let status = status.map(|status: u16| StatusCode::from_u16(status).unwrap());
            assert_eq!((failure.kind().name(), failure.status()), (kind, status), "{text}");
            assert_eq!(failure.is_transient(), transient, "{text}");
            assert_eq!(failure.to_string(), format!("the server answered {text}"));
        }
    }

    #[test]
    fn of_a_long_reply_the_last_line_is_told_and_nothing_that_a_terminal_would_obey() {
        let body = format!("220-hello\r\n220-there\r\n550 \x1b[31m{}\r\n", "x".repeat(5_000));
        let answer = Answer::of(&Response::new(Status::Ready, body.into_bytes()));
        assert_eq!((answer.code, answer.text.chars().count()), (550, LONGEST));
        assert!(answer.text.starts_with("550  [31mxxx"));
    }

    #[test]
    fn a_broken_connection_is_transient_and_a_bad_certificate_is_not() {
        let of = |error: io::Error| failure_of(FtpError::ConnectionError(error), Duration::from_secs(3));
        let broken = of(io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(broken.kind(), ErrorKind::Incomplete) && broken.is_transient());
        let silent = of(io::ErrorKind::WouldBlock.into());
        assert_eq!((silent.kind().name(), silent.to_string().contains("3 s")), ("timeout", true));
        let tls =
            ganymede::rustls::Error::InvalidCertificate(ganymede::rustls::CertificateError::UnknownIssuer);
        let untrusted = of(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(matches!(untrusted.kind(), ErrorKind::Tls) && !untrusted.is_transient());
        let cancelled = of(Failure::cancelled().into());
        assert!(matches!(cancelled.kind(), ErrorKind::Cancelled));
    }
}
