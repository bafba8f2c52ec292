//! Objects as sources.

use ganymede::{
    Batch, BufferWriter, ByteRange, Context, Digest, DigestValidation, Download, Factory, Http, Method,
    Protocol, Request, Transfer, Validator,
};
use ganymede_kit::{pattern, threads_named, wait_until};
use ganymede_store::{Store, StoreDownload};

use crate::server::{BUCKET, Server};
use crate::support::{fetch, refused, store};

#[test]
fn an_object_is_downloaded_with_what_the_store_says_of_it() {
    let server = Server::start();
    let content = pattern(300_000);
    let url = server.put("a.bin", &content);
    let (receipt, got) = fetch(&store(&server), &url);
    let receipt = receipt.unwrap();
    assert_eq!(got.as_ref(), Some(&content));
    let head = receipt.head();
    assert_eq!((head.length(), head.total(), head.offset()), (Some(300_000), Some(300_000), 0));
    assert!(head.strong_etag().is_some() && head.modified().is_some(), "{head:?}");
    assert_eq!((head.url().as_str(), receipt.source().as_str()), (&*url, &*url));
    // Looking first would be a second request for each object.
    assert_eq!(server.count(|_| true), 1, "{:?}", server.journal());
}

#[test]
fn keys_of_any_characters_are_found() {
    let server = Server::start();
    for key in ["a b", "a+b", "100%", "%41", "a?b", "a#b", "é/ü 漢字", "a&b=c", "a'(b)!*", "~x", "a:b@c"]
    {
        let content = key.as_bytes();
        let url = server.put(key, content);
        let (receipt, got) = fetch(&store(&server), &url);
        receipt.unwrap_or_else(|error| panic!("{key}: {error:?}"));
        assert_eq!(got.as_deref(), Some(content), "{key} as {url}");
    }
    // As people write them.
    let (receipt, got) = fetch(&store(&server), "s3://bucket/é/ü 漢字");
    assert!(receipt.is_ok());
    assert_eq!(got.as_deref(), Some("é/ü 漢字".as_bytes()));
}

#[test]
fn two_hundred_small_objects_come_through_a_batch_with_one_thread_and_few_connections() {
    let server = Server::start();
    let urls: Vec<String> = (0..200)
        .map(|number| server.put(&format!("small/{number}"), format!("object {number}").as_bytes()))
        .collect();
    let store = store(&server);
    let factory = Factory::new().register("s3", store);
    let context = Context::new();
    let downloads = urls.into_iter().enumerate().map(|(number, url)| {
        let buffer = BufferWriter::new(1 << 10);
        factory.download(&url).unwrap().writer(buffer.clone()).attach((number, buffer))
    });
    let mut seen = 0;
    for plan in Batch::new(downloads).concurrency(8).context(&context) {
        plan.result().unwrap_or_else(|error| panic!("{error}"));
        let (number, buffer) = plan.attachment();
        assert_eq!(buffer.take().unwrap(), format!("object {number}").into_bytes());
        seen += 1;
    }
    assert_eq!((seen, server.count(|_| true)), (200, 200));
    drop((factory, context));
    wait_until("the thread for stores to end", || threads_named("ganymede-store") == 0);
}

