//! Several sources: the importer's logic, unchanged (S4, S7).

use std::sync::Arc;
use std::thread::scope;

use ganymede::{Context, Importer};
use ganymede_kit::{End, Folder, Origin, Reply, Response, pattern, wait_until};
use ganymede_streamer::{Remote, Streamer};

use crate::mirroring::{self, Content, Run};
use crate::{LARGE, Running, cache, digests, files, remote, sha256};

#[test]
fn the_next_source_is_asked_when_one_does_not_have_it_or_is_cut_or_sends_another_content() {
    let sources = [Origin::start(), Origin::start(), Origin::start(), Origin::start()];
    let right = pattern(1000);
    sources[1].on("/file", Reply::ok(right.clone()).cut_after(500));
    sources[2].on("/file", Reply::ok(vec![7; 1000]));
    sources[3].on("/file", Reply::ok(right.clone()).header("Cache-Control", "max-age=60"));
    let folder = Folder::new();
    let mut all = remote(&sources[0]).digests(digests("/file", &right));
    for source in &sources[1..] {
        all = all.mirror(&source.url("/")).unwrap();
    }
    let server = Running::start(Streamer::new(all).cache(cache(&folder)));
    server.get("/file").is_whole(&right);
    assert!(server.get("/file").is_whole(&right).is_hit());
    assert_eq!(sources.map(|source| source.requests("/file")), [1, 1, 1, 1]);
}

#[test]
fn a_source_that_has_sent_a_wrong_body_is_asked_last_for_a_while() {
    let (bad, good) = (Origin::start(), Origin::start());
    for (name, size) in [("/one", 1000), ("/two", 1000), ("/three", LARGE)] {
        bad.on(name, Reply::ok(vec![7; size]));
        good.on(name, Reply::ok(pattern(size)));
    }
    let expected = digests("/one", &pattern(1000));
    let expected = expected.with(&"/two".parse().unwrap(), sha256(&pattern(1000)));
    let expected = expected.with(&"/three".parse().unwrap(), sha256(&pattern(LARGE)));
    let remote = remote(&bad).mirror(&good.url("/")).unwrap().digests(expected);
    let server = Running::start(Streamer::new(remote));
    // Its first bytes have been passed on, so this one is cut; the next is right from the start.
    server.get("/three").is_cut();
    server.get("/three").is_whole(&pattern(LARGE));
    server.get("/one").is_whole(&pattern(1000));
    server.get("/two").is_whole(&pattern(1000));
    assert_eq!([bad.requests("/three"), bad.requests("/one"), bad.requests("/two")], [1, 0, 0]);
}

#[test]
fn after_the_first_byte_another_source_goes_on_at_the_same_byte() {
    let (first, second) = (Origin::start(), Origin::start());
    first.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").ranges().cut_after(1_000_000));
    second.on("/file", Reply::ok(pattern(LARGE)).etag("\"a\"").ranges());
    let remote = remote(&first).mirror(&second.url("/")).unwrap().digests(digests("/file", &pattern(LARGE)));
    let server = Running::start(Streamer::new(remote));
    server.get("/file").is_whole(&pattern(LARGE));
}

/// The downloads of an importer, as a server keeps what it passes on, and as it does not.
const RUNS: [Run; 2] = [kept, passed];

fn kept(importer: &Arc<dyn Importer>, context: &Context, paths: &[&str]) -> Vec<Content> {
    let folder = Folder::new();
    let server = Running::start(Streamer::new(Arc::clone(importer)).cache(cache(&folder)).context(context));
    let contents = asked(&server, paths);
    let right = contents.iter().filter(|content| content.is_ok()).count();
    wait_until("what was right to be kept, and nothing else", || files(&folder, "objects").len() == right);
    contents
}

fn passed(importer: &Arc<dyn Importer>, context: &Context, paths: &[&str]) -> Vec<Content> {
    asked(&Running::start(Streamer::new(Arc::clone(importer)).context(context)), paths)
}

fn asked(server: &Running, paths: &[&str]) -> Vec<Content> {
    scope(|scope| {
        let ask = |path: &str| server.get(&format!("/{path}"));
        let clients: Vec<_> = paths.iter().map(|path| scope.spawn(move || ask(path))).collect();
        let answers = clients.into_iter().map(|client| client.join().unwrap());
        answers.map(|answer| if is_content(&answer) { Ok(answer.body) } else { Err(answer.body) }).collect()
    })
}

fn is_content(answer: &Response) -> bool {
    (answer.status, answer.end) == (200, End::Whole)
}

#[test]
fn each_source_is_tried_once_in_order_until_one_is_good() {
    RUNS.into_iter().for_each(mirroring::each_source_is_tried_once_in_order_until_one_is_good);
}

#[test]
fn a_list_is_fetched_once_in_a_context_however_many_ask() {
    RUNS.into_iter().for_each(mirroring::a_list_is_fetched_once_in_a_context_however_many_ask);
}

#[test]
fn a_list_that_cannot_be_had_is_an_error_and_its_text_never_the_content() {
    RUNS.into_iter()
        .for_each(mirroring::a_list_that_cannot_be_had_is_an_error_and_its_text_never_the_content);
}

#[test]
fn when_all_are_bad_the_error_names_every_mirror_and_why() {
    RUNS.into_iter().for_each(mirroring::when_all_are_bad_the_error_names_every_mirror_and_why);
}

#[test]
fn one_server_serves_files_too() {
    let (source, folder) = (Folder::new(), Folder::new());
    source.write("a b/c.txt", "hello");
    let remote = Remote::new(&format!("file://{}", source.path().display())).unwrap();
    let server = Running::start(Streamer::new(remote).cache(cache(&folder)));
    server.get("/a%20b/c.txt").is_whole(b"hello");
    let part = server.get_with("/a%20b/c.txt", &[("Range", "bytes=1-2")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &b"el"[..]));
    assert_eq!([server.get("/none").status, server.get("/a%20b/..%2f..").status], [404, 400]);
}
