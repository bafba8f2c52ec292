//! A server of the real world.

use std::fs;
use std::io::{BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use ganymede::{
    Batch, BufferWriter, ByteRange, Context, Download, ErrorKind, Protocol, Reply, Request, RetryDelegate,
};
use ganymede_ftp::Ftp;
use ganymede_kit::{Authority, Folder, closed_port, pattern, wait_until};

use crate::{download, fetch, ftp};

/// vsftpd in the foreground, which ends with the test, and serves `content` of its folder to everybody.
struct Vsftpd {
    child: Child,
    port: u16,
    folder: Folder,
}

impl Vsftpd {
    /// Starts it, with these further directives for its folder.
    fn start(directives: impl FnOnce(&Folder) -> String) -> Self {
        let (folder, port) = (Folder::new(), closed_port());
        for name in ["content", "empty"] {
            fs::create_dir(folder.file(name)).unwrap();
        }
        let (path, directives) = (folder.path().display(), directives(&folder));
        let configuration = format!(
            "listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nseccomp_sandbox=NO\n\
             anonymous_enable=YES\nlocal_enable=NO\nno_anon_password=NO\nanon_root={path}/content\n\
             ftp_username=ftp\nnopriv_user=nobody\nsecure_chroot_dir={path}/empty\nxferlog_enable=YES\n\
             vsftpd_log_file={path}/log\nlog_ftp_protocol=YES\ndual_log_enable=YES\n{directives}\n"
        );
        let configuration = folder.write("configuration", configuration);
        let mut child = Command::new("vsftpd")
            // Servers are often not where other programs are.
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .arg(&configuration)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start vsftpd: {error}"));
        wait_until("a server to listen", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "vsftpd ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port, folder }
    }

    /// Starts one that serves nobody without TLS, and what trusts it.
    fn secure(directives: &str) -> (Self, Ftp) {
        let authority = Authority::new("trusted");
        let server = Self::start(|folder| {
            let (certificate, key) = authority.server(&["127.0.0.1"]).write_to(folder.path(), "server");
            let (certificate, key) = (certificate.display(), key.display());
            format!(
                "ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n\
                 require_ssl_reuse=YES\nssl_ciphers=HIGH\nrsa_cert_file={certificate}\n\
                 rsa_private_key_file={key}\n{directives}"
            )
        });
        let ftp = ftp().ca_certificate(authority.write_to(server.folder.path(), "ca"));
        (server, ftp)
    }

    fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    fn log(&self) -> String {
        String::from_utf8(self.folder.read("log")).unwrap()
    }
}

impl Drop for Vsftpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs vsftpd, which tests/run installs"]
fn vsftpd_serves_files_parts_and_heads_over_one_session() {
    let (server, context) = (Vsftpd::start(|_| String::new()), Context::new());
    server.folder.write("content/pub/a file%.bin", pattern(5_000_000));
    let url = server.url("ftp", "/pub/a%20file%25.bin");
    let (bytes, receipt) = fetch(download(ftp(), &url), &context).unwrap();
    assert!(bytes == pattern(5_000_000));
    let head = receipt.head();
    let modified = server.folder.file("content/pub/a file%.bin").metadata().unwrap().modified().unwrap();
    assert_eq!(head.length(), Some(5_000_000));
    assert!(modified.duration_since(head.modified().unwrap()).unwrap() < Duration::from_secs(1));
    for (first, last) in [(4_000_000, None), (10, Some(99)), (0, Some(999_999))] {
        let range = ByteRange::new(first, last).unwrap();
        let (part, _) = fetch(download(ftp(), &url).range(range), &context).unwrap();
        let end = last.map_or(5_000_000, |last| last + 1);
        assert!(part == pattern(5_000_000)[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()]);
    }
    let absolute = server.url("ftp", "/%2Fpub/a%20file%25.bin");
    assert!(fetch(download(ftp(), &absolute), &context).unwrap().0 == pattern(5_000_000));
    let missing = fetch(download(ftp(), &server.url("ftp", "/missing")), &context).unwrap_err();
    assert!(missing.is_not_found());
    let folder = fetch(download(ftp(), &server.url("ftp", "/pub")), &context).unwrap_err();
    assert!(matches!(folder.kind(), ErrorKind::Unsupported), "{folder:?}");
    let log = server.log();
    assert_eq!(log.matches("OK LOGIN").count(), 1, "{log}");
}

#[test]
#[ignore = "needs vsftpd, which tests/run installs"]
fn vsftpd_serves_secure_connections_that_must_resume_those_of_the_commands() {
    for (scheme, directives) in [("ftpes", ""), ("ftps", "implicit_ssl=YES")] {
        let ((server, ftp), context) = (Vsftpd::secure(directives), Context::new());
        server.folder.write("content/file", pattern(3_000_000));
        let url = server.url(scheme, "/file");
        for _ in 0..3 {
            assert!(fetch(download(ftp.clone(), &url), &context).unwrap().0 == pattern(3_000_000));
        }
        let range = ByteRange::new(1_000_000, Some(1_099_999)).unwrap();
        let (part, _) = fetch(download(ftp.clone(), &url).range(range), &context).unwrap();
        assert!(part == pattern(3_000_000)[1_000_000..1_100_000]);
        let log = server.log();
        assert_eq!(log.matches("OK LOGIN").count(), 1, "{log}");
    }
}

#[test]
#[ignore = "needs vsftpd, which tests/run installs"]
fn vsftpd_goes_on_with_a_body_that_broke_off_in_the_middle() {
    let server = Vsftpd::start(|_| String::new());
    let path = server.folder.write("content/file", pattern(5_000_000));
    // What was modified just now may be once more within the same second.
    let hour = Duration::from_secs(3600);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - hour).unwrap();
    let broken = AtomicBool::new(false);
    let retry = RetryDelegate::new(1).base(Duration::ZERO);
    let buffer = BufferWriter::new(8 << 20);
    let download = download(ftp(), &server.url("ftp", "/file")).handler(retry).writer(buffer.clone());
    // A protocol that hangs up once, in the middle.
    let mut download = download.map(|ftp| {
        move |request: &Request, context: &Context| {
            let reply = ftp.send(request, context)?;
            if broken.swap(true, Ordering::SeqCst) {
                return Ok(reply);
            }
            let (head, body) = reply.into_parts();
            Ok(Reply::new(head, BufReader::new(body.unwrap().take(2_000_000))))
        }
    });
    let receipt = download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == pattern(5_000_000));
    assert_eq!((receipt.attempts(), receipt.head().offset()), (2, 2_000_000));
}

#[test]
#[ignore = "needs vsftpd, which tests/run installs"]
fn vsftpd_serves_a_batch_and_says_when_it_is_busy() {
    let server = Vsftpd::start(|_| "max_per_ip=4".to_owned());
    let names: Vec<String> = (0..60).map(|n| format!("file{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        server.folder.write(format!("content/{name}"), pattern(10_000 + n));
    }
    let downloads: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let buffer = BufferWriter::new(1 << 20);
            let retry = RetryDelegate::new(20).base(Duration::from_millis(20));
            let download = download(ftp(), &server.url("ftp", &format!("/{name}"))).handler(retry);
            download.writer(buffer.clone()).attach((n, buffer))
        })
        .collect();
    let mut busy = 0;
    for plan in Batch::new(downloads).concurrency(8) {
        let (n, buffer) = plan.attachment();
        busy += plan.result().unwrap().attempts() - 1;
        assert!(buffer.take().unwrap() == pattern(10_000 + n));
    }
    assert!(busy > 0, "it was never asked for more than it serves");
}
