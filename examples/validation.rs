//! Stores a file only if it has the expected size and digest, and is no web page in its place.
//!
//! `cargo run --example validation -- URL FILE SIZE DIGEST OLD_DIGEST`, digests like `sha256:HEX`. The old one only warns.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;

use ganymede::{
    Check, Context, DigestValidation, Download, ErrorKind, Facts, FileWriter, HttpDownload, SizeValidation,
    Validation, ValidationError, WarnOnly,
};

/// Refuses a web page: what some servers send, as a success, in place of a file.
struct NotHtml;

/// Whether the first block was seen.
struct NotHtmlCheck(bool);

impl Validation for NotHtml {
    fn begin(&self) -> Box<dyn Check> {
        Box::new(NotHtmlCheck(false))
    }
}

impl Check for NotHtmlCheck {
    fn update(&mut self, block: &[u8]) -> Result<(), ValidationError> {
        let first = !std::mem::replace(&mut self.0, true);
        if first && block.trim_ascii_start().starts_with(b"<") {
            return Err(ValidationError::custom("it is a web page"));
        }
        Ok(())
    }

    fn finish(self: Box<Self>, _: &Facts) -> Result<(), ValidationError> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, file, size, digest, old_digest] = arguments.as_slice() else {
        return Err("usage: validation URL FILE SIZE DIGEST OLD_DIGEST".into());
    };

    let result = HttpDownload::get(url)?
        .writer(FileWriter::new(file))
        .validation(NotHtml)
        .validation(SizeValidation::new(size.parse()?))
        .validation(DigestValidation::new(digest.parse()?))
        .validation(WarnOnly::new(DigestValidation::new(old_digest.parse()?)))
        .run(&Context::new());

    let receipt = result.inspect_err(|error| match error.kind() {
        ErrorKind::Validation(ValidationError::Digest { actual, .. }) => println!("it has {actual}"),
        ErrorKind::Validation(other) => println!("it is not valid: {other}"),
        other => println!("it cannot be had: {other}"),
    })?;
    for warning in receipt.warnings() {
        println!("warning: {warning}");
    }
    println!("{} valid bytes", receipt.facts().size());
    Ok(())
}
