//! What secure connections are made with: whom to trust, and what to show.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::failure::{ErrorKind, Failure};

/// What secure connections are made with: whom to trust, and which certificate to show.
///
/// It is for protocols over TLS of their own; [`Http`](crate::Http) has the same settings. Unless it is told otherwise,
/// the system's certificates are trusted, and none is shown.
///
/// ```
/// use ganymede::Trust;
///
/// let trust = Trust::new().verify(false);
/// let config: ganymede::rustls::ClientConfig = trust.config()?;
/// let error = Trust::new().ca_certificate("no/such/file.pem").config().unwrap_err();
/// assert!(error.to_string().contains("no/such/file.pem"));
/// # let _ = config;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trust {
    authorities: Vec<PathBuf>,
    /// The files of the certificate and of its key.
    identity: Option<(PathBuf, PathBuf)>,
    verify: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self { authorities: Vec::new(), identity: None, verify: true }
    }
}

impl Trust {
    /// Trusts whom the system trusts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in a PEM file, and no others; several files add up.
    #[must_use]
    pub fn ca_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities.push(file.into());
        self
    }

    /// Shows a certificate, with its chain, and proves it with a key, from two PEM files or twice the same.
    #[must_use]
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Sets whether the server must prove who it is; without that, anyone on the way can read and change all.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Makes the configuration of the connections, which reads the files.
    ///
    /// The system's certificates take a while to load: what it makes is to be shared, by a [slot](crate::Context::slot)
    /// say. The cryptography is what the process has installed as its default, or else that of aws-lc.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] naming a file that cannot be read, or is of no use.
    pub fn config(&self) -> Result<ClientConfig, Failure> {
        self.make(true)
    }

    /// Makes the configuration, with the system's certificates if they are needed and wanted.
    pub(crate) fn make(&self, system: bool) -> Result<ClientConfig, Failure> {
        let unusable = |error: rustls::Error| {
            Failure::new(ErrorKind::Unsupported, format!("the settings make no secure connections: {error}"))
        };
        let installed = CryptoProvider::get_default().map(Arc::clone);
        let provider = installed.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let mut roots = RootCertStore::empty();
        for authority in self.authorities()? {
            roots.add(authority).map_err(unusable)?;
        }
        let builder = if !self.verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone::new(&provider)))
        } else if system && self.authorities.is_empty() {
            builder.with_platform_verifier().map_err(unusable)?
        } else {
            builder.with_root_certificates(roots)
        };
        let Some(pem) = self.identity()? else { return Ok(builder.with_no_client_auth()) };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| self.no_identity())?;
        let shown = Some(chain).filter(|chain| !chain.is_empty()).ok_or_else(|| self.no_identity())?;
        builder.with_client_auth_cert(shown, key).map_err(|error| self.no_identity().caused_by(error))
    }

    /// Reads the certificates that are trusted instead of the system's.
    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let mut all = Vec::new();
        for file in &self.authorities {
            let pem = read(file, "CA certificate")?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let sound = |found: &Vec<CertificateDer<'static>>| {
                let usable = |one: &CertificateDer<'static>| RootCertStore::empty().add(one.clone()).is_ok();
                !found.is_empty() && found.iter().all(usable)
            };
            all.extend(found.ok().filter(sound).ok_or_else(|| {
                let message = format!("{} holds no certificate in PEM form", file.display());
                Failure::new(ErrorKind::Unsupported, message)
            })?);
        }
        Ok(all)
    }

    /// Reads the certificate that is shown, and its key.
    pub(crate) fn identity(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Some((certificate, key)) = &self.identity else { return Ok(None) };
        let mut pem = read(certificate, "client certificate")?;
        if key != certificate {
            pem.push(b'\n');
            pem.extend(read(key, "client key")?);
        }
        Ok(Some(pem))
    }

    /// Says that what is to be shown is of no use; nothing of it is quoted, for there is a key in it.
    pub(crate) fn no_identity(&self) -> Failure {
        let files = self.identity.as_ref().map_or_else(String::new, |(certificate, key)| {
            format!(" certificate ({}) and private key ({})", certificate.display(), key.display())
        });
        Failure::new(ErrorKind::Unsupported, format!("no usable client{files} in PEM form"))
    }

    /// Shows nothing.
    pub(crate) fn anonymous(mut self) -> Self {
        self.identity = None;
        self
    }

    pub(crate) fn is_verifying(&self) -> bool {
        self.verify
    }
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| {
        let message = format!("cannot read the {what} {}: {error}", file.display());
        Failure::new(ErrorKind::Unsupported, message)
    })
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
