//! Settings of HTTP: credentials, headers, hooks, a client of one's own, and that no secret of them is ever shown.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ganymede::{
    Action, BufferWriter, Context, Credentials, Download, DownloadError, ErrorKind, Event, Factory, Http,
    HttpDownload, MirrorDelegate, Receipt, Request, RetryDelegate, Transfer, reqwest,
};
use ganymede_kit::{Origin, Proxy, Reply, closed_port};

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

/// Runs a download into memory, in a context of its own.
fn fetch(download: HttpDownload) -> Result<Receipt, DownloadError> {
    download.writer(BufferWriter::new(1 << 20)).run(&Context::new())
}

#[test]
fn user_and_password_are_sent_as_basic_authentication() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content").require_basic("amy", "s:cret/ü"));
    fetch(get(&url).user("amy", "s:cret/ü")).unwrap();
    fetch(get(&url).credentials(Credentials::password("amy", "s:cret/ü"))).unwrap();
    fetch(get(&url.replace("http://", "http://amy:s%3Acret%2F%C3%BC@"))).unwrap();
    // What the request says goes before what the protocol was told.
    fetch(get(&url).user("bob", "other").credentials(Credentials::password("amy", "s:cret/ü"))).unwrap();
    for wrong in [get(&url), get(&url).user("amy", "wrong"), get(&url).bearer_token("s:cret")] {
        let error = fetch(wrong).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unauthorized) && !error.is_transient(), "{error}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
        assert_eq!(error.gateway_status().as_u16(), 502);
    }
    // The user in a URL is for the server to see in a header, not in the target.
    assert!(origin.journal().iter().all(|request| request.target == "/file"));
}

#[test]
fn a_bearer_token_is_sent() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content").require_bearer("t0ken.-_~+/="));
    fetch(get(&url).bearer_token("t0ken.-_~+/=")).unwrap();
    fetch(get(&url).credentials(Credentials::bearer("t0ken.-_~+/="))).unwrap();
    let error = fetch(get(&url).bearer_token("another")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unauthorized), "{error}");
}

#[test]
fn headers_are_sent_and_one_of_the_same_name_replaces_the_other() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let mut download = get(&url)
        .header("X-Token", "first")
        .header("x-token", "second")
        .header("User-Agent", "tester/1")
        .header("Accept", "text/plain");
    download.request_mut().set_header("X-Own", "of the request").unwrap();
    download.request_mut().set_header("Accept", "application/json").unwrap();
    fetch(download).unwrap();
    let request = &origin.journal()[0];
    let values = |name: &str| -> Vec<&str> {
        let named = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("x-token"), ["second"]);
    assert_eq!(values("user-agent"), ["tester/1"]);
    assert_eq!(values("x-own"), ["of the request"]);
    assert_eq!(values("accept"), ["application/json"]);
}

#[test]
fn a_header_that_cannot_be_one_is_an_error_that_names_it_and_hides_its_value() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let bad_value = fetch(get(&url).header("X-Token", "line\nfeed-secret")).unwrap_err();
    let bad_name = fetch(get(&url).header("X Token", "secret")).unwrap_err();
    let bad_bearer = fetch(get(&url).bearer_token("line\nfeed-secret")).unwrap_err();
    for error in [&bad_value, &bad_name, &bad_bearer] {
        assert!(matches!(error.kind(), ErrorKind::Unsupported), "{error}");
        assert!(!everything(error).contains("secret"), "{}", everything(error));
    }
    assert!(bad_value.to_string().contains("\"X-Token\"") && bad_name.to_string().contains("\"X Token\""));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_handler_may_change_headers_and_credentials_of_a_run_only() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content").require_bearer("fresh"));
    let mut download =
        get(&url).writer(BufferWriter::new(100)).handler(|event: &mut Event<'_>, _: &Context| {
            if let Event::Prepared { request } = event {
                request.set_credentials(Some(Credentials::bearer("fresh")));
            }
            Action::Continue
        });
    download.run(&Context::new()).unwrap();
    assert!(download.request().credentials().is_none());
}

