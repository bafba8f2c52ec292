//! The guard: what is not public is not connected to.

use std::io::ErrorKind as ErrorKindOfSystem;
use std::net::{SocketAddr, TcpListener};

use ganymede::{Context, DownloadError, ErrorKind, Guard};
use ganymede_kit::{FtpFile, FtpOrigin};
use socket2::{Domain, Socket, Type};

use crate::{download, fetch, ftp};

#[track_caller]
fn forbidden(url: &str) -> DownloadError {
    let guarded = ftp().guard(Guard::public_only());
    let error = fetch(download(guarded, url), &Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Forbidden) && !error.is_transient(), "{error:?}");
    assert!(error.to_string().contains("Guard::allow"), "{error}");
    error
}

#[test]
fn an_address_that_is_not_public_is_refused_however_it_is_written() {
    let origin = FtpOrigin::start();
    let port = origin.address().port();
    for scheme in ["ftp", "ftps", "ftpes"] {
        for host in
            ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "LOCALHOST", "10.0.0.1"]
        {
            forbidden(&format!("{scheme}://{host}:{port}/file"));
        }
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_is_allowed_is_let_through_for_commands_and_for_data() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content"));
    let guarded = ftp().guard(Guard::public_only().allow("127.0.0.1"));
    assert_eq!(fetch(download(guarded, &url), &Context::new()).unwrap().0, b"content");
    let named = url.replace("127.0.0.1", "localhost");
    let guarded = ftp().guard(Guard::public_only().allow("localhost"));
    assert_eq!(fetch(download(guarded, &named), &Context::new()).unwrap().0, b"content");
}

#[test]
fn a_session_without_a_guard_serves_none_with_one() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    fetch(download(ftp(), &url), &context).unwrap();
    let guarded = ftp().guard(Guard::public_only());
    let error = fetch(download(guarded, &url), &context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Forbidden));
    assert_eq!(origin.count("RETR"), 1);
}

#[test]
fn an_address_in_a_reply_to_pasv_is_never_connected_to() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content"));
    // One of this machine's own network, on a port where nobody listens at the server's address.
    let (internal, port, _taken) = loop {
        let internal = TcpListener::bind("127.0.0.2:0").unwrap();
        let port = internal.local_addr().unwrap().port();
        // Bound, and not listened at, so that no other test does.
        let taken = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        if taken.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into()).is_ok() {
            break (internal, port, taken);
        }
    };
    internal.set_nonblocking(true).unwrap();
    origin.reply("EPSV", ["502 Not here", "229 Entering (127.0.0.2)"]);
    let pasv = format!("227 Entering (127,0,0,2,{},{})", port >> 8, port & 255);
    origin.reply("PASV", [pasv.as_str(), pasv.as_str()]);
    for _ in 0..2 {
        let error = fetch(download(ftp(), &url), &Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Connect), "{error:?}");
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
    }
    assert!(internal.accept().is_err_and(|error| error.kind() == ErrorKindOfSystem::WouldBlock));
    assert_eq!(fetch(download(ftp(), &url), &Context::new()).unwrap().0, b"content");
}
