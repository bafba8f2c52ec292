//! What is noted of a copy that was interrupted, so that it can be gone on with.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::digest::Digest;
use crate::error::redacted;
use crate::reply::Validator;
use crate::request::ByteRange;

/// What proves, in a later run, that a source still has the content of which some bytes are kept.
///
/// The engine makes one for each copy that can be gone on with, and hands it to the copy's
/// [`Output`](crate::Output), which keeps it with the bytes. Its text form has a line for each thing that is known;
/// it holds no credentials, and of a URL no query either, since that may be a signature.
///
/// ```
/// use ganymede::Record;
///
/// let text = "url https://example.com/a.iso\n\
///     download sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\
///     source sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n\
///     host https://example.com:443\n\
///     etag \"v1\"\n\
///     total 1000\n";
/// let record: Record = text.parse()?;
/// assert_eq!(record.total(), Some(1000));
/// assert_eq!(record.to_string(), text);
/// # Ok::<(), ganymede::ParseRecordError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The URL of the source, to be read by people.
    pub(crate) url: String,
    /// What the download's own URL is recognised by.
    pub(crate) download: Digest,
    /// What the URL of the source is recognised by.
    pub(crate) source: Digest,
    /// Where the source's redirects led.
    pub(crate) host: String,
    pub(crate) validator: Option<Validator>,
    /// The `Last-Modified` of the content, be it a validator or not.
    pub(crate) modified: Option<String>,
    /// What the source names the content (`Content-Disposition`, RFC 6266).
    pub(crate) disposition: Option<String>,
    pub(crate) total: Option<u64>,
    pub(crate) range: Option<ByteRange>,
    /// What validations expect of the content.
    pub(crate) expected: Vec<Digest>,
    /// What the source says of the content (`Repr-Digest`, RFC 9530 §3).
    pub(crate) stated: Vec<Digest>,
}

/// Why a text is no [`Record`].
///
/// ```
/// use ganymede::Record;
///
/// assert!("total many".parse::<Record>().unwrap_err().to_string().contains("total many"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRecordError {
    /// A line is none of a record.
    #[error("{0:?} is no line of a record")]
    Line(String),
    /// A line that every record has is missing.
    #[error("the record has no line {0}")]
    Missing(&'static str),
}

impl Record {
    /// Returns how many bytes the whole content has.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns how many bytes what is asked for has, which may be a range of the content.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        let (first, last) = self.range.map_or((0, None), |range| (range.first(), range.last()));
        let end = self.total.map(|total| last.map_or(total, |last| total.min(last.saturating_add(1))));
        end.or(last.map(|last| last.saturating_add(1))).map(|end| end.saturating_sub(first))
    }
}

/// Returns what a URL is recognised by without being told.
pub(crate) fn identity(url: &Url) -> Digest {
    Digest::sha256(redacted(url).as_str())
}

