//! Secure connections: who is trusted, who shows a certificate, and what each failure is called.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use ganymede::{BufferWriter, Context, Download, ErrorKind, HttpDownload, RetryDelegate};
use ganymede_kit::{Authority, Folder, Origin, Reply, pattern};

use support::fetch;

const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

#[test]
fn a_server_is_trusted_by_the_authority_in_a_file() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&HOSTS));
    let url = origin.on("/file", Reply::ok(pattern(200_000)));
    let trusted = authority.write_to(folder.path(), "ca");
    for url in [url, origin.url_at("localhost", "/file")] {
        let (stored, receipt) = fetch(get(&url).ca_certificate(&trusted)).unwrap();
        assert!(stored == pattern(200_000));
        assert!(receipt.timing().connecting > Duration::ZERO);
    }
}

#[test]
fn several_authorities_add_up_in_one_file_or_more() {
    let (one, two, folder) = (Authority::new("one"), Authority::new("two"), Folder::new());
    let bundle = folder.write("bundle.pem", format!("{}\n# a remark\n{}", one.pem(), two.pem()));
    let (file, other) = (one.write_to(folder.path(), "one"), two.write_to(folder.path(), "two"));
    for authority in [&one, &two] {
        let origin = Origin::tls(&authority.server(&HOSTS));
        let url = origin.on("/file", Reply::ok("content"));
        fetch(get(&url).ca_certificate(&bundle)).unwrap();
        fetch(get(&url).ca_certificate(&file).ca_certificate(&other)).unwrap();
    }
}

#[test]
fn a_server_of_another_authority_is_refused_for_good() {
    let (authority, stranger, folder) =
        (Authority::new("trusted"), Authority::new("stranger"), Folder::new());
    let origin = Origin::tls(&stranger.server(&HOSTS));
    let url = origin.on("/file", Reply::ok("content"));
    let trusted = authority.write_to(folder.path(), "ca");
    for download in [get(&url).ca_certificate(trusted), get(&url)] {
        let retry = RetryDelegate::new(3).base(Duration::ZERO);
        let error = fetch(download.handler(retry)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error}");
        assert_eq!((error.attempts(), error.gateway_status().as_u16()), (1, 502));
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    assert!(origin.journal().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&["files.example.com"]));
    let url = origin.on("/file", Reply::ok("content"));
    let trusted = authority.write_to(folder.path(), "ca");
    let error = fetch(get(&url).ca_certificate(&trusted)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error}");
    let (named, address) = (origin.url_at("files.example.com", "/file"), origin.address());
    fetch(get(&named).ca_certificate(&trusted).client_hook(move |b| b.resolve("files.example.com", address)))
        .unwrap();
}

#[test]
fn verification_can_be_switched_off_for_one_download_and_stays_on_for_others() {
    let origin = Origin::tls(&Authority::new("stranger").server(&["elsewhere.example.com"]));
    let url = origin.on("/file", Reply::ok("content"));
    let context = Context::new();
    let run = |download: HttpDownload| download.writer(BufferWriter::new(100)).run(&context);
    run(get(&url).verify(false)).unwrap();
    let error = run(get(&url)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error}");
    run(get(&url).verify(false)).unwrap();
    run(get(&url).verify(true)).unwrap_err();
    assert_eq!(origin.journal().len(), 2);
}

#[test]
fn a_client_shows_its_certificate() {
    let (authority, clients, folder) = (Authority::new("servers"), Authority::new("clients"), Folder::new());
    let origin = Origin::mutual_tls(&authority.server(&HOSTS), &clients);
    let url = origin.on("/file", Reply::ok(pattern(100_000)));
    let trusted = authority.write_to(folder.path(), "ca");
    let identity = clients.client("amy");
    let (certificate, key) = identity.write_to(folder.path(), "amy");
    let both = folder.write("both.pem", identity.pem());
    for (certificate, key) in [(&certificate, &key), (&both, &both)] {
        let download = get(&url).ca_certificate(&trusted).client_certificate(certificate, key);
        assert!(fetch(download).unwrap().0 == pattern(100_000));
    }
    assert!(origin.journal().iter().all(|request| request.client_certificate));
}

#[test]
fn a_client_without_the_right_certificate_is_refused() {
    let (authority, clients, folder) = (Authority::new("servers"), Authority::new("clients"), Folder::new());
    let origin = Origin::mutual_tls(&authority.server(&HOSTS), &clients);
    let url = origin.on("/file", Reply::ok("content"));
    let trusted = authority.write_to(folder.path(), "ca");
    let (certificate, key) = Authority::new("strangers").client("eve").write_to(folder.path(), "eve");
    let stranger = get(&url).ca_certificate(&trusted).client_certificate(certificate, key);
    for download in [get(&url).ca_certificate(&trusted), stranger] {
        let error = fetch(download).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error:?}");
    }
    assert!(origin.journal().is_empty());
}

