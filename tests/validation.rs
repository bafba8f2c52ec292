//! What a content must be like, and what happens when it is not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::sync::{Arc, Mutex};

use ganymede::{
    Action, Algorithm, BufferWriter, Check, Context, DigestValidation, Download, ErrorKind, Event,
    EventHandler, Facts, FileWriter, HttpDownload, MirrorDelegate, SizeValidation, Validation,
    ValidationError, WarnOnly,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

const HELLO_MD5: &str = "md5:5d41402abc4b2a76b9719d911017c592";
const EMPTY_MD5: &str = "md5:d41d8cd98f00b204e9800998ecf8427e";

fn digest(text: &str) -> DigestValidation {
    DigestValidation::new(text.parse().unwrap())
}

/// The last moments of all runs, by name.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<&'static str>>>);

impl EventHandler for Ends {
    fn handle(&mut self, event: &mut Event<'_>, _: &Context) -> Action {
        match event {
            Event::Succeeded { .. } => self.0.lock().unwrap().push("succeeded"),
            Event::Failed { .. } => self.0.lock().unwrap().push("failed"),
            _ => {}
        }
        Action::Continue
    }
}

/// No byte may be this one.
struct Without(u8);

impl Validation for Without {
    fn begin(&self) -> Box<dyn Check> {
        Box::new(Self(self.0))
    }
}

impl Check for Without {
    fn update(&mut self, block: &[u8]) -> Result<(), ValidationError> {
        match block.contains(&self.0) {
            true => Err(ValidationError::custom(format!("there is a {:?}", char::from(self.0)))),
            false => Ok(()),
        }
    }

    fn finish(self: Box<Self>, _: &Facts) -> Result<(), ValidationError> {
        Ok(())
    }
}

/// Two digests must begin alike, which they never do.
struct Alike;

impl Validation for Alike {
    fn needs(&self) -> Vec<Algorithm> {
        vec![Algorithm::Md5, Algorithm::Sha1]
    }

    fn begin(&self) -> Box<dyn Check> {
        Box::new(Self)
    }
}

impl Check for Alike {
    fn finish(self: Box<Self>, facts: &Facts) -> Result<(), ValidationError> {
        let of = |algorithm| facts.digest(algorithm).unwrap().value()[..4].to_vec();
        match of(Algorithm::Md5) == of(Algorithm::Sha1) {
            true => Ok(()),
            false => Err(ValidationError::custom(format!("they are not alike in {} bytes", facts.size()))),
        }
    }
}

#[test]
fn what_is_as_expected_passes() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let url = origin.on("/file", Reply::ok("hello"));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(FileWriter::new(folder.file("file")))
        .validation(digest(HELLO_MD5))
        .validation(digest("sha1=AAF4C61DDCC5E8A2DABEDE0F3B482CD9AEA9434D"))
        .validation(SizeValidation::new(5))
        .validation(Without(b'x'));
    let receipt = download.run(&Context::new()).unwrap();
    assert_eq!(folder.read("file"), b"hello");
    assert!(receipt.warnings().is_empty());
    let digests: Vec<_> = receipt.facts().digests().iter().map(ganymede::Digest::algorithm).collect();
    assert_eq!(digests, [Algorithm::Md5, Algorithm::Sha1]);
}

#[test]
fn what_is_not_fails_with_expected_and_actual_and_leaves_nothing() {
    let (origin, folder, ends) = (Origin::start(), Folder::new(), Ends::default());
    let url = origin.on("/file", Reply::ok("hello").chunked());
    let run = |validation: Box<dyn Validation>| {
        let validation: Arc<dyn Validation> = Arc::from(validation);
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(FileWriter::new(folder.file("file")))
            .validation(validation)
            .handler(ends.clone());
        let error = download.run(&Context::new()).unwrap_err();
        assert!(folder.entries().is_empty(), "{error}");
        error
    };
    let error = run(Box::new(digest(EMPTY_MD5)));
    let ErrorKind::Validation(ValidationError::Digest { expected, actual }) = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!((expected.to_string(), actual.to_string()), (EMPTY_MD5.to_owned(), HELLO_MD5.to_owned()));
    assert_eq!(error.failure().to_string(), format!("the digest is {HELLO_MD5}, expected {EMPTY_MD5}"));
    assert!(error.to_string().contains(&url));

    let error = run(Box::new(SizeValidation::new(6)));
    let ErrorKind::Validation(ValidationError::Size { expected: 6, actual: 5 }) = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(error.failure().to_string(), "the size is 5 bytes, expected 6");

    let error = run(Box::new(SizeValidation::new(4)));
    let ErrorKind::Validation(ValidationError::Excess { expected: 4, received: 5 }) = error.kind() else {
        panic!("{error:?}")
    };

    let error = run(Box::new(Without(b'e')));
    assert_eq!((error.kind().name(), error.failure().to_string().as_str()), ("other", "there is a 'e'"));
    let error = run(Box::new(Alike));
    assert_eq!(error.failure().to_string(), "they are not alike in 5 bytes");
    assert_eq!(*ends.0.lock().unwrap(), ["failed"; 5]);
}

