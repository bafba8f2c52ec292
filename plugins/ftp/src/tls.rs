//! Secure connections, by rustls.

use std::fmt;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ganymede::{Context, ErrorKind, Failure, SlotKey};
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use suppaftp::{FtpError, FtpResult, RustlsConnector, TlsConnector, TlsStream};

use crate::settings::Settings;

/// What the client library makes of a secure connection.
pub(crate) type Secure = <RustlsConnector as TlsConnector>::Stream;

/// What the configuration of secure connections is made of, once in a context: the system's certificates take a while
/// to load.
#[derive(PartialEq, Eq, Hash)]
struct Trust {
    ca_certificates: Vec<PathBuf>,
    verify: bool,
}

impl SlotKey for Trust {
    type Value = ClientConfig;
}

/// Returns the configuration for the connections of one session.
///
/// Its resumption is the session's own: servers take data only over a connection that resumes that of the commands.
pub(crate) fn config(settings: &Settings, context: &Context) -> Result<ClientConfig, Failure> {
    let trust = Trust { ca_certificates: settings.ca_certificates.clone(), verify: settings.verify };
    let config = context.slot(trust, |_| make(settings))?;
    let mut config = ClientConfig::clone(&config);
    config.resumption = Resumption::in_memory_sessions(8);
    Ok(config)
}

fn make(settings: &Settings) -> Result<ClientConfig, Failure> {
    let unusable = |error: rustls::Error| {
        Failure::new(ErrorKind::Unsupported, format!("the settings make no secure connections: {error}"))
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let mut roots = RootCertStore::empty();
    for file in &settings.ca_certificates {
        add(&mut roots, file)?;
    }
    let builder = match (settings.verify, settings.ca_certificates.is_empty()) {
        (false, _) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone::new(&provider))),
        (true, true) => builder.with_platform_verifier().map_err(unusable)?,
        (true, false) => builder.with_root_certificates(roots),
    };
    Ok(builder.with_no_client_auth())
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), Failure> {
    let pem = fs::read(file).map_err(|error| {
        let message = format!("cannot read the CA certificate {}: {error}", file.display());
        Failure::new(ErrorKind::Unsupported, message)
    })?;
    let added = CertificateDer::pem_slice_iter(&pem)
        .map(|found| found.is_ok_and(|found| roots.add(found).is_ok()))
        .reduce(|all, one| all && one);
    if added != Some(true) {
        let message = format!("{} holds no certificate in PEM form", file.display());
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Takes any server for the one that is meant.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl Anyone {
    fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
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
