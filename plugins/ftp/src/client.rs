//! Making a session: connecting, making it secure, logging in.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ganymede::{Context, ErrorKind, Failure, Timing};
use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpResult, RustlsFtpStream, Status};
use url::Host;

use crate::dialer::Dialer;
use crate::encoding::{HIDDEN, Octets, octets};
use crate::failure::{Answer, failure_of, of_connection};
use crate::settings::Explicit;
use crate::target::{Account, Security};
use crate::tls::{self, Connector, Progress};

/// Makes the client of one session.
pub(crate) struct Opening<'a> {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) security: Security,
    pub(crate) account: &'a Account,
    /// Is told when a port for data was agreed on.
    pub(crate) agreed: Arc<AtomicBool>,
    pub(crate) context: &'a Context,
}

impl Opening<'_> {
    /// Connects and logs in.
    pub(crate) fn client(&self, timing: &mut Timing) -> Result<RustlsFtpStream, Failure> {
        let client = match self.security {
            Security::Explicit(Explicit::Off) => self.plain(timing)?,
            Security::Explicit(explicit) => self.explicit(explicit, timing)?,
            Security::Implicit => self.implicit(timing)?,
        };
        let (dialer, agreed) = (Arc::clone(&self.dialer), Arc::clone(&self.agreed));
        let mut client = client.passive_stream_builder(move |address| {
            agreed.store(true, Ordering::Release);
            dialer.data(address).map_err(FtpError::ConnectionError)
        });
        // Wherever a reply to PASV points: data comes from the server itself or not at all.
        client.set_passive_nat_workaround(true);
        self.log_in(&mut client)?;
        client.transfer_type(FileType::Binary).map_err(|error| self.failed(error))?;
        Ok(client)
    }

    fn log_in(&self, client: &mut RustlsFtpStream) -> Result<(), Failure> {
        let Account { user, password } = self.account;
        client.set_encoding(Octets { password: Some(password.clone()) });
        let logged_in = client.login(octets(user.as_bytes()).as_str(), HIDDEN);
        client.set_encoding(Octets { password: None });
        logged_in.map_err(|error| {
            let failure = self.failed(error);
            // Some servers repeat what they do not understand.
            let mut message = failure.to_string();
            if !password.is_empty() {
                message = message.replace(password, "..");
            }
            if matches!(failure.kind(), ErrorKind::Unauthorized) {
                message = format!("{} does not let {user} in: {message}", self.dialer.name());
            }
            failure.message(message)
        })
    }

    fn plain(&self, timing: &mut Timing) -> Result<RustlsFtpStream, Failure> {
        let socket = self.dialer.control(self.context, timing)?;
        RustlsFtpStream::connect_with_stream(socket).map_err(|error| self.failed(error))
    }

    /// Makes a plain connection secure, if the server is ready for that.
    fn explicit(&self, explicit: Explicit, timing: &mut Timing) -> Result<RustlsFtpStream, Failure> {
        let connector = self.connector()?;
        let begun = Instant::now();
        let client = self.plain(timing)?;
        let start = Instant::now();
        self.hurry(begun)?;
        let secured = client.into_secure(connector.clone(), &domain(&self.dialer.host));
        timing.securing += start.elapsed();
        let progress = std::mem::replace(&mut *connector.control.lock(), Progress::Done);
        match (secured, progress) {
            (Ok(client), _) => {
                self.patience()?;
                Ok(client)
            }
            (Err(_), Progress::Failed(error)) => Err(self.insecure(error)),
            // It was not even begun: the server does not offer it, and has said so in the clear.
            (Err(FtpError::UnexpectedResponse(response)), Progress::Due) => {
                let answer = Answer::of(&response);
                if explicit == Explicit::Preferred && (500..=599).contains(&answer.code) {
                    tracing::debug!(host = self.dialer.name(), "no secure connection is offered");
                    return self.plain(timing);
                }
                let failure = answer.failure();
                if failure.is_transient() {
                    return Err(failure);
                }
                let message = format!("{} makes no secure connection: {failure}", self.dialer.name());
                Err(Failure::new(ErrorKind::Tls, message))
            }
            (Err(error), _) => Err(self.failed(error)),
        }
    }

    /// Makes a connection that is secure from its first byte.
    fn implicit(&self, timing: &mut Timing) -> Result<RustlsFtpStream, Failure> {
        let connector = self.connector()?;
        let begun = Instant::now();
        let socket = self.dialer.control(self.context, timing)?;
        let start = Instant::now();
        self.hurry(begun)?;
        let domain = domain(&self.dialer.host);
        let secured = connector.begin(&domain, socket);
        timing.securing += start.elapsed();
        secured.map_err(|error| self.insecure(error))?;
        self.patience()?;
        // The library connects by itself here, with a wait that nothing ends: it is given somewhere to connect to at
        // once, and then the connection that is there.
        let failed = |error| of_connection(error, self.dialer.settings.read_timeout);
        let local = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = local.local_addr().map_err(failed)?;
        let client = RustlsFtpStream::connect_secure_implicit(address, connector, &domain);
        let mut client = client.map_err(|error| self.failed(error))?;
        // Which servers of this kind expect by custom, and others say that they need not be told.
        let _ = self.tell(&mut client, "PBSZ 0")?;
        match self.tell(&mut client, "PROT P")? {
            Some(answer) if answer.code != 200 => {
                Err(Failure::new(ErrorKind::Tls, answer.failure().to_string()))
            }
            _ => Ok(client),
        }
    }

    /// Sends a command whose reply does not matter to the library; `None` is a good one.
    fn tell(&self, client: &mut RustlsFtpStream, command: &str) -> Result<Option<Answer>, Failure> {
        let told: FtpResult<_> = client.custom_command(command, &[Status::CommandOk]);
        match told {
            Ok(_) => Ok(None),
            Err(FtpError::UnexpectedResponse(response)) => Ok(Some(Answer::of(&response))),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn connector(&self) -> Result<Connector, Failure> {
        Ok(Connector::new(tls::config(&self.dialer.settings, self.context)?))
    }

    /// Leaves to a handshake what is left of the time for connecting.
    fn hurry(&self, begun: Instant) -> Result<(), Failure> {
        let failed = |error| of_connection(error, self.dialer.settings.connect_timeout);
        self.dialer.wire.set_patience(self.dialer.left(begun)).map_err(failed)
    }

    fn patience(&self) -> Result<(), Failure> {
        let patience = self.dialer.settings.read_timeout;
        self.dialer.wire.set_patience(patience).map_err(|error| of_connection(error, patience))
    }

    /// Says why a handshake has failed.
    fn insecure(&self, error: std::io::Error) -> Failure {
        let name = self.dialer.name();
        let failure = of_connection(error, self.dialer.settings.connect_timeout);
        let message = format!("{name} makes no secure connection: {failure}");
        failure.message(message)
    }

    fn failed(&self, error: FtpError) -> Failure {
        failure_of(error, self.dialer.settings.read_timeout)
    }
}

/// Returns the name that a certificate has to have.
fn domain(host: &Host) -> String {
    match host {
        Host::Domain(name) => name.clone(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}
