//! Downloads on an event loop of one thread, which must go on whatever they wait for.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod batching;
mod running;
mod streaming;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ganymede::{
    Action, Algorithm, BufferWriter, Context, DigestValidation, Event, Facts, Failure, Http, HttpDownload,
    Protocol, Reply, Request, Transfer,
};

/// Runs a future on an event loop of one thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits for a condition, while the event loop goes on; that it does is part of what is tested.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(ganymede_kit::PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited for {what}"));
}

fn get(url: &str) -> Transfer<Http> {
    HttpDownload::get(url).unwrap().no_proxy().writer(BufferWriter::new(1 << 20))
}

fn digest(content: &[u8]) -> DigestValidation {
    let facts = Facts::of(content, [Algorithm::Sha256]).unwrap();
    DigestValidation::new(facts.digest(Algorithm::Sha256).unwrap())
}

/// A handler that panics, without the words that a panic prints.
fn panicking(event: &mut Event<'_>, _: &Context) -> Action {
    match event {
        Event::Prepared { .. } => std::panic::resume_unwind(Box::new("a handler's own")),
        _ => Action::Continue,
    }
}

/// What a plugin waits for that no cancelling reaches.
struct Stubborn {
    asked: Arc<AtomicBool>,
    /// It goes on when this is dropped.
    rein: Sender<()>,
}

impl Stubborn {
    fn download() -> (Transfer<impl Protocol>, Self) {
        let (rein, receiver) = channel::<()>();
        let (receiver, asked) = (Mutex::new(receiver), Arc::<AtomicBool>::default());
        let noted = Arc::clone(&asked);
        let protocol = move |_: &Request, _: &Context| -> Result<Reply, Failure> {
            noted.store(true, Ordering::SeqCst);
            let _ = receiver.lock().unwrap().recv();
            Err(Failure::cancelled())
        };
        let request = Request::get("stubborn:mule").unwrap();
        let download = Transfer::new(request, protocol).writer(BufferWriter::new(1));
        (download, Self { asked, rein })
    }

    async fn asked(&self) {
        until("the plugin to be asked", || self.asked.load(Ordering::SeqCst)).await;
    }

    /// Lets it go on; who has waited for its thread before never comes here.
    fn go(self) {
        drop(self.rein);
    }
}
