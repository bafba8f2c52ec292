//! Names of files that are harmless wherever they end up.

use std::fmt;
use std::path::{Path, PathBuf};

use http::header::CONTENT_DISPOSITION;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::disposition;
use crate::reply::Head;

/// The longest name that the usual file systems take, in bytes.
const LONGEST: usize = 255;

/// The longest extension that is kept when a name has to be cut, in bytes, its dot included.
const LONGEST_EXTENSION: usize = 16;

/// What a file is called whose URL has no name for it.
const NAMELESS: &str = "index.html";

/// What the framework's own files beside a target end in.
const OWN: [&str; 2] = [".ganymede-part", ".ganymede-state"];

/// The name of a file, which is harmless in whatever folder it is joined to, wherever it came from.
///
/// It names a file in that folder and in no other, is no hidden file, no device of any system and none of the
/// framework's own files, has at most 255 bytes, neither begins nor ends with a space, does not end with a dot, and
/// holds neither separators nor control characters nor any that turn the direction of text.
///
/// ```
/// use ganymede::{FileName, Head};
///
/// let url = "https://example.com/download?id=7".parse()?;
/// let head = Head::new(&url).with_header("content-disposition", "attachment; filename=\"../../.bashrc\"");
/// let name = FileName::of_head(&head).unwrap_or_else(|| FileName::of_url(head.url()));
/// assert_eq!(name.as_str(), "_bashrc");
/// assert_eq!(FileName::of_url(head.url()).as_str(), "download");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FileName {
    /// Makes a name of any text; what must not be in one is replaced by `_`, separators too.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::harmless(text).unwrap_or_else(|| Self("_".to_owned()))
    }

    /// Makes a name of the last segment of a URL, decoded; `index.html` if it has none.
    #[must_use]
    pub fn of_url(url: &Url) -> Self {
        let segment = url.path().rsplit('/').next().unwrap_or_default();
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        Self::harmless(&decoded).unwrap_or_else(|| Self(NAMELESS.to_owned()))
    }

    /// Makes the name that a server gives the content, if it gives one: by `Content-Disposition` (RFC 6266).
    ///
    /// `filename*` (RFC 8187) goes before `filename`, whatever their order, and the disposition before them does not
    /// matter. Of a name with separators, `/` or `\`, the last segment counts (RFC 6266 §4.3). What is malformed is
    /// passed over; bytes that were sent as they are, which is obsolete, count as UTF-8 or else as ISO-8859-1.
    #[must_use]
    pub fn of_head(head: &Head) -> Option<Self> {
        let values = head.headers().get_all(CONTENT_DISPOSITION);
        let names = values.iter().flat_map(|value| disposition::names(value.as_bytes()));
        let last = |name: &String| name.rsplit(['/', '\\']).next().and_then(Self::harmless);
        names.into_iter().find_map(|name| last(&name))
    }

    /// Returns it as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a name of a text, unless nothing in it can be part of one.
    fn harmless(text: &str) -> Option<Self> {
        let replaced: String = text.chars().map(|c| if is_harmful(c) { '_' } else { c }).collect();
        if replaced.trim_matches(is_margin).is_empty() {
            return None;
        }
        let name = replaced.trim_start();
        // Before it is cut, which leaves no dots at the end.
        let visible = name.strip_prefix('.').map(|rest| format!("_{rest}"));
        let mut name = shortened(visible.as_deref().unwrap_or(name));
        if is_device(&name) {
            name.insert(0, '_');
            name = shortened(&name);
        }
        let own = OWN.iter().find(|own| ends_with(&name, own));
        if let Some(dot) = own.map(|own| name.len() - own.len()) {
            name.replace_range(dot..=dot, "_");
        }
        Some(Self(name))
    }
}

fn is_harmful(c: char) -> bool {
    let turns_text = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let breaks_lines = matches!(c, '\u{2028}' | '\u{2029}');
    // Elsewhere they are as good as any other, and common.
    let reserved = cfg!(windows) && matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    turns_text || breaks_lines || reserved || c.is_control() || matches!(c, '/' | '\\')
}

/// Tells what no name may end with: some systems take it away, and then it is another name.
fn is_margin(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn ends_with(name: &str, end: &str) -> bool {
    let start = name.len().checked_sub(end.len());
    let found = start.and_then(|start| name.get(start..));
    found.is_some_and(|found| found.eq_ignore_ascii_case(end))
}

/// Tells whether some system takes a file of that name for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        let mut number = stem.strip_prefix(prefix).into_iter().flat_map(str::chars);
        let digit = number.next().is_some_and(|c| matches!(c, '0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'));
        digit && number.next().is_none()
    };
    let known = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    known.contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

