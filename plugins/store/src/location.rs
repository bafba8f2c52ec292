//! What a URL says of where an object is.

use ganymede::{ErrorKind, Failure, Url};
use percent_encoding::percent_decode_str;

use crate::service::Service;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    pub(crate) place: Place,
    /// The name of the object there, as the service knows it.
    pub(crate) key: String,
}

/// Where objects are: a bucket, a container, or a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) service: Service,
    /// The name of the bucket or container, or of the host; empty for this machine.
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
}

impl Location {
    /// Reads a URL, whose path is the percent-encoded key.
    pub(crate) fn of(url: &Url) -> Result<Self, Failure> {
        let shown = shown(url);
        let unsupported = |what: &str| Failure::new(ErrorKind::Unsupported, format!("{shown} {what}"));
        let service = Service::of(url.scheme()).ok_or_else(|| unsupported("is of no store that is known"))?;
        let name = url.host_str().unwrap_or_default().to_owned();
        if name.is_empty() != service.is_local() {
            return Err(unsupported(if service.is_local() { "has a host" } else { "names no bucket" }));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(unsupported("has a query or a fragment: in a key, ? is written %3F and # is %23"));
        }
        let key = percent_decode_str(url.path().strip_prefix('/').unwrap_or_default());
        let key = key.decode_utf8().map_err(|_| unsupported("has a key that is not UTF-8"))?.into_owned();
        if key.is_empty() || key.ends_with('/') {
            return Err(unsupported("names a folder, not an object"));
        }
        // The library asks for another key than this then.
        if opendal::raw::normalize_path(&key) != key {
            let what = "has a key that cannot be asked for: one with empty parts, or with spaces at an end";
            return Err(unsupported(what));
        }
        Ok(Self { place: Place { service, name, port: url.port() }, key })
    }
}

/// Returns how a URL is shown: without what may be credentials.
pub(crate) fn shown(url: &Url) -> Url {
    ganymede::Request::new(url.clone()).display_url()
}

/// Returns the URL of the object of this name in a folder, which is the URL of a bucket or of a prefix in one.
///
/// The name is as it is, not percent-encoded; its `/` lead to further folders.
///
/// ```
/// # if ganymede_store::schemes().contains(&"s3") {
/// let folder = "s3://bucket/images".parse()?;
/// let url = ganymede_store::object_in(&folder, "new/50% off.iso")?;
/// assert_eq!(url.as_str(), "s3://bucket/images/new/50%25%20off.iso");
/// assert!(ganymede_store::object_in(&folder, "../elsewhere").is_err());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the name would lead out of the folder, or can be none of an object.
pub fn object_in(folder: &Url, name: &str) -> Result<Url, Failure> {
    let bad =
        || Failure::new(ErrorKind::Unsupported, format!("{name:?} names no object in {}", shown(folder)));
    let mut url = folder.clone();
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(bad());
    }
    url.path_segments_mut().map_err(|()| bad())?.pop_if_empty().extend(name.split('/'));
    Location::of(&url)?;
    Ok(url)
}

#[cfg(all(test, feature = "s3"))]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn key(url: &str) -> Result<String, String> {
        let location = Location::of(&url.parse().unwrap()).map_err(|failure| failure.to_string())?;
        assert_eq!(location.place.name, "bucket");
        Ok(location.key)
    }

    #[test]
    fn a_key_is_percent_decoded_once() {
        for (url, expected) in [
            ("s3://bucket/a", "a"),
            ("s3://bucket/a/b.c", "a/b.c"),
            ("s3://bucket/a%20b+c", "a b+c"),
            ("s3://bucket/a b", "a b"),
            ("s3://bucket/100%25", "100%"),
            ("s3://bucket/%2525", "%25"),
            ("s3://bucket/%C3%A9", "é"),
            ("s3://bucket/é", "é"),
            ("s3://bucket/a%3Fb%23c", "a?b#c"),
            ("s3://user:secret@bucket/a", "a"),
        ] {
            assert_eq!(key(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn what_names_no_object_is_refused_with_the_reason() {
        for (url, reason) in [
            ("s3://bucket", "names a folder"),
            ("s3://bucket/", "names a folder"),
            ("s3://bucket/a/", "names a folder"),
            ("s3:///a", "names no bucket"),
            ("s3://bucket/a?versionId=1", "a query"),
            ("s3://bucket/a#b", "a fragment"),
            ("s3://bucket/%FF", "not UTF-8"),
            ("s3://bucket/a//b", "empty parts"),
            ("s3://bucket/a%20", "spaces"),
            ("gopher://bucket/a", "no store that is known"),
        ] {
            let failure = key(url).unwrap_err();
            assert!(failure.contains(reason), "{url}: {failure}");
        }
        let failure = key("s3://user:secret@bucket/").unwrap_err();
        assert!(!failure.contains("secret"), "{failure}");
    }

    #[test]
    fn a_name_in_a_folder_is_the_key_below_it_whatever_it_holds() {
        for name in ["a", "a b", "100%", "%41", "a?b", "a#b", "é", "a+b", "x/y"] {
            for folder in ["s3://bucket/p", "s3://bucket/p/"] {
                let url = object_in(&folder.parse().unwrap(), name).unwrap();
                assert_eq!(key(url.as_str()), Ok(format!("p/{name}")));
            }
            let url = object_in(&"s3://bucket".parse().unwrap(), name).unwrap();
            assert_eq!(key(url.as_str()).as_deref(), Ok(name));
        }
        for name in ["", ".", "..", "../a", "a/../b", "/a", "a/", "a//b"] {
            assert!(object_in(&"s3://bucket/p".parse().unwrap(), name).is_err(), "{name}");
        }
    }
}
