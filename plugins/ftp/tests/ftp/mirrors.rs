//! FTP beside other protocols: mirrors, and segments.

use std::time::Duration;

use ganymede::{
    Algorithm, BufferWriter, Context, DigestValidation, Download, Factory, Facts, MirrorDelegate, Receipt,
    RetryDelegate, Segmented, Transfer,
};
use ganymede_kit::{FtpFile, FtpOrigin, Origin, Reply, pattern};

use crate::{download, ftp};

fn factory() -> Factory {
    let ftp = ftp();
    Factory::new().register("ftp", ftp.clone()).register("ftps", ftp.clone()).register("ftpes", ftp)
}

fn digest(bytes: &[u8]) -> DigestValidation {
    DigestValidation::new(Facts::of(bytes, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap())
}

fn run<P: ganymede::Protocol>(download: Transfer<P>) -> (Vec<u8>, Receipt) {
    let buffer = BufferWriter::new(64 << 20);
    let receipt = download.writer(buffer.clone()).run(&Context::new()).unwrap();
    (buffer.take().unwrap(), receipt)
}

#[test]
fn a_mirror_over_http_goes_on_where_ftp_stopped() {
    let (ftp, http, bytes) = (FtpOrigin::start(), Origin::start(), pattern(1_000_000));
    let first = ftp.on("file", FtpFile::new(&bytes).cut_after(400_000));
    let second = http.on("/file", Reply::ok(bytes.clone()).etag("\"one\"").ranges());
    let mirrors = MirrorDelegate::new([second.parse().unwrap()]);
    let (received, receipt) =
        run(factory().download(&first).unwrap().handler(mirrors).validation(digest(&bytes)));
    assert!(received == bytes);
    assert_eq!((receipt.head().offset(), receipt.attempts()), (400_000, 2));
    assert_eq!(receipt.source().as_str(), second);
    let journal = http.journal();
    assert_eq!((journal.len(), journal[0].header("range")), (1, Some("bytes=400000-")));
}

#[test]
fn a_mirror_over_ftp_goes_on_where_http_stopped() {
    let (ftp, http, bytes) = (FtpOrigin::start(), Origin::start(), pattern(1_000_000));
    let first = http.on("/file", Reply::ok(bytes.clone()).etag("\"one\"").ranges().cut_after(300_000));
    let second = ftp.on("file", FtpFile::new(&bytes));
    let mirrors = MirrorDelegate::new([second.parse().unwrap()]);
    let (received, receipt) =
        run(factory().download(&first).unwrap().handler(mirrors).validation(digest(&bytes)));
    assert!(received == bytes);
    assert_eq!((receipt.head().offset(), receipt.attempts()), (300_000, 2));
    assert_eq!(receipt.source().as_str(), second);
    assert!(ftp.commands().contains(&"REST 300000".to_owned()), "{:?}", ftp.commands());
}

#[test]
fn without_a_digest_a_mirror_begins_again() {
    let (ftp, http, bytes) = (FtpOrigin::start(), Origin::start(), pattern(1_000_000));
    let first = ftp.on("file", FtpFile::new(&bytes).cut_after(400_000));
    let second = http.on("/file", Reply::ok(bytes.clone()).ranges());
    let mirrors = MirrorDelegate::new([second.parse().unwrap()]);
    let (received, receipt) = run(factory().download(&first).unwrap().handler(mirrors));
    assert!(received == bytes);
    assert_eq!((receipt.head().offset(), http.journal()[0].header("range")), (0, None));
}

#[test]
fn credentials_of_one_server_are_not_told_to_another() {
    let (first, second) = (FtpOrigin::start(), FtpOrigin::start());
    let url = first.url("/missing").replace("//", "//amy:s3cr3t@");
    let mut request = ganymede::Request::get(&url).unwrap();
    request.follow(&second.on("file", FtpFile::new("content")).parse().unwrap()).unwrap();
    let (received, _) = run(Transfer::new(request, ftp().user("bob", "h1dden")));
    assert_eq!(received, b"content");
    assert_eq!(second.commands()[0], "USER anonymous");
}

#[test]
fn a_file_comes_in_segments_over_several_sessions() {
    let (origin, bytes) = (FtpOrigin::start(), pattern(8_000_000));
    let url = origin.on("file", FtpFile::new(&bytes));
    let segmented = download(ftp(), &url).map(|ftp| Segmented::new(ftp).segments(4).window(1 << 20));
    let (received, _) = run(segmented);
    assert!(received == bytes);
    assert!(origin.count("RETR") > 4 && origin.count("REST") > 3, "{:?}", origin.commands());
    assert!((2..=8).contains(&origin.connections()), "{} connections", origin.connections());
}

#[test]
fn segments_come_from_mirrors_of_both_protocols() {
    let (ftp, http, bytes) = (FtpOrigin::start(), Origin::start(), pattern(8_000_000));
    let first = ftp.on("file", FtpFile::new(&bytes));
    let second = http.on("/file", Reply::ok(bytes.clone()).etag("\"one\"").ranges());
    let download = factory()
        .download(&first)
        .unwrap()
        .handler(MirrorDelegate::new([second.parse().unwrap()]))
        .handler(RetryDelegate::new(1).base(Duration::ZERO))
        .validation(digest(&bytes))
        .map(|factory| Segmented::new(factory).segments(4).window(1 << 20));
    let (received, _) = run(download);
    assert!(received == bytes);
    assert!(ftp.count("RETR") > 0 && http.requests("/file") > 0);
}
