//! What has broken off goes on, with the same version or not at all.

use std::sync::Arc;
use std::time::Duration;

use ganymede::{
    Action, BufferWriter, Context, Digest, Download, Event, FileWriter, MirrorDelegate, Request,
    RetryDelegate, Transfer,
};
use ganymede_kit::{Break, Folder, Origin, Passage, Relay, Reply, pattern};
use ganymede_store::{Store, StoreDownload};

use crate::server::{ID, SECRET, Server};

fn through(relay: &Relay) -> Store {
    Store::new().endpoint(relay.url("http", "").trim_end_matches('/')).credentials(ID, SECRET)
}

fn retries() -> RetryDelegate {
    RetryDelegate::new(3).base(Duration::from_millis(1))
}

fn download(store: Store, url: &str) -> StoreDownload {
    Transfer::new(Request::get(url).unwrap(), store).handler(retries())
}

#[test]
fn a_cut_body_goes_on_where_it_stopped_if_the_object_is_the_same() {
    let server = Server::start();
    let content = pattern(2 << 20);
    let url = server.put("a", &content);
    let relay = Relay::start(server.address(), [Passage::After(900_000, Break::Close), Passage::Pass]);
    let buffer = BufferWriter::new(4 << 20);
    let receipt = download(through(&relay), &url).writer(buffer.clone()).run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert_eq!(receipt.attempts(), 2);
    let journal = server.journal();
    let [first, second] = &journal[..] else { panic!("{journal:?}") };
    assert_eq!((first.header("range"), first.header("if-match")), (None, None));
    let range = second.header("range").unwrap();
    let from: usize = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap();
    assert!(from > 0 && from < 900_000, "{range}");
    assert!(second.header("if-match").is_some_and(|tag| tag.starts_with('"')), "{second:?}");
}

#[test]
fn an_object_that_is_exchanged_in_the_middle_is_never_mixed() {
    let server = Arc::new(Server::start());
    let (old, new) = (vec![b'o'; 2 << 20], vec![b'n'; 2 << 20]);
    let url = server.put("a", &old);
    let relay = Relay::start(server.address(), [Passage::After(900_000, Break::Close), Passage::Pass]);
    let folder = Folder::new();
    let (there, newer) = (Arc::clone(&server), new.clone());
    let exchange = move |event: &mut Event<'_>, _: &Context| {
        if let Event::Sending { attempt: 2, .. } = event {
            there.put("a", &newer);
        }
        Action::Continue
    };
    let writer = FileWriter::new(folder.file("a"));
    let mut download = download(through(&relay), &url).handler(exchange).writer(writer);
    assert_eq!(download.run(&Context::new()).unwrap().attempts(), 2);
    assert!(folder.read("a") == new, "bytes of two versions, or of the old one");
    let asked: Vec<_> = server.journal().iter().map(|asked| asked.header("range").is_some()).collect();
    assert_eq!(asked, [false, true, false], "the range of the old version is asked for, and then everything");
}

#[test]
fn what_an_interrupted_run_has_left_is_gone_on_with_in_the_next() {
    let server = Server::start();
    let content = pattern(2 << 20);
    let url = server.put("a", &content);
    let folder = Folder::new();
    let relay = Relay::start(server.address(), [Passage::After(900_000, Break::Close), Passage::Pass]);
    let run = |store: Store| {
        let request = Request::get(&url).unwrap();
        Transfer::new(request, store).writer(FileWriter::new(folder.file("a"))).run(&Context::new())
    };
    assert!(run(through(&relay)).is_err());
    assert!(folder.entries().contains(&".a.ganymede-part".to_owned()));
    run(through(&relay)).unwrap();
    assert!(folder.read("a") == content);
    assert_eq!(folder.entries(), ["a"]);
    assert!(server.journal().last().unwrap().header("range").is_some());
}

#[test]
fn an_object_goes_on_where_a_web_server_stopped() {
    let server = Server::start();
    let content = pattern(1 << 20);
    let url = server.put("a", &content);
    let origin = Origin::start();
    let web = origin.on("/a", Reply::ok(content.clone()).cut_after(400_000));
    let digest: Digest = ganymede::Facts::of(&content[..], [ganymede::Algorithm::Sha256])
        .unwrap()
        .digest(ganymede::Algorithm::Sha256)
        .unwrap();
    let store = Store::new().endpoint(server.endpoint()).credentials(ID, SECRET);
    let factory = ganymede::Factory::new().register("s3", store);
    let buffer = BufferWriter::new(2 << 20);
    let mut download = factory
        .download(&web)
        .unwrap()
        .validation(ganymede::DigestValidation::new(digest))
        .handler(MirrorDelegate::new([url.parse().unwrap()]))
        .writer(buffer.clone());
    download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    let range = server.journal()[0].header("range").map(str::to_owned);
    assert_eq!(range.as_deref(), Some("bytes=400000-"));
}
