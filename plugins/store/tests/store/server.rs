//! An S3 server in this process: what it keeps is in a folder, what it was asked is in a journal, and tests tell it to
//! fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ganymede_kit::Folder;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// The access key that the server knows, and its secret.
pub const ID: &str = "test-id";
pub const SECRET: &str = "test-secret-of-the-key";

/// The bucket that is there.
pub const BUCKET: &str = "bucket";

/// A request, as the server has seen it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: hyper::HeaderMap,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Tells whether it carries a part of an object.
    pub fn is_part(&self) -> bool {
        self.method == "PUT" && self.query.contains("partNumber=")
    }
}

/// What the server does instead of serving.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers this status, with this header if any, and with a code in the way of S3.
    Refuse(u16, Option<(&'static str, &'static str)>, &'static str),
    /// Never answers.
    Stall,
}

type Rule = dyn Fn(&Asked) -> Option<Act> + Send + Sync;

#[derive(Default)]
struct State {
    journal: Mutex<Vec<Asked>>,
    rule: Mutex<Option<Arc<Rule>>>,
}

/// The server.
pub struct Server {
    folder: Folder,
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that knows one access key and has one bucket, which is empty.
    pub fn start() -> Self {
        Self::serve(true)
    }

    /// Starts one that lets everybody in.
    pub fn public() -> Self {
        Self::serve(false)
    }

    fn serve(signed: bool) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.file(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        if signed {
            builder.set_auth(SimpleAuth::from_single(ID, SECRET));
        }
        let (service, root) = (builder.build(), folder.path().to_owned());
        let state = Arc::new(State::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name("test-s3".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let accept = async {
                    while let Ok((socket, _)) = listener.accept().await {
                        let (service, state, root) = (service.clone(), Arc::clone(&shared), root.clone());
                        let serve = service_fn(move |request| {
                            let (service, state, root) = (service.clone(), Arc::clone(&state), root.clone());
                            async move { Ok::<_, Infallible>(answer(service, &state, &root, request).await) }
                        });
                        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), serve));
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        Self { folder, address, state, stop: Some(stop), thread: Some(thread.unwrap()) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is reached.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts an object there, and returns its URL.
    pub fn put(&self, key: &str, content: &[u8]) -> String {
        self.folder.write(format!("{BUCKET}/{key}"), content);
        ganymede_store::object_in(&format!("s3://{BUCKET}").parse().unwrap(), key).unwrap().into()
    }

    /// Returns what the object of a key holds, if there is one.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.folder.file(format!("{BUCKET}/{key}"))).ok()
    }

    /// Returns the keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        let prefix = format!("{BUCKET}/");
        let entries = self.folder.entries();
        let within = entries.iter().filter_map(|name| name.strip_prefix(&prefix));
        within.filter(|name| !name.is_empty() && !name.ends_with('/')).map(str::to_owned).collect()
    }

    /// Returns what is kept of uploads that are not complete.
    pub fn unfinished(&self) -> Vec<String> {
        let entries = self.folder.entries();
        entries.into_iter().filter(|name| name.contains("upload")).collect()
    }

    /// Returns all that was asked.
    pub fn journal(&self) -> Vec<Asked> {
        self.state.journal.lock().unwrap().clone()
    }

    pub fn count(&self, of: impl Fn(&Asked) -> bool) -> usize {
        self.journal().iter().filter(|asked| of(asked)).count()
    }

    /// Lets a rule decide what is not served.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Option<Act> + Send + Sync + 'static) {
        *self.state.rule.lock().unwrap() = Some(Arc::new(rule));
    }

    /// Serves everything again.
    pub fn recover(&self) {
        *self.state.rule.lock().unwrap() = None;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(
    service: S3Service,
    state: &State,
    root: &std::path::Path,
    request: Request<Incoming>,
) -> Response<Body> {
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: request.headers().clone(),
    };
    state.journal.lock().unwrap().push(asked.clone());
    let rule = state.rule.lock().unwrap().clone();
    match rule.and_then(|rule| rule(&asked)) {
        Some(Act::Stall) => return std::future::pending().await,
        Some(Act::Refuse(status, header, code)) => return refusal(status, header, code),
        None => {}
    }
    let bucket = asked.path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    if !root.join(bucket).is_dir() {
        return refusal(404, None, "NoSuchBucket");
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let Ok(response) = service.call(request.map(Body::from)).await else {
        return refusal(500, None, "InternalError");
    };
    let tag = response.headers().get("etag").cloned();
    match tag.as_ref().and_then(|tag| tag.to_str().ok()).filter(|_| reads) {
        // The server leaves conditions on reading to others.
        Some(tag) if asked.header("if-match").is_some_and(|wanted| wanted != tag) => {
            refusal(412, None, "PreconditionFailed")
        }
        Some(tag) if asked.header("if-none-match") == Some(tag) => refusal(304, None, ""),
        _ => response,
    }
}

fn refusal(status: u16, header: Option<(&'static str, &'static str)>, code: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>As told</Message></Error>");
    let mut response = Response::new(if status == 304 { Body::empty() } else { Body::from(text) });
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
