//! A scripted HTTP server.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;

use crate::delivery::deliver;
use crate::identity::{Authority, Identity};
use crate::ledger::Visit;
use crate::received::Received;
use crate::reply::Reply;
use crate::server::{Server, face};
use crate::streams::{self, H2};
use crate::wire::Wire;

/// A scripted HTTP server on 127.0.0.1, plain or over TLS, that ends when dropped.
///
/// It is asked for what it has seen through its [`Ledger`](crate::Ledger).
/// A target is looked up exactly as it came, then without
/// its query, then among the prefixes, the longest first; what is not found is a 404. Connections are kept alive.
///
/// ```
/// use std::io::{Read, Write};
/// use ganymede_kit::{Origin, Reply};
///
/// let origin = Origin::start();
/// origin.on("/file", Reply::ok("hello").close());
/// let mut client = std::net::TcpStream::connect(origin.address()).unwrap();
/// client.write_all(b"GET /file?q=%7e HTTP/1.1\r\n\r\n").unwrap();
/// let mut response = String::new();
/// client.read_to_string(&mut response).unwrap();
/// assert!(response.ends_with("\r\n\r\nhello"));
/// assert_eq!(origin.journal()[0].target, "/file?q=%7e");
/// ```
#[derive(Debug)]
pub struct Origin {
    server: Server,
    routes: Arc<Routes>,
    secure: bool,
}

impl Origin {
    /// Starts a plain origin.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(None, None)
    }

    /// Starts an origin over TLS that shows this identity.
    #[must_use]
    pub fn tls(identity: &Identity) -> Self {
        Self::serve(Some(identity.server_config(None)), None)
    }

    /// Starts an origin over TLS that lets in only clients with a certificate issued by `clients`.
    #[must_use]
    pub fn mutual_tls(identity: &Identity, clients: &Authority) -> Self {
        Self::serve(Some(identity.server_config(Some(clients))), None)
    }

    /// Starts an origin over TLS that speaks HTTP/2 with who offers it, and HTTP/1.1 with all others.
    #[must_use]
    pub fn http2(identity: &Identity) -> Self {
        Self::http2_at_once(identity, 250)
    }

    /// Does the same, and answers at most so many requests at once on a connection: others are refused.
    #[must_use]
    pub fn http2_at_once(identity: &Identity, requests: u32) -> Self {
        let mut config = identity.server_config(None);
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Self::serve(Some(config), Some(requests))
    }

    /// The URL of a path (or any target) on this origin, by its address.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The URL of a path on this origin by another name for its host, such as `localhost`.
    #[must_use]
    pub fn url_at(&self, host: &str, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.server.address.port())
    }

    /// Answers a path by this reply, from now on, and returns its URL.
    pub fn on(&self, path: &str, reply: Reply) -> String {
        self.sequence(path, [reply])
    }

    /// Answers a path by one reply after the other, the last of them again and again, and returns its URL.
    ///
    /// # Panics
    /// When there is no reply at all.
    pub fn sequence(&self, path: &str, replies: impl IntoIterator<Item = Reply>) -> String {
        let replies: Vec<Reply> = replies.into_iter().collect();
        assert!(!replies.is_empty(), "no reply for {path}");
        let route = Route { replies, next: 0 };
        self.routes.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), route);
        self.url(path)
    }

    /// Answers all targets that start with `prefix`, and have no reply of their own, by what `handler` says.
    ///
    /// A panic in the handler cuts the connection and is passed on when the origin is dropped.
    pub fn handle(
        &self,
        prefix: &str,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> String {
        let mut prefixes = self.routes.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        prefixes.retain(|(known, _)| known != prefix);
        prefixes.push((prefix.to_owned(), Arc::new(handler)));
        prefixes.sort_by_key(|(known, _)| std::cmp::Reverse(known.len()));
        self.url(prefix)
    }

    /// Closes the next `count` connections when their first bytes have come, in the middle of a TLS handshake.
    pub fn cut_handshakes(&self, count: usize) {
        self.routes.cuts.store(count, Ordering::SeqCst);
    }

    fn serve(config: Option<ServerConfig>, at_once: Option<u32>) -> Self {
        let routes = Arc::new(Routes { at_once, ..Routes::default() });
        let config = config.map(Arc::new);
        let shared = Arc::clone(&routes);
        let secure = config.is_some();
        let server = Server::start("kit-origin", move |visit| shared.serve(visit, config.as_ref()));
        Self { server, routes, secure }
    }
}

face!(Origin);

type Handler = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

#[derive(Default)]
pub(crate) struct Routes {
    paths: Mutex<HashMap<String, Route>>,
    prefixes: Mutex<Vec<(String, Handler)>>,
    cuts: AtomicUsize,
    /// How many requests a connection of HTTP/2 carries at once, if there is any.
    at_once: Option<u32>,
}

#[derive(Debug)]
struct Route {
    replies: Vec<Reply>,
    next: usize,
}

impl Routes {
    fn serve(self: &Arc<Self>, visit: &Visit, config: Option<&Arc<ServerConfig>>) -> io::Result<()> {
        let socket = visit.socket();
        let cuts = |left: usize| left.checked_sub(1);
        if self.cuts.try_update(Ordering::SeqCst, Ordering::SeqCst, cuts).is_ok() {
            return socket.as_ref().read(&mut [0; 4096]).map(drop);
        }
        let mut wire = match (config.map(Arc::clone), self.at_once) {
            (None, _) => Wire::plain(socket),
            (Some(config), None) => Wire::tls(socket, config)?,
            (Some(config), Some(at_once)) => {
                let Some(accepted) = streams::accept(visit)? else { return Ok(()) };
                if streams::offers(&accepted) {
                    return streams::serve(visit, accepted, config, self, at_once);
                }
                let connection = accepted.into_connection(config);
                Wire::secure(socket, connection.map_err(|(error, _)| io::Error::other(error))?)
            }
        };
        while let Some(received) = Received::read(&mut wire, visit.number)? {
            let place = visit.ledger.record(received.clone());
            if !deliver(&self.reply(&received), &received, place, &mut wire, &visit.ledger)? {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn reply(&self, received: &Received) -> Reply {
        let reply = self.look_up(received);
        let authorization = received.header("authorization");
        match reply.credentials.as_ref().and_then(|credentials| credentials.challenge(authorization)) {
            Some(challenge) => Reply::error(401).header("WWW-Authenticate", challenge),
            None => reply,
        }
    }

    fn look_up(&self, received: &Received) -> Reply {
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        for path in [&received.target, received.path()] {
            if let Some(route) = paths.get_mut(path) {
                let reply = route.replies[route.next].clone();
                route.next = (route.next + 1).min(route.replies.len() - 1);
                return reply;
            }
        }
        drop(paths);
        let prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let handler = prefixes.iter().find(|(prefix, _)| received.target.starts_with(prefix.as_str()));
        let handler = handler.map(|(_, handler)| Arc::clone(handler));
        // A handler may take its time, or add routes.
        drop(prefixes);
        handler.map_or_else(|| Reply::error(404), |handler| handler(received))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Routes").field("paths", &self.paths).finish_non_exhaustive()
    }
}
