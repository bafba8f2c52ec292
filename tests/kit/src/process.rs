//! What this process holds open, and waiting.

use std::fs;
use std::sync::Once;
use std::time::{Duration, Instant};

/// How long every wait of this crate lasts before it panics.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, asking every few milliseconds.
///
/// For what has no event to wait for; servers and gates have waits of their own.
///
/// ```
/// ganymede_kit::wait_until("one to be one", || 1 == 1);
/// ```
///
/// # Panics
/// With `what` when that takes longer than [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The number of file descriptors this process has open.
///
/// Those are among them that tokio's first runtime opens for all, where some crate of the build wants signals of it.
#[must_use]
pub fn descriptors() -> usize {
    static OPENED: Once = Once::new();
    OPENED.call_once(|| drop(tokio::runtime::Builder::new_current_thread().enable_all().build()));
    // Reading the folder opens one itself.
    fs::read_dir("/proc/self/fd").expect("the descriptors of this process").count() - 1
}

/// The number of threads of this process.
#[must_use]
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("the threads of this process").count()
}

/// The number of threads of this process whose name starts with `prefix`, of which the first 15 bytes count.
#[must_use]
pub fn threads_named(prefix: &str) -> usize {
    let prefix = &prefix.as_bytes()[..prefix.len().min(15)];
    let tasks = fs::read_dir("/proc/self/task").expect("the threads of this process");
    // A thread may end between the listing and the reading.
    let names = tasks.flatten().filter_map(|task| fs::read(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// The number of connections to the local `port` that neither end has closed, as the kernel sees it.
pub(crate) fn established(port: u16) -> Option<usize> {
    let table = fs::read_to_string("/proc/self/net/tcp").ok()?;
    let local = format!(":{port:04X}");
    let both = table.lines().filter(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next().is_some_and(|address| address.ends_with(&local)) && fields.nth(1) == Some("01")
    });
    Some(both.count())
}
