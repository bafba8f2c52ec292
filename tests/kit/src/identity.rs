//! Certificates: an authority, and the identities it issues.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A certificate authority of the test's own.
///
/// ```
/// use ganymede_kit::{Authority, Origin};
///
/// let authority = Authority::new("trusted");
/// let origin = Origin::tls(&authority.server(&["localhost", "127.0.0.1"]));
/// assert!(origin.url("/").starts_with("https://127.0.0.1:"));
/// assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
/// ```
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with this common name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self { issuer: CertifiedIssuer::self_signed(parameters, key()).expect("a self-signed certificate") }
    }

    /// Its certificate, in PEM: what a client trusts.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Writes its certificate to `<name>.pem` in a folder and returns the path.
    pub fn write_to(&self, folder: impl AsRef<Path>, name: &str) -> PathBuf {
        write(folder.as_ref(), &format!("{name}.pem"), &self.pem())
    }

    /// Issues the identity of a server with these host names and addresses.
    #[must_use]
    pub fn server(&self, hosts: &[&str]) -> Identity {
        self.issue(hosts.first().unwrap_or(&"server"), hosts, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues the identity of a client with this name.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.issue(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, hosts: &[&str], usage: ExtendedKeyUsagePurpose) -> Identity {
        let mut parameters = parameters(name, hosts);
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![usage];
        let key = key();
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a signed certificate");
        Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority's certificate");
        roots
    }
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// The certificate, in PEM.
    pub certificate_pem: String,
    /// The private key, PKCS #8 in PEM.
    pub key_pem: String,
}

impl Identity {
    /// Certificate and key in one text, as some clients want them.
    #[must_use]
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate_pem, self.key_pem)
    }

    /// Writes `<name>.crt` and `<name>.key` in a folder and returns both paths.
    pub fn write_to(&self, folder: impl AsRef<Path>, name: &str) -> (PathBuf, PathBuf) {
        let certificate = write(folder.as_ref(), &format!("{name}.crt"), &self.certificate_pem);
        let key = write(folder.as_ref(), &format!("{name}.key"), &self.key_pem);
        (certificate, key)
    }

    pub(crate) fn server_config(&self, clients: Option<&Authority>) -> ServerConfig {
        // A provider of its own: which one the process has is the tested code's affair.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let certificate =
            CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("a private key");
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider)
                    .build()
                    .expect("a verifier of clients"),
            ),
        };
        config.with_single_cert(vec![certificate], key).expect("a certificate that fits its key")
    }
}

fn parameters(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).expect("host names and addresses");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a private key")
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path
}
