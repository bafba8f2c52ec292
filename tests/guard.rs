//! The guard: what is not public is not connected to, in whatever way a URL, redirect, list or name leads there.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use ganymede::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ganymede::{
    Context, Download, DownloadError, ErrorKind, FileWriter, Guard, Http, MirrorDelegate, Request,
    RetryDelegate, Transfer,
};
use ganymede_kit::{Folder, Origin, Proxy, Reply, wait_until};

use support::fetch;

fn get(url: &str, guard: Guard) -> Transfer<Http> {
    through(url, Http::new().guard(guard))
}

fn through(url: &str, http: Http) -> Transfer<Http> {
    Transfer::new(Request::get(url).unwrap(), http)
}

#[track_caller]
fn forbidden(download: Transfer<Http>) -> DownloadError {
    let folder = Folder::new();
    let download = download.handler(RetryDelegate::new(3)).writer(FileWriter::new(folder.file("file")));
    let mut download = download;
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Forbidden), "{error:?}");
    assert_eq!((error.kind().name(), error.gateway_status().as_u16()), ("forbidden", 403));
    assert!(!error.is_transient() && error.attempts() == 1, "{error:?}");
    assert!(error.to_string().contains("Guard::allow"), "{error}");
    assert!(folder.entries().is_empty());
    error
}

#[test]
fn a_plugin_can_ask_it_also_for_a_scheme_whose_addresses_the_parser_takes_for_names() {
    let guard = Guard::public_only().allow("10.0.0.1");
    let refuses = |url: &str| guard.check(&url.parse().unwrap()).is_err();
    for url in [
        "ftps://127.0.0.1/",
        "ftps://0x7f.1/",
        "ftps://[::1]/",
        "ftps://LOCALHOST./",
        "sftp://192.168.0.1:22/",
    ] {
        assert!(refuses(url), "{url}");
    }
    for url in ["ftps://8.8.8.8/", "ftps://10.0.0.1/", "ftps://example.com/", "sftp://[2606:4700::1]/"] {
        assert!(!refuses(url), "{url}");
    }
    let addresses: [SocketAddr; 2] = ["192.168.0.1:21", "8.8.8.8:21"].map(|address| address.parse().unwrap());
    assert_eq!(guard.admit("example.com", addresses).unwrap(), addresses[1..]);
    let failure = guard.admit("example.com", [addresses[0]]).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Forbidden), "{failure:?}");
}

/// Answers each question for a name with the next of its answers, and the last one again and again.
#[derive(Clone)]
struct Names(Arc<Mutex<Vec<(&'static str, Answers)>>>);

type Answers = VecDeque<Vec<IpAddr>>;

impl Names {
    fn new(names: &[(&'static str, &[&[&str]])]) -> Self {
        let addresses = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        let names = names.iter().map(|(name, answers)| (*name, answers.iter().map(addresses).collect()));
        Self(Arc::new(Mutex::new(names.collect())))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let mut names = self.0.lock().unwrap();
        let found = names.iter_mut().find(|(known, _)| *known == name.as_str());
        let (_, answers) = found.unwrap_or_else(|| panic!("nothing asks for {}", name.as_str()));
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        let addresses = answer.unwrap().into_iter().map(|address| SocketAddr::new(address, 0));
        Box::pin(async move { Ok(Box::new(addresses) as Addrs) })
    }
}

/// Answers one request on another address of this machine, which stands for a public one, and closes.
struct Elsewhere {
    address: SocketAddr,
    serving: JoinHandle<String>,
}

impl Elsewhere {
    /// Listens on the port of an origin, so that the address alone makes the difference.
    fn start(origin: &Origin, reply: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.2", origin.address().port())).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while !lines.next().unwrap().unwrap().is_empty() {}
            connection.write_all(reply.as_bytes()).unwrap();
            first
        });
        Self { address, serving }
    }

    /// Returns the first line of the request.
    fn request(self) -> String {
        wait_until("a request", || self.serving.is_finished());
        self.serving.join().unwrap()
    }
}

/// How the loopback address, or one that leads to it, may be written in a URL.
const NOTATIONS: [&str; 24] = [
    "127.0.0.1",
    "127.1",
    "127.0.0.1.",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "017700000001",
    "127.0.0x0.0x1",
    "%31%32%37.0.0.1",
    "\u{ff11}\u{ff12}\u{ff17}\u{3002}0\u{3002}0\u{3002}1",
    "\u{2460}\u{2461}\u{2466}.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "localhost",
    "LOCALHOST.",
];

#[test]
fn no_notation_of_an_address_leads_around_it() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    for host in NOTATIONS {
        let error = forbidden(get(&origin.url_at(host, "/file"), Guard::public_only()));
        let (text, host) = (error.to_string(), error.url().host_str().unwrap());
        let reasons = ["a loopback address", "an address of this network", "is this machine"];
        assert!(text.contains(host) && reasons.iter().any(|reason| text.contains(reason)), "{text}");
    }
    assert_eq!(origin.connections(), 0);
    // Without it, at least these of them do.
    for host in ["127.1", "0x7f000001", "0", "[::ffff:127.0.0.1]", "localhost"] {
        let (stored, _) = fetch(through(&origin.url_at(host, "/file"), Http::new())).unwrap();
        assert_eq!(stored, b"content", "{host}");
    }
}

#[test]
fn the_services_of_clouds_and_networks_behind_it_are_refused_without_a_connection() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "168.63.129.16", "100.100.100.200"] {
        let error = forbidden(get(&format!("http://{host}/latest/meta-data/"), Guard::public_only()));
        assert!(error.to_string().contains("an address of a cloud's own services"), "{error}");
    }
    for host in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fe80::1]", "[fc00::1]", "224.0.0.1"]
    {
        forbidden(get(&format!("https://{host}/"), Guard::public_only()));
    }
}

