//! What fails, and as what.

use ganymede::{BufferWriter, Context, Download, DownloadError, ErrorKind};
use ganymede_ftp::FtpDownload;
use ganymede_kit::{FtpFile, FtpOrigin, FtpReply, Refusing};

use crate::{download, fetch, ftp, get};

fn failing(origin: &FtpOrigin) -> DownloadError {
    get(&origin.url("/file")).unwrap_err()
}

#[test]
fn a_login_that_is_refused_is_unauthorized_and_shows_no_password() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content"));
    origin.require("amy", "s3cr3t");
    let authority = origin.address().to_string();
    let wrong = url.replace(&authority, &format!("amy:wr0ng@{authority}"));
    let error = get(&wrong).unwrap_err();
    assert_eq!((error.kind().name(), error.is_transient()), ("unauthorized", false));
    assert!(
        error.to_string().contains("does not let amy in") && error.to_string().contains("530"),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("wr0ng"));
    assert_eq!(get(&url).unwrap_err().kind().name(), "unauthorized");
    let right = url.replace(&authority, &format!("amy:s3cr3t@{authority}"));
    assert_eq!(get(&right).unwrap().0, b"content");
    let set = fetch(download(ftp().user("amy", "s3cr3t"), &url), &Context::new());
    assert_eq!(set.unwrap().0, b"content");
    assert!(!format!("{:?}", ftp().user("amy", "s3cr3t")).contains("s3cr3t"));
}

#[test]
fn a_server_that_repeats_the_password_does_not_make_it_known() {
    let origin = FtpOrigin::start();
    origin.reply("PASS", ["500 'PASS s3cr3t': command not understood"]);
    let error = fetch(download(ftp().user("amy", "s3cr3t"), &origin.url("/file")), &Context::new());
    let error = error.unwrap_err();
    assert!(error.to_string().contains("'PASS ..'"), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"));
}

#[test]
fn credentials_of_percents_are_sent_as_they_are_meant() {
    let origin = FtpOrigin::start();
    origin.require("b@b", "p/ w%");
    origin.on("file", FtpFile::new("content"));
    let url = format!("ftp://b%40b:p%2F%20w%25@{}/file", origin.address());
    assert_eq!(get(&url).unwrap().0, b"content");
    assert!(origin.commands().contains(&"PASS p/ w%".to_owned()));
}

#[test]
fn without_credentials_the_login_is_anonymous() {
    let origin = FtpOrigin::start();
    get(&origin.on("file", FtpFile::new("content"))).unwrap();
    assert_eq!(origin.commands()[0], "USER anonymous");
}

#[test]
fn a_file_that_is_not_there_is_not_found_and_leaves_the_session_of_use() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    for _ in 0..3 {
        let error = fetch(download(ftp(), &origin.url("/missing")), &context).unwrap_err();
        assert!(error.is_not_found() && !error.is_transient(), "{error:?}");
    }
    assert_eq!((origin.connections(), origin.count("RETR")), (1, 3));
    let mut head = download(ftp(), &origin.url("/missing")).method(ganymede::Method::Head);
    assert!(head.run(&context).unwrap_err().is_not_found());
}

#[test]
fn a_server_that_finds_out_late_that_there_is_no_file_says_so_all_the_same() {
    let origin = FtpOrigin::start();
    origin.on("file", FtpFile::new("").told(None).farewell("550 No such file"));
    assert!(failing(&origin).is_not_found());
    // Also where it was not asked before.
    origin.reply("SIZE", ["500 What?"]);
    assert!(failing(&origin).is_not_found());
}

