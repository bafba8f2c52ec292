//! How many downloads `ganymede get` runs, and how fast.

#![allow(clippy::doc_markdown, reason = "these become help texts, which show their marks")]

use std::time::Duration;

use clap::Args;

use super::quantity::{amount, duration};
use super::upstream::{Patience, Rate};

#[derive(Debug, Args)]
#[command(next_help_heading = "How many, how often, how long")]
pub(crate) struct Pace {
    /// How many files are downloaded at a time, or "auto" for as many as are worth it
    ///
    /// With auto, it begins with 4, downloads more while that makes everything faster, up to 32, and fewer for a while
    /// when a server pushes back. --per-host limits that, too.
    #[arg(short = 'j', long, value_name = "N", default_value = "8", value_parser = concurrency)]
    pub(crate) concurrency: Concurrency,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// How many files are prepared or unreported at a time [default: 64, or twice -j if that is more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) backlog: Option<u32>,
    /// How long each file may take in all; unlimited unless given
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How fast")]
pub(crate) struct Speed {
    /// Over how many connections each file is fetched, in ranges, or "auto" for more than one where that is faster
    ///
    /// They go to the URL and to every --mirror, and each counts for --per-host. With auto, it is one at first; only
    /// for what is large, and has not come soon, are there more, as long as they bring more, up to 8 for all files
    /// together. What cannot be fetched in ranges comes over one connection.
    #[arg(long, value_name = "N", default_value = "auto", value_parser = segments)]
    pub(crate) segments: Segments,
    #[command(flatten)]
    pub(crate) rate: Rate,
    /// How many bytes a second each download must get; a slower attempt is given up, like one that breaks off
    #[arg(long, value_name = "BYTES", value_parser = amount)]
    pub(crate) min_speed: Option<u64>,
    /// Over how long --min-speed is measured
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration, requires = "min_speed")]
    pub(crate) min_speed_time: Duration,
}

/// How many files are downloaded at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Fixed(u16),
    /// As many as are worth it.
    Auto,
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    let fixed = |text: &str| text.parse().ok().filter(|number| *number > 0).map(Concurrency::Fixed);
    let parsed = if text == "auto" { Some(Concurrency::Auto) } else { fixed(text) };
    parsed.ok_or_else(|| format!("it is neither a number from 1 to {} nor auto", u16::MAX))
}

/// Over how many connections a file is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    Fixed(u16),
    Auto,
}

fn segments(text: &str) -> Result<Segments, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Segments::Auto),
        (_, Ok(number @ 1..=64)) => Ok(Segments::Fixed(number)),
        _ => Err("it must be auto, or from 1, for no ranges, to 64".to_owned()),
    }
}
