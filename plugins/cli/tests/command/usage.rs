//! Bad usage: found before anything is sent, and told with what is wrong.

use ganymede_kit::{Authority, Folder, Origin, Reply};

use crate::ganymede::{get, run};

#[test]
fn the_command_alone_explains_itself() {
    let folder = Folder::new();
    run(&folder, [""; 0]).exited(2).says("Usage: ganymede <COMMAND>");
    let version = run(&folder, ["--version"]).exited(0).text();
    assert_eq!(version, format!("ganymede {}\n", env!("CARGO_PKG_VERSION")));
    let help = run(&folder, ["get", "--help"]).exited(0).text();
    for text in
        ["ganymede get [OPTIONS] [URL]...", "Examples:", "Exit status:", "--password-file", "--mirror-list"]
    {
        assert!(help.contains(text), "{text} is not in {help}");
    }
    get(&folder, [""; 0]).exited(2).says("nothing to download");
}

#[test]
fn nothing_is_sent_when_an_option_is_wrong_and_what_is_wrong_is_quoted() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let url = origin.on("/file", Reply::ok("content"));
    folder.write("text", "this is no certificate");
    folder.write("list", "");
    for (arguments, text) in [
        (&["--digest", "sha256=12xy"][..], "sha256=12xy"),
        (&["--digest", "sha256=12"], "sha256=12"),
        (&["--digest", "crc=12345678"], "crc"),
        (&["--size", "many"], "many"),
        (&["--size", "99999999999G"], "99999999999G"),
        (&["not-a-url"], "not-a-url"),
        (&["localhost:8080/file"], "it needs a scheme in front"),
        (&["gopher://example.com/"], "gopher"),
        (&["http://"], "http://"),
        (&["--mirror", "nowhere"], "nowhere"),
        (&["--mirror", "gopher://example.com/"], "gopher"),
        (&["--mirror-list", "nowhere"], "nowhere"),
        (&["--read-timeout", "soon"], "soon"),
        (&["--read-timeout", "10"], "10"),
        (&["--connect-timeout", "0s"], "0s"),
        (&["--deadline", "-1s"], "-1"),
        (&["-j", "0"], "0"),
        (&["-j", "lots"], "lots"),
        (&["-j", "automatic"], "neither a number from 1 to 65535 nor auto"),
        (&["-j", "65536"], "65536"),
        (&["--backlog", "0"], "0"),
        (&["--retries", "-1"], "-1"),
        (&["--max-redirects", "x"], "x"),
        (&["--progress", "often"], "often"),
        (&["--user", "amy"], "--user \"amy\""),
        (&["--user", "amy", "--password-file", "absent"], "absent"),
        (&["--user", "amy:x", "--password-file", "text"], "amy:.."),
        (&["--password-file", "text"], "--user"),
        (&["--bearer-file", "absent"], "absent"),
        (&["--user", "amy:x", "--bearer-file", "text"], "--bearer-file"),
        (&["--netrc"], ".netrc"),
        (&["-H", "Nonsense"], "Nonsense"),
        (&["-H", "Bad name: x"], "Bad name"),
        (&["-H", "Name: a\nb"], "Name"),
        (&["--proxy", "nowhere:3128"], "nowhere:3128"),
        (&["--proxy", "socks5://example.com"], "socks5://example.com"),
        (&["--ca-certificate", "absent.pem"], "absent.pem"),
        (&["--ca-certificate", "text"], "text holds no certificate"),
        (&["--client-certificate", "absent.crt"], "absent.crt"),
        (&["--client-certificate", "text", "--client-key", "absent.key"], "absent.key"),
        (&["--client-certificate", "text", "--client-key", "text"], "text"),
        (&["--client-key", "text"], "--client-certificate"),
        (&["-i", "absent-list"], "absent-list"),
        (&["-i", "."], "directory"),
        (&["-d", "text"], "text is not a folder"),
        (&["-o", "file", "-d", "dir"], "--dir"),
        (&["-o", "dir/"], "dir/"),
        (&["-o", "file", "http://example.com/2"], "--output file"),
        (&["-o", "file", "-i", "list"], "--output file"),
        (&["--digest", "md5=00", "http://example.com/2"], "--digest md5=00"),
        (&["--size", "7", "-i", "list"], "--size 7"),
        (&["--mirror", "http://example.com/2", "-i", "list"], "--mirror http://example.com/2"),
        (&["--existing", "maybe"], "maybe"),
        (&["--existing", "skip", "-o", "-"], "--existing"),
        (&["--durable", "-o", "-"], "--durable"),
        (&["--wait-for-space", "-o", "-"], "--wait-for-space"),
        (&["--remote-name", "-o", "-"], "--remote-name"),
        (&["--remote-name", "-o", "file"], "--remote-name"),
        (&["--remote-name", "--existing", "update"], "--existing update"),
        (&["--remote-name", "--existing", "verify"], "--existing verify"),
        (&["--per-host", "0"], "0"),
        (&["--max-retry-after", "5"], "5"),
        (&["--max-size", "0"], "0"),
        (&["--max-size", "1X"], "1X"),
        (&["--limit-rate", "fast"], "fast"),
        (&["--limit-rate", "0"], "0"),
        (&["--limit-rate-per-host", "-1"], "-1"),
        (&["--min-speed", "1.5k"], "1.5k"),
        (&["--min-speed-time", "10s"], "--min-speed"),
        (&["--min-speed", "1k", "--min-speed-time", "0s"], "0s"),
        (&["--trace", "-"], "--trace -"),
        (&["--trace", "no/such/folder/trace"], "no/such/folder/trace"),
        (&["--trace", "."], "--trace: cannot write ."),
        (&["-q", "-v"], "--verbose"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        let run = get(&folder, [url.as_str()].iter().chain(arguments)).exited(2).says(text);
        assert_eq!(run.text(), "", "{arguments:?}");
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
    }
    get(&folder, ["--mirror-list", &url]).exited(2).says("--output FILE");
    get(&folder, ["--mirror-list", &url, "-o", "-"]).exited(2).says("--output FILE");
    assert!(origin.journal().is_empty());
    assert_eq!(folder.entries(), ["list", "text"]);
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_found_before_anything_is_sent() {
    let (folder, authority) = (Folder::new(), Authority::new("ours"));
    let origin = Origin::tls(&authority.server(&["127.0.0.1"]));
    let url = origin.url("/file");
    authority.client("amy").write_to(folder.path(), "amy");
    authority.client("bob").write_to(folder.path(), "bob");
    let arguments = ["--client-certificate", "amy.crt", "--client-key", "bob.key", &url];
    get(&folder, arguments).exited(2).says("amy.crt");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn no_secret_is_in_a_message_about_bad_usage() {
    let folder = Folder::new();
    folder.write("two-lines", "s3cr3t\ns3cr3t");
    for arguments in [
        &["http://amy:s3cr3t@host:x/"][..],
        &["amy:s3cr3t@host/"],
        &["gopher://amy:s3cr3t@host/"],
        &["--proxy", "amy:s3cr3t@proxy:3128", "http://example.com/"],
        &["--proxy", "socks5://amy:s3cr3t@proxy:3128", "http://example.com/"],
        &["-H", "Authorization s3cr3t", "http://example.com/"],
        &["-H", "X-Token: s3cr3t\u{7f}", "http://example.com/"],
        &["--bearer-file", "two-lines", "http://example.com/"],
        &["--user", "amy:s3cr3t", "--password-file", "two-lines", "http://example.com/"],
    ] {
        let run = get(&folder, arguments).exited(2);
        assert!(!run.stderr.contains("s3cr3t"), "{}", run.stderr);
    }
}
