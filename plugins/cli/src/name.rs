//! The names that files get from their URLs.

use ganymede::Url;
use percent_encoding::percent_decode_str;

/// The longest name that the usual file systems take, in bytes.
const LONGEST: usize = 255;

/// The longest extension that is kept when a name has to be cut, in bytes, its dot included.
const LONGEST_EXTENSION: usize = 16;

/// What a file is called whose URL has no name for it.
const NAMELESS: &str = "index.html";

/// Makes a name of the last segment of a URL: decoded, and harmless wherever it ends up.
///
/// It names a file in the folder that it is joined to and in no other, is no hidden file, no device of any system,
/// and holds nothing that a terminal obeys.
pub(crate) fn of(url: &Url) -> String {
    let segment = url.path().rsplit('/').next().unwrap_or_default();
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    let name: String = decoded.chars().map(|c| if is_harmful(c) { '_' } else { c }).collect();
    if name.trim_matches(['.', ' ']).is_empty() {
        return NAMELESS.to_owned();
    }
    let name = match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if is_device(&name) => format!("_{name}"),
        None => name,
    };
    shortened(name)
}

fn is_harmful(c: char) -> bool {
    let turns_text = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_text || c.is_control() || matches!(c, '/' | '\\')
}

/// Tells whether some system takes a file of that name for a device, whatever its extension.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        let number = stem.strip_prefix(prefix);
        number.is_some_and(|number| number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

/// Cuts a name to the length that file systems take, and keeps its extension.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let dot = name.rfind('.').filter(|dot| name.len() - dot <= LONGEST_EXTENSION);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    let end = stem.floor_char_boundary(LONGEST - extension.len());
    format!("{}{extension}", &stem[..end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::of;

    fn name(url: &str) -> String {
        of(&url.parse().unwrap())
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
}
