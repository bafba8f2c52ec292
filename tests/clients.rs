//! Which downloads share connections, and which never do.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ganymede::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use ganymede::{
    Batch, BufferWriter, Context, Credentials, Download, Failure, FileWriter, Guard, Http, HttpDownload,
    Receipt, Request, Transfer,
};
use ganymede_kit::{Authority, Folder, Gate, Origin, Proxy, Reply, pattern};

const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap()
}

#[track_caller]
fn run(download: HttpDownload, context: &Context) -> Receipt {
    download.writer(BufferWriter::new(1 << 20)).run(context).unwrap()
}

/// The connections on which an origin was asked, in order.
fn connections(origin: &Origin) -> Vec<u64> {
    origin.journal().iter().map(|request| request.connection).collect()
}

#[test]
fn a_hundred_downloads_four_at_a_time_use_four_connections() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.handle("/", |request| Reply::ok(format!("content of {}", request.target)));
    let downloads = (0..100)
        .map(|n| get(&origin.url(&format!("/{n}"))).writer(FileWriter::new(folder.file(n.to_string()))));
    let results = Batch::new(downloads).concurrency(4);
    assert_eq!(results.filter(|plan| plan.result().is_ok()).count(), 100);
    for n in 0..100 {
        assert_eq!(folder.read(n.to_string()), format!("content of /{n}").as_bytes());
    }
    assert!((1..=4).contains(&origin.connections()), "{}", origin.connections());
    assert_eq!(origin.journal().len(), 100);
}

#[test]
fn four_downloads_that_do_run_at_once_have_a_connection_each() {
    let origin = Origin::start();
    let gate = Gate::new();
    let reply = Reply::ok("content").gate(&gate);
    origin.handle("/", move |_| reply.clone());
    let downloads = (0..8).map(|n| get(&origin.url(&format!("/{n}"))).writer(BufferWriter::new(100)));
    std::thread::scope(|scope| {
        let plans = scope.spawn(|| Batch::new(downloads).concurrency(4).collect::<Vec<_>>());
        gate.wait_arrived(4);
        gate.open();
        assert!(plans.join().unwrap().iter().all(|plan| plan.result().is_ok()));
    });
    assert_eq!((origin.connections(), origin.in_flight_peak()), (4, 4));
}

#[test]
fn equal_settings_share_a_connection_wherever_they_were_made() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&HOSTS));
    let url = origin.on("/file", Reply::ok("content"));
    let ca = authority.write_to(folder.path(), "ca");
    let context = Context::new();
    let first = run(get(&url).ca_certificate(&ca), &context);
    let others = [
        get(&url).ca_certificate(&ca),
        get(&url).ca_certificate(&ca).read_timeout(Duration::from_secs(7)).deadline(Duration::from_secs(60)),
        get(&url).ca_certificate(&ca).header("X-Note", "7").max_redirects(1).request_hook(|builder| builder),
        Transfer::new(Request::get(&url).unwrap(), Http::new().ca_certificate(&ca)),
    ];
    assert!(first.timing().connecting > Duration::ZERO);
    for download in others {
        assert_eq!(run(download, &context.child()).timing().connecting, Duration::ZERO);
    }
    assert_eq!(connections(&origin), [1, 1, 1, 1, 1]);
    run(get(&url).ca_certificate(&ca), &Context::new());
    assert_eq!(origin.connections(), 2);
}

