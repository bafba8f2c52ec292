//! Mirror lists: whole URLs only, no more than lines, and the same when they are written out.
#![no_main]

use ganymede::Url;
use ganymede::fuzzing::mirror_list;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let base: Url = "https://example.com/lists/list.txt".parse().expect("a URL");
    match mirror_list(text, &base) {
        Ok(mirrors) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            assert!(mirrors.len() <= lines.count());
            let written: Vec<String> = mirrors.iter().map(Url::to_string).collect();
            // Braces are not written in all of a URL's parts, and taken for those of an error page.
            if !written.iter().any(|url| url.contains(['<', '>', '"', '{', '}', ' '])) {
                assert_eq!(mirror_list(&written.join("\r\n"), &base), Ok(mirrors));
            }
        }
        Err(reason) => assert!(reason.len() < 4096 && !reason.contains(['\n', '\r', '\x1b']), "{reason:?}"),
    }
});
