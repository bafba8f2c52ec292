//! Files of Metalinks, downloaded.

use ganymede::{
    BufferWriter, Context, Download, ErrorKind, Factory, Http, Request, Segmented, ValidationError,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_metalink::{File, Metalink, Preference};

use crate::support::{PIECE, damaged, described, metalink, range_of, ranges};

fn file(inside: &str) -> File {
    let text = metalink(&format!("<file name=\"a\">{inside}</file>"));
    Metalink::parse(text.as_bytes()).unwrap().into_files().remove(0)
}

fn run(file: &File) -> (Result<ganymede::Receipt, ganymede::DownloadError>, Option<Vec<u8>>) {
    let buffer = BufferWriter::new(16 << 20);
    let download = file.download(Http::new(), &Preference::new()).unwrap();
    let end = download.writer(buffer.clone()).run(&Context::new());
    (end, buffer.take())
}

#[test]
fn mirrors_are_asked_by_priority_and_each_for_what_is_lacking() {
    let (content, origin, mirror) = (pattern(5 * PIECE), Origin::start(), Origin::start());
    let first = origin.url("/absent");
    let second = origin.on("/bad", Reply::ok(damaged(&content, [1])).ranges());
    let third = mirror.on("/good", Reply::ok(content.clone()).ranges());
    let never = mirror.url("/never");
    let inside = format!(
        "{}<url>{never}</url><url priority=\"3\">{third}</url><url priority=\"1\">{first}</url>\
         <url priority=\"2\">{second}</url>",
        described(&content)
    );
    let (end, stored) = run(&file(&inside));
    let receipt = end.unwrap();
    assert!(stored.unwrap() == content);
    assert_eq!((receipt.source().as_str(), receipt.attempts()), (second.as_str(), 2));
    assert_eq!(
        (ranges(&origin, "/absent"), ranges(&origin, "/bad")),
        (vec![String::new()], vec![String::new()])
    );
    assert_eq!((ranges(&mirror, "/good"), mirror.requests("/never")), (vec![range_of(1)], 0));
}

#[test]
fn the_size_and_the_strongest_digest_are_enforced() {
    let (content, origin) = (pattern(1_000), Origin::start());
    let url = origin.on("/file", Reply::ok(content.clone()));
    let (end, stored) = run(&file(&format!("<size>999</size><url>{url}</url>")));
    let error = end.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(ValidationError::Size { .. })) && stored.is_none());
    let weak = "<hash type=\"md5\">00000000000000000000000000000000</hash>";
    let strong = crate::support::sha256(&content).hex();
    let strong = format!("<hash type=\"sha-256\">{strong}</hash>");
    let (end, stored) = run(&file(&format!("{weak}<url>{url}</url>")));
    let error = end.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Validation(ValidationError::Digest { .. })) && stored.is_none()
    );
    let (end, stored) = run(&file(&format!("{weak}{strong}<url>{url}</url>")));
    assert!(end.is_ok() && stored.unwrap() == content);
}

#[test]
fn sources_of_preferred_countries_come_first() {
    let file = file(
        "<url priority=\"1\">http://h/1</url><url priority=\"2\" location=\"us\">http://h/2</url>\
         <url priority=\"3\" location=\"de\">http://h/3</url><url priority=\"2\" location=\"de\">http://h/4</url>\
         <url priority=\"1\" location=\"de\">gopher://h/5</url><url priority=\"1\" location=\"fr\">http://h/6</url>",
    );
    let asked = |preference: &Preference| -> Vec<String> {
        preference.sources(&file).iter().map(|source| source.url().path().to_owned()).collect()
    };
    assert_eq!(asked(&Preference::new()), ["/1", "/6", "/2", "/4", "/3"]);
    assert_eq!(asked(&Preference::new().locations(["DE", "us", "nowhere"])), ["/4", "/3", "/2", "/1", "/6"]);
    assert_eq!(asked(&Preference::of(&Factory::new()).schemes(["gopher"])), ["/5"]);
}

