//! How it ends.

use std::io::{Read, Write};
use std::net::TcpStream;

use ganymede_kit::{Folder, Gate, Origin, Reply, pattern, wait_until};

use super::{LARGE, Serving};

#[test]
fn what_is_being_answered_comes_to_its_end_and_nothing_else_is_taken() {
    for signal in ["TERM", "INT"] {
        let (folder, origin, gate) = (Folder::new(), Origin::start(), Gate::new());
        origin.on("/file", Reply::ok(pattern(LARGE)).gate_after(1_000_000, &gate));
        let serving = Serving::keeping(&folder, &origin, &[]);
        let mut client = serving.ask("GET", "/file", &[]);
        client.read_bytes(500_000);
        let mut idle = serving.connect();
        idle.write_all(b"GET /-/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        idle.read_exact(&mut [0; 15]).unwrap();
        serving.signal(signal);
        serving.wait_said("Ending: what is being answered has 30s; a second signal ends it at once\n");
        wait_until("it to take nothing", || TcpStream::connect(serving.addresses()[0]).is_err());
        // Who only waits is not waited for.
        idle.read_to_end(&mut Vec::new()).unwrap();
        gate.open();
        client.read().is_whole(&pattern(LARGE));
        let (status, said) = serving.ended();
        assert_eq!(status, Some(0), "{said}");
    }
}

#[test]
fn a_client_that_reads_slowly_gets_every_byte_of_what_is_kept() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let size = 32 << 20;
    origin.on("/file", Reply::ok(pattern(size)).header("Cache-Control", "max-age=1000"));
    let serving = Serving::keeping(&folder, &origin, &[]);
    serving.get("/file").is_whole(&pattern(size));
    wait_until("it to be kept", || serving.has("/file"));
    let mut client = serving.ask("GET", "/file", &[]);
    client.read_bytes(1000);
    serving.signal("TERM");
    serving.wait_said("Ending: ");
    client.read().is_whole(&pattern(size));
    let (status, said) = serving.ended();
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_what_is_left_is_cut() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
    let serving = Serving::keeping(&folder, &origin, &["--drain", "1h"]);
    let mut client = serving.ask("GET", "/file", &[]);
    client.read_bytes(500_000);
    serving.signal("TERM");
    serving.wait_said("Ending: what is being answered has 1h; ");
    serving.signal("INT");
    let (status, said) = serving.ended();
    assert_eq!(status, Some(130), "{said}");
    client.read().is_cut();
}

#[test]
fn what_takes_too_long_is_cut_and_that_is_told() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok(pattern(LARGE)).stall_after(1_000_000));
    let serving = Serving::keeping(&folder, &origin, &["--drain", "50ms"]);
    let mut client = serving.ask("GET", "/file", &[]);
    client.read_bytes(500_000);
    serving.signal("TERM");
    let (status, said) = serving.ended();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("some requests did not end in time"), "{said}");
    client.read().is_cut();
}

#[test]
fn it_listens_at_all_places_that_are_named() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on("/file", Reply::ok("x"));
    let mut command = crate::ganymede::command(&folder);
    command.args([
        "stream",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.2:0",
        "--remote",
        &origin.url("/"),
    ]);
    let serving = Serving::run(command, 2);
    let hosts: Vec<String> = serving.addresses().iter().map(|address| address.ip().to_string()).collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"]);
    for address in serving.addresses() {
        let socket = TcpStream::connect(address).unwrap();
        ganymede_kit::Client::ask(socket, "GET", "/file", "HTTP/1.1", &[]).read().is_whole(b"x");
    }
    serving.end();
}
