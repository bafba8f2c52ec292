//! What nginx serves, and to whom.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

use ganymede::{
    Action, Algorithm, Batch, BufferWriter, ByteRange, Context, Digest, DigestValidation, Download,
    ErrorKind, Event, FileWriter, Limits, Protocol, Reply, Request, RetryDelegate,
};
use ganymede_kit::{Authority, Daemon, pattern};

use crate::{fetch, get};

/// The digest that the system's own tool computes.
fn sha256(path: &Path) -> Digest {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    format!("sha256:{}", text.split_whitespace().next().unwrap()).parse().unwrap()
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_serves_files_ranges_and_heads() {
    let nginx = Daemon::nginx("", |_| String::new());
    let path = nginx.folder.write("content/a file%.bin", pattern(20_000_000));
    let url = nginx.url("http", "/a%20file%25.bin");
    let target = nginx.folder.file("target");
    let context = Context::new();
    let digest = sha256(&path);
    let mut download = get(&url).validation(DigestValidation::new(digest)).writer(FileWriter::new(&target));
    let receipt = download.run(&context).unwrap();
    assert!(fs::read(&target).unwrap() == pattern(20_000_000));
    assert_eq!(receipt.facts().digest(Algorithm::Sha256), Some(digest));
    let times = [&path, &target].map(|path| fs::metadata(path).unwrap().modified().unwrap());
    assert!(times[0].duration_since(times[1]).unwrap() < Duration::from_secs(1));
    let head = receipt.head();
    assert_eq!((head.length(), head.header("content-encoding")), (Some(20_000_000), None));
    assert!(head.strong_etag().is_some() && head.validator().is_some());
    let range = ByteRange::new(19_999_000, None).unwrap();
    assert!(fetch(get(&url).range(range), &context).0 == pattern(20_000_000)[19_999_000..]);
    let missing = get(&nginx.url("http", "/missing")).writer(BufferWriter::new(100)).run(&context);
    assert!(missing.unwrap_err().is_not_found());
    let log = nginx.log("access.log");
    assert!(log.contains("GET /a%20file%25.bin HTTP/1.1\" 200"), "{log}");
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_continues_a_body_that_broke_off_in_the_middle() {
    let nginx = Daemon::nginx("", |_| String::new());
    nginx.folder.write("content/file", pattern(5_000_000));
    let target = nginx.folder.file("target");
    let broken = AtomicBool::new(false);
    let download = get(&nginx.url("http", "/file")).writer(FileWriter::new(&target));
    let retry = RetryDelegate::new(1).base(Duration::ZERO);
    // A protocol that hangs up once, in the middle.
    let mut download = download.handler(retry).map(|http| {
        move |request: &Request, context: &Context| {
            let reply = http.send(request, context)?;
            if broken.swap(true, Ordering::SeqCst) {
                return Ok(reply);
            }
            let (head, body) = reply.into_parts();
            Ok(Reply::new(head, BufReader::new(body.unwrap().take(2_000_000))))
        }
    });
    let receipt = download.run(&Context::new()).unwrap();
    assert!(fs::read(&target).unwrap() == pattern(5_000_000));
    assert_eq!(
        (receipt.attempts(), receipt.head().status().as_u16(), receipt.head().offset()),
        (2, 206, 2_000_000)
    );
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_serves_a_batch_over_few_connections() {
    let nginx = Daemon::nginx("", |_| "keepalive_requests 100000;".to_owned());
    for n in 0..500_usize {
        nginx.folder.write(format!("content/{n}"), pattern(1_000 + n));
    }
    let context = Context::with_limits(Limits::new().per_host(4));
    let downloads = (0..500_usize).map(|n| {
        let target = FileWriter::new(nginx.folder.file(format!("targets/{n}")));
        get(&nginx.url("http", &format!("/{n}"))).writer(target)
    });
    let plans: Vec<_> = Batch::new(downloads).concurrency(16).context(&context).collect();
    assert!(plans.iter().all(|plan| plan.result().is_ok()) && plans.len() == 500);
    let fresh = plans.iter().filter(|plan| plan.result().unwrap().timing().connecting > Duration::ZERO);
    assert!((1..=8).contains(&fresh.count()));
    for n in 0..500_usize {
        assert!(nginx.folder.read(format!("targets/{n}")) == pattern(1_000 + n), "{n}");
    }
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn nginx_asks_for_a_certificate_and_for_a_password() {
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let nginx = Daemon::nginx("ssl", |folder| {
        let path = folder.path().display();
        authority.server(&["127.0.0.1"]).write_to(folder.path(), "server");
        clients.write_to(folder.path(), "clients");
        // The password is "secret", plain as nginx allows it.
        folder.write("passwords", "amy:{PLAIN}secret\n");
        format!(
            "ssl_certificate {path}/server.crt; ssl_certificate_key {path}/server.key;
             ssl_client_certificate {path}/clients.pem; ssl_verify_client optional;
             location /mutual/ {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} }}
             location /private/ {{ auth_basic private; auth_basic_user_file {path}/passwords; }}
             location /moved/ {{ return 302 /mutual/file; }}"
        )
    });
    nginx.folder.write("content/mutual/file", pattern(300_000));
    nginx.folder.write("content/private/file", "private");
    let ca = authority.write_to(nginx.folder.path(), "ca");
    let (certificate, key) = clients.client("amy").write_to(nginx.folder.path(), "amy");
    let context = Context::new();
    let known = |path: &str| {
        get(&nginx.url("https", path)).ca_certificate(&ca).client_certificate(&certificate, &key)
    };
    for path in ["/mutual/file", "/moved/file"] {
        assert!(fetch(known(path), &context).0 == pattern(300_000));
    }
    let anonymous = |path: &str| get(&nginx.url("https", path)).ca_certificate(&ca);
    assert_eq!(fetch(anonymous("/private/file").user("amy", "secret"), &context).0, b"private");
    let untrusting = get(&nginx.url("https", "/private/file"));
    for (download, kind) in [
        (anonymous("/mutual/file"), "unauthorized"),
        (anonymous("/private/file"), "unauthorized"),
        (anonymous("/private/file").user("amy", "wrong"), "unauthorized"),
        (untrusting, "tls"),
    ] {
        let error = download.writer(BufferWriter::new(1 << 20)).run(&context).unwrap_err();
        assert_eq!(error.kind().name(), kind, "{error:?}");
    }
}

#[test]
#[ignore = "needs nginx, which tests/run installs"]
fn an_nginx_that_is_stopped_in_mid_body_is_an_incomplete_body() {
    let mut nginx = Daemon::nginx("", |_| "limit_rate 1m; limit_rate_after 2m;".to_owned());
    nginx.folder.write("content/file", pattern(20_000_000));
    let target = nginx.folder.file("target");
    let (sender, receiver) = mpsc::channel();
    let mut download = get(&nginx.url("http", "/file")).writer(FileWriter::new(&target)).handler(
        move |event: &mut Event<'_>, _: &Context| {
            if let Event::Fetched { received: 1_000_000.., .. } = event {
                let _ = sender.send(());
            }
            Action::Continue
        },
    );
    let running = thread::spawn(move || download.run(&Context::new()));
    receiver.recv().unwrap();
    nginx.child.kill().unwrap();
    let error = running.join().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Incomplete) && error.is_transient(), "{error:?}");
    assert!(error.received() >= 1_000_000 && error.expected() == Some(20_000_000), "{error:?}");
    assert!(!target.exists());
}
