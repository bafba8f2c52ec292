//! Proxies: named by a setting or by the environment, with credentials, for http and for https.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::env;
use std::process::Command;

use ganymede::{BufferWriter, Context, Download, DownloadError, ErrorKind, HttpDownload};
use ganymede_kit::{Authority, Folder, Origin, Proxy, Reply, closed_port};

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

/// Runs a download into memory, in a context of its own.
fn fetch(download: HttpDownload) -> Result<Vec<u8>, DownloadError> {
    let buffer = BufferWriter::new(1 << 20);
    download.writer(buffer.clone()).run(&Context::new())?;
    Ok(buffer.take().unwrap())
}

fn with_credentials(proxy: &Proxy, credentials: &str) -> String {
    proxy.url().replace("http://", &format!("http://{credentials}@"))
}

struct Secure {
    origin: Origin,
    authority: std::path::PathBuf,
    _folder: Folder,
}

fn secure() -> Secure {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&["localhost", "127.0.0.1"]));
    Secure { origin, authority: authority.write_to(folder.path(), "ca"), _folder: folder }
}

#[test]
fn http_goes_through_the_proxy_with_its_credentials() {
    let (origin, proxy) = (Origin::start(), Proxy::basic("amy", "s:cret/"));
    let url = origin.on("/file?a=%2F", Reply::ok("content").require_basic("bob", "other"));
    let download = get(&url).user("bob", "other").proxy(with_credentials(&proxy, "amy:s%3Acret%2F"));
    assert_eq!(fetch(download).unwrap(), b"content");
    let (told, seen) = (&proxy.journal()[0], &origin.journal()[0]);
    assert_eq!((told.method.as_str(), told.target.as_str()), ("GET", url.as_str()));
    assert_eq!(told.header("proxy-authorization"), Some("Basic YW15OnM6Y3JldC8="));
    assert_eq!(seen.target, "/file?a=%2F");
    assert!(seen.header("proxy-authorization").is_none());
}

#[test]
fn https_goes_through_a_tunnel_whose_proxy_learns_nothing_but_its_own_credentials() {
    let (secure, proxy) = (secure(), Proxy::basic("amy", "secret"));
    let url = secure.origin.on("/file", Reply::ok("content").require_bearer("t0ken"));
    let download = get(&url)
        .ca_certificate(&secure.authority)
        .bearer_token("t0ken")
        .header("X-Token", "7")
        .proxy(with_credentials(&proxy, "amy:secret"));
    assert_eq!(fetch(download).unwrap(), b"content");
    let (told, seen) = (&proxy.journal()[0], &secure.origin.journal()[0]);
    assert_eq!(told.method, "CONNECT");
    assert_eq!(told.target, secure.origin.address().to_string());
    assert_eq!(told.header("proxy-authorization"), Some("Basic YW15OnNlY3JldA=="));
    assert!(told.header("authorization").is_none() && told.header("x-token").is_none());
    assert!(seen.header("proxy-authorization").is_none());
    assert_eq!((seen.header("x-token"), seen.target.as_str()), (Some("7"), "/file"));
}

