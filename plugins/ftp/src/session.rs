//! A session: what it is asked, and whether it may be asked again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ganymede::{Context, ErrorKind, Failure, Hook, Timing};
use suppaftp::types::Response;
use suppaftp::{FtpError, FtpResult, Mode, RustlsFtpStream, TransferStream};

use crate::client::Opening;
use crate::dialer::Dialer;
use crate::encoding::octets;
use crate::failure::Answer;
use crate::settings::Settings;
use crate::target::Target;
use crate::tls::Secure;
use crate::wire::Wire;

/// How long a session may take to show that it is of use to others.
const RECOVERY: Duration = Duration::from_secs(2);

/// A connection for commands that has logged in.
pub(crate) struct Session {
    client: RustlsFtpStream,
    wire: Arc<Wire>,
    settings: Arc<Settings>,
    /// Whether a port for data was agreed on.
    agreed: Arc<AtomicBool>,
    /// Whether `EPSV` is asked for it (RFC 2428), which does without addresses, before `PASV`.
    extended: bool,
    knows_size: bool,
    knows_modified: bool,
    knows_restart: bool,
}

/// What a server tells of a file before it sends it.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
    /// Why it does not tell the size, if that may be because there is no such file.
    pub(crate) refusal: Option<Answer>,
}

impl Session {
    /// Logs in to a server; the hook cuts the session when the context is cancelled.
    pub(crate) fn open(
        target: &Target,
        settings: &Arc<Settings>,
        context: &Context,
        timing: &mut Timing,
    ) -> Result<(Self, Hook), Failure> {
        let wire = Arc::new(Wire::default());
        let hook = wire.begin(context);
        let dialer = Dialer {
            settings: Arc::clone(settings),
            host: target.host.clone(),
            port: target.port,
            wire: Arc::clone(&wire),
        };
        let agreed = Arc::new(AtomicBool::new(false));
        let opening = Opening {
            dialer: Arc::new(dialer),
            security: target.security,
            account: &target.account,
            agreed: Arc::clone(&agreed),
            context,
        };
        let client = opening.client(timing)?;
        let settings = Arc::clone(settings);
        let session = Self {
            client,
            wire,
            settings,
            agreed,
            extended: true,
            knows_size: true,
            knows_modified: true,
            knows_restart: true,
        };
        Ok((session, hook))
    }

    /// Takes it up again for another request, if the server has said nothing since, not even goodbye.
    pub(crate) fn resume(&self, context: &Context) -> Option<Hook> {
        let ready = self.wire.is_quiet() && self.wire.set_patience(self.settings.read_timeout).is_ok();
        ready.then(|| self.wire.begin(context))
    }

    /// Waits for the server only a little, from now on.
    pub(crate) fn hurry(&self) -> bool {
        self.wire.set_patience(RECOVERY).is_ok()
    }