#[test]
fn a_head_alone_and_a_range_and_a_condition_are_answered() {
    let server = Server::start();
    let content = pattern(10_000);
    let url = server.put("a", &content);
    let (store, context) = (store(&server), Context::new());
    let ask = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::get(&url).unwrap();
        change(&mut request);
        store.send(&request, &context)
    };
    let read = |reply: ganymede::Reply| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reply.into_parts().1.unwrap(), &mut bytes).unwrap();
        bytes
    };
    let reply = ask(&|request| request.set_method(Method::Head)).unwrap();
    assert!(!reply.has_body());
    assert_eq!(reply.head().length(), Some(10_000));
    let tag = reply.head().validator().unwrap();
    assert!(matches!(tag, Validator::ETag(_)));

    let part = |request: &mut Request| request.set_range(ByteRange::new(100, Some(199)));
    let reply = ask(&part).unwrap();
    let head = reply.head();
    assert_eq!(
        (head.status().as_u16(), head.offset(), head.length(), head.total()),
        (206, 100, Some(100), Some(10_000))
    );
    assert_eq!(read(reply), content[100..200]);

    let same = tag.clone();
    let reply = ask(&|request| request.set_if_changed(Some(same.clone()))).unwrap();
    assert_eq!((reply.has_body(), reply.head().status().as_u16()), (false, 304));
    let other = Validator::ETag("\"other\"".to_owned());
    assert_eq!(read(ask(&|request| request.set_if_changed(Some(other.clone()))).unwrap()), content);

    let guarded = |request: &mut Request, tag: &Validator| {
        part(request);
        request.set_if_range(Some(tag.clone()));
    };
    assert_eq!(read(ask(&|request| guarded(request, &tag)).unwrap()), content[100..200]);
    let reply = ask(&|request| guarded(request, &other)).unwrap();
    assert_eq!((reply.head().status().as_u16(), reply.head().offset()), (200, 0));
    assert_eq!(read(reply), content);

    let beyond = ask(&|request| request.set_range(Some(20_000.into()))).unwrap_err();
    assert_eq!((beyond.status().map(|status| status.as_u16()), beyond.total()), (Some(416), Some(10_000)));
}

#[test]
fn several_connections_fetch_one_object_in_parts() {
    let server = Server::start();
    let content = pattern(6 << 20);
    let url = server.put("large", &content);
    let buffer = BufferWriter::new(8 << 20);
    let mut download = Transfer::new(Request::get(&url).unwrap(), store(&server))
        .map(|store| ganymede::Segmented::new(store).segments(4))
        .writer(buffer.clone());
    download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert!(server.count(|asked| asked.header("range").is_some()) > 1, "{:?}", server.journal());
}

#[test]
fn credentials_in_the_url_are_used_and_not_told() {
    let server = Server::start();
    server.put("a", b"hello");
    let url = format!("s3://{}:{}@{BUCKET}/a", crate::server::ID, crate::server::SECRET);
    let store = Store::new().endpoint(server.endpoint());
    let (receipt, got) = fetch(&store, &url);
    assert_eq!(got.as_deref(), Some(&b"hello"[..]));
    assert!(!format!("{:?}", receipt.unwrap()).contains(crate::server::SECRET));
}

#[test]
fn a_digest_decides_as_for_any_source() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    let digest: Digest = "md5:5d41402abc4b2a76b9719d911017c592".parse().unwrap();
    let wrong: Digest = "md5:00000000000000000000000000000000".parse().unwrap();
    let run = |digest| {
        let request = Request::get(&url).unwrap();
        let download = Transfer::new(request, store(&server)).writer(BufferWriter::new(10));
        download.validation(DigestValidation::new(digest)).run(&Context::new())
    };
    assert_eq!(run(digest).unwrap().facts().size(), 5);
    assert_eq!(run(wrong).unwrap_err().kind().name(), "digest-mismatch");
}

#[test]
fn what_a_guard_keeps_away_from_is_not_asked() {
    let server = Server::start();
    let url = server.put("a", b"hello");
    let guarded = Http::new().guard(ganymede::Guard::public_only());
    let failure = refused(&store(&server).http(&guarded), &url);
    assert_eq!(failure.kind().name(), "forbidden");
    assert_eq!(server.count(|_| true), 0);
    let allowed = Http::new().guard(ganymede::Guard::public_only().allow("127.0.0.1"));
    let (receipt, _) = fetch(&store(&server).http(&allowed), &url);
    receipt.unwrap();
}

#[test]
fn a_url_without_a_key_is_no_object_and_asked_nobody() {
    for url in ["s3://bucket", "s3://bucket/", "s3://bucket/folder/", "s3://bucket/a?b=c"] {
        let failure =
            StoreDownload::get(url).unwrap().writer(BufferWriter::new(1)).run(&Context::new()).unwrap_err();
        assert_eq!(failure.kind().name(), "unsupported", "{url}: {failure}");
    }
}