#[test]
fn a_file_without_a_url_of_use_or_a_digest_that_is_known_is_refused() {
    let refused = |inside: &str| {
        let failure = file(inside).download(Http::new(), &Preference::new()).unwrap_err();
        assert!(matches!(failure.kind(), ErrorKind::Unsupported));
        failure.to_string()
    };
    assert!(refused("").contains("gives no URL"));
    assert!(refused("<url>gopher://h/a</url>").contains("none of its 1 URLs can be fetched"));
    let message = refused("<hash type=\"whirlpool\">00</hash><url>http://h/a</url>");
    assert!(message.contains("whirlpool") && message.contains("not known"), "{message}");
}

#[test]
fn a_metalink_from_the_network_leads_to_no_local_file() {
    let folder = Folder::new();
    let local = folder.write("secret", "secret");
    let text = metalink(&format!("<file name=\"a\"><url>file://{}</url></file>", local.display()));
    let origin = Origin::start();
    let url = origin.on("/a.meta4", Reply::ok(text.clone()));
    let factory = Factory::new();
    let preference = Preference::of(&factory);
    let fetched = Metalink::fetch(Request::get(&url).unwrap(), factory.clone(), &Context::new()).unwrap();
    assert!(fetched.files()[0].download(factory.clone(), &preference).is_err());
    let at = ganymede::Url::from_file_path(folder.file("a.meta4")).unwrap();
    let local = Metalink::parse(text.as_bytes()).unwrap().found_at(at);
    let buffer = BufferWriter::new(100);
    let download = local.files()[0].download(factory, &preference).unwrap();
    download.writer(buffer.clone()).run(&Context::new()).unwrap();
    assert_eq!(buffer.take().unwrap(), b"secret");
}

#[test]
fn credentials_go_to_the_origin_of_the_metalink_alone() {
    let (content, home, other) = (pattern(1_000), Origin::start(), Origin::start());
    other.on("/file", Reply::error(404));
    let own = home.on("/file", Reply::ok(content.clone()).require_basic("amy", "secret"));
    let text = metalink(&format!(
        "<file name=\"a\"><url priority=\"1\">{}</url><url priority=\"2\">{own}</url></file>",
        other.url("/file")
    ));
    let at = home.on("/a.meta4", Reply::ok(text).require_basic("amy", "secret"));
    let http = Http::new().user("amy", "secret");
    let fetched = Metalink::fetch(Request::get(&at).unwrap(), http.clone(), &Context::new()).unwrap();
    let buffer = BufferWriter::new(2_000);
    let download = fetched.files()[0].download(http, &Preference::new()).unwrap();
    download.writer(buffer.clone()).run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert!(other.journal().iter().all(|received| received.header("authorization").is_none()));
    assert_eq!(other.requests("/file"), 1);
}

#[test]
fn a_download_goes_on_with_what_an_earlier_run_has_kept() {
    let (content, origin, folder) = (pattern(6 * PIECE), Origin::start(), Folder::new());
    let cut = Reply::error(404);
    let replies = [Reply::ok(content.clone()).ranges().cut_after(3 * PIECE as u64 + 9), cut.clone(), cut];
    let url = origin.sequence("/file", replies);
    let text = format!("{}<url>{url}</url>", described(&content));
    let download = || {
        let download = file(&text).download(Segmented::new(Http::new()), &Preference::new()).unwrap();
        download.writer(ganymede::FileWriter::new(folder.file("a"))).run(&Context::new())
    };
    assert!(download().is_err());
    origin.on("/file", Reply::ok(content.clone()).ranges());
    download().unwrap();
    assert!(folder.read("a") == content);
    assert_eq!(ranges(&origin, "/file").pop(), Some(format!("bytes={}-", 3 * PIECE)));
    assert_eq!(folder.entries(), ["a"]);
}
