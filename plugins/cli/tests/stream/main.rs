//! `ganymede stream` as its users see it: run as a program, between origins and the clients that people have.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod apt;
mod clients;
mod crowds;
mod curl;
mod dnf;
mod faults;
mod pip;
mod serving;
mod web;

use std::fmt::Display;

use ganymede::{Algorithm, Facts};
use ganymede_kit::{Folder, pattern};

/// More than is on its way between an origin and a client, but for what systems buffer.
const LARGE: usize = 3_000_000;

/// The hexadecimal digits of the digest of a content.
fn digest(algorithm: Algorithm, content: &[u8]) -> String {
    Facts::of(content, [algorithm]).unwrap().digest(algorithm).unwrap().hex()
}

/// The lines of a list as sha256sum writes it, for paths that all have this content.
fn list<P: Display>(content: &[u8], paths: impl IntoIterator<Item = P>) -> String {
    let digest = digest(Algorithm::Sha256, content);
    paths.into_iter().map(|path| format!("{digest}  {path}\n")).collect()
}

/// The pattern, but for its last byte.
fn wrong(size: usize) -> Vec<u8> {
    let mut bytes = pattern(size);
    bytes[size - 1] ^= 1;
    bytes
}

/// Writes a list for a path that is to have the pattern, and returns the arguments that name it.
fn expecting(folder: &Folder, path: &str, size: usize) -> [String; 2] {
    let list = folder.write("SHA256SUMS", list(&pattern(size), [path]));
    ["--digests".to_owned(), list.display().to_string()]
}