#[test]
fn what_only_warns_tells_it_in_the_receipt_and_goes_on() {
    let (origin, folder, ends) = (Origin::start(), Folder::new(), Ends::default());
    let url = origin.on("/file", Reply::ok(pattern(100_000)));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(FileWriter::new(folder.file("file")))
        .validation(WarnOnly::new(digest(EMPTY_MD5)))
        .validation(WarnOnly::new(SizeValidation::new(10)))
        .validation(WarnOnly::new(SizeValidation::new(100_000)))
        .validation(WarnOnly::new(SizeValidation::new(200_000)))
        .validation(WarnOnly::new(Alike))
        .handler(ends.clone());
    let receipt = download.run(&Context::new()).unwrap();
    assert!(folder.read("file") == pattern(100_000));
    let warnings: Vec<_> = receipt.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert_eq!(warnings[0], "the size is 100000 bytes, expected 10");
    assert_eq!(warnings[1], "the size is 100000 bytes, expected 200000");
    assert!(warnings[2].ends_with(&format!("expected {EMPTY_MD5}")));
    assert_eq!(warnings[3], "they are not alike in 100000 bytes");
    assert_eq!(*ends.0.lock().unwrap(), ["succeeded"]);
}

#[test]
fn the_warnings_of_an_attempt_that_was_dropped_are_dropped_with_it() {
    let origin = Origin::start();
    let cut = Reply::ok("a longer text that breaks off").cut_after(20);
    let url = origin.sequence("/file", [cut, Reply::ok("hello")]);
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(BufferWriter::new(100))
        .validation(WarnOnly::new(SizeValidation::new(5)))
        .handler(ganymede::RetryDelegate::new(1));
    assert!(download.run(&Context::new()).unwrap().warnings().is_empty());
}

#[test]
fn a_warning_does_not_keep_an_enforced_validation_from_failing() {
    let (origin, buffer) = (Origin::start(), BufferWriter::new(100));
    let url = origin.on("/file", Reply::ok("hello"));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(buffer.clone())
        .validation(WarnOnly::new(Without(b'h')))
        .validation(Without(b'e'));
    assert_eq!(download.run(&Context::new()).unwrap_err().failure().to_string(), "there is a 'e'");
    assert!(buffer.take().is_none());
}

#[test]
fn an_excess_ends_the_download_long_before_the_body() {
    let (origin, folder) = (Origin::start(), Folder::new());
    for (path, endless) in [
        ("/long", Reply::generated(1 << 30)),
        ("/chunked", Reply::generated(1 << 30).chunked()),
        ("/no-length", Reply::generated(1 << 30).no_length()),
    ] {
        let mut download = HttpDownload::get(&origin.on(path, endless))
            .unwrap()
            .writer(FileWriter::new(folder.file("file")))
            .validation(SizeValidation::new(100_000));
        let error = download.run(&Context::new()).unwrap_err();
        match error.kind() {
            // It was announced, so that not a byte of it was taken.
            ErrorKind::Validation(ValidationError::Size { expected: 100_000, actual }) if path == "/long" => {
                assert_eq!((*actual, error.received()), (1 << 30, 0));
            }
            ErrorKind::Validation(ValidationError::Excess { expected: 100_000, received }) => {
                assert!((100_001..1 << 20).contains(received));
            }
            _ => panic!("{error:?}"),
        }
        // The server sees the connection closed, and has sent what the buffers on the way hold at most.
        origin.wait_open(0);
        assert!(origin.sent(path) < 64 << 20, "{path}: {}", origin.sent(path));
        assert!(folder.entries().is_empty());
    }
}

#[test]
fn a_custom_check_ends_the_download_at_once_too() {
    let origin = Origin::start();
    let url = origin.on("/long", Reply::generated(1 << 30));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(BufferWriter::new(2 << 30))
        .validation(Without(pattern(1)[0]));
    download.run(&Context::new()).unwrap_err();
    origin.wait_open(0);
    assert!(origin.sent("/long") < 64 << 20);
}

#[test]
fn a_mirror_repairs_each_of_them() {
    let (origin, folder, ends) = (Origin::start(), Folder::new(), Ends::default());
    let good = origin.on("/good", Reply::ok("hello"));
    let wrong = [
        ("hellO", Box::new(digest(HELLO_MD5)) as Box<dyn Validation>),
        ("hell", Box::new(SizeValidation::new(5))),
        ("hello!", Box::new(SizeValidation::new(5))),
        ("he<lo", Box::new(Without(b'<'))),
    ];
    for (content, validation) in wrong {
        let url = origin.on("/wrong", Reply::ok(content));
        let validation: Arc<dyn Validation> = Arc::from(validation);
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(FileWriter::new(folder.file("file")))
            .validation(validation)
            .handler(MirrorDelegate::new([good.parse().unwrap()]))
            .handler(ends.clone());
        let receipt = download.run(&Context::new()).unwrap();
        assert_eq!((receipt.attempts(), receipt.source().as_str()), (2, good.as_str()));
        assert_eq!(folder.read("file"), b"hello");
    }
    assert_eq!(*ends.0.lock().unwrap(), ["succeeded"; 4]);
}

#[test]
fn a_file_that_was_there_stays_when_its_successor_is_bad() {
    let (origin, folder) = (Origin::start(), Folder::new());
    folder.write("file", "the old one");
    let url = origin.on("/file", Reply::ok("hello"));
    let mut download = HttpDownload::get(&url)
        .unwrap()
        .writer(FileWriter::new(folder.file("file")))
        .validation(digest(EMPTY_MD5));
    download.run(&Context::new()).unwrap_err();
    assert_eq!(folder.read("file"), b"the old one");
    assert_eq!(folder.entries(), ["file"]);
}
