//! The framework's own suite, over servers of both kinds.

use std::sync::atomic::{AtomicU32, Ordering};

use ganymede::conformance::{Source, protocol};
use ganymede::{Context, ErrorKind, Failure, Protocol, Reply, Request};
use ganymede_ftp::Ftp;
use ganymede_kit::{Authority, Folder, FtpFile, FtpOrigin};

use crate::ftp;
use crate::libunftp::Libunftp;

static NEXT: AtomicU32 = AtomicU32::new(0);

fn name() -> String {
    format!("file{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

struct Scripted {
    ftp: Ftp,
    origin: FtpOrigin,
}

impl Source for Scripted {
    fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(self.ftp.clone())
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        Some(self.origin.on(&name(), FtpFile::new(content)))
    }

    fn missing(&self) -> String {
        self.origin.url("/missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        Some(self.origin.on(&name(), FtpFile::new(content).cut_after(sent)))
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        Some(self.origin.on(&name(), FtpFile::new(content).stall_after(sent)))
    }
}

struct Foreign {
    ftp: Ftp,
    server: Libunftp,
    scheme: &'static str,
}

impl Source for Foreign {
    fn protocol(&self) -> Box<dyn Protocol> {
        let ftp = self.ftp.clone();
        // Once in a while, this server takes the handshake for a command: it announces it before it is ready for it.
        Box::new(move |request: &Request, context: &Context| {
            let mut asked = (0..20).map(|_| ftp.send(request, context));
            let answered = |sent: &Result<Reply, Failure>| {
                !sent.as_ref().is_err_and(|failure| matches!(failure.kind(), ErrorKind::Tls))
            };
            asked.find(answered).unwrap_or_else(|| ftp.send(request, context))
        })
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        let name = name();
        self.server.write(&name, content);
        Some(self.server.url(self.scheme, &format!("/{name}")))
    }

    fn missing(&self) -> String {
        self.server.url(self.scheme, "/missing")
    }
}

#[test]
fn it_conforms_over_a_plain_connection() {
    protocol(&Scripted { ftp: ftp(), origin: FtpOrigin::start() });
}

#[test]
fn it_conforms_over_a_connection_that_becomes_secure() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    protocol(&Scripted { ftp, origin: FtpOrigin::explicit(&authority.server(&["127.0.0.1"])) });
}

#[test]
fn it_conforms_over_a_connection_that_is_secure_from_its_first_byte() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    protocol(&Scripted { ftp, origin: FtpOrigin::implicit(&authority.server(&["127.0.0.1"])) });
}

#[test]
fn it_conforms_with_another_crates_server() {
    protocol(&Foreign { ftp: ftp(), server: Libunftp::start(None), scheme: "ftp" });
}

#[test]
fn it_conforms_with_another_crates_secure_server() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    let server = Libunftp::start(Some(&authority.server(&["127.0.0.1"])));
    protocol(&Foreign { ftp, server, scheme: "ftpes" });
}

#[test]
fn another_crates_server_has_no_file_where_a_folder_is() {
    let server = Libunftp::start(None);
    server.write("pub/file", b"content");
    let error = crate::get(&server.url("ftp", "/pub")).unwrap_err();
    assert!(error.to_string().contains("it is a folder"), "{error}");
    assert_eq!(crate::get(&server.url("ftp", "/pub/file")).unwrap().0, b"content");
}
