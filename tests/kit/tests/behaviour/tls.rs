//! Certificates and handshakes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ganymede_kit::{Authority, Folder, Identity, Origin, Reply, pattern};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::client::{Client, connect};

type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;

fn client(origin: &Origin, trusted: &Authority, shown: Option<&Identity>) -> Secure {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(identity) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    Client::over(StreamOwned::new(connection, connect(origin.address())))
}

/// One request, whose failure may come while it is sent or while the reply is read.
fn attempt(client: Secure) -> io::Result<Vec<u8>> {
    let mut stream = client.into_stream();
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map(|_| bytes)
}

#[test]
fn an_origin_speaks_tls() {
    let authority = Authority::new("trusted");
    let origin = Origin::tls(&authority.server(&["localhost", "127.0.0.1"]));
    let url = origin.on("/", Reply::ok(pattern(300_000)));
    assert!(url.starts_with("https://127.0.0.1:") && origin.url_at("localhost", "/").contains("localhost:"));
    let mut known = client(&origin, &authority, None);
    assert!(known.get("/", &[]).body == pattern(300_000));
    assert!(known.get("/", &[]).body == pattern(300_000));
    assert_eq!(origin.connections(), 1);
    assert!(!origin.journal()[0].client_certificate);
    assert!(attempt(client(&origin, &Authority::new("stranger"), None)).is_err());
    assert!(attempt(client(&origin, &authority, None)).unwrap().len() > 300_000);
}

#[test]
fn an_origin_of_http_2_speaks_http_1_1_with_who_offers_nothing_else() {
    let authority = Authority::new("trusted");
    let origin = Origin::http2(&authority.server(&["localhost"]));
    origin.on("/", Reply::ok(pattern(300_000)));
    let mut old = client(&origin, &authority, None);
    assert!(old.get("/", &[]).body == pattern(300_000));
    assert!(old.get("/", &[]).body == pattern(300_000));
    assert_eq!((origin.connections(), origin.journal()[0].version.as_str()), (1, "HTTP/1.1"));
}

#[test]
fn a_cut_over_tls_has_no_farewell() {
    let authority = Authority::new("trusted");
    let origin = Origin::tls(&authority.server(&["localhost"]));
    origin.sequence("/", [Reply::ok("0123").no_length(), Reply::ok("0123").no_length().cut_after(2)]);
    assert!(attempt(client(&origin, &authority, None)).unwrap().ends_with(b"\r\n\r\n0123"));
    let error = attempt(client(&origin, &authority, None)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_client_has_to_show_its_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let origin = Origin::mutual_tls(&servers.server(&["localhost"]), &clients);
    origin.on("/", Reply::ok("in"));
    assert!(attempt(client(&origin, &servers, None)).is_err());
    assert!(attempt(client(&origin, &servers, Some(&servers.client("me")))).is_err());
    assert!(attempt(client(&origin, &servers, Some(&clients.client("me")))).unwrap().ends_with(b"in"));
    assert_eq!(origin.requests("/"), 1);
    assert!(origin.journal()[0].client_certificate);
}

#[test]
fn handshakes_are_cut() {
    let authority = Authority::new("trusted");
    let origin = Origin::tls(&authority.server(&["localhost"]));
    origin.on("/", Reply::ok("in"));
    origin.cut_handshakes(2);
    assert!(attempt(client(&origin, &authority, None)).is_err());
    assert!(attempt(client(&origin, &authority, None)).is_err());
    assert!(attempt(client(&origin, &authority, None)).unwrap().ends_with(b"in"));
    assert_eq!((origin.connections(), origin.requests("/")), (3, 1));
}

#[test]
fn a_stalled_connection_is_stopped_and_a_client_that_leaves_noticed() {
    let authority = Authority::new("trusted");
    let origin = Origin::tls(&authority.server(&["localhost"]));
    origin.on("/stall", Reply::ok("0123").stall_after(2));
    origin.on("/delay", Reply::ok("0123").delay(Duration::from_secs(3600)));
    for target in ["/stall", "/delay"] {
        let mut leaving = client(&origin, &authority, None);
        leaving.send("GET", target, &[]);
        origin.wait_requests(origin.connections().try_into().unwrap());
        drop(leaving);
        origin.wait_open(0);
    }
    let mut stalled = client(&origin, &authority, None);
    stalled.send("GET", "/stall", &[]);
    let handshaking = connect(origin.address());
    origin.wait_requests(3);
    origin.wait_open(2);
    let start = Instant::now();
    drop(origin);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    drop(handshaking);
}

#[test]
fn certificates_are_written_to_files() {
    let folder = Folder::new();
    let authority = Authority::new("trusted");
    let identity = authority.client("me");
    let (certificate, key) = identity.write_to(folder.path(), "me");
    let trusted = authority.write_to(folder.path(), "ca");
    assert_eq!(folder.entries(), ["ca.pem", "me.crt", "me.key"]);
    assert_eq!(std::fs::read_to_string(trusted).unwrap(), authority.pem());
    let both = [certificate, key].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    assert_eq!(both, identity.pem());
}
