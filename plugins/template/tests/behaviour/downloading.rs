//! What comes, and with what head.

use std::time::Duration;

use ganymede::{
    Algorithm, ByteRange, Context, DigestValidation, Facts, Method, MirrorDelegate, Protocol, Request,
    RetryDelegate, Validator,
};
use ganymede_kit::{Break, Passage, Relay, pattern};
use ganymede_template::Redis;

use super::server::Server;
use super::{fetch, get};

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

fn again() -> RetryDelegate {
    RetryDelegate::new(3).base(Duration::from_millis(1))
}

#[test]
fn a_value_comes_with_its_length() {
    let server = Server::start();
    let (bytes, receipt) = fetch(get(&server.set("key", pattern(100_000)))).unwrap();
    assert!(bytes == pattern(100_000));
    assert_eq!((receipt.head().length(), receipt.head().total()), (Some(100_000), Some(100_000)));
}

#[test]
fn a_key_may_have_any_bytes() {
    let server = Server::start();
    server.set("a key\r\n/with more", "hello");
    assert_eq!(fetch(get(&server.url("a%20key%0D%0A/with%20more"))).unwrap().0, b"hello");
}

#[test]
fn of_a_range_only_that_is_asked_for() {
    let server = Server::start();
    let url = server.set("key", "0123456789");
    for (last, expected) in [(None, &b"3456789"[..]), (Some(5), b"345"), (Some(u64::MAX), b"3456789")] {
        let (bytes, receipt) = fetch(get(&url).range(ByteRange::new(3, last).unwrap())).unwrap();
        assert_eq!(bytes, expected);
        assert_eq!((receipt.head().offset(), receipt.head().total()), (3, Some(10)));
    }
    assert!(server.commands().contains(&"GETRANGE key 3 5".to_owned()), "{:?}", server.commands());
    let error = fetch(get(&url).range(ByteRange::from(10))).unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), error.failure().total()), (416, Some(10)));
}

#[test]
fn of_the_head_alone_no_value_is_asked_for() {
    let server = Server::start();
    let (_, receipt) = {
        let mut download = get(&server.set("key", "hello")).method(Method::Head);
        ((), ganymede::Download::run(&mut download, &Context::new()).unwrap())
    };
    assert_eq!((receipt.head().length(), receipt.facts().size()), (Some(5), 0));
    assert_eq!(server.commands(), ["STRLEN key"]);
}

#[test]
fn who_must_have_the_same_version_gets_all_of_it() {
    let server = Server::start();
    let mut request = Request::get(&server.set("key", "0123456789")).unwrap();
    request.set_range(Some(ByteRange::from(3)));
    request.set_if_range(Some(Validator::ETag("\"1\"".to_owned())));
    let reply = Redis::new().send(&request, &Context::new()).unwrap();
    assert_eq!((reply.head().offset(), reply.head().length()), (0, Some(10)));
}

#[test]
fn what_broke_off_is_gone_on_with_if_a_digest_is_expected_and_else_begun_anew() {
    let content = pattern(200_000);
    for expects in [true, false] {
        let server = Server::start();
        server.set("key", content.clone());
        let cut = Passage::After(100_000, Break::Close);
        let relay = Relay::start(server.address(), [cut, Passage::Pass]);
        let download = get(&relay.url("redis", "/key")).handler(again());
        let download = if expects { download.validation(digest(&content)) } else { download };
        let (bytes, receipt) = fetch(download).unwrap();
        assert!(bytes == content);
        assert_eq!(receipt.attempts(), 2);
        let commands = server.commands();
        let went_on = !commands.last().unwrap().starts_with("GETRANGE key 0 ");
        assert_eq!(went_on, expects, "{commands:?}");
    }
}

#[test]
fn a_mirror_is_asked_when_it_is_not_there() {
    let (one, two) = (Server::start(), Server::start());
    let mirror = two.set("key", "hello");
    let download = get(&one.url("key")).handler(MirrorDelegate::new([mirror.parse().unwrap()]));
    let (bytes, receipt) = fetch(download).unwrap();
    assert_eq!((bytes.as_slice(), receipt.source().as_str()), (&b"hello"[..], mirror.as_str()));
}
