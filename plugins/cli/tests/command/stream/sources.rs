//! Where files come from, and where nothing does.

use ganymede_kit::{Authority, Folder, Origin, Proxy, Reply, pattern};

use super::{LARGE, Serving, listed};

#[test]
fn a_wrong_file_is_cut_its_remote_rests_and_the_mirror_is_asked() {
    let (folder, wrong, right) = (Folder::new(), Origin::start(), Origin::start());
    let mut other = pattern(LARGE);
    other[0] ^= 1;
    for name in ["/one", "/two"] {
        wrong.on(name, Reply::ok(other.clone()));
        right.on(name, Reply::ok(pattern(LARGE)));
    }
    folder.write("SUMS", listed("one", &pattern(LARGE)) + &listed("two", &pattern(LARGE)));
    let remotes = ["--remote", &wrong.url("/"), "--remote", &right.url("/"), "--digests", "SUMS"];
    let serving = Serving::start(&folder, remotes);
    serving.get("/one").is_cut();
    serving.wait_said("sent a wrong body");
    serving.get("/two").is_whole(&pattern(LARGE));
    serving.get("/one").is_whole(&pattern(LARGE));
    assert_eq!((wrong.requests("/one"), wrong.requests("/two")), (1, 0));
}

#[test]
fn a_file_that_is_wrong_at_its_end_is_completed_by_a_mirror() {
    let (folder, wrong, right) = (Folder::new(), Origin::start(), Origin::start());
    let mut other = pattern(LARGE);
    other[LARGE - 1] ^= 1;
    wrong.on("/file", Reply::ok(other));
    right.on("/file", Reply::ok(pattern(LARGE)));
    folder.write("SUMS", listed("file", &pattern(LARGE)));
    let alone = Serving::start(&folder, ["--remote", &wrong.url("/"), "--digests", "SUMS"]);
    alone.get("/file").is_cut();
    let remotes = ["--remote", &wrong.url("/"), "--remote", &right.url("/"), "--digests", "SUMS"];
    Serving::start(&folder, remotes).get("/file").is_whole(&pattern(LARGE));
}

#[test]
fn small_wrong_files_are_never_begun_and_mirrors_stand_in() {
    let (folder, wrong, right) = (Folder::new(), Origin::start(), Origin::start());
    wrong.on("/file", Reply::ok("wrong"));
    right.on("/file", Reply::ok("right"));
    folder.write("SUMS", listed("file", b"right"));
    let alone = Serving::start(&folder, ["--remote", &wrong.url("/"), "--digests", "SUMS"]);
    assert_eq!(alone.get("/file?token=secret").status, 502);
    alone.wait_said(&format!("WARN cannot fetch {}: the digest is ", wrong.url("/file")));
    assert_eq!((alone.get("/none").status, alone.said().matches("cannot fetch").count()), (404, 1));
    assert!(!alone.said().contains("secret"), "{}", alone.said());
    let remotes = ["--remote", &wrong.url("/"), "--remote", &right.url("/"), "--digests", "SUMS"];
    Serving::start(&folder, remotes).get("/file").is_whole(b"right");
}

#[test]
fn a_redirect_leads_to_hosts_that_are_named_and_to_no_other_private_ones() {
    let (folder, named, private) = (Folder::new(), Origin::start(), Origin::start());
    private.on("/secret", Reply::ok("secret"));
    named.on("/file", Reply::redirect(302, private.url("/secret")));
    let remote = named.url_at("localhost", "/");
    let serving = Serving::start(&folder, ["--remote", &remote]);
    let refused = serving.get("/file");
    assert!([403, 502].contains(&refused.status), "{refused:?}");
    assert!(!String::from_utf8_lossy(&refused.body).contains("secret"));
    assert_eq!(private.connections(), 0);
    let serving = Serving::start(&folder, ["--remote", &remote, "--remote", &private.url("/elsewhere/")]);
    serving.get("/file").is_whole(b"secret");
}

#[test]
fn a_folder_of_this_machine_is_a_remote_and_leads_nowhere_else() {
    let (folder, source) = (Folder::new(), Folder::new());
    source.write("pub/a b/c.txt", pattern(LARGE));
    source.write("secret", "secret");
    let remote = format!("file://{}", source.file("pub").display());
    let serving = Serving::start(&folder, ["--remote", &remote, "--cache", "cache"]);
    serving.get("/a%20b/c.txt").is_whole(&pattern(LARGE));
    let part = serving.ask("GET", "/a%20b/c.txt", &[("Range", "bytes=5-8")]).read();
    assert_eq!((part.status, part.body.as_slice()), (206, &pattern(LARGE)[5..9]));
    for path in ["/../secret", "/%2e%2e/secret", "/a%20b/..%2f..%2f..%2fsecret"] {
        assert_eq!(serving.get(path).status, 400, "{path}");
    }
    assert_eq!(serving.get("/none").status, 404);
}

