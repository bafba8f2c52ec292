//! The public suite.

use ganymede::Protocol;
use ganymede::conformance::{self, Source};
use ganymede_kit::{Break, Passage, Relay};
use ganymede_template::Redis;

use super::server::Server;

/// A server, directly and through relays that break connections.
struct Values(Server);

impl Values {
    /// Serves a content through a relay that passes on so many of its bytes, beside some of the protocol's own.
    fn through(&self, content: &[u8], sent: usize, breaking: Break) -> Option<String> {
        self.0.set("key", content);
        let passage = Passage::After(sent as u64 + 20, breaking);
        // It stays until the tests end.
        let relay = Box::leak(Box::new(Relay::start(self.0.address(), [passage])));
        Some(relay.url("redis", "/key"))
    }
}

impl Source for Values {
    fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(Redis::new())
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        Some(self.0.set("key", content))
    }

    fn missing(&self) -> String {
        self.0.url("missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        self.through(content, sent, Break::Close)
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        self.through(content, sent, Break::Stall)
    }
}

#[test]
fn it_conforms() {
    conformance::protocol(&Values(Server::start()));
}
