//! The `ganymede` command.

mod arguments;
mod claims;
mod connection;
mod event;
mod feed;
#[cfg(feature = "ftp")]
mod ftp;
mod input;
mod interrupt;
mod item;
mod job;
mod log;
#[cfg(feature = "metalink")]
mod metalink;
mod netrc;
mod observation;
mod outcome;
mod pages;
mod progress;
mod remote;
mod report;
mod run;
mod settings;
mod stats;
#[cfg(feature = "store")]
mod store;
#[cfg(feature = "stream")]
mod stream;
mod table;
mod terminal;
mod trace;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::settings::Usage;

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Get(get) => ended(run::get(&get), "get"),
        #[cfg(feature = "stream")]
        Command::Stream(stream) => ended(stream::stream(&stream), "stream"),
        Command::Completions { shell } => printed(&pages::completions(shell)),
        Command::Man { command } => printed(pages::man(command.as_deref()).as_bytes()),
    }
}

fn ended(status: Result<u8, Usage>, command: &str) -> ExitCode {
    let usage = match status {
        Ok(status) => return ExitCode::from(status),
        Err(usage) => usage,
    };
    let error = console::style("error:").for_stderr().red();
    // When standard error is gone, the exit status has to do.
    let _ = writeln!(io::stderr(), "{error} {usage}\n\nFor more, try: ganymede {command} --help");
    ExitCode::from(run::MISUSED)
}

fn printed(page: &[u8]) -> ExitCode {
    let mut output = io::stdout().lock();
    // Whoever reads only the beginning has what they wanted.
    match output.write_all(page).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
