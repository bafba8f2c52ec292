//! What was opened is closed, and who was started ends: alone in its process, where nothing else is opened or started.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::thread;

use ganymede::{Batch, BufferWriter, Context, Download, Request, Transfer, stream};
use ganymede_ftp::Ftp;
use ganymede_kit::{Authority, Folder, FtpFile, FtpOrigin, descriptors, pattern, threads, wait_until};

#[test]
fn nothing_is_left_of_batches_cancelled_ones_and_readers_who_leave() {
    let (folder, authority) = (Folder::new(), Authority::new("trusted"));
    let ftp = Ftp::new().ca_certificate(authority.write_to(folder.path(), "ca"));
    let origins = [FtpOrigin::start(), FtpOrigin::explicit(&authority.server(&["127.0.0.1", "localhost"]))];
    for origin in &origins {
        origin.on("file", FtpFile::new(pattern(50_000)));
        origin.on("stalled", FtpFile::new(pattern(1_000_000)).stall_after(500_000));
        origin.on("cut", FtpFile::new(pattern(300_000)).cut_after(100_000));
    }
    let download = |url: &str| Transfer::new(Request::get(url).unwrap(), ftp.clone());
    // What is made once for all is made before it is counted.
    for origin in &origins {
        download(&origin.url("/file")).writer(BufferWriter::new(1 << 20)).run(&Context::new()).unwrap();
    }
    let settled = || origins.iter().all(|origin| origin.open() == 0);
    wait_until("the first connections to end", settled);
    let before = (descriptors(), threads());
    for _ in 0..5 {
        let context = Context::new();
        let paths = ["/file", "/cut", "/missing", "/file"];
        let urls = origins.iter().flat_map(|origin| paths.map(|path| origin.url(path)));
        let urls =
            urls.chain(origins.iter().map(|origin| origin.url("/file").replace("127.0.0.1", "localhost")));
        let downloads = urls.map(|url| download(&url).writer(BufferWriter::new(1 << 20)));
        let plans = Batch::new(downloads.collect::<Vec<_>>()).concurrency(4).context(&context);
        assert_eq!(plans.filter(|plan| plan.result().is_ok()).count(), 6);
        for origin in &origins {
            let (_, body) = stream(download(&origin.url("/stalled")), &context).unwrap();
            drop(body);
            let (cancelled, begun) = (context.child(), origin.count("RETR"));
            let mut running = download(&origin.url("/stalled")).writer(BufferWriter::new(1 << 20));
            let other = cancelled.clone();
            let thread = thread::spawn(move || running.run(&other).is_err());
            origin.wait_command("RETR", begun + 1);
            cancelled.cancel();
            assert!(thread.join().unwrap());
        }
        drop(context);
        wait_until("all connections to end", settled);
    }
    wait_until("the descriptors of before", || descriptors() <= before.0);
    wait_until("the threads of before", || threads() <= before.1);
}
