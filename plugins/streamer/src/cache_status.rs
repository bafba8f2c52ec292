//! How a request was answered, in the words of RFC 9211.

use std::fmt;

/// How a request was answered: the parameters of this server's member of `Cache-Status` (RFC 9211 §2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheStatus {
    /// Why it went to the source; without, it is a hit.
    pub(crate) forwarded: Option<Forwarded>,
    /// What the source answered.
    pub(crate) status: Option<u16>,
    /// How much longer it is fresh, in seconds.
    pub(crate) left: Option<i64>,
    /// It is kept.
    pub(crate) stored: bool,
    /// It has come with what was under way for another request.
    pub(crate) collapsed: bool,
    /// In a word, what else there is to say.
    pub(crate) detail: Option<&'static str>,
}

/// Why a request went to the source (RFC 9211 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Forwarded {
    /// Nothing is kept.
    Bypass,
    /// Nothing is there for the path.
    UriMiss,
    /// What is there for the path is for other requests.
    VaryMiss,
    /// What is there is stale.
    Stale,
    /// The request did not want what is there.
    Request,
}

impl Forwarded {
    fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

impl CacheStatus {
    /// Returns it as a member of the header of a server with this name.
    pub(crate) fn of(self, server: &str) -> String {
        format!("{server}{self}")
    }

    /// Returns in a word how the request was answered, for logs and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self { forwarded: None, left: Some(left), .. } if left <= 0 => "stale",
            Self { forwarded: None, .. } => "hit",
            Self { collapsed: true, .. } => "collapsed",
            Self { status: Some(304), .. } => "revalidated",
            Self { forwarded: Some(Forwarded::Bypass), .. } => "bypass",
            Self { .. } => "miss",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forwarded {
            None => f.write_str("; hit")?,
            Some(why) => write!(f, "; fwd={}", why.name())?,
        }
        if let Some(status) = self.status {
            write!(f, "; fwd-status={status}")?;
        }
        if let Some(left) = self.left {
            write!(f, "; ttl={left}")?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        self.detail.map_or(Ok(()), |detail| write!(f, "; detail={detail}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_member_of_a_list_of_structured_fields() {
        let hit = CacheStatus { left: Some(-3), ..CacheStatus::default() };
        assert_eq!((hit.of("g"), hit.word()), ("g; hit; ttl=-3".to_owned(), "stale"));
        let miss = CacheStatus {
            forwarded: Some(Forwarded::UriMiss),
            status: Some(200),
            stored: true,
            collapsed: true,
            detail: Some("x"),
            left: None,
        };
        let text = "g; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=x";
        assert_eq!((miss.of("g"), miss.word()), (text.to_owned(), "collapsed"));
    }
}
