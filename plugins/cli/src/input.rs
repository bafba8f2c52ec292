//! The list of what to download, read line by line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};

use ganymede::{Algorithm, Digest};
use serde::Deserialize;

use crate::arguments::size;
use crate::item::{self, Item};

/// The longest line that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// The items of a list, of which one line at a time is in memory.
///
/// A bad line is an error, and the lines after it can still be read; when reading itself fails, that is the last.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    name: String,
    number: u64,
    line: Vec<u8>,
    ended: bool,
}

/// Why a list cannot be used, and where.
#[derive(Debug)]
pub(crate) struct BadLine {
    name: String,
    number: u64,
    reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.name, self.number, self.reason)
    }
}

impl<R: BufRead> Lines<R> {
    /// Reads from `reader`, which messages call `name`.
    pub(crate) fn new(reader: R, name: impl Into<String>) -> Self {
        Self { reader, name: name.into(), number: 0, line: Vec::new(), ended: false }
    }

    fn bad(&self, reason: impl Into<String>) -> BadLine {
        BadLine { name: self.name.clone(), number: self.number, reason: reason.into() }
    }

    /// Reads the next line; `None` at the end.
    fn advance(&mut self) -> io::Result<Option<Result<(), String>>> {
        self.line.clear();
        self.number += 1;
        self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.len() as u64 == LONGEST && !self.line.ends_with(b"\n") {
            self.line.clear();
            self.skip()?;
            return Ok(Some(Err(format!("it has more than {} KiB", LONGEST >> 10))));
        }
        Ok(Some(Ok(())))
    }

    /// Passes over the rest of a line without holding it.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let block = match self.reader.fill_buf() {
                Ok(block) => block,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let end = block.iter().position(|byte| *byte == b'\n');
            let (length, done) = end.map_or((block.len(), block.is_empty()), |end| (end + 1, true));
            self.reader.consume(length);
            if done {
                return Ok(());
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Item, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.advance() {
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(reason))) => return Some(Err(self.bad(reason))),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(self.bad(format!("cannot be read: {error}"))));
                }
            }
            let Ok(text) = std::str::from_utf8(&self.line) else {
                return Some(Err(self.bad("it is not UTF-8 text")));
            };
            let text = if self.number == 1 { text.trim_start_matches('\u{feff}') } else { text };
            if let Some(item) = parse(text.trim()).transpose() {
                return Some(item.map_err(|reason| self.bad(reason)));
            }
        }
        None
    }
}

/// Parses a line; `None` if there is nothing on it.
fn parse(line: &str) -> Result<Option<Item>, String> {
    match line.chars().next() {
        None | Some('#') => Ok(None),
        Some('{') => parse_object(line).map(Some),
        Some(_) => parse_words(line).map(Some),
    }
}

fn parse_words(line: &str) -> Result<Item, String> {
    let words = split(line).ok_or("a quote is opened and not closed, or a \\ is the last character")?;
    let mut words = words.iter();
    let mut item = Item::new(words.next().map(AsRef::as_ref).unwrap_or_default())?;
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            format!("{word:?} is not KEY=VALUE: if it belongs to a name or URL, put that into quotes")
        })?;
        match key {
            "out" if item.out.is_some() => return Err("out is given twice".to_owned()),
            "out" => item.set_out(value)?,
            "size" if item.size.is_some() => return Err("size is given twice".to_owned()),
            "size" => item.size = Some(size(value)?),
            "mirror" => item.mirrors.push(item::url(value)?),
            algorithm => item.digests.push(digest(algorithm, value)?),
        }
    }
    Ok(item)
}

/// Splits a line into words as a shell does; `None` if it would wait for more.
fn split(line: &str) -> Option<Vec<Cow<'_, str>>> {
    // What a shell has nothing to say about but the spaces is most of a list.
    if line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic() && !b"'\"\\#".contains(&byte)) {
        return Some(line.split(' ').filter(|word| !word.is_empty()).map(Cow::Borrowed).collect());
    }
    Some(shlex::split(line)?.into_iter().map(Cow::Owned).collect())
}

fn digest(algorithm: &str, hex: &str) -> Result<Digest, String> {
    let Ok(algorithm) = algorithm.parse::<Algorithm>() else {
        let names = Algorithm::ALL.map(Algorithm::name).join(", ");
        return Err(format!("unknown key {algorithm:?}: use out, size, mirror or a digest's name: {names}"));
    };
    Digest::from_hex(algorithm, hex).map_err(|error| error.to_string())
}

/// A line as a JSON object.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    url: String,
    out: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    digests: BTreeMap<String, String>,
    #[serde(default)]
    mirrors: Vec<String>,
}

