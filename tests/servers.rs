//! Servers of the real world: nginx as an origin, squid and tinyproxy as proxies.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use ganymede::{
    Action, Algorithm, Batch, BufferWriter, ByteRange, Context, Digest, DigestValidation, Download,
    ErrorKind, Event, FileWriter, HttpDownload, Limits, Protocol, Receipt, Reply, Request, RetryDelegate,
};
use ganymede_kit::{Authority, Folder, closed_port, pattern, wait_until};

/// A server in the foreground, which ends with the test.
struct Daemon {
    child: Child,
    port: u16,
    folder: Folder,
}

impl Daemon {
    /// Starts a program with the configuration that `configure` writes for a folder and a port.
    fn start(program: &str, configure: impl FnOnce(&Folder, u16) -> String, arguments: &[&str]) -> Self {
        let (folder, port) = (Folder::new(), closed_port());
        let configuration = folder.write("configuration", configure(&folder, port));
        let mut child = Command::new(program)
            // Servers are often not where other programs are.
            .env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()))
            .args(arguments)
            .arg(&configuration)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        wait_until("a server to listen", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{program} ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port, folder }
    }

    /// An nginx that serves `content` of its folder by these further directives of its server.
    fn nginx(listen: &str, directives: impl FnOnce(&Folder) -> String) -> Self {
        let configure = |folder: &Folder, port| {
            let path = folder.path().display();
            fs::create_dir(folder.file("content")).unwrap();
            format!(
                "daemon off; master_process off; worker_processes 1; pid {path}/pid;
                 error_log {path}/error.log; events {{ worker_connections 256; }}
                 http {{
                     access_log {path}/access.log; default_type application/octet-stream;
                     client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
                     fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
                     gzip on; gzip_types *; gzip_min_length 1;
                     server {{ listen 127.0.0.1:{port} {listen}; root {path}/content; {} }}
                 }}",
                directives(folder)
            )
        };
        Self::start("nginx", configure, &["-p", "/", "-c"])
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    fn log(&self, name: &str) -> String {
        String::from_utf8(self.folder.read(name)).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(url: &str) -> HttpDownload {
    HttpDownload::get(url).unwrap().read_timeout(Duration::from_secs(60))
}

fn fetch(download: HttpDownload, context: &Context) -> (Vec<u8>, Receipt) {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(context).unwrap();
    (buffer.take().unwrap(), receipt)
}

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

/// A tinyproxy that wants a user and a password.
fn tinyproxy() -> Daemon {
    let configure = |folder: &Folder, port| {
        let path = folder.path().display();
        format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nBasicAuth amy secret\n\
             LogFile \"{path}/access.log\"\nLogLevel Connect\nMaxClients 50\n"
        )
    };
    Daemon::start("tinyproxy", configure, &["-d", "-c"])
}

/// A squid that wants a user and a password.
fn squid() -> Daemon {
    let configure = |folder: &Folder, port| {
        let path = folder.path().display();
        // The password is "secret"; squid changes to a user of its own, who must be able to write here.
        folder.write("passwords", "amy:$apr1$ganymede$7kehAGOlZYMq4yWH1mdrb/\n");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        format!(
            "http_port 127.0.0.1:{port}\npid_filename {path}/pid\ncache_log {path}/cache.log\n\
             access_log stdio:{path}/access.log\nbuffered_logs off\ncoredump_dir {path}\nnetdb_filename none\n\
             auth_param basic program /usr/lib/squid/basic_ncsa_auth {path}/passwords\n\
             auth_param basic children 1\nacl known proxy_auth REQUIRED\nhttp_access allow known\n\
             http_access deny all\nshutdown_lifetime 0 seconds\npinger_enable off\n"
        )
    };
    Daemon::start("squid", configure, &["-N", "-f"])
}

/// Downloads through a proxy, by http and by https, with the right password and with a wrong one.
fn passes(proxy: &Daemon, kinds: [&str; 2]) {
    let authority = Authority::new("servers");
    let plain = Daemon::nginx("", |_| String::new());
    let secure = Daemon::nginx("ssl", |folder| {
        let path = folder.path().display();
        authority.server(&["127.0.0.1"]).write_to(folder.path(), "server");
        format!("ssl_certificate {path}/server.crt; ssl_certificate_key {path}/server.key;")
    });
    let ca = authority.write_to(plain.folder.path(), "ca");
    let through = |credentials: &str| format!("http://{credentials}@127.0.0.1:{}", proxy.port);
    let context = Context::new();
    for (server, scheme, kind) in [(&plain, "http", kinds[0]), (&secure, "https", kinds[1])] {
        server.folder.write("content/file", pattern(1_000_000));
        let url = server.url(scheme, "/file");
        let download = get(&url).ca_certificate(&ca);
        assert!(fetch(download.proxy(through("amy:secret")), &context).0 == pattern(1_000_000));
        let download = get(&url).ca_certificate(&ca).proxy(through("amy:wrong"));
        let error = download.writer(BufferWriter::new(1 << 20)).run(&context).unwrap_err();
        assert_eq!(error.kind().name(), kind, "{error:?}");
        assert_eq!(server.log("access.log").lines().count(), 1);
    }
    // A tunnel may be logged when it is closed.
    drop(context);
    wait_until("a tunnel in the log", || proxy.log("access.log").contains("CONNECT 127.0.0.1:"));
}

#[test]
#[ignore = "needs nginx and squid, which tests/run installs"]
fn squid_passes_http_and_https_on_to_nginx_for_who_knows_the_password() {
    passes(&squid(), ["unauthorized", "unauthorized"]);
}

#[test]
#[ignore = "needs nginx and tinyproxy, which tests/run installs"]
fn tinyproxy_passes_http_and_https_on_to_nginx_for_who_knows_the_password() {
    // It answers 401 instead of 407; of a tunnel that was refused, the client library tells nothing but a 407.
    passes(&tinyproxy(), ["unauthorized", "connect"]);
}
