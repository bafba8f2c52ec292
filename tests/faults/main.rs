//! The fault matrix: whatever goes wrong, whenever, and whatever there is against it.
//!
//! Each cell is a download of one file over real sockets, and one fault. Its coordinates are
//!
//! - the fault: refused, closed, reset, stalled, dripped, garbage, a status (500, 503, 404, 403), a wrong content,
//!   truncated, too long, a content that changes between two requests (another tag, the same tag, another length), a
//!   206 that lies (earlier, later, another total, another tag), a range that is dropped for its `If-Range`, 416; and
//!   on this side a handler that panics, one that cancels, and a writer that fails;
//! - the phase: connecting, the TLS handshake, the head, the first byte, the middle and the last byte of the body, the
//!   commit. Faults of a second request (a changed content, a part, a status within the body) come after a first one
//!   that was cut there;
//! - and whether each of these is there: retries (two), a mirror (good, with tags of its own), an expected digest, an
//!   expected size, a length that the source announces, a strong tag that it has, and a fault that comes every time
//!   instead of once.
//!
//! These are 25 x 7 x 2^7 = 22,400 combinations. 3,944 of them are cells, and all of them run; the test prints why
//! the others are none.
//!
//! What a cell must end in is derived by these rules, which `oracle.rs` spells out and nothing of the engine does:
//!
//! 1. What fails on this side (a handler, the writer, the deadline) fails for good: nobody is asked again, and nothing
//!    is at the target, unless it was committed before.
//! 2. What may pass (no connection, a broken one, silence, 500, 503) is tried again, at most as often as allowed. It
//!    succeeds if the fault came once, and keeps its kind if it did not.
//! 3. What will not pass (404, 403, a wrong certificate, what is no HTTP) is not tried again.
//! 4. What was received is gone on with where a strong tag or an expected digest proves what the rest belongs to, and
//!    then only that rest is asked for, with the tag as its guard. An answer that contradicts what is known (its
//!    offset, its total, its tag, that there is no such part) is thrown away, and all is asked for, in one more request
//!    of the same attempt; so is what was gone on with without a tag, when it is not what is expected. One that drops
//!    the range for its guard is asked for the rest once more, without it.
//! 5. A body that is complete is judged by the expected size and digest, and by nothing else: without them an error
//!    page is the content, and a tag that lies is believed. A content that is not the expected one will not pass,
//!    and neither will one that announces another size than the expected one.
//! 6. What is left of all that is a failure, unless there is a mirror: that is asked then, once, and has the right
//!    bytes.
//!
//! A success leaves its file and nothing else. A failure leaves nothing at the target, and beside it what the next run
//! can go on with, exactly where rule 4 lets it. The requests that the source and the mirror got are counted in every cell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod matrix;
mod oracle;
mod own;
mod stopping;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many cells there are, as it stands above.
const CELLS: usize = 3_944;

/// Lets the tests of this file run one after the other: some count what the process holds open.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn every_cell_of_the_matrix_ends_as_the_rules_say() {
    let _alone = alone();
    let (ran, failed) = matrix::run_all();
    assert!(failed.is_empty(), "{} of {ran} cells failed:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(ran, CELLS);
}
