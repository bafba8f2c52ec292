//! Names of files: relative, harmless, and each of them once.

use ganymede_metalink::{FilePath, Metalink, Problem};

use crate::support::metalink;

fn named(names: &[&str]) -> Result<Vec<String>, Problem> {
    let files: String = names.iter().map(|name| format!("<file name=\"{name}\"/>")).collect();
    let parsed = Metalink::parse(metalink(&files).as_bytes()).map_err(|error| error.problem().clone())?;
    Ok(parsed.files().iter().map(|file| file.name().to_string()).collect())
}

#[test]
fn a_name_may_lead_into_folders_and_never_out_of_them() {
    assert_eq!(named(&["a", "b/c", "b/d/e.iso"]).unwrap(), ["a", "b/c", "b/d/e.iso"]);
    for bad in [
        "",
        " ",
        "/",
        "/etc/passwd",
        "//host/share",
        "..",
        "../a",
        "a/..",
        "a/../../b",
        "a/ .. /b",
        "./a",
        "a/./b",
        "a//b",
        "a/",
        "..\\a",
        "a\\..\\..\\b",
        "&#46;&#46;/a",
        "&#x2e;./a",
    ] {
        let problem = named(&[bad]).unwrap_err();
        assert!(matches!(problem, Problem::Name { .. }), "{bad:?}: {problem}");
    }
    let deep = vec!["a"; 33].join("/");
    assert!(matches!(named(&[&deep]), Err(Problem::Name { .. })));
}

#[test]
fn nothing_is_hidden_a_device_or_one_of_the_frameworks_own_files() {
    let found = named(&[
        ".bashrc",
        ".ssh/authorized_keys",
        "...",
        "nul.txt",
        "x.ganymede-part",
        "a\\b",
        "C&#58;&#10;x",
        "&#x202e;gpj.exe",
    ]);
    let expected =
        ["_bashrc", "_ssh/authorized_keys", "_", "_nul.txt", "x_ganymede-part", "a_b", "C:_x", "_gpj.exe"];
    assert_eq!(found.unwrap(), expected);
}

#[test]
fn two_files_never_get_the_same_path() {
    for twice in [
        &["a", "a"][..],
        &["d/a", "b", "d/a"],
        &[".a", "_a"],
        &["a", "a/b"],
        &["a/b", "a"],
        &["x/y/z", "x/y"],
        &["x/y", "x/y/z/w"],
    ] {
        let problem = named(twice).unwrap_err();
        assert!(matches!(problem, Problem::Duplicate(_)), "{twice:?}: {problem}");
    }
    assert_eq!(named(&["a/b", "a/c", "b/a"]).unwrap().len(), 3);
}

#[test]
fn a_path_tells_its_folders_and_its_file() {
    let path: FilePath = "a/b/c.iso".parse().unwrap();
    assert_eq!(path.folders().collect::<Vec<_>>(), ["a", "a/b"]);
    assert_eq!((path.file_name(), path.as_str()), ("c.iso", "a/b/c.iso"));
}
