//! The public suite over HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering};

use ganymede::conformance::{self, Source};
use ganymede::{Http, Protocol};
use ganymede_kit::Reply;

use crate::Site;

/// An origin whose replies are made of a plain one like this.
struct Web {
    site: Site,
    made: fn(Reply) -> Reply,
    cut: fn(Reply, u64) -> Reply,
    served: AtomicUsize,
}

impl Web {
    fn new(made: fn(Reply) -> Reply, cut: fn(Reply, u64) -> Reply) -> Self {
        Self { site: Site::new(), made, cut, served: AtomicUsize::new(0) }
    }

    fn add(&self, reply: Reply) -> Option<String> {
        let path = format!("/{}", self.served.fetch_add(1, Ordering::Relaxed));
        Some(self.site.origin.on(&path, reply))
    }
}

impl Source for Web {
    fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(Http::new().no_proxy().ca_certificate(&self.site.authority))
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        self.add((self.made)(Reply::ok(content)))
    }

    fn missing(&self) -> String {
        self.site.origin.url("/missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add((self.cut)((self.made)(Reply::ok(content)), sent as u64))
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add((self.made)(Reply::ok(content)).stall_after(sent as u64))
    }
}

#[test]
fn http_2_conforms() {
    let web = Web::new(|reply| reply.ranges().etag("\"1\""), Reply::cut_after);
    conformance::protocol(&web);
    assert!(web.site.versions().iter().all(|(_, version)| version == "HTTP/2"));
}

#[test]
fn http_2_without_ranges_and_lengths_conforms() {
    for code in [0, 2] {
        let cut = match code {
            0 => |reply: Reply, sent| reply.abort(Some(sent), 0),
            _ => |reply: Reply, sent| reply.abort(Some(sent), 2),
        };
        conformance::protocol(&Web::new(Reply::chunked, cut));
    }
}
