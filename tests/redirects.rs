//! Redirects: where they lead, where they may not, and what stays behind.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use ganymede::{
    BufferWriter, ByteRange, Context, Credentials, Download, DownloadError, ErrorKind, Factory, FileWriter,
    HttpDownload, Method,
};
use ganymede_kit::{Authority, Folder, Origin, Received, Reply, closed_port, pattern};

use support::fetch;

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

#[track_caller]
fn refused(download: HttpDownload) -> DownloadError {
    let error = fetch(download).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Redirect), "{error:?}");
    assert!(!error.is_transient() && error.attempts() == 1, "{error:?}");
    error
}

#[test]
fn every_kind_of_redirect_is_followed_by_the_same_method() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok(pattern(10_000)).ranges());
    for status in [301, 302, 303, 307, 308] {
        let url = origin.on(&format!("/{status}"), Reply::redirect(status, "/file"));
        let (stored, receipt) = fetch(get(&url)).unwrap();
        assert!(stored == pattern(10_000), "{status}");
        assert_eq!(receipt.head().url().as_str(), origin.url("/file"));
        assert_eq!(receipt.source().as_str(), url);
        assert_eq!(receipt.attempts(), 1);
        let range = ByteRange::new(5, Some(9)).unwrap();
        assert!(fetch(get(&url).range(range)).unwrap().0 == pattern(10_000)[5..10]);
        let head = get(&url).method(Method::Head).run(&Context::new()).unwrap();
        assert_eq!(head.head().length(), Some(10_000));
    }
    let methods: Vec<String> = origin.journal().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "GET", "GET", "GET", "HEAD", "HEAD"].repeat(5));
}

#[test]
fn a_relative_location_is_resolved_and_an_encoded_one_is_left_as_it_is() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok("content"));
    let host = origin.address().to_string();
    let cases = [
        ("next", "/a/b/next".to_owned()),
        ("../up?x=%2F", "/a/up?x=%2F".to_owned()),
        ("/root/%7E/a%2fb?sig=%2B==&k=a+b", "/root/%7E/a%2fb?sig=%2B==&k=a+b".to_owned()),
        ("?query", "/a/b/start?query".to_owned()),
        (&format!("//{host}/by-host"), "/by-host".to_owned()),
        ("/with#fragment", "/with".to_owned()),
        ("/caf\u{e9}", "/caf%C3%A9".to_owned()),
        ("/with space", "/with%20space".to_owned()),
    ];
    for (location, expected) in cases {
        let url = origin.on("/a/b/start", Reply::redirect(302, location));
        // Without this, what has no reply of its own is answered like its path.
        origin.on(&expected, Reply::ok("content"));
        fetch(get(&url)).unwrap_or_else(|error| panic!("{location}: {error}"));
        assert_eq!(origin.journal().last().unwrap().target, expected, "{location}");
    }
}

#[test]
fn the_body_of_a_redirect_is_not_the_content_and_costs_no_connection() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    let chatty = Reply::ok(pattern(20_000)).status(302).header("Location", "/file");
    for reply in [chatty.clone(), chatty.chunked(), Reply::redirect(302, "/file")] {
        let url = origin.on("/start", reply);
        assert_eq!(fetch(get(&url)).unwrap().0, b"content");
    }
    // One for each of the three contexts.
    assert_eq!((origin.journal().len(), origin.connections()), (6, 3));
    let endless = Reply::generated(1 << 40).status(302).header("Location", "/file");
    assert_eq!(fetch(get(&origin.on("/endless", endless))).unwrap().0, b"content");
    origin.wait_open(0);
}

#[test]
fn the_number_of_redirects_is_limited() {
    let origin = Origin::start();
    origin.on("/0", Reply::ok("content"));
    for n in 1..=12 {
        origin.on(&format!("/{n}"), Reply::redirect(302, format!("/{}", n - 1)));
    }
    fetch(get(&origin.url("/10"))).unwrap();
    let error = refused(get(&origin.url("/11")));
    assert!(error.to_string().contains("more than 10 redirects"), "{error}");
    fetch(get(&origin.url("/12")).max_redirects(12)).unwrap();
    fetch(get(&origin.url("/0")).max_redirects(0)).unwrap();
    let before = origin.journal().len();
    refused(get(&origin.url("/1")).max_redirects(0));
    assert_eq!(origin.journal().len(), before + 1);
}

#[test]
fn a_circle_of_redirects_is_left_where_it_closes() {
    let origin = Origin::start();
    let start = origin.on("/start", Reply::redirect(302, "/one"));
    origin.on("/one", Reply::redirect(302, "/two"));
    origin.on("/two", Reply::redirect(307, "/one#again"));
    let error = refused(get(&start));
    let (two, one) = (origin.url("/two"), origin.url("/one"));
    assert!(error.to_string().contains(&format!("{two} redirects in a circle, back to {one}")), "{error}");
    assert_eq!(origin.journal().len(), 3);
    refused(get(&origin.on("/itself", Reply::redirect(301, "/itself"))));
    assert_eq!(origin.requests("/itself"), 1);
}

#[test]
fn another_query_or_scheme_is_no_circle() {
    let origin = Origin::start();
    origin.on("/file?2", Reply::ok("content"));
    origin.on("/file?1", Reply::redirect(302, "/file?2"));
    let url = origin.on("/file", Reply::redirect(302, "?1"));
    assert_eq!(fetch(get(&url)).unwrap().0, b"content");
}

