//! The command's lists: an item or a reason for each line, and the same item in both forms of a line.
#![no_main]

#[allow(dead_code, reason = "only the parsers of values are used")]
#[path = "../../../plugins/cli/src/arguments/mod.rs"]
mod arguments;
#[allow(dead_code, reason = "only the parser is under test")]
#[path = "../../../plugins/cli/src/input.rs"]
mod input;
#[allow(dead_code, reason = "only the parser is under test")]
#[path = "../../../plugins/cli/src/item.rs"]
mod item;

use std::collections::BTreeMap;
use std::path::Path;

use ganymede::{FileName, Url};
use ganymede_fuzz::assert_harmless;
use libfuzzer_sys::fuzz_target;

use input::Lines;
use item::Item;

fuzz_target!(|data: &[u8]| {
    let found: Vec<Result<Item, String>> =
        Lines::new(data, "list").map(|found| found.map_err(|bad| bad.to_string())).collect();
    assert!(found.len() <= data.split(|byte| *byte == b'\n').count());
    for found in found {
        match found {
            Ok(item) => sound(&item),
            Err(reason) => {
                assert!(reason.starts_with("list, line ") && !reason.contains('\x1b'), "{reason:?}")
            }
        }
    }
});

fn sound(item: &Item) {
    let label: Url = item.label.parse().expect("a URL");
    assert!(label.username().is_empty() && label.password().is_none(), "{label}");
    match &item.out {
        Some(out) => assert!(out.file_name().is_some()),
        None => {
            let name = FileName::of_url(&item.url);
            assert_harmless(&name);
            assert_eq!(item.path(Some(Path::new("/folder"))), Path::new("/folder").join(&name));
        }
    }
    let digests: BTreeMap<String, String> = item
        .digests
        .iter()
        .map(|digest| {
            let text = digest.to_string();
            let (algorithm, hex) = text.split_once(':').expect("an algorithm in front");
            (algorithm.to_owned(), hex.to_owned())
        })
        .collect();
    let object = serde_json::json!({
        "url": item.url.as_str(),
        "out": item.out.as_ref().map(|out| out.to_str().expect("text")),
        "size": item.size,
        "digests": &digests,
        "mirrors": item.mirrors.iter().map(Url::as_str).collect::<Vec<_>>(),
    });
    let line = object.to_string();
    if line.len() > 60_000 {
        return;
    }
    let again = Lines::new(line.as_bytes(), "again").next().expect("a line").expect("an item");
    assert_eq!((&again.url, &again.out, again.size), (&item.url, &item.out, item.size));
    assert_eq!((&again.mirrors, again.digests.len()), (&item.mirrors, digests.len()));
}
