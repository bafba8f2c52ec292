//! What `ganymede get` prints.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "What is printed")]
pub(crate) struct Output {
    /// Whether progress bars are drawn on standard error; auto draws them on a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    pub(crate) progress: When,
    /// Prints a JSON object a line for each file and a summary, to standard output, or to standard error with -o -
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints at the end where the time went for each host: for a connection, for waiting, for checking, ..
    ///
    /// For each phase, what all attempts have spent in it and what each of them has on average. With --json, the
    /// numbers are in the summary. A redirect counts for the host that was asked.
    #[arg(long)]
    pub(crate) stats: bool,
    /// Writes a timeline to FILE: each attempt on the lane of its thread, for ui.perfetto.dev or chrome://tracing
    ///
    /// It is in the Trace Event Format (JSON), is written as the run goes on, and names URLs without credentials and
    /// queries.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Prints failures only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Prints what was stored or kept, too; twice: every attempt
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    Auto,
    /// Wherever standard error goes
    Always,
    /// Not at all
    Never,
}
