//! Metalink/HTTP: what a server says in headers.

use ganymede::{
    BufferWriter, Context, Download, ErrorKind, Http, Protocol, Request, RetryDelegate, Transfer,
    ValidationError,
};
use ganymede_kit::{Authority, Origin, Reply, pattern};
use ganymede_metalink::{Discovery, Preference};

use crate::support::{PIECE, damaged, described, instance_digest, metalink, range_of, ranges};

const META4: &str = "rel=describedby; type=\"application/metalink4+xml\"";

type End = (Result<ganymede::Receipt, ganymede::DownloadError>, Option<Vec<u8>>);

fn run_over<P: Protocol + 'static>(url: &str, discovery: Discovery<P>) -> End {
    let buffer = BufferWriter::new(16 << 20);
    let delegate = discovery.delegate();
    let mut download = Transfer::new(Request::get(url).unwrap(), discovery)
        .writer(buffer.clone())
        .handler(RetryDelegate::new(1))
        .handler(delegate);
    (download.run(&Context::new()), buffer.take())
}

fn run(url: &str) -> End {
    run_over(url, Discovery::new(Http::new()))
}

fn asked(origin: &Origin, path: &str, method: &str) -> usize {
    let journal = origin.journal();
    journal.iter().filter(|received| received.path() == path && received.method == method).count()
}

#[test]
fn duplicates_are_mirrors_and_the_head_is_asked_for_once() {
    let (content, origin, mirror) = (pattern(3 * PIECE), Origin::start(), Origin::start());
    let near = mirror.on("/near", Reply::ok(content.clone()).ranges().etag("\"other\""));
    let far = mirror.url("/far");
    let links = format!("<{far}>; rel=duplicate; pri=1, <{near}>; rel=duplicate; pri=2; geo=de");
    let url = origin.on(
        "/file",
        Reply::ok(content.clone())
            .header("Link", links)
            .header("Digest", instance_digest(&content))
            .cut_after(PIECE as u64),
    );
    let preference = Preference::new().locations(["de"]);
    let (end, stored) = run_over(&url, Discovery::new(Http::new()).preference(preference));
    let receipt = end.unwrap();
    assert!(stored.unwrap() == content);
    assert_eq!((receipt.source().as_str(), receipt.attempts()), (near.as_str(), 3));
    assert_eq!((asked(&origin, "/file", "HEAD"), asked(&mirror, "/near", "HEAD")), (1, 0));
    assert_eq!(asked(&mirror, "/far", "GET"), 0);
    let journal = origin.journal();
    assert_eq!(journal[0].header("want-digest"), Some("sha-512, sha-256"));
}

#[test]
fn a_stated_digest_is_enforced_also_of_mirrors() {
    let (content, origin, mirror) = (pattern(10_000), Origin::start(), Origin::start());
    let other = mirror.on("/file", Reply::ok(pattern(9_999)));
    let url = origin.on(
        "/file",
        Reply::ok(vec![7; 10_000])
            .header("Link", format!("<{other}>; rel=duplicate"))
            .header("Digest", instance_digest(&content)),
    );
    let (end, stored) = run(&url);
    let error = end.unwrap_err();
    let bad = |failure: &ganymede::Failure| {
        matches!(failure.kind(), ErrorKind::Validation(ValidationError::Digest { .. }))
    };
    assert!(error.history().iter().all(|attempt| bad(attempt.failure())) && error.history().len() == 2);
    assert!(stored.is_none());
    assert_eq!(asked(&mirror, "/file", "GET"), 1);
}

#[test]
fn without_a_strong_digest_duplicates_are_passed_over() {
    let (origin, mirror) = (Origin::start(), Origin::start());
    let other = mirror.on("/file", Reply::ok("content"));
    for digest in [None, Some("MD5=1B2M2Y8AsgTpgAmY7PhCfg=="), Some("SHA-256=nonsense")] {
        let mut reply = Reply::ok("content").header("Link", format!("<{other}>; rel=duplicate")).cut_after(3);
        if let Some(digest) = digest {
            reply = reply.header("Digest", digest);
        }
        let url = origin.on("/file", reply);
        assert!(run(&url).0.is_err(), "{digest:?}");
    }
    assert!(mirror.journal().is_empty());
}

#[test]
fn a_description_repairs_pieces_from_its_mirrors() {
    let (content, origin, mirror) = (pattern(6 * PIECE + 5), Origin::start(), Origin::start());
    let other = mirror.on("/copy", Reply::ok(content.clone()).ranges());
    let files = format!(
        "<file name=\"other\"><size>1</size></file><file name=\"file\">{}<url>{other}</url></file>",
        described(&content)
    );
    origin.on("/folder/file.meta4", Reply::ok(metalink(&files)));
    let url = origin.on(
        "/folder/file",
        Reply::ok(damaged(&content, [4])).ranges().header("Link", format!("<file.meta4>; {META4}")),
    );
    let (end, stored) = run(&url);
    assert_eq!(end.unwrap().attempts(), 1);
    assert!(stored.unwrap() == content);
    assert_eq!(ranges(&mirror, "/copy"), [range_of(4)]);
    assert_eq!(ranges(&origin, "/folder/file"), [""]);
}