fn parse_object(line: &str) -> Result<Item, String> {
    let object: Object = serde_json::from_str(line).map_err(|error| {
        // Each object is a line, and its number in the file is the one that helps.
        let text = error.to_string().replace(" at line 1 column", " at column");
        format!("not the JSON object that is expected: {text}")
    })?;
    let mut item = Item::new(&object.url)?;
    if let Some(out) = &object.out {
        item.set_out(out)?;
    }
    item.size = object.size;
    let digests = object.digests.iter().map(|(algorithm, hex)| digest(algorithm, hex));
    item.digests = digests.collect::<Result<_, _>>()?;
    item.mirrors = object.mirrors.iter().map(|text| item::url(text)).collect::<Result<_, _>>()?;
    Ok(item)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test fails by panicking")]
mod tests {
    use ganymede::Url;

    use super::*;

    fn lines(text: &[u8]) -> Vec<Result<Item, String>> {
        Lines::new(text, "list").map(|item| item.map_err(|bad| bad.to_string())).collect()
    }

    fn error(line: &str) -> String {
        lines(line.as_bytes()).remove(0).unwrap_err()
    }

    #[test]
    fn a_line_is_a_url_and_what_is_known_of_it() {
        let text = b"\xef\xbb\xbfhttp://h/a out='my file' size=1K mirror=http://m/a mirror=\"http://n/a\" \
            SHA-1=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\r\n";
        let item = lines(text).remove(0).unwrap();
        assert_eq!((item.url.as_str(), item.out.unwrap().to_str()), ("http://h/a", Some("my file")));
        assert_eq!(item.size, Some(1024));
        assert_eq!(item.mirrors.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://m/a", "http://n/a"]);
        assert_eq!(item.digests[0].to_string(), "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }

    #[test]
    fn a_line_without_anything_special_is_split_as_any_other() {
        for line in
            ["http://h/a  out=b size=1", "a", "http://h/a?b=c&d=~%20;e=$f*[g]", "a\tb", "a # b", "\u{e4} b"]
        {
            let words = split(line).unwrap();
            let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
            assert_eq!(words, shlex::split(line).unwrap(), "{line:?}");
        }
    }

    #[test]
    fn blank_lines_and_comments_are_passed_over_and_counted() {
        let found = lines(b"# one\n\n   \r\n  # four\nhttp://h/a # behind\nhttp://h/b#fragment\nnonsense");
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].as_ref().unwrap().label, "http://h/a");
        assert_eq!(found[1].as_ref().unwrap().label, "http://h/b#fragment");
        assert!(found[2].as_ref().unwrap_err().starts_with("list, line 7: \"nonsense\" is not a URL"));
    }

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        assert!(error("http://h/a it's").contains("quote"));
        assert!(error("http://h/a b").contains("\"b\" is not KEY=VALUE"));
        assert!(error("http://h/a colour=red").contains("unknown key \"colour\""));
        assert!(error("http://h/a md5=12").contains("32 hexadecimal digits"));
        assert!(error("http://h/a size=many").contains("\"many\""));
        assert!(error("http://h/a size=1 size=1").contains("twice"));
        assert!(error("http://h/a out=a/").contains("names no file"));
        assert!(error("http://h/a out=..").contains("names no file"));
        assert!(error("http://h/a mirror=there").contains("\"there\" is not a URL"));
        assert!(error("{\"url\":\"http://h/a\",\"sise\":1}").contains("unknown field `sise`"));
        assert!(error("{\"out\":\"a\"}").contains("missing field `url`"));
        assert!(error("{\"url\":\"http://h/a\",\"digests\":{\"crc\":\"00\"}}").contains("\"crc\""));
        assert!(error("{\"url\":").contains("EOF"));
        assert!(lines(b"http://h/\xff")[0].as_ref().unwrap_err().contains("UTF-8"));
    }

    #[test]
    fn no_password_is_in_a_message_or_label() {
        assert!(!error("http://amy:secret@h:x/").contains("secret"));
        assert!(!error("amy:secret@h/").contains("secret"));
        assert_eq!(lines(b"http://amy:secret@h/a")[0].as_ref().unwrap().label, "http://h/a");
    }

    #[test]
    fn a_line_that_is_too_long_is_not_held_and_the_next_one_is_read() {
        let text = format!("http://h/{}\nhttp://h/b\n", "a".repeat(1 << 20));
        let found = lines(text.as_bytes());
        assert!(found[0].as_ref().unwrap_err().contains("line 1: it has more than 64 KiB"));
        assert_eq!(found[1].as_ref().unwrap().label, "http://h/b");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_json_object_says_the_same_as_words() {
        let text = b"{\"url\":\"http://h/a\",\"out\":\"b\",\"size\":7,\"digests\":{\"md5\":\
            \"d41d8cd98f00b204e9800998ecf8427e\"},\"mirrors\":[\"http://m/a\"]}\n{\"url\":\"http://h/c\"}";
        let found = lines(text);
        let item = found[0].as_ref().unwrap();
        assert_eq!((item.size, item.mirrors.len(), item.digests.len()), (Some(7), 1, 1));
        assert_eq!(item.out.as_ref().unwrap().to_str(), Some("b"));
        assert!(found[1].as_ref().unwrap().out.is_none());
    }
}