#[test]
fn a_client_certificate_stays_behind_on_a_redirect_to_another_origin() {
    let (authority, clients, folder) = (Authority::new("servers"), Authority::new("clients"), Folder::new());
    let home = Origin::mutual_tls(&authority.server(&HOSTS), &clients);
    let elsewhere = Origin::mutual_tls(&authority.server(&HOSTS), &clients);
    let trusted = authority.write_to(folder.path(), "ca");
    let (certificate, key) = clients.client("amy").write_to(folder.path(), "amy");
    let target = elsewhere.on("/file", Reply::ok("content"));
    home.on("/near", Reply::redirect(302, "/file"));
    home.on("/far", Reply::redirect(302, target));
    home.on("/file", Reply::ok("content"));
    let download =
        |path: &str| get(&home.url(path)).ca_certificate(&trusted).client_certificate(&certificate, &key);
    fetch(download("/near")).unwrap();
    let error = fetch(download("/far")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls), "{error}");
    assert!(elsewhere.journal().is_empty());
}

#[test]
fn certificate_files_that_are_of_no_use_fail_before_any_connection() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let secure = Origin::tls(&authority.server(&HOSTS));
    let plain = Origin::start();
    let (certificate, key) = authority.client("amy").write_to(folder.path(), "amy");
    let (_, other_key) = authority.client("bob").write_to(folder.path(), "bob");
    let missing = folder.file("missing.pem");
    let empty = folder.write("empty.pem", "");
    let garbage =
        folder.write("garbage.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    let folder_itself = folder.path().to_owned();
    for url in [secure.on("/file", Reply::ok("content")), plain.on("/file", Reply::ok("content"))] {
        let mut downloads = Vec::new();
        for bad in [&missing, &empty, &garbage, &folder_itself, &key] {
            downloads.push((bad, get(&url).ca_certificate(bad)));
            if bad != &key {
                downloads.push((bad, get(&url).client_certificate(bad, &key)));
                downloads.push((bad, get(&url).client_certificate(&certificate, bad)));
            }
        }
        downloads.push((&other_key, get(&url).client_certificate(&certificate, &other_key)));
        for (file, download) in downloads {
            let retry = RetryDelegate::new(3).base(Duration::ZERO);
            let error = fetch(download.handler(retry)).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Unsupported) && !error.is_transient(), "{error}");
            assert!(error.to_string().contains(file.to_str().unwrap()), "{file:?}: {error}");
            assert_eq!(error.attempts(), 1);
        }
    }
    assert_eq!((secure.connections(), plain.connections()), (0, 0));
}

#[test]
fn a_handshake_that_is_cut_is_transient_and_repaired_by_a_retry() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&HOSTS));
    let url = origin.on("/file", Reply::ok("content"));
    let trusted = authority.write_to(folder.path(), "ca");
    origin.cut_handshakes(1);
    let error = fetch(get(&url).ca_certificate(&trusted)).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls) && error.is_transient(), "{error:?}");
    origin.cut_handshakes(2);
    let retry = RetryDelegate::new(2).base(Duration::from_millis(1));
    let (stored, receipt) = fetch(get(&url).ca_certificate(&trusted).handler(retry)).unwrap();
    assert_eq!((stored.as_slice(), receipt.attempts()), (&b"content"[..], 3));
}

#[test]
fn a_body_that_is_cut_without_a_farewell_is_incomplete_even_where_its_end_is_the_connections() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&HOSTS));
    let trusted = authority.write_to(folder.path(), "ca");
    let content = pattern(100_000);
    let whole = origin.on("/whole", Reply::ok(content.clone()).no_length());
    assert!(fetch(get(&whole).ca_certificate(&trusted)).unwrap().0 == content);
    // An attacker who closes the connection early must not be able to shorten a content (RFC 9112 section 9.8).
    let framings =
        [Reply::ok(content.clone()).no_length(), Reply::ok(content.clone()), Reply::ok(content).chunked()];
    for reply in framings {
        let url = origin.on("/cut", reply.cut_after(50_000));
        let error = fetch(get(&url).ca_certificate(&trusted)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
    }
}

#[test]
fn a_server_that_speaks_no_tls_is_an_error_of_tls() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let (mut client, _) = plain.accept().unwrap();
        assert!(client.read(&mut [0; 4096]).unwrap() > 0);
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // Until the client has gone, so that nothing but the answer reaches it.
        while client.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {}
    });
    let error = fetch(get(&format!("https://{address}/file"))).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Tls) && !error.is_transient(), "{error:?}");
    answering.join().unwrap();
}