#[test]
fn different_credentials_never_share_a_connection() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let with_user = |user: &str| url.replace("http://", &format!("http://{user}@"));
    let own = |credentials| get(&url).credentials(credentials);
    let kinds = || {
        [
            get(&url),
            get(&url).user("amy", "one"),
            get(&url).user("amy", "two"),
            get(&url).user("bob", "one"),
            get(&url).bearer_token("one"),
            get(&url).bearer_token("two"),
            get(&with_user("eve:one")),
            get(&with_user("eve:two")),
            own(Credentials::password("joe", "one")),
            own(Credentials::password("joe", "two")),
            own(Credentials::bearer("three")),
        ]
    };
    let context = Context::new();
    for _ in 0..2 {
        for download in kinds() {
            run(download, &context);
        }
    }
    let seen = connections(&origin);
    let (once, again) = seen.split_at(kinds().len());
    assert_eq!(once, again);
    assert_eq!(once.iter().collect::<BTreeSet<_>>().len(), kinds().len(), "{once:?}");
    // The same credentials are the same, however they were told.
    run(get(&with_user("amy:one")), &context);
    run(own(Credentials::bearer("two")), &context);
    assert_eq!(connections(&origin)[2 * once.len()..], [once[1], once[5]]);
}

#[test]
fn different_certificates_never_share_a_connection() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::mutual_tls(&authority.server(&HOSTS), &authority);
    let url = origin.on("/file", Reply::ok("content"));
    let ca = authority.write_to(folder.path(), "ca");
    let same_ca_elsewhere = authority.write_to(folder.path(), "ca-too");
    let (amy, amy_key) = authority.client("amy").write_to(folder.path(), "amy");
    let (bob, bob_key) = authority.client("bob").write_to(folder.path(), "bob");
    let kinds = || {
        [
            get(&url).ca_certificate(&ca).client_certificate(&amy, &amy_key),
            get(&url).ca_certificate(&ca).client_certificate(&bob, &bob_key),
            get(&url).ca_certificate(&same_ca_elsewhere).client_certificate(&amy, &amy_key),
            get(&url).ca_certificate(&ca).verify(false).client_certificate(&amy, &amy_key),
        ]
    };
    let context = Context::new();
    for download in kinds().into_iter().chain(kinds()) {
        run(download, &context);
    }
    assert_eq!(connections(&origin), [1, 2, 3, 4, 1, 2, 3, 4]);
    // None of the clients that are let in lets in one that shows nothing.
    let without = get(&url).ca_certificate(&ca).writer(BufferWriter::new(100)).run(&context);
    assert!(without.is_err());
}

/// Resolves each name to one address.
struct Here(SocketAddr);

impl Resolve for Here {
    fn resolve(&self, _: Name) -> Resolving {
        let address = self.0;
        Box::pin(async move { Ok(Box::new(std::iter::once(address)) as Addrs) })
    }
}

#[test]
fn a_client_for_a_plugin_has_the_certificates_and_the_guard_of_its_settings() {
    let (authority, folder) = (Authority::new("trusted"), Folder::new());
    let origin = Origin::tls(&authority.server(&HOSTS));
    let url = origin.on("/file", Reply::ok("content"));
    let ca = authority.write_to(folder.path(), "ca");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |http: Http, url: &str| {
        let asked = async { http.library().unwrap().get(url).send().await?.text().await };
        runtime.block_on(asked).map_err(|error| Failure::from_reqwest(error, &url.parse().unwrap()))
    };
    let trusting = || Http::new().ca_certificate(&ca);
    assert_eq!(ask(trusting(), &url).unwrap(), "content");
    assert_eq!(ask(Http::new(), &url).unwrap_err().kind().name(), "tls");
    let guarded = trusting().guard(Guard::public_only());
    assert_eq!(guarded.admits(&url.parse().unwrap()).unwrap_err().kind().name(), "forbidden");
    // What a name leads to is checked where it is connected to.
    let named = url.replace("127.0.0.1", "name.test");
    let guarded = guarded.resolver(Here(origin.address()));
    assert!(guarded.admits(&named.parse().unwrap()).is_ok());
    assert_eq!(ask(guarded, &named).unwrap_err().kind().name(), "forbidden");
}