#[test]
fn a_folder_is_no_file_however_it_is_written() {
    let origin = FtpOrigin::start();
    origin.folder("pub");
    origin.on("file", FtpFile::new("content"));
    let context = Context::new();
    for path in ["/pub", "/pub/", "/"] {
        let error = fetch(download(ftp(), &origin.url(path)), &context).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported), "{path}: {error:?}");
        assert!(error.to_string().contains("folder"), "{error}");
    }
    // A session that is in that folder now is not used for what is in another.
    assert_eq!(fetch(download(ftp(), &origin.url("/file")), &context).unwrap().0, b"content");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_may_not_be_read_is_told_from_what_is_not_there() {
    let origin = FtpOrigin::start();
    origin.on("file", FtpFile::new("content"));
    origin.reply("RETR", ["550 file: Permission denied"]);
    let error = failing(&origin);
    assert_eq!((error.kind().name(), error.gateway_status().as_u16()), ("unauthorized", 403));
}

#[test]
fn a_busy_server_is_a_passing_failure() {
    for (command, reply) in [
        ("", "421 Too many connections"),
        ("USER", "421 Too many users"),
        ("PASS", "530 Sorry, the maximum number of allowed clients (5) are already connected"),
        ("SIZE", "421 Going down"),
        ("RETR", "421 Going down"),
    ] {
        let origin = FtpOrigin::start();
        origin.on("file", FtpFile::new("content"));
        origin.reply(command, [reply]);
        let error = failing(&origin);
        assert!(error.is_transient(), "{reply}: {error:?}");
        assert_eq!(error.gateway_status().as_u16(), 503, "{reply}");
    }
    for reply in ["425 Can't open data connection", "450 File busy", "451 Disk trouble"] {
        let origin = FtpOrigin::start();
        origin.on("file", FtpFile::new("content"));
        origin.reply("RETR", [reply]);
        let error = failing(&origin);
        assert!(error.is_transient() && error.to_string().contains(reply), "{error:?}");
    }
}

#[test]
fn what_is_no_server_of_ftp_is_malformed_and_what_hangs_up_is_incomplete() {
    let origin = FtpOrigin::start();
    origin.reply("", ["HTTP/1.1 400 Bad Request"]);
    assert_eq!(failing(&origin).kind().name(), "other");
    let origin = FtpOrigin::start();
    origin.reply("", [FtpReply::HangUp]);
    assert!(failing(&origin).is_transient());
}

#[test]
fn where_nobody_listens_no_connection_is_made() {
    let refusing = Refusing::start();
    let error = get(&refusing.url("ftp", "/file")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect) && error.is_transient(), "{error:?}");
}

#[test]
fn names_are_sent_byte_for_byte() {
    let origin = FtpOrigin::start();
    for (path, name) in [
        ("/a%20b%25", &b"a b%"[..]),
        ("/caf%E9%FF", b"caf\xe9\xff"),
        ("/caf%C3%A9", "café".as_bytes()),
        ("/%2Fetc/motd", b"/etc/motd"),
        ("/a;type=i", b"a"),
        ("/x%23y", b"x#y"),
    ] {
        origin.on_bytes(&telnet(name), [FtpFile::new(name)]);
        assert_eq!(get(&origin.url(path)).unwrap().0, name, "{path}");
    }
}

/// What a byte of 255 is on the connection: that of commands is one of Telnet (RFC 959 §5.3).
fn telnet(name: &[u8]) -> Vec<u8> {
    name.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == 255 { 2 } else { 1 })).collect()
}

#[test]
fn what_would_be_a_command_of_its_own_is_never_sent() {
    let origin = FtpOrigin::start();
    for path in ["/a%0D%0ADELE%20b", "/a%0Ab", "/a%00b"] {
        let error = get(&origin.url(path)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported), "{error:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_server_is_found_by_its_name() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content")).replace("127.0.0.1", "localhost");
    assert_eq!(get(&url).unwrap().0, b"content");
}

#[test]
fn a_download_is_made_of_a_url() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content"));
    let buffer = BufferWriter::new(100);
    FtpDownload::get(&url).unwrap().writer(buffer.clone()).run(&Context::new()).unwrap();
    assert_eq!(buffer.take().unwrap(), b"content");
    assert!(FtpDownload::get("no url").is_err());
}
