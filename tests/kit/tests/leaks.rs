//! What a process holds; alone in its binary, since it counts all that the process has.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::io::Write;
use std::net::TcpStream;

use ganymede_kit::{Origin, Reply, Silent, descriptors, threads, threads_named, wait_until};

#[test]
fn nothing_is_left_behind() {
    let before = (descriptors(), threads());
    let origin = Origin::start();
    origin.on("/", Reply::ok("hello").stall_after(1));
    let silent = Silent::start();
    let mut client = TcpStream::connect(origin.address()).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    origin.wait_sent("/", 1);
    assert_eq!(threads_named("kit-origin"), 2);
    assert_eq!(descriptors(), before.0 + 4);
    drop((origin, silent, client));
    // The kernel takes a joined thread from its list a moment later.
    wait_until("the threads to be gone", || (descriptors(), threads()) == before);
}