/// Returns a URL as far as it is sure to hold no secret.
pub(crate) fn public(url: &Url) -> String {
    let mut url = redacted(url);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "url {}", self.url)?;
        writeln!(f, "download {}", self.download)?;
        writeln!(f, "source {}", self.source)?;
        writeln!(f, "host {}", self.host)?;
        match &self.validator {
            Some(Validator::ETag(tag)) => writeln!(f, "etag {tag}")?,
            Some(Validator::LastModified(date)) => writeln!(f, "unmodified-since {date}")?,
            None => {}
        }
        if let Some(date) = &self.modified {
            writeln!(f, "modified {date}")?;
        }
        if let Some(disposition) = &self.disposition {
            writeln!(f, "disposition {disposition}")?;
        }
        if let Some(total) = self.total {
            writeln!(f, "total {total}")?;
        }
        if let Some(range) = self.range {
            let last = range.last().map_or_else(String::new, |last| last.to_string());
            writeln!(f, "range {}-{last}", range.first())?;
        }
        for digest in &self.expected {
            writeln!(f, "expected {digest}")?;
        }
        for digest in &self.stated {
            writeln!(f, "stated {digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Record {
    type Err = ParseRecordError;

    fn from_str(text: &str) -> Result<Self, ParseRecordError> {
        let (mut url, mut download, mut source, mut host) = (None, None, None, None);
        let (mut validator, mut modified, mut total, mut range) = (None, None, None, None);
        let mut disposition = None;
        let (mut expected, mut stated) = (Vec::new(), Vec::new());
        // Not `lines`, which takes a carriage return for a part of the line's end, so that what is written again is read
        // as something else.
        for line in text.split_terminator('\n') {
            let bad = || ParseRecordError::Line(line.to_owned());
            if line.contains(|c: char| c.is_control() && c != '\t') {
                return Err(bad());
            }
            let (key, value) = line.split_once(' ').ok_or_else(bad)?;
            let digest = || value.parse::<Digest>().map_err(|_| bad());
            match key {
                "url" => url = Some(value.to_owned()),
                "download" => download = Some(digest()?),
                "source" => source = Some(digest()?),
                "host" => host = Some(value.to_owned()),
                "etag" if is_strong_tag(value) => validator = Some(Validator::ETag(value.to_owned())),
                "unmodified-since" if is_date(value) => {
                    validator = Some(Validator::LastModified(value.to_owned()));
                }
                "modified" if is_date(value) => modified = Some(value.to_owned()),
                "disposition" => disposition = Some(value.to_owned()),
                "total" => total = Some(value.parse().map_err(|_| bad())?),
                "range" => range = Some(parse_range(value).ok_or_else(bad)?),
                "expected" => expected.push(digest()?),
                "stated" => stated.push(digest()?),
                _ => return Err(bad()),
            }
        }
        let missing = ParseRecordError::Missing;
        Ok(Self {
            url: url.ok_or(missing("url"))?,
            download: download.ok_or(missing("download"))?,
            source: source.ok_or(missing("source"))?,
            host: host.ok_or(missing("host"))?,
            validator,
            modified,
            disposition,
            total,
            range,
            expected,
            stated,
        })
    }
}

fn is_strong_tag(text: &str) -> bool {
    text.len() >= 2 && text.starts_with('"') && text.ends_with('"')
}

fn is_date(text: &str) -> bool {
    httpdate::parse_http_date(text).is_ok()
}

fn parse_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.split_once('-')?;
    let last = match last {
        "" => None,
        last => Some(last.parse().ok()?),
    };
    ByteRange::new(first.parse().ok()?, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let url: Url = "https://amy:secret@example.com/a?sign=secret#part".parse().unwrap();
        Record {
            url: public(&url),
            download: identity(&url),
            source: identity(&"https://example.org/a".parse().unwrap()),
            host: "https://example.org:443".to_owned(),
            validator: Some(Validator::LastModified("Sun, 06 Nov 1994 08:49:37 GMT".to_owned())),
            modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned()),
            disposition: Some("attachment; filename=\"a b\"".to_owned()),
            total: Some(u64::MAX),
            range: ByteRange::new(5, Some(9)),
            expected: vec![identity(&url)],
            stated: vec![identity(&url), identity(&url)],
        }
    }

    #[test]
    fn a_record_comes_back_from_its_text() {
        let mut record = record();
        assert_eq!(record.to_string().parse(), Ok(record.clone()));
        record.validator = Some(Validator::ETag("\"a b\"".to_owned()));
        (record.modified, record.total, record.range) = (None, None, Some(ByteRange::from(7)));
        record.disposition = None;
        (record.expected, record.stated) = (Vec::new(), Vec::new());
        assert_eq!(record.to_string().parse(), Ok(record.clone()));
    }

    #[test]
    fn a_record_holds_no_secret_and_knows_the_url_all_the_same() {
        let text = record().to_string();
        assert!(!text.contains("secret") && !text.contains("amy"), "{text}");
        let other = identity(&"https://amy:other@example.com/a?sign=other".parse().unwrap());
        assert_ne!(record().download, other);
        assert_eq!(record().download, identity(&"https://example.com/a?sign=secret#part".parse().unwrap()));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let good = record().to_string();
        for (from, to) in [
            ("total 18446744073709551615", "total 18446744073709551616"),
            ("range 5-9", "range 9-5"),
            ("url ", "uri "),
            ("1994", "19x4"),
            ("source sha256:", "source sha256:00"),
            ("host https://example.org:443", "host https://example.org:443\r"),
        ] {
            let bad = good.replace(from, to);
            assert!(bad.parse::<Record>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<Record>(), Err(ParseRecordError::Missing("url")));
        let weak = good.replace("unmodified-since Sun, 06 Nov 1994 08:49:37 GMT", "etag W/\"a\"");
        assert!(weak.parse::<Record>().is_err());
    }
}
