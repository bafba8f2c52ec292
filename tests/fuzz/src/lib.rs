//! What several fuzz targets assert.

use ganymede::{FileName, Head, HeaderMap, HeaderName, HeaderValue};

/// Asserts that a name is harmless in whatever folder it is joined to, by other means than those that made it so.
pub fn assert_harmless(name: &FileName) {
    let text = name.as_str();
    assert!(!text.is_empty() && text.len() <= 255, "{text:?}");
    assert!(!text.starts_with('.') && !text.ends_with('.'), "{text:?}");
    assert_eq!(text.trim(), text);
    let forbidden = |c: char| c.is_control() || "/\\\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(c);
    let turning = |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    assert!(!text.contains(|c| forbidden(c) || turning(c)), "{text:?}");
    let lower = text.to_ascii_lowercase();
    assert!(!lower.ends_with(".ganymede-part") && !lower.ends_with(".ganymede-state"), "{text:?}");
    let stem = lower.split('.').next().unwrap_or_default().trim_end().to_owned();
    for device in ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9", "conin$", "conout$"] {
        assert_ne!(stem, device);
    }
    let joined = std::path::Path::new("/folder").join(name);
    assert_eq!(joined.parent(), Some(std::path::Path::new("/folder")));
    assert_eq!(joined.file_name().and_then(|name| name.to_str()), Some(text));
    assert_eq!(&FileName::new(text), name, "a harmless name stays as it is");
}

/// Returns a head with one header, unless no header can be that.
pub fn head(name: &'static str, value: &[u8]) -> Option<Head> {
    let value = HeaderValue::from_bytes(value).ok()?;
    let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
    let url = "https://example.com/folder/file".parse().expect("a URL");
    Some(Head::new(&url).with_headers(headers))
}
