//! What a store is asked for an object, and how it is answered.

use ganymede::{ByteRange, ErrorKind, Failure, Head, Method, StatusCode, Url, Validator};
use opendal::options::ReaderOptions;
use opendal::raw::Timestamp;
use opendal::{BufferStream, BytesRange, Capability, Error, ErrorKind as Kind, Metadata, Operator};

use crate::body::Arriving;
use crate::failure::failure_of;
use crate::transport::Seen;

/// A question for an object.
pub(crate) struct Question {
    pub(crate) operator: Operator,
    pub(crate) capability: Capability,
    pub(crate) seen: Seen,
    pub(crate) key: String,
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) range: Option<ByteRange>,
    pub(crate) if_range: Option<Validator>,
    pub(crate) if_changed: Option<Validator>,
}

/// What came of it.
pub(crate) enum Answer {
    Head(Box<Head>),
    Body(Box<Head>, Box<Arriving>),
}

impl Question {
    pub(crate) async fn ask(mut self) -> Result<Answer, Failure> {
        self.range = self.range.filter(|range| *range != ByteRange::from(0));
        // A condition on a part counts only with one.
        self.if_range = self.if_range.filter(|_| self.range.is_some());
        if self.method == Method::Head {
            let metadata = self.look().await?;
            return Ok(Answer::Head(Box::new(match self.is_unchanged(&metadata) {
                true => head(&self.url, &metadata).with_status(StatusCode::NOT_MODIFIED),
                false => head(&self.url, &metadata),
            })));
        }
        let mut options = ReaderOptions::default();
        let mut known = None;
        if let Some(validator) = self.if_range.take()
            && !self.demand(&validator, &mut options)
        {
            let metadata = known.insert(self.look().await?);
            if head(&self.url, metadata).validator().as_ref() != Some(&validator) {
                self.range = None;
            }
        } else if let Some(validator) = self.if_changed.clone()
            && !self.excuse(&validator, &mut options)
        {
            let metadata = known.insert(self.look().await?);
            if self.is_unchanged(metadata) {
                let head = head(&self.url, metadata).with_status(StatusCode::NOT_MODIFIED);
                return Ok(Answer::Head(Box::new(head)));
            }
        }
        self.read(options, known).await
    }

    /// Asks only for what the object is still the same for; false if the service knows no such condition.
    fn demand(&self, validator: &Validator, options: &mut ReaderOptions) -> bool {
        match validator {
            Validator::ETag(tag) if self.capability.read_with_if_match => {
                options.if_match = Some(tag.clone());
                true
            }
            Validator::LastModified(date) if self.capability.read_with_if_unmodified_since => {
                options.if_unmodified_since = moment(date);
                options.if_unmodified_since.is_some()
            }
            _ => false,
        }
    }

    /// Asks only for what is new; false if the service knows no such condition.
    fn excuse(&self, validator: &Validator, options: &mut ReaderOptions) -> bool {
        match validator {
            Validator::ETag(tag) if self.capability.read_with_if_none_match => {
                options.if_none_match = Some(tag.clone());
                true
            }
            Validator::LastModified(date) if self.capability.read_with_if_modified_since => {
                options.if_modified_since = moment(date);
                options.if_modified_since.is_some()
            }
            _ => false,
        }
    }

    /// Opens the body; where it is no part of what was begun, that of everything.
    async fn read(mut self, options: ReaderOptions, known: Option<Metadata>) -> Result<Answer, Failure> {
        let demanded = options.if_match.is_some() || options.if_unmodified_since.is_some();
        let opened = self.open(options, known.clone()).await;
        let (metadata, stream) = match opened {
            Err(error) if error.kind() == Kind::ConditionNotMatch && demanded => {
                self.range = None;
                self.seen.lock().take();
                self.open(ReaderOptions::default(), known).await.map_err(|error| self.failed(&error))?
            }
            Err(error) if error.kind() == Kind::ConditionNotMatch && self.if_changed.is_some() => {
                let head = Head::new(&self.url).with_status(StatusCode::NOT_MODIFIED);
                return Ok(Answer::Head(Box::new(match &self.if_changed {
                    Some(Validator::ETag(tag)) => head.with_header("etag", tag),
                    _ => head,
                })));
            }
            Err(error) if self.range.is_some() && is_beyond(&error, &self.seen) => {
                self.seen.lock().take();
                let total = self.look().await?.content_length();
                return Err(self.beyond(total));
            }
            opened => opened.map_err(|error| self.failed(&error))?,
        };
        let total = metadata.content_length();
        let mut head = head(&self.url, &metadata);
        let mut length = total;
        if let Some(range) = self.range {
            if range.first() >= total {
                return Err(self.beyond(total));
            }
            let end = range.last().map_or(total, |last| total.min(last.saturating_add(1)));
            length = end.saturating_sub(range.first());
            head = head.with_part(range.first(), Some(length), Some(total));
        }
        let arriving = Arriving { stream, length, seen: self.seen, url: self.url };
        Ok(Answer::Body(Box::new(head), Box::new(arriving)))
    }