#[test]
fn different_proxies_hooks_and_connect_timeouts_never_share_a_connection() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let context = Context::new();
    let hooked = Http::new().client_hook(|builder| builder.user_agent("hooked/1"));
    let with = |http: &Http| Transfer::new(Request::get(&url).unwrap(), http.clone());
    let kinds = || {
        [
            get(&url),
            get(&url).no_proxy(),
            get(&url).connect_timeout(Duration::from_secs(7)),
            with(&hooked),
            // The same words are another closure.
            get(&url).client_hook(|builder| builder.user_agent("hooked/1")),
        ]
    };
    for download in kinds() {
        run(download, &context);
    }
    run(with(&hooked), &context);
    assert_eq!(connections(&origin), [1, 2, 3, 4, 5, 4]);
    let proxy = Proxy::start();
    run(get(&url).proxy(proxy.url()), &context);
    assert_eq!((proxy.connections(), origin.connections()), (1, 6));
}

#[test]
fn a_redirect_does_not_bring_its_credentials_connection_to_another_origin() {
    let (home, elsewhere) = (Origin::start(), Origin::start());
    let url = home.on("/start", Reply::redirect(302, elsewhere.on("/file", Reply::ok("content"))));
    let context = Context::new();
    run(get(&url).user("amy", "one"), &context);
    run(get(&url).user("bob", "two"), &context);
    run(get(&elsewhere.url("/file")), &context);
    assert_eq!(connections(&home), [1, 2]);
    // There all three are strangers alike.
    assert_eq!(connections(&elsewhere), [1, 1, 1]);
}

#[test]
fn a_connection_is_used_again_after_errors_heads_and_redirects() {
    let origin = Origin::start();
    origin.on("/file", Reply::ok(pattern(100_000)));
    origin.on("/start", Reply::redirect(302, "/file"));
    let context = Context::new();
    for path in ["/file", "/missing", "/start", "/missing", "/file"] {
        let mut download = get(&origin.url(path)).writer(BufferWriter::new(1 << 20));
        assert_eq!(download.run(&context).is_ok(), path != "/missing");
    }
    assert_eq!(connections(&origin), [1; 6]);
}

#[test]
fn a_connection_that_broke_is_not_used_again() {
    let origin = Origin::start();
    let context = Context::new();
    let good = origin.on("/file", Reply::ok("content"));
    let cut = origin.on("/cut", Reply::ok(pattern(1_000)).cut_after(500));
    let refused = origin.on("/large", Reply::generated(1 << 30));
    for url in [&cut, &refused] {
        run(get(&good), &context);
        let mut download = get(url).writer(BufferWriter::new(10_000));
        download.run(&context).unwrap_err();
        origin.wait_open(0);
    }
    run(get(&good), &context);
    assert_eq!(connections(&origin), [1, 1, 2, 2, 3]);
}

#[test]
fn a_connection_that_the_server_closed_while_it_was_idle_is_replaced_without_a_failure() {
    let origin = Origin::start();
    let content = pattern(10_000);
    // All of the body, and then the end without a word of it in the head.
    let url = origin.on("/file", Reply::ok(content).cut_after(10_000));
    let context = Context::new();
    for _ in 0..50 {
        let receipt = run(get(&url), &context);
        assert_eq!(receipt.attempts(), 1);
        origin.wait_open(0);
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn a_request_that_an_old_connection_takes_along_to_its_end_is_sent_again_on_a_new_one() {
    let origin = Origin::start();
    // Closed without a byte: once on the connection of the first, which is old then, and never on a new one.
    let good = || Reply::ok("content");
    let url = origin.sequence("/file", [good(), Reply::raw(""), good(), Reply::raw(""), Reply::raw("")]);
    let context = Context::new();
    for _ in 0..2 {
        assert_eq!(run(get(&url), &context).attempts(), 1);
    }
    assert_eq!((origin.requests("/file"), origin.connections()), (3, 2));
    let error = get(&url).writer(BufferWriter::new(100)).run(&context).unwrap_err();
    assert_eq!((error.kind().name(), error.attempts()), ("incomplete", 1));
    assert_eq!((origin.requests("/file"), origin.connections()), (5, 3));
}

#[test]
fn a_contexts_connections_end_with_it() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content"));
    let context = Context::new();
    let child = context.child();
    run(get(&url), &child);
    drop(context);
    origin.wait_open(1);
    drop(child);
    origin.wait_open(0);
}
