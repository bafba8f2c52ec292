//! What becomes of a file that is there already.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use ganymede::{
    Algorithm, Conditional, Context, Digest, Download, DownloadError, Existing, Facts, FileProtocol,
    FileWriter, Http, Protocol, Receipt, Request, SizeValidation, Transfer,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

struct Case {
    origin: Origin,
    folder: Folder,
    url: String,
}

impl Case {
    /// A folder that has another content than the origin.
    fn new() -> Self {
        let (origin, folder) = (Origin::start(), Folder::new());
        folder.write("file", "there");
        let url = origin.on("/file", Reply::ok("fetched").modified(OLD));
        Self { origin, folder, url }
    }

    fn conditional(&self, existing: Existing) -> Conditional<Http> {
        Conditional::new(Http::new(), self.folder.file("file"), existing)
    }

    fn run<P: Protocol>(&self, protocol: P) -> Result<Receipt, DownloadError> {
        let writer = FileWriter::new(self.folder.file("file"));
        Transfer::new(Request::get(&self.url).unwrap(), protocol).writer(writer).run(&Context::new())
    }

    /// Gives the file the time of the origin's content, or another one.
    fn date(&self, time: SystemTime) {
        File::options().write(true).open(self.folder.file("file")).unwrap().set_modified(time).unwrap();
    }

    /// Runs it, and tells whether the file has stayed.
    fn stays<P: Protocol>(&self, protocol: P) -> bool {
        let status = self.run(protocol).unwrap().head().status().as_u16();
        let content = self.folder.read("file");
        assert_eq!(self.folder.entries(), ["file"]);
        match status {
            304 => assert_eq!(content, b"there"),
            status => assert_eq!((status, content.as_slice()), (200, &b"fetched"[..])),
        }
        status == 304
    }
}

