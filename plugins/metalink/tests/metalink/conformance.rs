//! The public suite, over protocols that verify.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use ganymede::conformance::{self, Source};
use ganymede::{Algorithm, Context, Failure, Http, Protocol, Reply, Request, Segmented};
use ganymede_kit::{Origin, Reply as Scripted};
use ganymede_metalink::{Discovery, PieceDigests, Pieces};

type Known = Arc<Mutex<HashMap<String, PieceDigests>>>;

/// An origin, and what the pieces of its contents are.
struct Described {
    origin: Origin,
    known: Known,
    protocol: fn(Option<PieceDigests>) -> Box<dyn Protocol>,
    ranges: bool,
}

/// Pieces with the digests of whatever is asked for.
struct Any(Known, fn(Option<PieceDigests>) -> Box<dyn Protocol>);

impl Protocol for Any {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let digests = self.0.lock().unwrap().get(request.url().as_str()).cloned();
        (self.1)(digests).send(request, context)
    }
}

impl Described {
    fn new(protocol: fn(Option<PieceDigests>) -> Box<dyn Protocol>, ranges: bool) -> Self {
        Self { origin: Origin::start(), known: Known::default(), protocol, ranges }
    }

    fn add(&self, content: &[u8], reply: Scripted) -> Option<String> {
        let path = format!("/{}", self.known.lock().unwrap().len());
        let url = self.origin.on(&path, reply);
        let digests = PieceDigests::of(content, 4_096, Algorithm::Sha256).unwrap();
        self.known.lock().unwrap().insert(url.clone(), digests);
        Some(url)
    }
}

impl Source for Described {
    fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(Any(Arc::clone(&self.known), self.protocol))
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        let reply = Scripted::ok(content);
        self.add(content, if self.ranges { reply.ranges().etag("\"1\"") } else { reply.chunked() })
    }

    fn missing(&self) -> String {
        self.origin.url("/missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add(content, Scripted::ok(content).cut_after(sent as u64))
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add(content, Scripted::ok(content).stall_after(sent as u64))
    }
}

#[test]
fn verified_pieces_conform() {
    conformance::protocol(&Described::new(|digests| Box::new(Pieces::new(Http::new(), digests)), true));
}

#[test]
fn verified_pieces_of_sources_without_ranges_and_lengths_conform() {
    conformance::protocol(&Described::new(|digests| Box::new(Pieces::new(Http::new(), digests)), false));
}

#[test]
fn verified_pieces_over_several_connections_conform() {
    let protocol = |digests| -> Box<dyn Protocol> {
        Box::new(Pieces::new(Segmented::new(Http::new()).segments(3), digests))
    };
    conformance::protocol(&Described::new(protocol, true));
}

#[test]
fn a_discovery_conforms() {
    conformance::protocol(&Described::new(|_| Box::new(Discovery::new(Http::new())), true));
}
