//! Going on where it stopped, and not asking for what is there.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ganymede::{
    BufferWriter, ByteRange, Conditional, Context, DigestValidation, Download, ErrorKind, Existing, Facts,
    FileWriter, Protocol, Request, RetryDelegate, Validator,
};
use ganymede_kit::{Folder, FtpFile, FtpOrigin, pattern};

use crate::{download, fetch, ftp};

fn retry() -> RetryDelegate {
    RetryDelegate::new(3).base(Duration::ZERO)
}

#[test]
fn a_download_that_was_cut_goes_on_at_the_next_byte() {
    let origin = FtpOrigin::start();
    let file = FtpFile::new(pattern(1_000_000));
    let url =
        origin.sequence("file", [file.clone().cut_after(400_000), file.clone().cut_after(100_000), file]);
    let (bytes, receipt) = fetch(download(ftp(), &url).handler(retry()), &Context::new()).unwrap();
    assert!(bytes == pattern(1_000_000));
    assert_eq!((receipt.attempts(), receipt.head().offset()), (3, 500_000));
    let restarts: Vec<String> =
        origin.commands().into_iter().filter(|command| command.starts_with("REST")).collect();
    assert_eq!(restarts, ["REST 400000", "REST 500000"]);
}

#[test]
fn what_an_earlier_run_has_kept_is_gone_on_with() {
    let (origin, folder) = (FtpOrigin::start(), Folder::new());
    let file = FtpFile::new(pattern(1_000_000));
    let url = origin.sequence("file", [file.clone().cut_after(400_000), file]);
    let writer = || FileWriter::new(folder.file("target")).resume(true);
    download(ftp(), &url).writer(writer()).run(&Context::new()).unwrap_err();
    let receipt = download(ftp(), &url).writer(writer()).run(&Context::new()).unwrap();
    assert_eq!(receipt.head().offset(), 400_000);
    assert!(folder.read("target") == pattern(1_000_000));
    assert!(origin.commands().contains(&"REST 400000".to_owned()));
}

#[test]
fn a_file_that_has_changed_meanwhile_is_fetched_from_its_first_byte() {
    let origin = FtpOrigin::start();
    let old = FtpFile::new(vec![7; 1_000_000]).cut_after(400_000);
    let new = FtpFile::new(pattern(900_000)).modified("20240203040506");
    let url = origin.sequence("file", [old, new]);
    let (bytes, receipt) = fetch(download(ftp(), &url).handler(retry()), &Context::new()).unwrap();
    assert!(bytes == pattern(900_000));
    assert_eq!((receipt.head().offset(), origin.count("REST")), (0, 0));
}

#[test]
fn a_server_that_cannot_begin_elsewhere_sends_everything_again() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let file = FtpFile::new(pattern(300_000));
    let url = origin.sequence("file", [file.clone().cut_after(100_000), file]);
    origin.reply("REST", ["502 Not here"]);
    let (bytes, receipt) = fetch(download(ftp(), &url).handler(retry()), &context).unwrap();
    assert!(bytes == pattern(300_000));
    assert_eq!((receipt.head().offset(), receipt.head().header("accept-ranges")), (0, Some("none")));
    assert_eq!((origin.count("REST"), origin.count("USER")), (1, 2));
}

#[test]
fn parts_are_what_was_asked_for() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let bytes = pattern(300_000);
    let url = origin.on("file", FtpFile::new(&bytes));
    for (first, last) in [(0, Some(0)), (100, Some(199_999)), (299_999, None), (5, Some(900_000)), (0, None)]
    {
        let range = ByteRange::new(first, last).unwrap();
        let (part, receipt) = fetch(download(ftp(), &url).range(range), &context).unwrap();
        let end = last.map_or(300_000, |last| (last + 1).min(300_000));
        assert!(part == bytes[usize::try_from(first).unwrap()..usize::try_from(end).unwrap()], "{range}");
        let head = receipt.head();
        assert_eq!((head.status().as_u16(), head.offset()), (206, first));
        assert_eq!((head.length(), head.total()), (Some(end - first), Some(300_000)));
    }
    let beyond = fetch(download(ftp(), &url).range(ByteRange::from(300_000)), &context).unwrap_err();
    assert_eq!((beyond.status().unwrap().as_u16(), beyond.failure().total()), (416, Some(300_000)));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_part_of_a_file_of_unknown_length_ends_where_that_does() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new(pattern(1_000)));
    origin.reply("SIZE", ["502 Not here"]);
    for (first, last, length) in [(10, 19, 10), (900, 5_000, 100)] {
        let mut request = Request::get(&url).unwrap();
        request.set_range(ByteRange::new(first, Some(last)));
        let (head, body) = ftp().send(&request, &context).unwrap().into_parts();
        assert_eq!((head.offset(), head.length(), head.total()), (first, None, None));
        let mut part = Vec::new();
        body.unwrap().read_to_end(&mut part).unwrap();
        assert!(part == pattern(1_000)[usize::try_from(first).unwrap()..][..length], "{first}");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn what_has_not_changed_is_not_sent() {
    let (origin, folder, context) = (FtpOrigin::start(), Folder::new(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    let update = || {
        let target = folder.file("target");
        let download = download(ftp(), &url).writer(FileWriter::new(&target));
        download.map(|ftp| Conditional::new(ftp, target, Existing::Update)).run(&context).unwrap()
    };
    assert_eq!(update().head().status().as_u16(), 200);
    let modified = folder.file("target").metadata().unwrap().modified().unwrap();
    assert_eq!(modified, SystemTime::UNIX_EPOCH + Duration::from_secs(1_704_164_645));
    assert_eq!(update().head().status().as_u16(), 304);
    assert_eq!((origin.count("RETR"), origin.connections()), (1, 1));
    origin.on("file", FtpFile::new("another").modified("20250101000000"));
    assert_eq!(update().head().status().as_u16(), 200);
    assert_eq!(folder.read("target"), b"another");
}

#[test]
fn a_part_is_sent_only_of_the_content_that_it_was_asked_for_under() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new(pattern(1_000)));
    let send = |validator: Validator| {
        let mut request = Request::get(&url).unwrap();
        request.set_range(Some(ByteRange::from(400)));
        request.set_if_range(Some(validator));
        ftp().send(&request, &context).unwrap().head().offset()
    };
    assert_eq!(send(Validator::LastModified("Tue, 02 Jan 2024 03:04:05 GMT".to_owned())), 400);
    assert_eq!(send(Validator::LastModified("Tue, 02 Jan 2024 03:04:06 GMT".to_owned())), 0);
    assert_eq!(send(Validator::ETag("\"one\"".to_owned())), 0);
}

#[test]
fn a_wrong_digest_is_no_content() {
    let origin = FtpOrigin::start();
    let url = origin.on("file", FtpFile::new("content"));
    let facts = Facts::of(&b"another"[..], [ganymede::Algorithm::Sha256]).unwrap();
    let digest = facts.digest(ganymede::Algorithm::Sha256).unwrap();
    let buffer = BufferWriter::new(100);
    let mut download = download(ftp(), &url).validation(DigestValidation::new(digest)).writer(buffer.clone());
    let error = download.run(&Context::new()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Validation(_)) && buffer.take().is_none());
}