#[test]
fn a_location_that_is_missing_or_leads_nowhere_is_an_error() {
    let origin = Origin::start();
    let folder = Folder::new();
    let cases = [
        Reply::ok("").status(302),
        Reply::ok("").status(300),
        Reply::redirect(302, "http://[nonsense/"),
        Reply::redirect(302, "http://host:99999/"),
        Reply::redirect(302, "http://"),
    ];
    for reply in cases {
        let url = origin.on("/start", reply);
        let error =
            get(&url).writer(FileWriter::new(folder.file("target"))).run(&Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Redirect) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains(&url), "{error}");
    }
    let gone = origin.on("/gone", Reply::redirect(302, "/nowhere"));
    assert!(fetch(get(&gone)).unwrap_err().is_not_found());
    let closed = format!("http://127.0.0.1:{}/", closed_port());
    let refused = fetch(get(&origin.on("/closed", Reply::redirect(302, closed)))).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Connect), "{refused:?}");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_redirect_to_another_scheme_is_refused_by_the_protocol_and_by_a_factory() {
    let origin = Origin::start();
    let folder = Folder::new();
    let local = folder.write("secret", "of this machine");
    let file = format!("file://{}", local.display());
    for location in [file.as_str(), "ftp://127.0.0.1/file", "data:,text", "javascript:1", "unknown://host/"] {
        let url = origin.on("/start", Reply::redirect(302, location));
        let error = refused(get(&url));
        let scheme = location.split(':').next().unwrap();
        assert!(error.to_string().contains(&format!("the scheme {scheme}")), "{error}");
        let buffer = BufferWriter::new(100);
        let mut download = Factory::new().download(&url).unwrap().writer(buffer.clone());
        let error = download.run(&Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Redirect) && buffer.take().is_none(), "{error:?}");
    }
}

#[test]
fn a_redirect_from_https_to_http_is_refused_unless_allowed() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let secure = Origin::tls(&authority.server(&["127.0.0.1"]));
    let plain = Origin::start();
    let ca = authority.write_to(folder.path(), "ca");
    plain.on("/file", Reply::ok("content"));
    let url = secure.on("/start", Reply::redirect(302, plain.url("/file")));
    let error = refused(get(&url).ca_certificate(&ca));
    assert!(error.to_string().contains("https to http"), "{error}");
    assert_eq!(plain.connections(), 0);
    let download = get(&url).ca_certificate(&ca).header("X-Token", "7").allow_downgrade();
    assert_eq!(fetch(download).unwrap().0, b"content");
    assert_eq!(plain.journal()[0].header("x-token"), None);
    // The other way is always open.
    secure.on("/file", Reply::ok("secure"));
    let url = plain.on("/start", Reply::redirect(302, secure.url("/file")));
    assert_eq!(fetch(get(&url).ca_certificate(&ca)).unwrap().0, b"secure");
}

/// Every way there is to tell a download something that is for one origin only.
fn with_secrets(url: &str) -> [HttpDownload; 5] {
    let with_user = url.replacen("://", "://amy:secret@", 1);
    let mut own = get(url);
    own.request_mut().set_header("X-Token", "secret").unwrap();
    own.request_mut().set_credentials(Some(Credentials::bearer("secret")));
    [
        get(url).user("amy", "secret").header("X-Token", "secret"),
        get(url).bearer_token("secret").header("X-Token", "secret"),
        get(&with_user).header("X-Token", "secret"),
        own,
        get(url)
            .header("Authorization", "Basic secret")
            .header("Cookie", "secret=1")
            .header("X-Token", "secret"),
    ]
}

fn told(request: &Received) -> (bool, bool) {
    (request.header("x-token").is_some(), request.header("authorization").is_some())
}

#[test]
fn on_the_same_origin_headers_and_credentials_are_kept() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    let url = origin.on("/start", Reply::redirect(302, origin.url("/file")));
    for download in with_secrets(&url) {
        fetch(download).unwrap();
    }
    assert_eq!(origin.journal().len(), 10);
    for request in origin.journal() {
        assert_eq!(told(&request), (true, true), "{request:?}");
        assert!(request.header("referer").is_none());
    }
}

#[test]
fn on_another_origin_every_header_and_all_credentials_stay_behind() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let ca = authority.write_to(folder.path(), "ca");
    let home = Origin::start();
    let other_port = Origin::start();
    let other_scheme = Origin::tls(&authority.server(&["127.0.0.1"]));
    let targets = [
        other_port.on("/file", Reply::ok("content")),
        // The same server under another name is another origin.
        home.url_at("localhost", "/file"),
        other_scheme.on("/file", Reply::ok("content")),
        other_port.url("/file").replace("http://", "http://eve:planted@"),
    ];
    home.on("/file", Reply::ok("content"));
    for target in targets {
        let url = home.on("/start", Reply::redirect(307, target));
        for download in with_secrets(&url) {
            fetch(download.ca_certificate(&ca)).unwrap();
        }
    }
    let reached = [home.journal(), other_port.journal(), other_scheme.journal()].concat();
    let reached: Vec<_> = reached.iter().filter(|request| request.target == "/file").collect();
    assert_eq!(reached.len(), 20);
    for request in reached {
        assert_eq!(told(request), (false, false), "{request:?}");
        assert!(!format!("{request:?}").contains("secret"), "{request:?}");
        assert!(request.header("cookie").is_none() && request.header("referer").is_none());
        // What makes it a request at all goes everywhere.
        assert!(request.header("user-agent").is_some());
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
    assert!(home.journal().iter().filter(|one| one.target == "/start").all(|one| told(one) == (true, true)));
}

#[test]
fn a_range_is_kept_on_the_way_to_another_origin() {
    let (home, elsewhere) = (Origin::start(), Origin::start());
    let target = elsewhere.on("/file", Reply::ok(pattern(10_000)).ranges());
    let url = home.on("/start", Reply::redirect(302, target));
    let range = ByteRange::new(100, Some(199)).unwrap();
    assert!(fetch(get(&url).range(range)).unwrap().0 == pattern(10_000)[100..200]);
}
