//! The files that the page "Write a plugin" has its reader make: that they work, and that they are on the page.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

extern crate self as ganymede_gopher;

mod conformance;
#[allow(dead_code, clippy::print_stdout, reason = "it is an example, whose main is not called here")]
mod get;
mod gopher;

pub use gopher::Gopher;

const PAGE: &str = include_str!("../../../README.md");

#[test]
fn the_page_has_them_letter_by_letter() {
    let files = [include_str!("gopher.rs"), include_str!("conformance.rs"), include_str!("get.rs")];
    for file in files {
        let first = file.lines().next().unwrap();
        assert!(
            PAGE.contains(&format!("\n{file}```\n")),
            "the file that begins with {first:?} is another one"
        );
    }
}