    async fn open(
        &self,
        options: ReaderOptions,
        known: Option<Metadata>,
    ) -> Result<(Metadata, BufferStream), Error> {
        let range = self.range.map_or(BytesRange::from(..), |range| {
            let size = range.last().map(|last| (last - range.first()).saturating_add(1));
            BytesRange::new(range.first(), size)
        });
        let reader = self.operator.reader_options(&self.key, options).await?;
        let mut stream = reader.into_stream(range).await?;
        let told = match known {
            Some(metadata) => return Ok((metadata, stream)),
            None => stream.metadata().await,
        };
        match told {
            // Such a service tells nothing with the body.
            Err(error) if error.kind() == Kind::Unsupported => {
                Ok((self.operator.stat(&self.key).await?, stream))
            }
            told => told.map(|metadata| (metadata, stream)),
        }
    }

    /// Looks at what is there.
    async fn look(&self) -> Result<Metadata, Failure> {
        let metadata = self.operator.stat(&self.key).await.map_err(|error| self.failed(&error))?;
        if metadata.is_dir() {
            let message = format!("{} is a folder, not an object", self.url);
            return Err(Failure::new(ErrorKind::Unsupported, message));
        }
        Ok(metadata)
    }

    fn is_unchanged(&self, metadata: &Metadata) -> bool {
        let head = head(&self.url, metadata);
        match &self.if_changed {
            Some(Validator::ETag(tag)) => head.etag() == Some(tag),
            Some(Validator::LastModified(date)) => {
                let known = httpdate::parse_http_date(date);
                known.is_ok_and(|known| head.modified().is_some_and(|modified| modified <= known))
            }
            _ => false,
        }
    }

    fn failed(&self, error: &Error) -> Failure {
        failure_of(error, &self.seen, &self.url)
    }

    fn beyond(&self, total: u64) -> Failure {
        let range = self.range.unwrap_or(ByteRange::from(0));
        let message = format!("{} has {total} bytes: there is no {range}", self.url);
        let status = Failure::from_status(StatusCode::RANGE_NOT_SATISFIABLE);
        status.message(message).with_total(Some(total))
    }
}

fn is_beyond(error: &Error, seen: &Seen) -> bool {
    let said = seen.lock().as_ref().map(|refusal| refusal.status);
    error.kind() == Kind::RangeNotSatisfied || said == Some(StatusCode::RANGE_NOT_SATISFIABLE)
}

fn moment(date: &str) -> Option<Timestamp> {
    Timestamp::try_from(httpdate::parse_http_date(date).ok()?).ok()
}

/// Makes the head of all of an object, of what the service says of it.
fn head(url: &Url, metadata: &Metadata) -> Head {
    let mut head = Head::new(url).with_length(Some(metadata.content_length()));
    let named = [
        ("content-type", metadata.content_type()),
        ("content-disposition", metadata.content_disposition()),
        ("content-encoding", metadata.content_encoding()),
        ("cache-control", metadata.cache_control()),
    ];
    for (name, value) in named {
        head = value.map_or(head.clone(), |value| head.with_header(name, value));
    }
    if let Some(tag) = metadata.etag() {
        let quoted = tag.ends_with('"') && (tag.starts_with('"') || tag.starts_with("W/\""));
        let tag = if quoted { tag.to_owned() } else { format!("\"{tag}\"") };
        head = head.with_header("etag", &tag);
    }
    if let Some(modified) = metadata.last_modified() {
        head = head.with_modified(modified.into());
    }
    head.with_header("accept-ranges", "bytes")
}
