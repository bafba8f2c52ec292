//! Cancelling, and deadlines: control comes back at once, whatever is being waited for.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use ganymede::{BufferWriter, Context, Download, ErrorKind};
use ganymede_ftp::Ftp;
use ganymede_kit::{Authority, Backlog, Folder, FtpFile, FtpOrigin, FtpReply, Silent, pattern};

use crate::{download, ftp};

/// How long control may take to come back: far less than any time-out.
const SOON: Duration = Duration::from_secs(5);

/// Cancels a download once it has come to where it is to be cancelled.
#[track_caller]
fn cancelled_at(ftp: Ftp, url: &str, arrive: impl FnOnce()) {
    let (context, (sender, receiver)) = (Context::new(), channel());
    let (running, mut download) = (context.clone(), download(ftp, url).writer(BufferWriter::new(1 << 20)));
    let thread = thread::spawn(move || sender.send(download.run(&running)).is_ok());
    arrive();
    let start = Instant::now();
    context.cancel();
    let ended = receiver.recv_timeout(SOON).unwrap();
    assert!(start.elapsed() < SOON);
    assert!(ended.unwrap_err().is_cancelled());
    assert!(thread.join().unwrap());
}

#[test]
fn while_it_connects() {
    let backlog = Backlog::start();
    cancelled_at(ftp(), &backlog.url("ftp", "/file"), || thread::sleep(Duration::from_millis(300)));
}

#[test]
fn while_it_waits_for_a_greeting() {
    let silent = Silent::start();
    cancelled_at(ftp(), &silent.url("ftp", "/file"), || silent.wait_open(1));
    silent.wait_open(0);
}

#[test]
fn while_it_shakes_hands() {
    let silent = Silent::start();
    cancelled_at(ftp(), &silent.url("ftps", "/file"), || silent.wait_open(1));
    let origin = FtpOrigin::start();
    origin.reply("AUTH", [FtpReply::Last("234 Go on".to_owned())]);
    cancelled_at(ftp(), &origin.url("/file").replace("ftp:", "ftpes:"), || origin.wait_command("AUTH", 1));
    origin.wait_open(0);
}

#[test]
fn while_it_waits_for_a_reply() {
    for command in ["USER", "PASS", "TYPE", "SIZE", "MDTM", "EPSV", "RETR"] {
        let origin = FtpOrigin::start();
        let url = origin.on("file", FtpFile::new("content"));
        origin.reply(command, [FtpReply::Silence]);
        cancelled_at(ftp(), &url, || origin.wait_command(command, 1));
        origin.wait_open(0);
    }
}

#[test]
fn while_a_body_stalls_and_while_its_end_is_waited_for() {
    let origin = FtpOrigin::start();
    for file in [
        FtpFile::new(pattern(300_000)).stall_after(100_000),
        FtpFile::new(pattern(300_000)).stall_after(0),
        FtpFile::new(pattern(300_000)).farewell(FtpReply::Silence),
    ] {
        let url = origin.on("file", file);
        let begun = origin.count("RETR");
        cancelled_at(ftp(), &url, || origin.wait_command("RETR", begun + 1));
        origin.wait_open(0);
    }
}

#[test]
fn while_a_secure_body_stalls() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let origin = FtpOrigin::explicit(&authority.server(&["127.0.0.1"]));
    let ftp = ftp().ca_certificate(authority.write_to(folder.path(), "ca"));
    let url = origin.on("file", FtpFile::new(pattern(300_000)).stall_after(100_000));
    cancelled_at(ftp, &url, || origin.wait_command("RETR", 1));
    origin.wait_open(0);
}

#[test]
fn a_cancelled_download_does_not_cut_the_session_of_the_next() {
    let (origin, room) = (FtpOrigin::start(), Context::new());
    let url = origin.on("file", FtpFile::new("content"));
    let first = room.child();
    download(ftp(), &url).writer(BufferWriter::new(100)).run(&first).unwrap();
    first.cancel();
    download(ftp(), &url).writer(BufferWriter::new(100)).run(&room.child()).unwrap();
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_deadline_ends_it_in_every_phase() {
    let late = |url: &str| {
        let download = download(ftp(), url).writer(BufferWriter::new(1 << 20));
        let error = download.deadline(Duration::from_millis(300)).run(&Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout), "{error:?}");
        assert!(error.to_string().contains("deadline"), "{error}");
    };
    let (backlog, silent, origin) = (Backlog::start(), Silent::start(), FtpOrigin::start());
    late(&backlog.url("ftp", "/file"));
    late(&silent.url("ftp", "/file"));
    late(&silent.url("ftps", "/file"));
    late(&origin.on("file", FtpFile::new(pattern(300_000)).stall_after(100_000)));
    origin.reply("RETR", [FtpReply::Silence]);
    late(&origin.on("file", FtpFile::new("content")));
}

#[test]
fn silence_is_a_time_out_in_every_phase() {
    let silent = |ftp: Ftp, url: &str| {
        let error = download(ftp, url).writer(BufferWriter::new(1 << 20)).run(&Context::new()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Timeout) && error.is_transient(), "{error:?}");
    };
    let short = Duration::from_millis(200);
    let (backlog, nobody, origin) = (Backlog::start(), Silent::start(), FtpOrigin::start());
    silent(ftp().connect_timeout(short), &backlog.url("ftp", "/file"));
    silent(ftp().connect_timeout(short), &nobody.url("ftps", "/file"));
    silent(ftp().read_timeout(short), &nobody.url("ftp", "/file"));
    let stalled = origin.on("file", FtpFile::new(pattern(300_000)).stall_after(100_000));
    silent(ftp().read_timeout(short), &stalled);
    origin.reply("RETR", [FtpReply::Silence]);
    silent(ftp().read_timeout(short), &stalled);
}
