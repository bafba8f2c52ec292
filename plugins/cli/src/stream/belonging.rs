//! Whose contents a folder keeps: below another remote, the same paths have other contents.

use std::fs;
use std::io;
use std::path::Path;

use crate::item;
use crate::settings::Usage;

/// Notes that a folder keeps what is below these remotes; refuses one that keeps what is below others.
///
/// One that they have in common is enough: mirrors come and go.
pub(crate) fn claim(folder: &Path, remotes: &[String]) -> Result<(), Usage> {
    let note = folder.join("remotes");
    let failed = |error: io::Error| format!("--cache: cannot use {}: {error}", note.display());
    let remotes = remotes.iter().map(|remote| named(remote)).collect::<Result<Vec<_>, _>>()?;
    let known = match fs::read_to_string(&note) {
        Ok(known) => known,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error).into()),
    };
    let mut known = known.lines().filter(|line| !line.is_empty()).peekable();
    if let Some(first) = known.peek().copied()
        && !known.any(|known| remotes.iter().any(|remote| remote == known))
    {
        let advice = "choose another folder, or remove this one: all in it can be fetched again";
        let folder = folder.display();
        return Err(
            format!("--cache: what is kept in {folder} is of another remote, {first}: {advice}").into()
        );
    }
    // Under another name first: a note that is torn would say less than there is.
    let new = folder.join("remotes.new");
    let written = fs::write(&new, remotes.join("\n") + "\n").and_then(|()| fs::rename(&new, &note));
    written.map_err(|error| failed(error).into())
}

/// Returns the URL of a folder, without credentials.
fn named(remote: &str) -> Result<String, Usage> {
    let mut url = item::url(remote).map_err(|reason| format!("--remote {reason}"))?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(item::shown(&url))
}
