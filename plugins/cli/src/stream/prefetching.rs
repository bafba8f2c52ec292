//! What is fetched before anybody asks for it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ganymede_streamer::ResourcePath;

use crate::arguments::{Keeping, Policy};
use crate::settings::Usage;

use super::upstream::Upstream;

/// The longest list that is read, in bytes.
const LONGEST: u64 = 256 << 20;

/// Returns the paths of what is to be fetched.
pub(crate) fn paths(keeping: &Keeping, upstream: &Upstream) -> Result<Vec<String>, Usage> {
    match &keeping.prefetch {
        Some(list) if list == Path::new("-") => listed(io::stdin().lock(), "standard input"),
        Some(list) => {
            let name = list.display().to_string();
            let file = File::open(list).map_err(|error| unreadable(&name, &error))?;
            listed(BufReader::new(file), &name)
        }
        None if keeping.policy == Some(Policy::Immediate) => Ok(upstream.paths()),
        None => Ok(Vec::new()),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Usage {
    format!("--prefetch: cannot read {name}: {error}").into()
}

/// Reads a list, all of it before anything is fetched: what is wrong with it is found at once.
fn listed(list: impl BufRead, name: &str) -> Result<Vec<String>, Usage> {
    let mut list = list.take(LONGEST);
    let (mut paths, mut line, mut number) = (Vec::new(), String::new(), 0);
    while list.read_line(&mut line).map_err(|error| unreadable(name, &error))? > 0 {
        number += 1;
        let text = line.trim();
        if !text.is_empty() && !text.starts_with('#') {
            let path = format!("/{}", text.trim_start_matches('/')).parse::<ResourcePath>();
            let path = path.map_err(|error| {
                format!("--prefetch: {name}, line {number}: {text:?} is no path below the remote: {error}")
            })?;
            paths.push(path.as_str().to_owned());
        }
        line.clear();
    }
    match list.limit() {
        0 => Err(format!("--prefetch: {name} has more than {LONGEST} bytes").into()),
        _ => Ok(paths),
    }
}
