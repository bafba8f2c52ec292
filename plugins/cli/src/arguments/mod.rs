//! The command line: what can be said on it, and how that is explained.
//!
//! The build script makes the man pages of it, so it uses nothing else of this crate.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

mod get;
mod output;
mod pace;
mod quantity;
#[cfg(feature = "stream")]
mod stream;
mod upstream;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use get::{Existing, Get};
pub(crate) use output::{Output, When};
pub(crate) use pace::{Concurrency, Segments};
pub(crate) use quantity::size;
#[cfg(feature = "stream")]
pub(crate) use stream::{Bounds, Format, Freshness, Headers, Journal, Keeping, Policy, Stream};
pub(crate) use upstream::{Connection, Patience, Rate};

/// Downloads files: verified, from mirrors, in parallel.
#[derive(Debug, Parser)]
#[command(name = "ganymede", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Start with: ganymede get https://example.com/")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Downloads files
    ///
    /// A file appears under its name only when it is complete and has passed every check that was asked for.
    Get(Box<Get>),
    /// Serves files from elsewhere, verified and cached
    ///
    /// It stands in front of a server and its mirrors, passes files on while they arrive, and keeps them. A client never
    /// gets a complete file that is a wrong one: what turns out to be wrong, or cannot be completed, is cut.
    #[cfg(feature = "stream")]
    Stream(Box<Stream>),
    /// Prints the completions for a shell
    ///
    /// For bash, for example: ganymede completions bash > ~/.local/share/bash-completion/completions/ganymede
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the man page of a command
    ///
    /// To read it: ganymede man get | man -l -
    Man {
        /// The command; without one, the page of ganymede itself
        #[arg(value_parser = PossibleValuesParser::new(PAGES))]
        command: Option<String>,
    },
}

/// The commands that have a page of their own.
const PAGES: &[&str] = &[
    "get",
    #[cfg(feature = "stream")]
    "stream",
    "completions",
    "man",
];