#[cfg(feature = "ftp")]
#[test]
fn a_server_of_ftp_is_a_remote_with_its_password_and_its_mirror_is_of_http() {
    use ganymede_kit::{FtpFile, FtpOrigin};

    let (folder, ftp, http) = (Folder::new(), FtpOrigin::start(), Origin::start());
    ftp.require("amy", "s3cr3t");
    ftp.on("pub/file", FtpFile::new(pattern(LARGE)));
    http.on("/mirror/other", Reply::ok("from there"));
    folder.write(".netrc", "machine 127.0.0.1 login amy password s3cr3t\n");
    let remotes = ["--remote", &ftp.url("/pub/"), "--remote", &http.url("/mirror/"), "--netrc"];
    let serving = Serving::start(&folder, remotes);
    serving.get("/file").is_whole(&pattern(LARGE));
    serving.get("/other").is_whole(b"from there");
}

#[cfg(feature = "store")]
#[test]
fn a_bucket_is_a_remote_wherever_the_environment_says_it_is() {
    use crate::store::server::{ID, SECRET, Server};

    let (folder, server) = (Folder::new(), Server::start());
    server.put("images/a+b c", &pattern(LARGE));
    let mut command = crate::ganymede::command(&folder);
    command.args([
        "stream",
        "--listen",
        "127.0.0.1:0",
        "--remote",
        "s3://bucket/images/",
        "--cache",
        "cache",
    ]);
    command.env("AWS_ENDPOINT_URL", server.endpoint());
    command.env("AWS_ACCESS_KEY_ID", ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    let serving = Serving::run(command, 1);
    serving.get("/a+b%20c").is_whole(&pattern(LARGE));
    assert_eq!(serving.get("/none").status, 404);
}

#[test]
fn credentials_and_certificates_are_those_of_the_command_line() {
    let (folder, authority) = (Folder::new(), Authority::new("ours"));
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    authority.write_to(folder.path(), "ca");
    folder.write("password", "s3cr3t\n");
    origin.on("/file", Reply::ok("content").require_basic("amy", "s3cr3t"));
    let remote = origin.url("/");
    let trusting = ["--remote", &remote, "--ca-certificate", "ca.pem", "--retries", "0"];
    let known = trusting.iter().chain(&["--user", "amy", "--password-file", "password"]);
    let serving = Serving::start(&folder, known);
    let answer = serving.ask("GET", "/file", &[("Authorization", "Basic eDp4")]).read();
    answer.is_whole(b"content");
    assert_eq!(Serving::start(&folder, trusting).get("/file").status, 502);
    assert_eq!(Serving::start(&folder, ["--remote", &remote, "--retries", "0"]).get("/file").status, 502);
}

#[test]
fn headers_pass_as_they_are_told_to() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok("x").header("X-Inside", "1").header("Set-Cookie", "a=b"));
    let sent = [("X-Account", "7"), ("X-Other", "8"), ("Authorization", "Basic eDp4"), ("Cookie", "c=d")];
    let remote = origin.url("/");
    let asked = |more: &[&str]| {
        let serving = Serving::start(&folder, ["--remote", &remote].iter().chain(more));
        let response = serving.ask("GET", "/file", &sent).read();
        let journal = origin.journal();
        let seen = sent.map(|(name, _)| journal.last().unwrap().header(name).is_some());
        (seen, response)
    };
    let (seen, response) = asked(&[]);
    assert_eq!((seen, response.header("x-inside")), ([false; 4], Some("1")));
    assert!(
        response.header("via").unwrap().ends_with(" ganymede") && response.header("set-cookie").is_none()
    );
    let (seen, response) =
        asked(&["--pass-header", "X-Account", "--hide-header", "X-Inside", "--name", "edge-1"]);
    assert_eq!((seen, response.header("x-inside")), ([true, false, false, false], None));
    assert!(response.header("via").unwrap().ends_with(" edge-1") && response.cache().starts_with("edge-1;"));
    assert_eq!(asked(&["--pass-all-headers"]).0, [true, true, false, false]);
    assert_eq!(asked(&["--pass-credentials"]).0, [false, false, true, true]);
}

#[test]
fn a_proxy_is_that_of_the_command_line_and_none_of_the_environment() {
    let (folder, origin, proxy, other) = (Folder::new(), Origin::start(), Proxy::start(), Proxy::start());
    origin.on("/file", Reply::ok("x"));
    let run = |more: &[&str]| {
        let mut command = crate::ganymede::command(&folder);
        command.args(["stream", "--listen", "127.0.0.1:0", "--remote", &origin.url("/")]).args(more);
        Serving::run(
            {
                command.env("http_proxy", other.url());
                command
            },
            1,
        )
    };
    run(&["--proxy", &proxy.url()]).get("/file").is_whole(b"x");
    run(&[]).get("/file").is_whole(b"x");
    assert_eq!((proxy.connections(), other.connections(), origin.requests("/file")), (1, 0, 2));
}