#[test]
fn a_proxy_that_wants_other_credentials_is_an_error_that_says_so() {
    let (origin, secure, proxy) = (Origin::start(), secure(), Proxy::basic("amy", "secret"));
    let plain = origin.on("/file", Reply::ok("content"));
    let encrypted = secure.origin.on("/file", Reply::ok("content"));
    for credentials in ["amy:hidden-and-wrong", "hidden"] {
        for url in [&plain, &encrypted] {
            let download = get(url).ca_certificate(&secure.authority);
            let error = fetch(download.proxy(with_credentials(&proxy, credentials))).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Unauthorized), "{error:?}");
            assert!(!error.is_transient() && error.to_string().contains("roxy"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
    }
    assert_eq!((origin.connections(), secure.origin.connections()), (0, 0));
}

#[test]
fn a_proxy_that_is_not_there_is_a_connection_that_cannot_be_made() {
    let (origin, secure) = (Origin::start(), secure());
    let proxy = format!("http://amy:hidden@127.0.0.1:{}", closed_port());
    for url in [origin.on("/file", Reply::ok("content")), secure.origin.on("/file", Reply::ok("content"))] {
        let error = fetch(get(&url).ca_certificate(&secure.authority).proxy(&proxy)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Connect) && error.is_transient(), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
    assert_eq!((origin.connections(), secure.origin.connections()), (0, 0));
}

#[test]
fn a_proxy_that_cannot_be_one_is_an_error_before_any_connection() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    for proxy in
        ["", "127.0.0.1:3128", "ftp://amy:hidden@127.0.0.1/", "http://amy:hidden@host:99999", "http://"]
    {
        let error = fetch(get(&url).proxy(proxy)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported) && !error.is_transient(), "{proxy}: {error}");
        assert!(error.to_string().contains("proxy"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }
    assert_eq!(origin.connections(), 0);
}

const URL: &str = "GANYMEDE_TEST_URL";
const AUTHORITY: &str = "GANYMEDE_TEST_AUTHORITY";
const SETTING: &str = "GANYMEDE_TEST_PROXY";

/// Runs a test of this file again, in a process that has these variables: here they would be every test's.
#[track_caller]
fn run_again(test: &str, url: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(["--exact", test, "--nocapture"]).env(URL, url).envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// In a process started by [`run_again`], downloads what it was told, and says that it did.
fn is_run_again() -> bool {
    let Ok(url) = env::var(URL) else { return false };
    let mut download = get(&url);
    if let Ok(authority) = env::var(AUTHORITY) {
        download = download.ca_certificate(authority);
    }
    download = match env::var(SETTING).as_deref() {
        Ok("") => download.no_proxy(),
        Ok(proxy) => download.proxy(proxy),
        Err(_) => download,
    };
    assert_eq!(fetch(download).unwrap(), b"content");
    true
}

#[test]
fn the_proxies_that_the_environment_names_are_used() {
    if is_run_again() {
        return;
    }
    let test = "the_proxies_that_the_environment_names_are_used";
    let (origin, secure) = (Origin::start(), secure());
    let (one, two) = (Proxy::basic("amy", "secret"), Proxy::basic("bob", "other"));
    let (for_http, for_https) = (with_credentials(&one, "amy:secret"), with_credentials(&two, "bob:other"));
    let plain = origin.on("/file", Reply::ok("content"));
    let encrypted = secure.origin.on("/file", Reply::ok("content"));
    let authority = (AUTHORITY, secure.authority.to_str().unwrap());
    let proxies = [("HTTP_PROXY", for_http.as_str()), ("HTTPS_PROXY", for_https.as_str()), authority];
    run_again(test, &plain, &proxies);
    assert_eq!((one.requests(&plain), two.connections()), (1, 0));
    assert_eq!(one.journal()[0].header("proxy-authorization"), Some("Basic YW15OnNlY3JldA=="));
    run_again(test, &encrypted, &proxies);
    assert_eq!((one.connections(), two.journal()[0].method.as_str()), (1, "CONNECT"));
    assert_eq!(two.journal()[0].header("proxy-authorization"), Some("Basic Ym9iOm90aGVy"));
    run_again(test, &plain, &[("http_proxy", &for_http)]);
    run_again(test, &encrypted, &[("all_proxy", &for_http), authority]);
    assert_eq!((one.connections(), two.connections()), (3, 1));
}

#[test]
fn hosts_that_the_environment_excepts_and_downloads_that_want_none_go_through_no_proxy() {
    if is_run_again() {
        return;
    }
    let test = "hosts_that_the_environment_excepts_and_downloads_that_want_none_go_through_no_proxy";
    let (origin, proxy) = (Origin::start(), Proxy::start());
    let (url, through) = (origin.on("/file", Reply::ok("content")), proxy.url());
    run_again(test, &url, &[("HTTP_PROXY", &through), ("NO_PROXY", "example.com,127.0.0.1")]);
    run_again(test, &url, &[("HTTP_PROXY", &through), (SETTING, "")]);
    assert_eq!((origin.connections(), proxy.connections()), (2, 0));
    run_again(test, &url, &[("HTTP_PROXY", &through), ("NO_PROXY", "example.com")]);
    assert_eq!((origin.connections(), proxy.connections()), (3, 1));
}

#[test]
fn the_proxy_of_a_setting_goes_before_the_environment() {
    if is_run_again() {
        return;
    }
    let (origin, named, set) = (Origin::start(), Proxy::start(), Proxy::start());
    let (url, through) = (origin.on("/file", Reply::ok("content")), named.url());
    let variables = [("HTTP_PROXY", through.as_str()), ("NO_PROXY", "127.0.0.1"), (SETTING, &set.url())];
    run_again("the_proxy_of_a_setting_goes_before_the_environment", &url, &variables);
    assert_eq!((named.connections(), set.requests(&url)), (0, 1));
}
