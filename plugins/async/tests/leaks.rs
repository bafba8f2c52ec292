//! Nothing is left of futures and streams that are dropped wherever they are.
//!
//! It counts what the process holds, so this test is alone in its file and thus in its process.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt;
use ganymede::{Context, Download, FileWriter, HttpDownload, Limits};
use ganymede_async::{Batch, run, stream};
use ganymede_kit::{Folder, Origin, Reply, descriptors, pattern, threads, threads_named, wait_until};
use tokio::time::timeout;

const ROUNDS: u64 = 300;

/// Counts the downloads that are alive.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Ground {
    origin: Origin,
    folder: Folder,
    alive: Arc<AtomicUsize>,
}

impl Ground {
    fn download(&self, n: usize) -> impl Download + use<> {
        let path = ["/whole", "/stalled", "/mute", "/cut", "/missing"][n % 5];
        self.alive.fetch_add(1, Ordering::SeqCst);
        let download = HttpDownload::get(&self.origin.url(path)).unwrap().no_proxy();
        download
            .writer(FileWriter::new(self.folder.file(n.to_string())))
            .attach(Alive(Arc::clone(&self.alive)))
    }

    /// Begins one thing of each kind, and drops it after a while: from not at all to long enough for some of it.
    async fn round(&self, number: u64) {
        let context = Context::with_limits(Limits::new().backoff(Duration::ZERO));
        let while_ = Duration::from_micros(number * 97 % 5_000);
        let n = usize::try_from(number).unwrap();
        let _ = timeout(while_, run(self.download(n), &context)).await;
        let mut batch = Batch::new((0..100).map(|one| self.download(one))).context(&context).concurrency(4);
        let _ = timeout(while_, batch.by_ref().take(n % 7).count()).await;
        drop(batch);
        let _ = timeout(while_, async {
            if let Ok((_, mut body)) = stream(self.download(n), &context).await {
                while let Some(Ok(_)) = body.next().await {}
            }
        })
        .await;
    }
}

#[test]
fn nothing_is_left_of_what_is_dropped_at_any_point() {
    let origin = Origin::start();
    origin.handle("/", |received| {
        let whole = Reply::ok(pattern(20_000));
        match received.path() {
            "/whole" => whole,
            "/mute" => whole.stall_header(),
            "/cut" => whole.cut_after(5_000),
            "/missing" => Reply::error(404),
            _ => whole.stall_after(5_000),
        }
    });
    let ground = Ground { origin, folder: Folder::new(), alive: Arc::default() };
    let rounds = |numbers: std::ops::Range<u64>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for number in numbers {
                ground.round(number).await;
            }
        });
    };
    // What is made once for the whole process is made now.
    rounds(0..10);
    let settled = || {
        threads_named("ganymede") == 0
            && ground.origin.open() == 0
            && ground.alive.load(Ordering::SeqCst) == 0
    };
    wait_until("the first rounds to be gone", settled);
    wait_until("the threads of the connections to be gone", || threads_named("kit-origin") <= 2);
    let before = (descriptors(), threads());
    rounds(0..ROUNDS);
    wait_until("all threads, connections and downloads to be gone", settled);
    wait_until("all to be as it was", || descriptors() <= before.0 && threads() <= before.1);
    let entries = ground.folder.entries();
    assert!(entries.iter().all(|name| name.parse::<usize>().is_ok()), "{entries:?}");
    assert!(entries.iter().all(|name| ground.folder.read(name) == pattern(20_000)));
}
