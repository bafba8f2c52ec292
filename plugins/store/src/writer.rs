//! Objects as targets.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::BytesMut;
use ganymede::{Context, ErrorKind, Failure, Head, Output, Request, Url, Writer};
use opendal::options::WriteOptions;

use crate::location::{Location, shown};
use crate::protocol::Store;
use crate::session::Session;
use crate::upload::{Destination, Upload};

/// How many bytes a part has, unless an object of that many parts would be too small.
const PART: usize = 8 << 20;

/// The fewest bytes a part may have, but for the last one, where S3 has the say.
const LEAST: usize = 5 << 20;

/// The most parts that an object may have, with some to spare.
const PARTS: u64 = 9_000;

/// Writes to an object, which appears, whole, when the content is committed.
///
/// Until then its parts are where nobody sees them: S3 and what speaks its protocol, Google Cloud Storage and Azure
/// keep them for an upload that is completed at the end, and in a folder they are a file with another name. What was
/// there under its key is replaced at that moment, and not before. What fails, is cancelled or is dropped leaves
/// nothing: no object and no parts. Only a process that is killed, or a store that does not answer, leaves parts; the
/// bucket's lifecycle rules remove them.
///
/// Some 3 to 4 parts of 8 MiB are in memory for each object that is being written. Parts are larger where the length
/// that is announced needs it. An attempt that breaks off goes on with the same upload in the next one; in a later
/// run, it starts anew.
///
/// ```
/// use ganymede::HttpDownload;
/// use ganymede_store::{Store, StoreWriter};
///
/// # if ganymede_store::schemes().contains(&"s3") {
/// let writer = StoreWriter::new(&Store::new(), "s3://bucket/images/a.iso")?.create_only();
/// let download = HttpDownload::get("https://example.com/a.iso")?.writer(writer);
/// # let _ = download;
/// # }
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct StoreWriter {
    store: Store,
    url: Url,
    location: Location,
    part: usize,
    create: bool,
}

impl StoreWriter {
    /// Writes to the object at `url`, with the settings of `store`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if it is the URL of no object, or of a store that cannot take one piece by piece, or
    /// that would show it before it is whole.
    pub fn new(store: &Store, url: &str) -> Result<Self, Failure> {
        let url = Request::get(url)?.url().clone();
        let location = Location::of(&url)?;
        if !location.place.service.takes_contents() {
            let message =
                format!("{} cannot be written to: its service would show it unfinished", shown(&url));
            return Err(Failure::new(ErrorKind::Unsupported, message));
        }
        Ok(Self { store: store.clone(), url, location, part: PART, create: false })
    }

    /// Commits only if there is no object yet, which the store decides at that moment.
    #[must_use]
    pub fn create_only(mut self) -> Self {
        self.create = true;
        self
    }

    /// Sets how many bytes a part has; 8 MiB unless set, and at least 5 MiB, since S3 takes no less.
    #[must_use]
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.part = bytes.max(LEAST);
        self
    }

    /// Returns the URL of the object, without credentials.
    #[must_use]
    pub fn url(&self) -> Url {
        shown(&self.url)
    }

    /// Returns the settings, and the request that looks at what is there.
    pub(crate) fn look(&self) -> (&Store, Request) {
        (&self.store, Request::new(self.url.clone()))
    }

    /// Returns how many bytes the parts of a content have of which a head is known.
    fn part_of(&self, head: &Head) -> usize {
        let total = head.total().or(head.length()).unwrap_or_default();
        let least = usize::try_from(total.div_ceil(PARTS)).unwrap_or(usize::MAX);
        self.part.max(least.div_ceil(1 << 20).saturating_mul(1 << 20))
    }
}

impl Writer for StoreWriter {
    fn open(&self) -> io::Result<Box<dyn Output>> {
        self.open_in(&Context::new())
    }

    fn open_in(&self, context: &Context) -> io::Result<Box<dyn Output>> {
        let request = Request::new(self.url.clone());
        let session = Session::of(&self.store, &request, &self.location, true, context)?;
        if self.create && !session.capability().write_with_if_not_exists {
            let message = format!("{}: the store cannot tell whether it is new", self.url());
            return Err(Failure::new(ErrorKind::Unsupported, message).into());
        }
        Ok(Box::new(StoreOutput {
            writer: self.clone(),
            context: context.clone(),
            session,
            upload: None,
            part: BytesMut::new(),
            size: PART,
            written: 0,
        }))
    }
}

impl fmt::Debug for StoreWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreWriter")
            .field("url", &self.url().as_str())
            .field("create_only", &self.create)
            .finish_non_exhaustive()
    }
}

/// An object in the making.
struct StoreOutput {
    writer: StoreWriter,
    context: Context,
    session: Arc<Session>,
    /// None before it is begun, and after it has failed.
    upload: Option<Upload>,
    /// What has come of the next part.
    part: BytesMut,
    /// How many bytes a part has.
    size: usize,
    written: u64,
}

impl StoreOutput {
    fn start(&mut self, head: &Head) {
        let capability = self.session.capability();
        let text = |name: &str, can: bool| head.header(name).filter(|_| can).map(str::to_owned);
        let options = WriteOptions {
            content_type: text("content-type", capability.write_with_content_type),
            content_disposition: text("content-disposition", capability.write_with_content_disposition),
            content_encoding: text("content-encoding", capability.write_with_content_encoding),
            cache_control: text("cache-control", capability.write_with_cache_control),
            if_not_exists: self.writer.create,
            // While one part is sent, the next one comes.
            concurrent: if self.writer.location.place.service.is_local() { 1 } else { 2 },
            ..WriteOptions::default()
        };
        let (operator, seen) = self.session.operator();
        let (key, url) = (self.writer.location.key.clone(), self.writer.url());
        let destination = Destination { operator, seen, key, url, options };
        self.upload = Some(Upload::begin(destination, &self.session, &self.context));
        self.size = self.writer.part_of(head);
        self.written = 0;
        self.part.clear();
    }

    /// Hands over what has come of a part.
    fn send(&mut self) -> Result<(), Failure> {
        let part = self.part.split().freeze();
        let sent = self.running().and_then(|upload| upload.put(part));
        if sent.is_err() {
            self.upload = None;
        }
        sent
    }

    fn running(&mut self) -> Result<&mut Upload, Failure> {
        let message = "written to before it was begun, or after it has failed";
        self.upload.as_mut().ok_or_else(|| Failure::new(ErrorKind::Other, message))
    }
}

impl Write for StoreOutput {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.running()?;
        if self.part.len() >= self.size {
            self.send()?;
        }
        if self.part.is_empty() && self.written > 0 {
            // The next one is likely to become as large as the one before.
            self.part.reserve(self.size);
        }
        let length = block.len().min(self.size - self.part.len());
        self.part.extend_from_slice(&block[..length]);
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for StoreOutput {
    fn offset(&self) -> u64 {
        if self.upload.is_some() { self.written } else { 0 }
    }

    fn begin(&mut self, head: &Head, offset: u64) -> io::Result<()> {
        if head.is_alone() || (offset > 0 && offset == self.offset()) {
            return Ok(());
        }
        // Nothing of the one before may be left when this one ends.
        self.upload = None;
        self.start(head);
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        if !self.part.is_empty() {
            self.send()?;
        }
        match self.upload.take() {
            Some(upload) => Ok(upload.commit()?),
            None => Err(Failure::new(ErrorKind::Other, "committed before it was begun").into()),
        }
    }
}