/// Cuts a name to the length that file systems take, keeps its extension, and leaves no margin at its end.
fn shortened(name: &str) -> String {
    let name = name.trim_end_matches(is_margin);
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= LONGEST_EXTENSION);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let end = stem.floor_char_boundary(LONGEST - extension.len());
    let cut = format!("{}{extension}", &stem[..end]);
    cut.trim_end_matches(is_margin).to_owned()
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for FileName {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl From<FileName> for String {
    fn from(name: FileName) -> Self {
        name.0
    }
}

impl From<FileName> for PathBuf {
    fn from(name: FileName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn name(url: &str) -> String {
        FileName::of_url(&url.parse().unwrap()).into()
    }

    #[test]
    fn the_last_segment_is_the_name_and_is_decoded() {
        assert_eq!(name("https://example.com/a/b%20c.iso?x=/y#z/w"), "b c.iso");
        assert_eq!(name("https://example.com/na%C3%AFve.txt"), "na\u{ef}ve.txt");
        assert_eq!(name("https://example.com/%FF.bin"), "\u{fffd}.bin");
    }

    #[test]
    fn a_url_without_a_name_gets_one() {
        for url in
            ["https://example.com", "https://example.com/a/", "https://example.com/%20", "https://h/a/.."]
        {
            assert_eq!(name(url), "index.html", "{url}");
        }
    }

    #[test]
    fn nothing_leads_to_another_folder_or_hides() {
        assert_eq!(name("https://example.com/..%2F..%2Fetc%2Fpasswd"), "_._.._etc_passwd");
        assert_eq!(name("https://example.com/..%5Cx"), "_._x");
        assert_eq!(name("https://example.com/.bashrc"), "_bashrc");
        assert_eq!(name("https://example.com/...%2e"), "index.html");
        assert_eq!(name("https://example.com/%2F"), "_");
    }

    #[test]
    fn nothing_that_a_terminal_or_a_system_obeys_is_left() {
        assert_eq!(name("https://example.com/a%1B%5B2J%0Ab%00%7F"), "a_[2J_b__");
        assert_eq!(name("https://example.com/%E2%80%AEgpj.exe"), "_gpj.exe");
        assert_eq!(name("https://example.com/nul.txt"), "_nul.txt");
        assert_eq!(name("https://example.com/COM1"), "_COM1");
        assert_eq!(name("https://example.com/console.com10"), "console.com10");
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_keeps_its_extension() {
        let long = name(&format!("https://example.com/{}.tar.gz", "\u{e4}".repeat(300)));
        assert!(long.len() <= 255 && long.len() > 250, "{}", long.len());
        assert!(
            long.starts_with("\u{e4}\u{e4}") && long.ends_with("\u{e4}.gz") || long.ends_with(".gz"),
            "{long}"
        );
        assert_eq!(name(&format!("https://example.com/{}", "x".repeat(300))).len(), 255);
    }

    #[test]
    fn no_margin_is_left_at_either_end() {
        for (text, expected) in [
            (" a.txt ", "a.txt"),
            ("a.txt . .. ", "a.txt"),
            ("\u{a0}a\u{3000}", "a"),
            (" .bashrc", "_bashrc"),
            ("a b", "a b"),
            ("nul .txt", "_nul .txt"),
            ("", "_"),
            (" .. ", "_"),
        ] {
            assert_eq!(FileName::new(text).as_str(), expected, "{text:?}");
        }
        let spaces = format!("con{}x", " ".repeat(400));
        assert_eq!(FileName::new(&spaces).as_str(), "_con");
        let dots = format!("{}{}", ".".repeat(300), "x".repeat(30));
        assert_eq!(FileName::new(&dots).as_str(), "_");
        let device = format!("con.{}", "x".repeat(251));
        assert_eq!(FileName::new(&device).as_str(), format!("_con.{}", "x".repeat(250)));
    }

    #[test]
    fn no_file_of_the_frameworks_own_is_named() {
        for (text, expected) in [
            ("a.iso.ganymede-part", "a.iso_ganymede-part"),
            ("a.iso.Ganymede-State", "a.iso_Ganymede-State"),
            (".a.ganymede-part. ", "_a_ganymede-part"),
            (".ganymede-state", "_ganymede-state"),
            ("ganymede-part", "ganymede-part"),
            ("a.ganymede-part.gz", "a.ganymede-part.gz"),
        ] {
            assert_eq!(FileName::new(text).as_str(), expected);
        }
        let long = format!("{}.ganymede-state", "x".repeat(300));
        let name = FileName::new(&long);
        assert!(name.as_str().ends_with("x_ganymede-state") && name.as_str().len() == 255);
    }

    #[test]
    fn every_device_is_another_name() {
        for device in
            ["CON", "prn.txt", "Aux", "nul.", "com0", "LPT9.tar.gz", "COM\u{b9}", "conin$", "CLOCK$.x"]
        {
            assert!(FileName::new(device).as_str().starts_with('_'), "{device}");
        }
        for file in ["COM", "com10", "lptx", "console", "null", "auxiliary.txt", "COM\u{2075}"] {
            assert_eq!(FileName::new(file).as_str(), file);
        }
    }
}
