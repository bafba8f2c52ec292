//! Which of several responses of a path is for which request (RFC 9111 §4.1).

use http::header::{ACCEPT_LANGUAGE, VARY};
use http::{HeaderMap, HeaderName};

/// Returns, as a text that is equal for equal ones, what a request has of the headers that a response varies by.
///
/// `sent` are the headers that the source was sent, so that what it never sees makes no difference.
pub(crate) fn selection(headers: &HeaderMap, sent: &HeaderMap) -> String {
    let mut text = String::new();
    for name in names(headers) {
        text.push_str(name.as_str());
        text.push(':');
        for (at, value) in sent.get_all(&name).iter().enumerate() {
            text.push_str(if at == 0 { " " } else { ", " });
            // Space between the members of a list means nothing.
            let value = String::from_utf8_lossy(value.as_bytes());
            let members: Vec<&str> = value.split(',').map(str::trim).collect();
            let value = members.join(", ");
            // Languages have no case (RFC 5646 §2.1.1).
            text.push_str(&if name == ACCEPT_LANGUAGE { value.to_ascii_lowercase() } else { value });
        }
        text.push('\n');
    }
    text
}

/// Returns the names of the headers that a response varies by, each once and sorted.
fn names(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(VARY).iter().filter_map(|value| value.to_str().ok());
    let mut names: Vec<HeaderName> =
        values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_what_is_named_makes_a_difference_and_space_does_not() {
        let response = headers(&[("vary", "Accept, x-a"), ("vary", "accept")]);
        let one = selection(&response, &headers(&[("accept", "a, b"), ("x-b", "1")]));
        assert_eq!(one, "accept: a, b\nx-a:\n");
        assert_eq!(one, selection(&response, &headers(&[("accept", "a"), ("accept", "b"), ("x-b", "2")])));
        assert_ne!(one, selection(&response, &headers(&[("accept", "a,b"), ("x-a", "")])));
        assert_ne!(one, selection(&response, &headers(&[("accept", "b, a")])));
        assert_eq!(selection(&HeaderMap::new(), &response), "");
        let response = headers(&[("vary", "Accept-Language, Accept")]);
        let asked = |language, kind| {
            selection(&response, &headers(&[("accept-language", language), ("accept", kind)]))
        };
        assert_eq!(asked("en, DE", "a"), asked("EN,de", "a"));
        assert_ne!(asked("en, de", "a"), asked("en, de", "A"));
    }
}