#[test]
fn a_name_that_leads_to_this_machine_is_refused_with_name_and_address() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    let names = Names::new(&[("internal.test", &[&["10.0.0.1", "127.0.0.1"]])]);
    let http = Http::new().guard(Guard::public_only()).resolver(names);
    let error = forbidden(through(&origin.url_at("internal.test", "/file"), http));
    assert!(error.to_string().contains("internal.test leads to 10.0.0.1, a private address"), "{error}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_systems_own_resolver_is_guarded_too() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    // Allowed by its name, the name is resolved by the system.
    let url = origin.url_at("localhost", "/file");
    assert_eq!(fetch(get(&url, Guard::public_only().allow("localhost"))).unwrap().0, b"content");
    let before = origin.connections();
    // An address of this machine that is allowed lets the name pass, but not to another address.
    forbidden(get(&url, Guard::public_only().allow("127.0.0.9")));
    assert_eq!(origin.connections(), before);
}

#[test]
fn a_redirect_to_what_is_not_public_is_not_followed() {
    let (here, there) = (Origin::start(), Origin::start());
    there.on("/file", Reply::ok("content"));
    let names = Names::new(&[("public.test", &[&["127.0.0.1"]]), ("private.test", &[&["127.0.0.1"]])]);
    let http = Http::new().guard(Guard::public_only().allow("public.test")).resolver(names);
    for (at, host) in NOTATIONS.iter().chain(&["private.test"]).enumerate() {
        here.on(&format!("/{at}"), Reply::redirect(302, there.url_at(host, "/file")));
        let hop = here.on(&format!("/hop-{at}"), Reply::redirect(301, format!("/{at}")));
        let hop = hop.replace("127.0.0.1", "public.test");
        forbidden(through(&hop, http.clone()));
    }
    assert_eq!(there.connections(), 0);
    assert_eq!(here.journal().len(), 2 * (NOTATIONS.len() + 1));
}

#[test]
fn what_a_mirror_list_names_is_guarded_and_the_next_mirror_asked() {
    let (here, there) = (Origin::start(), Origin::start());
    there.on("/file", Reply::ok("content"));
    let names = Names::new(&[("public.test", &[&["127.0.0.1"]])]);
    let http = Http::new().guard(Guard::public_only().allow("public.test")).resolver(names);
    let at = |path: &str| here.url_at("public.test", path);
    here.on("/good", Reply::ok("content"));
    here.on("/list", Reply::ok(format!("{}\n{}\n", there.url("/file"), at("/good"))));
    here.on("/bad-list", Reply::ok(there.url("/file")));
    let listed = |list: &str| {
        let delegate = MirrorDelegate::list(list.parse().unwrap()).protocol(http.clone());
        fetch(through(&at("/missing"), http.clone()).handler(delegate))
    };
    let (stored, receipt) = listed(&at("/list")).unwrap();
    assert_eq!((stored.as_slice(), receipt.attempts()), (&b"content"[..], 3));
    let error = listed(&at("/bad-list")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Forbidden), "{error:?}");
    let error = listed(&there.url("/file")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::MirrorList), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1 is a loopback address"), "{error}");
    assert_eq!(there.connections(), 0);
}

#[test]
fn what_is_allowed_is_reached_by_name_and_by_address_in_every_notation() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    for host in ["127.0.0.1", " 127.1", "2130706433", "::ffff:127.0.0.1", "[::ffff:7f00:1]"] {
        assert_eq!(fetch(get(&url, Guard::public_only().allow(host))).unwrap().0, b"content", "{host}");
    }
    let named = origin.url_at("internal.test", "/file");
    for host in ["internal.test", "INTERNAL.test.", "127.0.0.1"] {
        let names = Names::new(&[("internal.test", &[&["127.0.0.1"]])]);
        let http = Http::new().guard(Guard::public_only().allow(host)).resolver(names);
        assert_eq!(fetch(through(&named, http)).unwrap().0, b"content", "{host}");
    }
    let before = origin.connections();
    for host in
        ["", "127.0.0.2", "127.0.0.0/8", "test", "a.internal.test", "*", "no host", "http://127.0.0.1/"]
    {
        let names = Names::new(&[("internal.test", &[&["127.0.0.1"]])]);
        let http = Http::new().guard(Guard::public_only().allow(host)).resolver(names);
        forbidden(through(&url, http.clone()));
        forbidden(through(&named, http));
    }
    assert_eq!(origin.connections(), before);
}