#[test]
fn the_client_hook_reaches_the_librarys_builder_and_nobody_else() {
    let origin = Origin::start();
    origin.handle("/", |_| Reply::ok("content"));
    let (port, address) = (origin.address().port(), origin.address());
    let hooked = get(&format!("http://files.example.com:{port}/hooked")).client_hook(move |builder| {
        let headers = reqwest::header::HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static("x-hook"),
            reqwest::header::HeaderValue::from_static("client"),
        )]);
        builder.resolve("files.example.com", address).default_headers(headers).user_agent("hooked/1")
    });
    let context = Context::new();
    for mut download in [hooked, get(&origin.url("/sibling"))] {
        download = download.writer(BufferWriter::new(100));
        download.run(&context).unwrap();
    }
    let journal = origin.journal();
    assert_eq!(journal[0].header("x-hook"), Some("client"));
    assert_eq!(journal[0].header("user-agent"), Some("hooked/1"));
    assert_eq!(journal[0].header("host"), Some(format!("files.example.com:{port}").as_str()));
    assert_eq!(journal[1].header("x-hook"), None);
    assert!(journal[1].header("user-agent").unwrap().starts_with("ganymede/"));
    // They share a context, and no connection.
    assert_ne!(journal[0].connection, journal[1].connection);
}

#[test]
fn the_client_hook_cannot_make_the_client_follow_redirects_by_itself() {
    let origin = Origin::start();
    let elsewhere = Origin::start();
    let url = origin.on("/file", Reply::redirect(302, elsewhere.on("/there", Reply::ok("content"))));
    let follow = |builder: reqwest::ClientBuilder| builder.redirect(reqwest::redirect::Policy::limited(5));
    let receipt = fetch(get(&url).header("X-Token", "secret").client_hook(follow)).unwrap();
    assert_eq!(receipt.head().url().as_str(), elsewhere.url("/there"));
    assert_eq!(elsewhere.journal()[0].header("x-token"), None);
    let refused = fetch(get(&url).max_redirects(0).client_hook(follow)).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Redirect), "{refused}");
}

#[test]
fn the_request_hook_reaches_each_request_and_nobody_elses() {
    let origin = Origin::start();
    origin.on("/start", Reply::redirect(302, "/file"));
    origin.on("/file", Reply::ok("content"));
    let context = Context::new();
    let hooked = get(&origin.url("/start"))
        .request_hook(|builder| builder.version(reqwest::Version::HTTP_10).header("X-Hook", "request"));
    for mut download in [hooked, get(&origin.url("/file"))] {
        download = download.writer(BufferWriter::new(100));
        download.run(&context).unwrap();
    }
    let journal = origin.journal();
    let seen: Vec<_> = journal.iter().map(|one| (one.version.as_str(), one.header("x-hook"))).collect();
    assert_eq!(seen, [("HTTP/1.0", Some("request")), ("HTTP/1.0", Some("request")), ("HTTP/1.1", None)]);
}

#[test]
fn settings_that_make_no_client_are_an_error_and_harm_no_other() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let context = Context::new();
    let broken = get(&url).client_hook(|builder| builder.user_agent("line\nfeed"));
    let error = broken.writer(BufferWriter::new(100)).run(&context).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported) && !error.is_transient(), "{error}");
    assert_eq!(origin.connections(), 0);
    get(&url).writer(BufferWriter::new(100)).run(&context).unwrap();
}

#[test]
fn a_client_of_ones_own_is_a_protocol() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content").require_basic("amy", "secret"));
    let client = reqwest::blocking::Client::builder().user_agent("own/1").build().unwrap();
    let mut request = Request::get(&url).unwrap();
    request.set_header("X-Token", "7").unwrap();
    let buffer = BufferWriter::new(100);
    let mut download = Transfer::new(request, client)
        .credentials(Credentials::password("amy", "secret"))
        .writer(buffer.clone());
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(buffer.take().unwrap(), b"content");
    assert_eq!(receipt.head().length(), Some(7));
    let seen = &origin.journal()[0];
    assert_eq!((seen.header("user-agent"), seen.header("x-token")), (Some("own/1"), Some("7")));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