    /// Ends the request that it serves, and tells whether it may serve another.
    pub(crate) fn end(&self) -> bool {
        self.wire.end()
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells whether bodies can begin elsewhere than at the first byte, as far as is known.
    pub(crate) fn knows_restart(&self) -> bool {
        self.knows_restart
    }

    /// Asks for size and time of modification (RFC 3659 §3 and §4).
    pub(crate) fn about(&mut self, path: &[u8]) -> FtpResult<About> {
        let path = octets(path);
        let mut about = About::default();
        if self.knows_size {
            match self.client.size(&path) {
                Ok(size) => about.size = Some(size as u64),
                Err(error) => {
                    let answer = refusal(error)?;
                    self.knows_size = answer.as_ref().is_none_or(|answer| !answer.is_unknown_command());
                    about.refusal = answer.filter(|_| self.knows_size);
                }
            }
        }
        // Of what is probably not there, nothing else is asked.
        if self.knows_modified && about.refusal.is_none() {
            match self.client.mdtm(&path) {
                Ok(modified) => about.modified = since_epoch(modified.and_utc().timestamp()),
                Err(error) => {
                    let answer = refusal(error)?;
                    self.knows_modified = answer.is_none_or(|answer| !answer.is_unknown_command());
                }
            }
        }
        Ok(about)
    }

    /// Begins to fetch a file at an offset (RFC 3659 §5), or at its first byte if the server cannot do that.
    ///
    /// Which of them it was, [`knows_restart`](Self::knows_restart) tells.
    pub(crate) fn retrieve(&mut self, path: &[u8], offset: u64) -> FtpResult<TransferStream<Secure>> {
        let path = octets(path);
        let mut offset = if self.knows_restart { offset } else { 0 };
        loop {
            self.agreed.store(false, Ordering::Release);
            self.client.set_mode(if self.extended { Mode::ExtendedPassive } else { Mode::Passive });
            let start = usize::try_from(offset).map_err(|_| FtpError::BadResponse)?;
            self.client.resume_transfer(start)?;
            let error = match self.client.retr_as_stream(&path) {
                Ok(transfer) => return Ok(transfer),
                Err(error) => error,
            };
            self.wire.hang_up();
            let agreed = self.agreed.load(Ordering::Acquire);
            match &error {
                FtpError::UnexpectedResponse(response) if self.can_go_without(agreed, response) => {
                    self.extended = false;
                }
                FtpError::UnexpectedResponse(response) if agreed && offset > 0 => {
                    let answer = Answer::of(response);
                    if !answer.is_unknown_command() && answer.code != 554 {
                        return Err(error);
                    }
                    (self.knows_restart, offset) = (false, 0);
                }
                _ => return Err(error),
            }
        }
    }

    /// Tells whether a port for data may be had by `PASV`, which can only name one of IPv4.
    fn can_go_without(&self, agreed: bool, response: &Response) -> bool {
        let refused = matches!(Answer::of(response).code, 229 | 500..=599);
        let ipv4 = || self.client.get_ref().peer_addr().is_ok_and(|peer| is_ipv4(&peer));
        self.extended && !agreed && refused && ipv4()
    }

    /// Says why a file was refused: most servers have one code for all that may be wrong with it.
    pub(crate) fn refused(&mut self, answer: &Answer, path: &[u8]) -> Failure {
        let failure = answer.failure();
        let unclear = matches!(failure.kind(), ErrorKind::NotFound);
        if answer.is_about_a_folder() || (unclear && self.is_folder(path)) {
            return Failure::new(ErrorKind::Unsupported, "it is a folder, and only files can be fetched");
        }
        failure
    }

    /// Tells whether there is a folder: then the session is in it, and of no more use.
    fn is_folder(&mut self, path: &[u8]) -> bool {
        let is_folder = self.client.cwd(octets(path)).is_ok();
        if is_folder {
            self.wire.cut();
        }
        is_folder
    }

    /// Ends a body of which nothing more is wanted, and tells whether the session is of use after that.
    pub(crate) fn recover(&mut self, transfer: TransferStream<Secure>) -> bool {
        let recovered = self.hurry() && {
            self.wire.hang_up();
            match transfer.finish() {
                // It may not have noticed, or says that it was interrupted.
                Ok(()) => true,
                Err(FtpError::UnexpectedResponse(response)) => {
                    matches!(Answer::of(&response).code, 400..=420 | 422..=599)
                }
                Err(_) => false,
            }
        };
        // A second reply, as some give, would be taken for that to the next command.
        let recovered = recovered && self.client.noop().is_ok();
        if !recovered {
            self.wire.cut();
        }
        recovered
    }
}

/// Returns what a server says instead of telling something of a file; `None` is something else than it should.
fn refusal(error: FtpError) -> FtpResult<Option<Answer>> {
    match error {
        FtpError::UnexpectedResponse(response) => match Answer::of(&response) {
            answer if answer.code == 421 => Err(FtpError::UnexpectedResponse(response)),
            answer => Ok(Some(answer)),
        },
        FtpError::BadResponse => Ok(None),
        error => Err(error),
    }
}

fn since_epoch(seconds: i64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn is_ipv4(peer: &SocketAddr) -> bool {
    peer.ip().to_canonical().is_ipv4()
}