#[test]
fn of_the_addresses_of_a_name_those_that_are_refused_are_left_out() {
    let origin = Origin::start();
    let there = Elsewhere::start(&origin, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncontent");
    let names = Names::new(&[("both.test", &[&["127.0.0.1", "127.0.0.2"]])]);
    let http = Http::new().guard(Guard::public_only().allow("127.0.0.2")).resolver(names);
    let url = format!("http://both.test:{}/file", there.address.port());
    assert_eq!(fetch(through(&url, http)).unwrap().0, b"content");
    assert_eq!((there.request().as_str(), origin.connections()), ("GET /file HTTP/1.1", 0));
}

#[test]
fn a_name_that_changes_its_address_is_refused_on_the_next_connection() {
    let origin = Origin::start();
    origin.on("/again", Reply::ok("secret"));
    let head = "HTTP/1.1 302 Found\r\nLocation: /again\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let there = Elsewhere::start(&origin, head);
    let names = Names::new(&[("rebinding.test", &[&["127.0.0.2"], &["127.0.0.1"]])]);
    let http = Http::new().guard(Guard::public_only().allow("127.0.0.2")).resolver(names);
    let url = format!("http://rebinding.test:{}/first", there.address.port());
    let error = forbidden(through(&url, http));
    assert!(error.to_string().contains("rebinding.test leads to 127.0.0.1"), "{error}");
    assert_eq!((there.request().as_str(), origin.connections()), ("GET /first HTTP/1.1", 0));
}

#[test]
fn a_hook_cannot_undo_it() {
    let origin = Origin::start();
    let url = origin.url_at("internal.test", "/file");
    let answers = |address: &'static [&'static [&'static str]]| Names::new(&[("internal.test", address)]);
    let http = Http::new()
        .guard(Guard::public_only())
        .resolver(answers(&[&["10.0.0.1"]]))
        .client_hook(move |builder| builder.dns_resolver(answers(&[&["127.0.0.1"]])));
    let error = forbidden(through(&url, http));
    assert!(error.to_string().contains("10.0.0.1"), "{error}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_connection_that_was_made_without_it_is_not_used_with_it() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok("content"));
    let http = Http::new().resolver(Names::new(&[("internal.test", &[&["127.0.0.1"]])]));
    let (url, context, folder) = (origin.url_at("internal.test", "/file"), Context::new(), Folder::new());
    let run = |http: Http| through(&url, http).writer(FileWriter::new(folder.file("file"))).run(&context);
    run(http.clone()).unwrap();
    let error = run(http.guard(Guard::public_only())).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Forbidden), "{error:?}");
    assert_eq!(origin.journal().len(), 1);
}

#[test]
fn a_proxy_that_is_set_is_used_and_what_a_url_says_is_checked() {
    let (origin, proxy) = (Origin::start(), Proxy::start());
    let url = origin.on("/file", Reply::ok("content"));
    let names = Names::new(&[("proxy.test", &[&["127.0.0.1"]])]);
    let named = format!("http://proxy.test:{}", proxy.address().port());
    let at_proxy = |proxy: &str, guard| Http::new().guard(guard).resolver(names.clone()).proxy(proxy);
    for proxy in [named.as_str(), &proxy.url()] {
        for host in
            ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost", "a.localhost.", "localhost.."]
        {
            let url = origin.url_at(host, "/file");
            forbidden(through(&url, at_proxy(proxy, Guard::public_only())));
        }
    }
    assert_eq!((proxy.connections(), origin.connections()), (0, 0));
    for proxy in [named.as_str(), &proxy.url()] {
        let local = origin.url_at("localhost", "/file");
        let http = at_proxy(proxy, Guard::public_only().allow("localhost"));
        assert_eq!(fetch(through(&local, http)).unwrap().0, b"content");
        let http = at_proxy(proxy, Guard::public_only().allow("127.0.0.1"));
        assert_eq!(fetch(through(&url, http)).unwrap().0, b"content");
    }
    assert_eq!(proxy.journal().len(), 4);
}

const AGAIN: &str = "GANYMEDE_TEST_AGAIN";

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    if let Ok(url) = env::var(AGAIN) {
        let _ = fetch(through(&url, Http::new()));
        forbidden(get(&url, Guard::public_only()));
        fetch(get(&url, Guard::public_only().allow("127.0.0.1"))).unwrap();
        return;
    }
    let (origin, proxy) = (Origin::start(), Proxy::start());
    let url = origin.on("/file", Reply::ok("content"));
    let mut command = Command::new(env::current_exe().unwrap());
    for name in ["http_proxy", "all_proxy", "no_proxy", "request_method"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.args(["--exact", "a_proxy_of_the_environment_is_not_used", "--nocapture"]);
    let output = command.env("http_proxy", proxy.url()).env(AGAIN, url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The one without the guard, and at the origin the one that was allowed after it.
    assert_eq!((proxy.journal().len(), origin.journal().len()), (1, 2));
}
