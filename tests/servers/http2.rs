//! What nginx does over HTTP/2.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use ganymede::reqwest::ClientBuilder;
use ganymede::{
    Action, Batch, BufferWriter, ByteRange, Context, Download, ErrorKind, Event, FileWriter, HttpDownload,
    RetryDelegate,
};
use ganymede_kit::{Authority, Break, Daemon, Passage, Relay, pattern, wait_until};

use crate::{fetch, get};

/// An nginx that speaks HTTP/2 and tells in each reply on which connection it came, and what is needed to trust it.
fn nginx(directives: &str) -> (Daemon, PathBuf) {
    let authority = Authority::new("servers");
    let nginx = Daemon::nginx("ssl http2", |folder| {
        let path = folder.path().display();
        authority.server(&["127.0.0.1"]).write_to(folder.path(), "server");
        format!(
            "ssl_certificate {path}/server.crt; ssl_certificate_key {path}/server.key;
             add_header x-connection $connection always; {directives}"
        )
    });
    let trusted = authority.write_to(nginx.folder.path(), "ca");
    (nginx, trusted)
}

/// Downloads so many small files, so many at once, and returns on how many connections they came.
fn batch(nginx: &Daemon, trusted: &PathBuf, count: usize, at_once: usize) -> usize {
    for n in 0..count {
        nginx.folder.write(format!("content/{n}"), pattern(5_000 + n));
    }
    let downloads = (0..count).map(|n| {
        let target = FileWriter::new(nginx.folder.file(format!("targets/{n}")));
        get(&nginx.url("https", &format!("/{n}"))).ca_certificate(trusted).writer(target)
    });
    let plans: Vec<_> = Batch::new(downloads).concurrency(at_once).collect();
    let mut connections = BTreeSet::new();
    for plan in &plans {
        let receipt = plan.result().unwrap();
        assert_eq!(receipt.attempts(), 1);
        connections.insert(receipt.head().header("x-connection").unwrap().to_owned());
    }
    assert_eq!(plans.len(), count);
    for n in 0..count {
        assert!(nginx.folder.read(format!("targets/{n}")) == pattern(5_000 + n), "{n}");
    }
    let log = nginx.log("access.log");
    assert!(log.lines().count() >= count && log.lines().all(|line| line.contains("HTTP/2.0\" 200")), "{log}");
    connections.len()
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_serves_more_downloads_than_it_takes_at_once_on_one_connection() {
    let (nginx, trusted) = nginx("http2_max_concurrent_streams 8;");
    assert_eq!(batch(&nginx, &trusted, 300, 48), 1);
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_ends_connections_that_were_used_enough_and_fails_nobody() {
    let (nginx, trusted) = nginx("keepalive_requests 40;");
    let connections = batch(&nginx, &trusted, 400, 16);
    assert!((10..=20).contains(&connections), "{connections}");
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_serves_large_files_ranges_and_heads_over_http_2() {
    let (nginx, trusted) = nginx("");
    nginx.folder.write("content/file", pattern(12_000_000));
    let url = nginx.url("https", "/file");
    let context = Context::new();
    let download = |url: &str| get(url).ca_certificate(&trusted);
    let (bytes, receipt) = fetch(download(&url), &context);
    assert!(bytes == pattern(12_000_000));
    let head = receipt.head();
    assert_eq!((head.length(), head.header("content-encoding")), (Some(12_000_000), None));
    let range = ByteRange::new(11_999_000, None).unwrap();
    assert!(fetch(download(&url).range(range), &context).0 == pattern(12_000_000)[11_999_000..]);
    let missing = download(&nginx.url("https", "/missing")).writer(BufferWriter::new(100)).run(&context);
    assert!(missing.unwrap_err().is_not_found());
    let log = nginx.log("access.log");
    assert!(log.lines().all(|line| line.contains("HTTP/2.0\"")), "{log}");
    assert!(fetch(download(&url).http1_only(), &context).0 == pattern(12_000_000));
    assert!(nginx.log("access.log").lines().last().unwrap().contains("HTTP/1.1\" 200"));
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_continues_over_http_2_what_broke_off_in_the_middle() {
    let (nginx, trusted) = nginx("");
    nginx.folder.write("content/file", pattern(5_000_000));
    // A reset throws away what is on its way: it is not known how much came.
    let breaks = [(Break::Close, 1_900_000..2_000_000), (Break::Reset, 1..2_000_000)];
    let expected = breaks.map(|(breaking, kept)| {
        let address = ([127, 0, 0, 1], nginx.port).into();
        let relay = Relay::start(address, [Passage::After(2_000_000, breaking), Passage::Pass]);
        let target = nginx.folder.file("target");
        let mut download = get(&relay.url("https", "/file"))
            .ca_certificate(&trusted)
            .writer(FileWriter::new(&target))
            .handler(RetryDelegate::new(1).base(Duration::ZERO));
        let receipt = download.run(&Context::new()).unwrap();
        assert!(fs::read(&target).unwrap() == pattern(5_000_000));
        let head = receipt.head();
        assert_eq!((receipt.attempts(), head.status().as_u16()), (2, 206));
        assert!(kept.contains(&head.offset()), "{}", head.offset());
        format!("206 bytes={}- ", head.offset())
    });
    // It writes the quotes of a tag as it likes.
    let guarded = || -> Vec<_> {
        nginx.log("guards.log").lines().filter(|line| line.ends_with("\\x22")).map(str::to_owned).collect()
    };
    wait_until("both continuations to be logged", || guarded().len() == 2);
    let lines = guarded();
    assert!(expected.iter().zip(&lines).all(|(range, line)| line.starts_with(range)), "{lines:?}");
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn an_nginx_that_is_stopped_breaks_all_bodies_of_its_connection_off() {
    let (mut nginx, trusted) = nginx("limit_rate 1m; limit_rate_after 2m;");
    nginx.folder.write("content/file", pattern(20_000_000));
    let (sender, receiver) = mpsc::channel();
    let context = Context::new();
    let running: Vec<_> = (0..4)
        .map(|n| {
            let (sender, context) = (sender.clone(), context.clone());
            let target = FileWriter::new(nginx.folder.file(format!("target{n}")));
            let mut download = get(&nginx.url("https", "/file"))
                .ca_certificate(&trusted)
                .writer(target)
                .handler(move |event: &mut Event<'_>, _: &Context| {
                    if let Event::Fetched { received: 1_000_000.., .. } = event {
                        let _ = sender.send(n);
                    }
                    Action::Continue
                });
            thread::spawn(move || download.run(&context))
        })
        .collect();
    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        seen.insert(receiver.recv().unwrap());
    }
    nginx.child.kill().unwrap();
    for download in running {
        let error = download.join().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
        assert!(error.received() >= 1_000_000 && error.expected() == Some(20_000_000), "{error:?}");
    }
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_speaks_http_2_without_tls_with_who_knows_that_it_does() {
    let nginx = Daemon::nginx("http2", |_| String::new());
    nginx.folder.write("content/file", pattern(3_000_000));
    let download: HttpDownload =
        get(&nginx.url("http", "/file")).client_hook(ClientBuilder::http2_prior_knowledge);
    assert!(fetch(download, &Context::new()).0 == pattern(3_000_000));
    let log = nginx.log("access.log");
    assert!(log.contains("HTTP/2.0\" 200"), "{log}");
}
