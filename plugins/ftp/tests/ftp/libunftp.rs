//! Another crate's server, in this process, with files in memory.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use ganymede_kit::{Folder, Identity};
use libunftp::ServerBuilder;
use tokio::io::AsyncRead;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use unftp_core::auth::UserDetail;
use unftp_core::storage::{Error, ErrorKind, FEATURE_RESTART, Fileinfo, Metadata, Result, StorageBackend};

/// A server of files.
pub(crate) struct Libunftp {
    files: Files,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Libunftp {
    /// Starts it; with an identity, connections become secure when they ask for that.
    pub(crate) fn start(identity: Option<&Identity>) -> Self {
        let (files, secret) = (Files::default(), Folder::new());
        let identity = identity.map(|identity| identity.write_to(secret.path(), "server"));
        let runtime =
            Builder::new_multi_thread().worker_threads(2).thread_name("libunftp").enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let storage = files.clone();
        runtime.spawn(async move {
            let _secret = secret;
            while let Ok((socket, _)) = listener.accept().await {
                let storage = storage.clone();
                let mut server = ServerBuilder::new(Box::new(move || storage.clone()));
                if let Some((certificate, key)) = &identity {
                    server = server.ftps(certificate, key);
                }
                tokio::spawn(server.build().unwrap().service(socket));
            }
        });
        Self { files, address, runtime: Some(runtime) }
    }

    /// Has a file.
    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        self.files.0.lock().unwrap().insert(Path::new("/").join(path), content.to_vec());
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://{}{path}", self.address)
    }
}

impl Drop for Libunftp {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Files(Arc<Mutex<HashMap<PathBuf, Vec<u8>>>>);

/// The length of a file; a folder has none.
#[derive(Debug)]
struct Found(Option<u64>);

impl Metadata for Found {
    fn len(&self) -> u64 {
        self.0.unwrap_or(4_096)
    }

    fn is_dir(&self) -> bool {
        self.0.is_none()
    }

    fn is_file(&self) -> bool {
        self.0.is_some()
    }

    fn is_symlink(&self) -> bool {
        false
    }

    fn modified(&self) -> Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_704_164_645))
    }

    fn gid(&self) -> u32 {
        0
    }

    fn uid(&self) -> u32 {
        0
    }
}

impl Files {
    fn find(&self, path: &Path) -> Result<Found> {
        let files = self.0.lock().unwrap();
        if let Some(file) = files.get(path) {
            return Ok(Found(Some(file.len() as u64)));
        }
        let inside = files.keys().any(|file| file.starts_with(path));
        if inside { Ok(Found(None)) } else { Err(absent()) }
    }
}

fn absent() -> Error {
    Error::from(ErrorKind::PermanentFileNotAvailable)
}

fn forbidden() -> Error {
    Error::from(ErrorKind::PermissionDenied)
}

#[async_trait]
impl<User: UserDetail> StorageBackend<User> for Files {
    type Metadata = Found;

    fn supported_features(&self) -> u32 {
        FEATURE_RESTART
    }

    async fn metadata<P: AsRef<Path> + Send + Debug>(&self, _: &User, path: P) -> Result<Found> {
        self.find(path.as_ref())
    }

    async fn list<P: AsRef<Path> + Send + Debug>(
        &self,
        _: &User,
        _: P,
    ) -> Result<Vec<Fileinfo<PathBuf, Found>>> {
        Ok(Vec::new())
    }

    async fn get<P: AsRef<Path> + Send + Debug>(
        &self,
        _: &User,
        path: P,
        start: u64,
    ) -> Result<Box<dyn AsyncRead + Send + Sync + Unpin>> {
        let files = self.0.lock().unwrap();
        let mut content = Cursor::new(files.get(path.as_ref()).ok_or_else(absent)?.clone());
        content.set_position(start);
        Ok(Box::new(content))
    }

    async fn put<P: AsRef<Path> + Send + Debug, R: AsyncRead + Send + Sync + Unpin + 'static>(
        &self,
        _: &User,
        _: R,
        _: P,
        _: u64,
    ) -> Result<u64> {
        Err(forbidden())
    }

    async fn del<P: AsRef<Path> + Send + Debug>(&self, _: &User, _: P) -> Result<()> {
        Err(forbidden())
    }

    async fn mkd<P: AsRef<Path> + Send + Debug>(&self, _: &User, _: P) -> Result<()> {
        Err(forbidden())
    }

    async fn rename<P: AsRef<Path> + Send + Debug>(&self, _: &User, _: P, _: P) -> Result<()> {
        Err(forbidden())
    }

    async fn rmd<P: AsRef<Path> + Send + Debug>(&self, _: &User, _: P) -> Result<()> {
        Err(forbidden())
    }

    async fn cwd<P: AsRef<Path> + Send + Debug>(&self, _: &User, path: P) -> Result<()> {
        if self.find(path.as_ref())?.is_dir() { Ok(()) } else { Err(absent()) }
    }
}
