//! Secure connections, by rustls.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use ganymede::rustls::ClientConfig;
use ganymede::rustls::client::Resumption;
use ganymede::{Context, Failure, SlotKey, Trust};
use parking_lot::Mutex;
use suppaftp::{FtpError, FtpResult, RustlsConnector, TlsConnector, TlsStream};

use crate::settings::Settings;

/// What the client library makes of a secure connection.
pub(crate) type Secure = <RustlsConnector as TlsConnector>::Stream;

/// What the configuration of secure connections is made of, once in a context: the system's certificates take a while
/// to load.
#[derive(PartialEq, Eq, Hash)]
struct Key(Trust);

impl SlotKey for Key {
    type Value = ClientConfig;
}

/// Returns the configuration for the connections of one session.
///
/// Its resumption is the session's own: servers take data only over a connection that resumes that of the commands.
pub(crate) fn config(settings: &Settings, context: &Context) -> Result<ClientConfig, Failure> {
    let config = context.slot(Key(settings.trust.clone()), |_| settings.trust.config())?;
    let mut config = ClientConfig::clone(&config);
    config.resumption = Resumption::in_memory_sessions(8);
    Ok(config)
}

/// How far the connection for commands is; those for data come after it.
pub(crate) enum Progress {
    /// It is to be made secure when the server is ready for that.
    Due,
    /// It is secure from the beginning.
    Ready(Box<Secure>),
    /// The handshake has failed.
    Failed(io::Error),
    Done,
}

/// Makes the connections of one session secure.
#[derive(Clone)]
pub(crate) struct Connector {
    library: Arc<RustlsConnector>,
    pub(crate) control: Arc<Mutex<Progress>>,
}

impl Connector {
    pub(crate) fn new(config: ClientConfig) -> Self {
        let library = Arc::new(RustlsConnector::from(Arc::new(config)));
        Self { library, control: Arc::new(Mutex::new(Progress::Due)) }
    }

    /// Makes a connection secure from its first byte.
    pub(crate) fn begin(&self, domain: &str, socket: TcpStream) -> io::Result<()> {
        let secure = self.secure(domain, socket)?;
        *self.control.lock() = Progress::Ready(Box::new(secure));
        Ok(())
    }

    fn secure(&self, domain: &str, socket: TcpStream) -> io::Result<Secure> {
        let mut stream = self.library.connect(domain, socket).map_err(io::Error::other)?;
        let tls = stream.mut_ref();
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(stream)
    }
}

impl TlsConnector for Connector {
    type Stream = Secure;

    fn connect(&self, domain: &str, socket: TcpStream) -> FtpResult<Secure> {
        let mut control = self.control.lock();
        match std::mem::replace(&mut *control, Progress::Done) {
            Progress::Ready(secure) => Ok(*secure),
            Progress::Due => self.secure(domain, socket).map_err(|error| {
                let told = FtpError::SecureError(error.to_string());
                *control = Progress::Failed(error);
                told
            }),
            // One for data shakes hands when it is read from.
            Progress::Done | Progress::Failed(_) => self.library.connect(domain, socket),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
