//! The names that a `Content-Disposition` gives (RFC 6266).

use percent_encoding::percent_decode_str;

/// Returns the names that the value of a header gives, the one that counts first.
///
/// Those of `filename*` go before those of `filename`. What is malformed is passed over, since the name that is left
/// is made harmless anyway: a bad escape or charset, a quote without its end, text behind a quote.
pub(crate) fn names(value: &[u8]) -> Vec<String> {
    let text = match str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().copied().map(char::from).collect(),
    };
    let (mut extended, mut plain) = (Vec::new(), Vec::new());
    for (name, value) in (Parameters { rest: &text }) {
        match name.to_ascii_lowercase().as_str() {
            "filename*" => extended.extend(decoded(&value)),
            "filename" => plain.push(value),
            _ => {}
        }
    }
    extended.append(&mut plain);
    extended
}

/// Decodes `CHARSET'LANGUAGE'TEXT`, percent-encoded (RFC 8187 §3.2).
fn decoded(value: &str) -> Option<String> {
    let (charset, rest) = value.split_once('\'')?;
    let (_language, text) = rest.split_once('\'')?;
    let is_escape = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.is_ascii() || !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let bytes = percent_decode_str(text);
    match charset.trim().to_ascii_uppercase().as_str() {
        "UTF-8" => Some(bytes.decode_utf8().ok()?.into_owned()),
        "ISO-8859-1" => Some(bytes.map(char::from).collect()),
        _ => None,
    }
}

/// The parameters of a header's value, without those that are malformed.
struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = self.rest.find(['=', ';']).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            let Some(rest) = rest.strip_prefix('=') else {
                // The disposition itself, or a word where a parameter should be.
                self.pass();
                continue;
            };
            self.rest = rest.trim_start();
            let value = match self.rest.strip_prefix('"') {
                Some(quoted) => self.quoted(quoted),
                None => Some(self.pass().trim().to_owned()),
            };
            if let Some(value) = value {
                return Some((name.trim(), value));
            }
        }
        None
    }
}

impl<'a> Parameters<'a> {
    /// Passes over what is left of a parameter, and returns it.
    fn pass(&mut self) -> &'a str {
        let (passed, rest) = self.rest.split_once(';').unwrap_or((self.rest, ""));
        self.rest = rest;
        passed
    }

    /// Reads a quoted string, whose first quote was read, and passes over what is left of the parameter.
    fn quoted(&mut self, quoted: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut characters = quoted.chars();
        loop {
            match characters.next() {
                Some('"') => break,
                Some('\\') => value.push(characters.next().unwrap_or('\\')),
                Some(character) => value.push(character),
                None => {
                    // No quote ends it, so what looks like a parameter behind it may be part of it.
                    self.rest = "";
                    return None;
                }
            }
        }
        self.rest = characters.as_str();
        self.pass().trim().is_empty().then_some(value)
    }
}
