//! Secure connections.

use ganymede::{BufferWriter, Context, Download, DownloadError, ErrorKind};
use ganymede_ftp::{Explicit, Ftp};
use ganymede_kit::{Authority, Folder, FtpFile, FtpOrigin, pattern};

use crate::{download, fetch, ftp};

struct Trusted {
    authority: Authority,
    ftp: Ftp,
    _folder: Folder,
}

fn trusted() -> Trusted {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    Trusted { authority, ftp, _folder: folder }
}

fn failing(ftp: &Ftp, url: &str) -> DownloadError {
    fetch(download(ftp.clone(), url), &Context::new()).unwrap_err()
}

#[test]
fn commands_and_data_are_secure_and_the_session_is_used_again() {
    let trusted = trusted();
    let identity = trusted.authority.server(&["127.0.0.1", "localhost"]);
    for origin in [FtpOrigin::explicit(&identity), FtpOrigin::implicit(&identity)] {
        let url = origin.on("file", FtpFile::new(pattern(500_000)));
        let context = Context::new();
        for url in [&url, &url, &url.replace("127.0.0.1", "localhost")] {
            assert!(fetch(download(trusted.ftp.clone(), url), &context).unwrap().0 == pattern(500_000));
        }
        assert_eq!((origin.connections(), origin.count("PROT P"), origin.count("PBSZ 0")), (2, 2, 2));
    }
}

#[test]
fn who_cannot_prove_who_they_are_is_told_no_password() {
    let (trusted, other) = (trusted(), Authority::new("other"));
    let stranger = other.server(&["127.0.0.1"]);
    let elsewhere = trusted.authority.server(&["example.com"]);
    for identity in [stranger, elsewhere] {
        for origin in [FtpOrigin::explicit(&identity), FtpOrigin::implicit(&identity)] {
            let url = origin.on("file", FtpFile::new("content"));
            let error = failing(&trusted.ftp.clone().user("amy", "s3cr3t"), &url);
            assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error:?}");
            assert!(error.to_string().contains("certificate"), "{error}");
            assert_eq!(origin.count("PASS") + origin.count("USER"), 0);
            // Who does not want to know is not told.
            let any = trusted.ftp.clone().verify(false);
            assert_eq!(fetch(download(any, &url), &Context::new()).unwrap().0, b"content");
        }
    }
}

#[test]
fn the_certificates_of_the_system_are_what_counts_unless_others_are_set() {
    let origin = FtpOrigin::explicit(&trusted().authority.server(&["127.0.0.1"]));
    let error = failing(&ftp(), &origin.url("/file"));
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
}

#[test]
fn a_file_without_certificates_fails_before_any_connection() {
    let (origin, folder) = (FtpOrigin::start(), Folder::new());
    let url = origin.url("/file").replace("ftp:", "ftpes:");
    let error = failing(&ftp().ca_certificate(folder.write("ca.pem", "nothing")), &url);
    assert!(matches!(error.kind(), ErrorKind::Unsupported), "{error:?}");
    let error = failing(&ftp().ca_certificate(folder.file("missing.pem")), &url);
    assert!(error.to_string().contains("missing.pem"), "{error}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn where_it_must_be_secure_a_server_that_is_not_is_told_nothing() {
    let (origin, trusted) = (FtpOrigin::start(), trusted());
    let url = origin.on("file", FtpFile::new("content"));
    let required = trusted.ftp.clone().explicit(Explicit::Required).user("amy", "s3cr3t");
    for (ftp, url) in [(required, url.clone()), (trusted.ftp.clone(), url.replace("ftp:", "ftpes:"))] {
        let error = failing(&ftp, &url);
        assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error:?}");
    }
    assert_eq!((origin.count("USER"), origin.count("AUTH TLS")), (0, 2));
    let preferred = trusted.ftp.explicit(Explicit::Preferred);
    assert_eq!(fetch(download(preferred, &url), &Context::new()).unwrap().0, b"content");
}

#[test]
fn where_it_had_better_be_secure_it_is_and_a_stranger_is_still_refused() {
    let trusted = trusted();
    let origin = FtpOrigin::explicit(&trusted.authority.server(&["127.0.0.1"]));
    let url = origin.on("file", FtpFile::new("content")).replace("ftpes:", "ftp:");
    let preferred = |ftp: &Ftp| ftp.clone().explicit(Explicit::Preferred);
    fetch(download(preferred(&trusted.ftp), &url), &Context::new()).unwrap();
    assert_eq!((origin.count("PROT P"), origin.connections()), (1, 1));
    let error = failing(&preferred(&ftp()), &url);
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_server_that_leaves_data_in_the_clear_is_not_spoken_to() {
    let trusted = trusted();
    let identity = trusted.authority.server(&["127.0.0.1"]);
    for origin in [FtpOrigin::explicit(&identity), FtpOrigin::implicit(&identity)] {
        origin.reply("PROT", ["536 Not here"]);
        let error = failing(&trusted.ftp, &origin.url("/file"));
        assert!(matches!(error.kind(), ErrorKind::Tls), "{error:?}");
        assert_eq!(origin.count("USER"), 0);
    }
}

#[test]
fn the_time_for_the_handshake_is_told_apart() {
    let trusted = trusted();
    let origin = FtpOrigin::explicit(&trusted.authority.server(&["127.0.0.1"]));
    let url = origin.on("file", FtpFile::new("content"));
    let context = Context::new();
    let timing = || {
        let mut download = download(trusted.ftp.clone(), &url).writer(BufferWriter::new(100));
        download.run(&context).unwrap().timing()
    };
    let (first, second) = (timing(), timing());
    assert!(!first.securing.is_zero() && !first.connecting.is_zero());
    assert!(second.securing.is_zero() && second.connecting.is_zero() && second.resolving.is_zero());
}