/// All that an error can be made to show.
fn everything(error: &DownloadError) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n{:?}", error.history());
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(one) = next {
        write!(text, "\n{one}\n{one:?}").unwrap();
        next = one.source();
    }
    text
}

/// A writer of logs that keeps them.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_secret_is_shown_anywhere() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let origin = Origin::start();
    let elsewhere = Origin::start();
    let proxy = Proxy::basic("proxy-amy", "proxy-hidden");
    let moved = origin.on("/moved", Reply::redirect(302, elsewhere.url("/file")));
    let looping = origin.on("/loop", Reply::redirect(302, "/loop"));
    let good = elsewhere.on("/file", Reply::ok("content"));
    let cut = origin.on("/cut", Reply::ok("content").cut_after(3));
    let closed = format!("http://127.0.0.1:{}/file", closed_port());
    let with_user = |url: &str| url.replace("http://", "http://amy:url-hidden@");
    let mut shown = String::new();
    let events = Arc::new(Mutex::new(String::new()));
    let missing = origin.url("/missing");
    for url in [&moved, &looping, &good, &cut, &closed, &missing] {
        for through in [None, Some("proxy-hidden"), Some("proxy-hidden-but-wrong")] {
            let told = Arc::clone(&events);
            let mut http = Http::new()
                .user("amy", "password-hidden")
                .header("X-Token", "header-hidden")
                .header("Cookie", "session=cookie-hidden");
            if url == &good {
                http = http.bearer_token("bearer-hidden");
            }
            if let Some(password) = through {
                http = http.proxy(proxy.url().replace("http://", &format!("http://proxy-amy:{password}@")));
            }
            let mut download = Transfer::new(Request::get(&with_user(url)).unwrap(), http)
                .writer(BufferWriter::new(100))
                .handler(RetryDelegate::new(1).base(Duration::ZERO))
                .handler(MirrorDelegate::new([with_user(&missing).parse().unwrap()]))
                .handler(move |event: &mut Event<'_>, _: &Context| {
                    // As a plugin would that logs what it sees.
                    writeln!(told.lock().unwrap(), "{event:?}").unwrap();
                    Action::Continue
                });
            download.request_mut().set_header("X-Own", "own-hidden").unwrap();
            let context = Context::new();
            writeln!(shown, "{download:?} {:?} {context:?}", download.protocol()).unwrap();
            match download.run(&context) {
                Ok(receipt) => writeln!(shown, "{receipt:?} {}", receipt.source()).unwrap(),
                Err(error) => shown.push_str(&everything(&error)),
            }
        }
    }
    let credentials = [Credentials::password("amy", "password-hidden"), Credentials::bearer("bearer-hidden")];
    let factory = Factory::new().http(Http::new().bearer_token("bearer-hidden"));
    let mirrors = MirrorDelegate::list(with_user(&missing).parse().unwrap());
    writeln!(shown, "{credentials:?} {factory:?} {mirrors:?}").unwrap();
    for text in ["http://amy:url-hidden@", "http://amy:url-hidden@host:99999/", "//amy:url-hidden@host/"] {
        let refused = HttpDownload::get(text).err();
        let told = refused.as_ref().map(ToString::to_string);
        writeln!(shown, "{refused:?} {told:?}").unwrap();
    }
    let broken = Http::new().proxy("http://proxy-amy:proxy-hidden@host:99999");
    let broken = Transfer::new(Request::get(&good).unwrap(), broken).writer(BufferWriter::new(100));
    shown.push_str(&everything(&{ broken }.run(&Context::new()).unwrap_err()));
    shown.push_str(&events.lock().unwrap());
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("attempt failed") && logged.contains("redirected"), "{logged}");
    for text in [shown, logged] {
        let at = text.find("hidden");
        assert!(at.is_none(), "..{}..", &text[at.unwrap().saturating_sub(200)..at.unwrap() + 6]);
    }
}