fn sha256(content: &[u8]) -> Digest {
    Facts::of(content, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap()
}

#[test]
fn it_is_replaced_unless_something_else_is_wanted() {
    assert_eq!(Existing::default(), Existing::Replace);
    let case = Case::new();
    assert!(!case.stays(case.conditional(Existing::Replace)));
}

#[test]
fn to_skip_is_to_send_nothing() {
    let case = Case::new();
    assert!(case.stays(case.conditional(Existing::Skip)));
    assert_eq!(case.origin.requests("/file"), 0);
    fs::remove_file(case.folder.file("file")).unwrap();
    assert!(!case.stays(case.conditional(Existing::Skip)));
}

#[test]
fn what_stays_is_not_measured_by_what_is_expected_of_the_next_one() {
    let case = Case::new();
    let writer = FileWriter::new(case.folder.file("file"));
    let mut download = Transfer::new(Request::get(&case.url).unwrap(), case.conditional(Existing::Skip))
        .writer(writer)
        .max_size(1)
        .validation(SizeValidation::new(7));
    assert_eq!(download.run(&Context::new()).unwrap().head().status().as_u16(), 304);
}

#[test]
fn to_fail_is_to_name_the_file_and_send_nothing() {
    let case = Case::new();
    let error = case.run(case.conditional(Existing::Fail)).unwrap_err();
    assert_eq!(error.kind().name(), "write");
    let path = case.folder.file("file");
    assert!(error.to_string().contains(&format!("{} is there already", path.display())), "{error}");
    assert_eq!((case.origin.requests("/file"), case.folder.read("file")), (0, b"there".to_vec()));
    fs::remove_file(path).unwrap();
    assert!(!case.stays(case.conditional(Existing::Fail)));
}

#[test]
fn to_update_is_to_ask_for_something_newer() {
    let case = Case::new();
    let time = httpdate::parse_http_date(OLD).unwrap();
    // A fraction of a second is more than a date can say.
    case.date(time + Duration::from_millis(300));
    assert!(case.stays(case.conditional(Existing::Update)));
    case.date(time - Duration::from_secs(10));
    assert!(!case.stays(case.conditional(Existing::Update)));
    let asked: Vec<_> =
        case.origin.journal().iter().map(|r| r.header("if-modified-since").map(str::to_owned)).collect();
    assert_eq!(asked, [Some(OLD.to_owned()), Some("Sun, 06 Nov 1994 08:49:27 GMT".to_owned())]);
    // What was stored has the time of the content, so the next update finds nothing to do.
    assert_eq!(case.run(case.conditional(Existing::Update)).unwrap().head().status().as_u16(), 304);
}

#[test]
fn an_update_replaces_what_is_not_the_expected_content_however_new_it_is() {
    let case = Case::new();
    case.date(httpdate::parse_http_date(OLD).unwrap());
    assert!(case.stays(case.conditional(Existing::Update).digests([sha256(b"there")]).size(5)));
    assert!(!case.stays(case.conditional(Existing::Update).digests([sha256(b"fetched")])));
}

#[test]
fn the_condition_goes_along_on_redirects_to_other_origins() {
    let (case, elsewhere) = (Case::new(), Origin::start());
    let url = elsewhere.on("/from", Reply::redirect(302, &case.url));
    case.date(httpdate::parse_http_date(OLD).unwrap());
    let writer = FileWriter::new(case.folder.file("file"));
    let mut download =
        Transfer::new(Request::get(&url).unwrap(), case.conditional(Existing::Update)).writer(writer);
    assert_eq!(download.run(&Context::new()).unwrap().head().status().as_u16(), 304);
    assert_eq!(case.folder.read("file"), b"there");
}

#[test]
fn to_verify_is_to_keep_what_agrees_and_to_replace_the_rest() {
    let case = Case::new();
    assert!(case.stays(case.conditional(Existing::Verify).digests([sha256(b"there")])));
    assert!(case.stays(case.conditional(Existing::Verify).size(5)));
    assert_eq!(case.origin.requests("/file"), 0);
    // Nothing to verify it by.
    assert!(!case.stays(case.conditional(Existing::Verify)));
    for conditional in [
        case.conditional(Existing::Verify).digests([sha256(b"fetched")]),
        case.conditional(Existing::Verify).digests([sha256(b"there"), sha256(b"fetched")]),
        case.conditional(Existing::Verify).size(4),
        case.conditional(Existing::Verify).digests([sha256(b"there")]).size(4),
    ] {
        case.folder.write("file", "there");
        assert!(!case.stays(conditional));
    }
}

#[test]
fn what_an_earlier_run_has_kept_goes_with_a_file_that_stays() {
    let case = Case::new();
    let whole = Reply::ok(pattern(600_000)).ranges().etag("\"one\"").modified(OLD);
    case.origin.on("/file", whole.clone().cut_after(400_000));
    case.run(case.conditional(Existing::Replace)).unwrap_err();
    assert_eq!(case.folder.entries().len(), 3);
    assert!(case.stays(case.conditional(Existing::Skip)));
    // And completes one that is to be replaced, without being told that nothing has changed.
    case.run(case.conditional(Existing::Update)).unwrap_err();
    case.origin.on("/file", whole);
    case.run(case.conditional(Existing::Update)).unwrap();
    assert!(case.folder.read("file") == pattern(600_000));
    let last = case.origin.journal().pop().unwrap();
    assert_eq!((last.header("range"), last.header("if-modified-since")), (Some("bytes=400000-"), None));
}

#[test]
fn local_files_know_conditions_too() {
    let (case, folder) = (Case::new(), Folder::new());
    let source = folder.write("source", "fetched");
    let url = format!("file://{}", source.display());
    let run = || {
        let protocol = Conditional::new(FileProtocol::new(), case.folder.file("file"), Existing::Update);
        let writer = FileWriter::new(case.folder.file("file"));
        Transfer::new(Request::get(&url).unwrap(), protocol).writer(writer).run(&Context::new()).unwrap()
    };
    let time = httpdate::parse_http_date(OLD).unwrap();
    File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
    assert_eq!(run().head().status().as_u16(), 304);
    case.date(time - Duration::from_secs(5));
    assert_eq!(run().head().status().as_u16(), 200);
    assert_eq!(case.folder.read("file"), b"fetched");
}
