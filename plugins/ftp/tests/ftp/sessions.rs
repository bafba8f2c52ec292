//! Sessions: used again, replaced, never shared by those who must not, and gone in the end.

use ganymede::{Batch, BufferWriter, ByteRange, Context, Download, Limits, Method};
use ganymede_kit::{FtpFile, FtpOrigin, pattern};

use crate::{download, fetch, ftp};

#[test]
fn a_session_is_used_by_one_download_after_the_other() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    for number in 0..3 {
        let url = origin.on(&format!("file{number}"), FtpFile::new(pattern(50_000)));
        assert!(fetch(download(ftp(), &url), &context).unwrap().0 == pattern(50_000));
    }
    assert_eq!((origin.connections(), origin.count("USER"), origin.count("RETR")), (1, 1, 3));
    drop(context);
    origin.wait_open(0);
}

#[test]
fn a_batch_takes_as_many_sessions_as_a_host_gets_places() {
    let origin = FtpOrigin::start();
    let urls: Vec<String> =
        (0..200).map(|n| origin.on(&format!("file{n}"), FtpFile::new(pattern(1_000 + n)))).collect();
    let context = Context::with_limits(Limits::new().per_host(3));
    let ftp = ftp();
    let downloads = urls.iter().enumerate().map(|(n, url)| {
        let buffer = BufferWriter::new(10_000);
        download(ftp.clone(), url).writer(buffer.clone()).attach((n, buffer))
    });
    let mut served = 0;
    for plan in Batch::new(downloads.collect::<Vec<_>>()).concurrency(8).context(&context) {
        let (n, buffer) = plan.attachment();
        plan.result().unwrap();
        assert!(buffer.take().unwrap() == pattern(1_000 + n));
        served += 1;
    }
    assert_eq!((served, origin.count("RETR")), (200, 200));
    assert!(origin.connections() <= 3 && origin.peak() <= 3, "{} at once", origin.peak());
    drop(context);
    origin.wait_open(0);
}

#[test]
fn an_idle_session_that_the_server_has_closed_is_replaced_unnoticed() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    fetch(download(ftp(), &url), &context).unwrap();
    origin.hang_up();
    origin.wait_open(0);
    let (bytes, receipt) = fetch(download(ftp(), &url), &context).unwrap();
    assert_eq!((bytes.as_slice(), receipt.attempts()), (&b"content"[..], 1));
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_session_that_is_told_goodbye_when_it_is_used_again_is_replaced_unnoticed() {
    for command in ["SIZE file", "EPSV", "RETR file"] {
        let (origin, context) = (FtpOrigin::start(), Context::new());
        let url = origin.on("file", FtpFile::new("content"));
        fetch(download(ftp(), &url), &context).unwrap();
        origin.reply(command, ["421 Timeout"]);
        let (bytes, receipt) = fetch(download(ftp(), &url), &context).unwrap();
        assert_eq!((bytes.as_slice(), receipt.attempts()), (&b"content"[..], 1), "{command}");
        assert_eq!(origin.connections(), 2, "{command}");
    }
}

#[test]
fn a_session_whose_body_was_cut_is_not_used_again() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.sequence("file", [FtpFile::new("content").cut_after(3), FtpFile::new("content")]);
    fetch(download(ftp(), &url), &context).unwrap_err();
    assert_eq!(fetch(download(ftp(), &url), &context).unwrap().0, b"content");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_part_in_the_middle_leaves_the_session_of_use() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let bytes = pattern(20_000_000);
    let url = origin.on("file", FtpFile::new(&bytes));
    for first in [0_u32, 5_000_000, 10_000_000] {
        let range = ByteRange::new(first.into(), Some(u64::from(first) + 99_999)).unwrap();
        let (part, receipt) = fetch(download(ftp(), &url).range(range), &context).unwrap();
        assert!(part == bytes[first as usize..][..100_000]);
        assert_eq!((receipt.head().offset(), receipt.head().total()), (first.into(), Some(20_000_000)));
    }
    assert_eq!((origin.connections(), origin.count("NOOP")), (1, 3));
    assert!(origin.commands().contains(&"REST 10000000".to_owned()));
}

#[test]
fn a_session_that_goes_on_talking_after_a_part_is_given_up() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new(pattern(20_000_000)));
    // One reply too many.
    origin.reply("NOOP", ["226 Aborted\r\n200 OK"]);
    let range = || ByteRange::new(0, Some(9)).unwrap();
    for _ in 0..2 {
        assert!(fetch(download(ftp(), &url).range(range()), &context).unwrap().0 == pattern(10));
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_head_alone_leaves_the_session_of_use() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    for _ in 0..2 {
        let receipt = download(ftp(), &url).method(Method::Head).run(&context).unwrap();
        let head = receipt.head();
        assert_eq!((head.length(), head.header("accept-ranges")), (Some(7), Some("bytes")));
        assert_eq!(head.header("last-modified"), Some("Tue, 02 Jan 2024 03:04:05 GMT"));
        assert!(head.is_alone() && head.validator().is_some());
    }
    assert_eq!((origin.connections(), origin.count("RETR")), (1, 0));
}

#[test]
fn other_credentials_and_settings_get_other_sessions() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    let unverified = ftp().verify(false);
    for ftp in [ftp(), ftp().user("amy", "one"), ftp().user("amy", "two"), unverified.clone(), unverified] {
        fetch(download(ftp, &url), &context).unwrap();
    }
    assert_eq!(origin.connections(), 4);
}

#[test]
fn a_reader_who_leaves_in_the_middle_leaves_nothing_behind() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new(pattern(1_000_000)).stall_after(500_000));
    let (_, body) = ganymede::stream(download(ftp(), &url), &context).unwrap();
    drop(body);
    origin.wait_open(0);
}

#[test]
fn where_the_extended_command_is_not_known_the_other_one_is_used_and_the_address_in_it_is_not() {
    let (origin, context) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    origin.reply("EPSV", ["500 What?"]);
    for _ in 0..2 {
        // Its reply names 10.9.8.7.
        assert_eq!(fetch(download(ftp(), &url), &context).unwrap().0, b"content");
    }
    assert_eq!((origin.count("EPSV"), origin.count("PASV"), origin.connections()), (1, 2, 1));
}
