//! Completions and man pages.

use ganymede_kit::Folder;

use crate::ganymede::run;

#[test]
fn completions_are_made_for_each_shell() {
    let folder = Folder::new();
    for (shell, text) in [
        ("bash", "complete -F _ganymede"),
        ("zsh", "#compdef ganymede"),
        ("fish", "complete -c ganymede"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let page = run(&folder, ["completions", shell]).exited(0).text();
        assert!(page.contains(text) && page.contains("wait-for-space"), "{shell}: {page}");
    }
    run(&folder, ["completions", "tcl"]).exited(2).says("tcl");
}

#[test]
fn man_pages_are_in_the_output_of_the_build_and_can_be_printed() {
    let folder = Folder::new();
    let built = |name: &str| std::fs::read_to_string(format!("{}/man/{name}.1", env!("OUT_DIR"))).unwrap();
    assert!(built("ganymede").contains(".TH ganymede 1"));
    assert!(built("ganymede-get").contains("\\-\\-mirror\\-list"));
    assert!(built("ganymede-get").contains("\\-\\-existing"));
    assert_eq!(run(&folder, ["man"]).exited(0).text(), built("ganymede"));
    assert_eq!(run(&folder, ["man", "get"]).exited(0).text(), built("ganymede-get"));
    assert_eq!(run(&folder, ["man", "completions"]).exited(0).text(), built("ganymede-completions"));
}
