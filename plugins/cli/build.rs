//! Writes the man pages, made of the same description as the help texts, into the build's output.

#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::path::PathBuf;
use std::{env, fs, io};

use clap::CommandFactory;

#[allow(dead_code, unused_imports, reason = "the build looks at the descriptions only")]
#[path = "src/arguments/mod.rs"]
mod arguments;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src/arguments");
    println!("cargo::rerun-if-changed=build.rs");
    let output = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("there is no OUT_DIR"))?;
    let folder = PathBuf::from(output).join("man");
    fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(arguments::Arguments::command().disable_help_subcommand(true), folder)
}