#[test]
fn a_lying_description_fails_the_download() {
    let (content, origin) = (pattern(3 * PIECE), Origin::start());
    let lie = |described: String| {
        origin.on("/file.meta4", Reply::ok(metalink(&format!("<file name=\"file\">{described}</file>"))));
    };
    let reply = Reply::ok(content.clone()).ranges().header("Link", format!("</file.meta4>; {META4}"));
    let url = origin.on("/file", reply.clone());
    // Of another content of the same size: no piece fits.
    lie(described(&vec![7; content.len()]));
    let (end, stored) = run(&url);
    assert!(matches!(end.unwrap_err().kind(), ErrorKind::Validation(ValidationError::Digest { .. })));
    assert!(stored.is_none());
    // Of another size: nothing is asked for.
    let before = asked(&origin, "/file", "GET");
    lie("<size>5</size>".to_owned());
    let (end, stored) = run(&url);
    assert!(matches!(end.unwrap_err().kind(), ErrorKind::Validation(ValidationError::Size { .. })));
    assert!(stored.is_none());
    // Of another digest than the server itself states: nothing is asked for either.
    let url = origin.on("/file", reply.header("Digest", instance_digest(&content)));
    lie(format!("<hash type=\"sha-256\">{}</hash>", "00".repeat(32)));
    let (end, stored) = run(&url);
    let error = end.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. })));
    assert!(error.failure().to_string().contains("contradicts"), "{error}");
    assert!(stored.is_none());
    assert_eq!(asked(&origin, "/file", "GET"), before);
}

#[test]
fn a_description_that_cannot_be_had_is_done_without() {
    let (content, origin) = (pattern(1_000), Origin::start());
    for description in [Reply::error(404), Reply::ok("<html/>"), Reply::generated(17 << 20)] {
        origin.on("/file.meta4", description);
        let reply = Reply::ok(content.clone()).header("Link", format!("</file.meta4>; {META4}"));
        let url = origin.on("/file", reply);
        let (end, stored) = run(&url);
        assert!(end.is_ok() && stored.unwrap() == content);
    }
    assert!(origin.sent("/file.meta4") < 16 << 20);
}

#[test]
fn no_description_is_taken_over_less_than_the_content() {
    let (content, plain) = (pattern(1_000), Origin::start());
    let authority = Authority::new("ours");
    let secure = Origin::tls(&authority.server(&["127.0.0.1"]));
    let folder = ganymede_kit::Folder::new();
    let certificate = authority.write_to(folder.path(), "ca");
    let at = plain.on("/file.meta4", Reply::ok(metalink("<file name=\"file\"><size>5</size></file>")));
    let url = secure.on("/file", Reply::ok(content.clone()).header("Link", format!("<{at}>; {META4}")));
    let http = Http::new().ca_certificate(certificate);
    let (end, stored) = run_over(&url, Discovery::new(http));
    assert!(end.is_ok() && stored.unwrap() == content);
    assert!(plain.journal().is_empty());
}

#[test]
fn a_server_that_does_not_tell_its_head_is_asked_all_the_same() {
    let (content, origin) = (pattern(1_000), Origin::start());
    let body = content.clone();
    let url = origin.handle("/file", move |received| match received.method.as_str() {
        "HEAD" => Reply::error(405),
        _ => Reply::ok(body.clone()),
    });
    let (end, stored) = run(&url);
    assert!(end.is_ok() && stored.unwrap() == content);
    let absent = run(&origin.url("/absent")).0.unwrap_err();
    assert!(absent.is_not_found());
}

#[test]
fn what_the_target_has_already_is_not_asked_for() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("content").etag("\"one\""));
    let mut request = Request::get(&url).unwrap();
    request.set_if_changed(Some(ganymede::Validator::ETag("\"one\"".to_owned())));
    let reply = Discovery::new(Http::new()).send(&request, &Context::new()).unwrap();
    assert_eq!((reply.head().status().as_u16(), reply.has_body()), (304, false));
    assert_eq!(origin.journal().len(), 1);
}

#[test]
fn credentials_stay_behind_from_mirrors_and_descriptions_elsewhere() {
    let (content, origin, other) = (pattern(1_000), Origin::start(), Origin::start());
    let copy = other.on("/copy", Reply::ok(content.clone()));
    let at = other.on("/file.meta4", Reply::error(404));
    let url = origin.on(
        "/file",
        Reply::ok(content.clone())
            .header("Link", format!("<{copy}>; rel=duplicate, <{at}>; {META4}"))
            .header("Digest", instance_digest(&content))
            .require_basic("amy", "secret")
            .cut_after(10),
    );
    let http = Http::new().user("amy", "secret").header("x-account", "7");
    let (end, stored) = run_over(&url, Discovery::new(http));
    assert!(end.is_ok() && stored.unwrap() == content);
    let journal = other.journal();
    assert!(journal.iter().any(|received| received.path() == "/file.meta4"));
    assert!(journal.iter().all(|received| received.header("authorization").is_none()));
    assert!(journal.iter().all(|received| received.header("x-account").is_none()));
}
