//! How a body ends: cleanly only when all is there and the server says so.

use std::io::Read;
use std::time::Duration;

use ganymede::{Context, DownloadError, ErrorKind, Protocol, Request};
use ganymede_kit::{Authority, Folder, FtpFile, FtpOrigin, FtpReply, pattern};

use crate::{download, fetch, ftp, get};

fn incomplete(error: &DownloadError) {
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
}

#[test]
fn a_cut_is_incomplete_whatever_the_server_says_of_it() {
    let origin = FtpOrigin::start();
    let file = || FtpFile::new(pattern(300_000)).cut_after(100_000);
    for file in [
        file(),
        file().farewell("226 Transfer complete"),
        file().farewell("451 Disk trouble"),
        file().farewell("550 Gone"),
        file().farewell(FtpReply::HangUp),
        file().told(None),
    ] {
        let error = get(&origin.on("file", file)).unwrap_err();
        incomplete(&error);
        assert_eq!(error.received(), 100_000);
    }
}

#[test]
fn a_body_of_all_bytes_is_incomplete_until_the_server_has_said_that_it_is_all() {
    let origin = FtpOrigin::start();
    let file = || FtpFile::new(pattern(300_000));
    for file in [
        file().farewell("426 Something went wrong"),
        file().farewell("451 Disk trouble").told(None),
        file().farewell(FtpReply::HangUp),
    ] {
        incomplete(&get(&origin.on("file", file)).unwrap_err());
    }
    let silent = origin.on("file", file().farewell(FtpReply::Silence));
    let impatient = ftp().read_timeout(Duration::from_millis(200));
    let error = fetch(download(impatient, &silent), &Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient(), "{error:?}");
    assert_eq!(get(&origin.on("file", file().farewell("250 Fine"))).unwrap().0, pattern(300_000));
}

#[test]
fn more_bytes_than_were_told_are_no_content() {
    let origin = FtpOrigin::start();
    let error = get(&origin.on("file", FtpFile::new(pattern(300_000)).told(Some(200_000)))).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("200000"), "{error:?}");
}

#[test]
fn a_body_of_unknown_length_ends_where_the_server_says() {
    let origin = FtpOrigin::start();
    origin.reply("SIZE", ["502 Not here"]);
    origin.reply("MDTM", ["500 What?"]);
    let url = origin.on("file", FtpFile::new(pattern(300_000)));
    let context = Context::new();
    for _ in 0..2 {
        let (bytes, receipt) = fetch(download(ftp(), &url), &context).unwrap();
        assert!(bytes == pattern(300_000));
        assert_eq!((receipt.head().length(), receipt.head().validator()), (None, None));
    }
    // What it does not know it is not asked again.
    assert_eq!((origin.count("SIZE"), origin.count("MDTM"), origin.connections()), (1, 1, 1));
}

#[test]
fn a_secure_connection_that_is_cut_is_no_end_where_the_length_is_unknown() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let origin = FtpOrigin::explicit(&authority.server(&["127.0.0.1"]));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    let file = FtpFile::new(pattern(300_000)).told(None).cut_after(100_000).farewell("226 Complete");
    let error = fetch(download(ftp.clone(), &origin.on("file", file)), &Context::new()).unwrap_err();
    incomplete(&error);
    // With all bytes there, nothing is lacking but a word.
    let file = FtpFile::new(pattern(300_000)).cut_after(300_000).farewell("226 Complete");
    let (bytes, _) = fetch(download(ftp, &origin.on("whole", file)), &Context::new()).unwrap();
    assert!(bytes == pattern(300_000));
}

#[test]
fn a_failed_body_does_not_end_when_it_is_read_on() {
    let origin = FtpOrigin::start();
    // Whoever reads it, without the engine, which looks at the length once more.
    for farewell in ["426 Aborted", "226 Transfer complete"] {
        let file = FtpFile::new(pattern(300_000)).cut_after(100_000).farewell(farewell);
        let request = Request::get(&origin.on("file", file)).unwrap();
        let mut body = ftp().send(&request, &Context::new()).unwrap().into_parts().1.unwrap();
        assert!(body.read_to_end(&mut Vec::new()).is_err(), "{farewell}");
        assert!(body.read(&mut [0; 10]).is_err() && body.fill_buf().is_err(), "{farewell}");
    }
}
