//! A TCP proxy that stands for a long or a narrow way: what goes through it arrives later, and it may break down.
//!
//! `delay PORT TO-PORT ROUND-TRIP-MS BYTES-PER-SECOND LIFE-BYTES`: both ports are of 127.0.0.1, and 0 is no limit. Each
//! direction takes half of the round trip, and connecting takes a whole one, as it would with a distant server. Each
//! connection gets so many bytes a second from the server, however many requests it is used for. After so many bytes from
//! the server in all, the proxy exits: its connections break off, and new ones are refused.
//!
//! It uses the standard library alone, so that `rustc` builds it without a package.

use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const BLOCK: usize = 64 * 1024;
/// How many blocks may be on the way in each direction of a connection.
const BACKLOG: usize = 1024;

/// One direction of a connection.
struct Way {
    /// Nothing leaves before this.
    open: Instant,
    delay: Duration,
    rate: Option<u64>,
    life: Option<Arc<AtomicU64>>,
}

fn main() -> io::Result<()> {
    let numbers: Vec<u64> = env::args().skip(1).map_while(|argument| argument.parse().ok()).collect();
    let &[port, to, round_trip, rate, life] = numbers.as_slice() else {
        eprintln!("usage: delay PORT TO-PORT ROUND-TRIP-MS BYTES-PER-SECOND LIFE-BYTES");
        process::exit(2);
    };
    let (port, to) = (port_of(port)?, port_of(to)?);
    let round_trip = Duration::from_millis(round_trip);
    let rate = (rate > 0).then_some(rate);
    let life = (life > 0).then(|| Arc::new(AtomicU64::new(life)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    for client in listener.incoming() {
        let accepted = Instant::now();
        let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, to))) else {
            continue;
        };
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        // The client has been connected at once; what connecting would have taken, its first bytes wait for.
        let there = Way { open: accepted + round_trip, delay: round_trip / 2, rate: None, life: None };
        let back = Way { open: accepted, delay: round_trip / 2, rate, life: life.clone() };
        relay(client.try_clone()?, server.try_clone()?, there);
        relay(server, client, back);
    }
    Ok(())
}

fn port_of(number: u64) -> io::Result<u16> {
    u16::try_from(number).map_err(io::Error::other)
}

/// Passes on what comes from one side to the other.
fn relay(mut from: TcpStream, mut to: TcpStream, way: Way) {
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(BACKLOG);
    let Way { mut open, delay, rate, life } = way;
    thread::spawn(move || {
        let mut block = vec![0; BLOCK];
        while let Ok(length @ 1..) = from.read(&mut block) {
            open = open.max(Instant::now());
            if let Some(rate) = rate {
                open += Duration::from_secs_f64(length as f64 / rate as f64);
            }
            if sender.send((open + delay, block[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let rest = |left: u64| left.checked_sub(bytes.len() as u64);
            if let Some(life) = &life
                && life.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_err()
            {
                process::exit(0);
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        // One direction may end before the other.
        let _ = to.shutdown(Shutdown::Write);
    });
}
