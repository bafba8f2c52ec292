//! Bad usage: found before anything is served, and told with what is wrong.

use std::net::TcpListener;

use ganymede_kit::{Folder, Origin};

use super::Serving;
use crate::ganymede::{Finished, run};

#[track_caller]
fn refused(folder: &Folder, arguments: &[&str]) -> Finished {
    let run = run(folder, ["stream"].iter().chain(arguments)).exited(2);
    assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
    assert_eq!(run.text(), "", "{arguments:?}");
    run
}

#[test]
fn a_folder_keeps_what_is_below_one_remote_and_its_mirrors() {
    let (folder, origin, mirror) = (Folder::new(), Origin::start(), Origin::start());
    let (first, second) = (origin.url(""), mirror.url("/"));
    let start = |remotes: &[&str]| {
        let remotes = remotes.iter().flat_map(|remote| ["--remote", remote]);
        Serving::start(&folder, ["--cache", "cache"].into_iter().chain(remotes)).end();
    };
    start(&[&first]);
    start(&[&format!("{first}/"), &second]);
    start(&[&second.replace("http://", "http://amy:s3cr3t@")]);
    let all = ["--listen", "127.0.0.1:0", "--cache", "cache", "--remote", &first];
    refused(&folder, &all)
        .says("--cache")
        .says(&format!("of another remote, {second}"))
        .says("choose another folder");
    assert!(!String::from_utf8(folder.read("cache/remotes")).unwrap().contains("s3cr3t"));
    start(&[&second]);
}

#[test]
fn what_is_wrong_is_quoted_with_what_to_do() {
    let folder = Folder::new();
    folder.write("file", "");
    folder.write("SUMS", "# a comment\n00  a\n");
    folder.write("other", format!("{}  a\n", "00".repeat(32)));
    folder.write("another", format!("{}  a\n", "11".repeat(32)));
    folder.write("list", "a\n\nb/../c\n");
    let cache = ["--cache", "cache"];
    for (arguments, texts) in [
        (&["--listen", "8080"][..], &["--listen 8080", "127.0.0.1:8080"][..]),
        (&["--listen", "127.0.0.1:99999"], &["127.0.0.1:99999"]),
        (&["--listen", "203.0.113.1:0"], &["--listen 203.0.113.1:0", "no address of this machine"]),
        (&["--remote", "http://example.com/?a=b"], &["http://example.com/?a=b", "leave out"]),
        (&["--remote", "example.com/debian"], &["example.com/debian", "https://"]),
        (&["--remote", "gopher://example.com/"], &["gopher://example.com/", "known: ", "http"]),
        (&["--remote", "http://amy:s3cr3t@example.com/?a"], &["http://example.com/?a"]),
        (&["--digests", "absent"], &["--digests", "absent"]),
        (&["--digests", "."], &["--digests", "directory"]),
        (&["--digests", "SUMS"], &["SUMS, line 2", "2 digits"]),
        (&["--digests", "other", "--digests", "another"], &["another", "two digests for \"a\""]),
        (&["--cache-size", "1G"], &["--cache-size", "--cache DIR"]),
        (&["--finish"], &["--finish", "--cache DIR"]),
        (&["--policy", "on-demand"], &["--policy on-demand", "--cache DIR"]),
        (&["--policy", "immediate"], &["--policy immediate", "--cache DIR"]),
        (&["--policy", "streamed", "--cache", "cache"], &["--policy streamed", "leave --cache out"]),
        (&["--policy", "immediate", "--cache", "cache"], &["--prefetch FILE or --digests FILE"]),
        (&["--policy", "never"], &["never", "on-demand"]),
        (&["--prefetch", "list"], &["--prefetch", "--cache DIR"]),
        (&["--cache", "file"], &["--cache", "file", "check the folder"]),
        (&["--cache-size", "lots"], &["lots", "1M"]),
        (&["--pass-header", "a b"], &["--pass-header \"a b\""]),
        (&["--pass-header", "Cookie"], &["--pass-header Cookie", "--pass-credentials"]),
        (&["--hide-header", ""], &["--hide-header \"\""]),
        (&["--show-header", "a b"], &["--show-header \"a b\""]),
        (&["--heed-header", "a:"], &["--heed-header \"a:\""]),
        (&["--name", "a b"], &["--name \"a b\""]),
        (&["--pass-credentials", "--netrc"], &["--netrc"]),
        (&["--header-size", "1K"], &["1K", "8K"]),
        (&["--clients", "0"], &["0"]),
        (&["--heuristic", "101"], &["101"]),
        (&["--drain", "soon"], &["soon", "10s"]),
        (&["--access-log", "no/such/folder/log"], &["--access-log", "no/such/folder/log", "none"]),
        (&["--log-format", "xml"], &["xml", "json"]),
        (&["--user", "amy"], &["--user \"amy\""]),
        (&["--ca-certificate", "file"], &["file holds no certificate"]),
        (&["--public-only"], &["--public-only"]),
    ] {
        // With port 0, nothing but what is tested is wrong.
        let place: &[&str] = if arguments[0] == "--listen" { &[] } else { &["--listen", "127.0.0.1:0"] };
        let all = [place, &["--remote", "http://example.com/"], arguments].concat();
        let run = refused(&folder, &all);
        for text in texts {
            assert!(run.stderr.contains(text), "{text:?} is not in: {}", run.stderr);
        }
        assert!(!run.stderr.contains("s3cr3t"), "{}", run.stderr);
    }
    for (list, text) in
        [("absent", "cannot read absent"), ("list", "list, line 3: \"b/../c\""), (".", "directory")]
    {
        let all = [&["--remote", "http://example.com/", "--prefetch", list], &cache[..]].concat();
        refused(&folder, &all).says("--prefetch").says(text);
    }
    refused(&folder, &[]).says("--remote <URL>");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let (folder, taken) = (Folder::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let place = taken.local_addr().unwrap().to_string();
    let run = refused(&folder, &["--remote", "http://example.com/", "--listen", &place]);
    run.says(&format!("--listen {place}: ")).says("end it, or choose another port");
}

#[test]
fn a_cache_is_for_one_at_a_time() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let serving = Serving::keeping(&folder, &origin, &[]);
    let arguments = ["--listen", "127.0.0.1:0", "--remote", &origin.url("/"), "--cache", "cache"];
    refused(&folder, &arguments).says("the cache in cache is used by another process; end that");
    serving.end();
    Serving::keeping(&folder, &origin, &[]).end();
}

#[test]
fn it_explains_itself() {
    let folder = Folder::new();
    let help = run(&folder, ["stream", "--help"]).exited(0).text();
    for text in
        ["Usage: ganymede stream", "Examples:", "Exit status:", "Signals:", "apt update", "--index-url"]
    {
        assert!(help.contains(text), "{text} is not in {help}");
    }
    let page = run(&folder, ["man", "stream"]).exited(0).text();
    assert!(page.contains("\\-\\-cache\\-size") && page.contains(".TH ganymede-stream 1"), "{page}");
    let completions = run(&folder, ["completions", "bash"]).exited(0).text();
    assert!(completions.contains("--stale-if-error"));
}
