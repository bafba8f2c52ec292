//! The settings of FTP, as builder methods of the protocol and of a download over it.

use std::mem::take;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ganymede::{Credentials, Guard, Trust};

use crate::protocol::Ftp;

/// Whether an `ftp:` connection is made secure by `AUTH TLS` (RFC 4217).
///
/// ```
/// use ganymede_ftp::{Explicit, Ftp};
///
/// let ftp = Ftp::new().explicit(Explicit::Required);
/// # let _ = ftp;
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Explicit {
    /// Never.
    #[default]
    Off,
    /// If the server offers it. Anyone on the way can pretend that it does not.
    Preferred,
    /// Always: without it, nothing is asked for, and no password is sent.
    Required,
}

/// What an [`Ftp`] was told: all that two downloads must agree on to share sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) trust: Trust,
    pub(crate) guard: Option<Guard>,
    pub(crate) explicit: Explicit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            credentials: None,
            trust: Trust::new(),
            guard: None,
            explicit: Explicit::Off,
        }
    }
}

/// Settings; those that are not made keep their defaults. Those of a download are made with
/// [`Transfer::map`](ganymede::Transfer::map).
///
/// ```
/// use std::time::Duration;
/// use ganymede_ftp::FtpDownload;
///
/// let download = FtpDownload::get("ftp://example.com/pub/file")?
///     .map(|ftp| ftp.read_timeout(Duration::from_secs(10)).user("amy", "secret"));
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
impl Ftp {
    /// Sets how long name resolution, connection and handshake may take together; 10 seconds unless set.
    ///
    /// It is also how long each data connection may take.
    #[must_use]
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.connect_timeout = timeout)
    }

    /// Sets how long each reply may take and how long the body may pause; 30 seconds unless set.
    #[must_use]
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.read_timeout = timeout)
    }

    /// Logs in with a name and a password, at the host of the caller's URL only; credentials of the request, as those
    /// in its URL, win. Without any, the login is anonymous.
    #[must_use]
    pub fn user(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.with(|settings| settings.credentials = Some(Credentials::password(user, password)))
    }

    /// Trusts the certificates in a PEM file, and no others; several files add up.
    ///
    /// It is read before the first connection; one that cannot be read fails the download.
    #[must_use]
    pub fn ca_certificate(self, file: impl Into<PathBuf>) -> Self {
        self.with(|settings| settings.trust = take(&mut settings.trust).ca_certificate(file))
    }

    /// Sets whether the server must prove who it is; without that, anyone on the way can read and change all.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        self.with(|settings| settings.trust = take(&mut settings.trust).verify(verify))
    }

    /// Connects only to where a guard lets it, for commands and for data.
    #[must_use]
    pub fn guard(self, guard: Guard) -> Self {
        self.with(|settings| settings.guard = Some(guard))
    }

    /// Sets whether connections of `ftp:` URLs are made secure; those of `ftps:` and `ftpes:` always are.
    #[must_use]
    pub fn explicit(self, explicit: Explicit) -> Self {
        self.with(|settings| settings.explicit = explicit)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}
