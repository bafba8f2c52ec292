//! What is written is read again.

use ganymede_metalink::Metalink;
use proptest::prelude::*;

use crate::support::metalink;

fn escaped(text: &str) -> String {
    text.chars().map(|c| format!("&#{};", u32::from(c))).collect()
}

fn a_file(number: usize) -> impl Strategy<Value = String> {
    let name = "[a-zA-Z0-9 ._&<>'\"\u{e4}\u{4e2d}-]{1,12}".prop_map(move |text| format!("{text}{number}"));
    let url = ("[a-z]{1,8}", "[ -~]{0,12}", 1_u32..=999_999, "[a-zA-Z]{0,3}");
    let digest =
        prop::sample::select(vec![("md5", 16), ("sha-1", 20), ("SHA256", 32), ("sha-512", 64), ("crc", 4)]);
    let pieces = (1_u64..10_000, prop::collection::vec(any::<[u8; 20]>(), 0..5));
    let files = (name, prop::option::of(any::<u64>()), prop::option::of(pieces));
    (files, prop::collection::vec(url, 0..4), prop::option::of((digest, any::<u8>()))).prop_map(
        |((name, size, pieces), urls, digest)| {
            let mut text = format!("<file name=\"{}\">", escaped(&name));
            // Their number must fit the size, so only one of them is there.
            match (pieces, size) {
                (Some((length, values)), _) => {
                    text += &format!("<pieces type=\"sha-1\" length=\"{length}\">");
                    for value in values {
                        let hex: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
                        text += &format!("<hash>{hex}</hash>");
                    }
                    text += "</pieces>";
                }
                (None, Some(size)) => text += &format!("<size>{size}</size>"),
                _ => {}
            }
            if let Some(((kind, length), byte)) = digest {
                text += &format!("<hash type=\"{kind}\">{}</hash>", format!("{byte:02x}").repeat(length));
            }
            for (host, path, priority, location) in urls {
                let url = escaped(&format!("https://{host}.example/{path}"));
                text += &format!("<url priority=\"{priority}\" location=\"{location}\">{url}</url>");
                text += &format!("<metaurl mediatype=\"{host}\">{url}</metaurl>");
            }
            text + "</file>"
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(files in (1_usize..4).prop_flat_map(|count| (0..count).map(a_file).collect::<Vec<_>>())) {
        let parsed = Metalink::parse(metalink(&files.concat()).as_bytes());
        let parsed = parsed.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let written = parsed.to_string();
        prop_assert_eq!(Metalink::parse(written.as_bytes()), Ok(parsed.clone()), "{}", written);
        prop_assert_eq!(written.parse::<Metalink>().unwrap().to_string(), written);
        prop_assert_eq!(parsed.files().len(), files.len());
    }

    #[test]
    fn no_text_makes_it_panic(text in "[<>/!\\[\\]&;=\"' a-z0-9]{0,200}") {
        let _ = Metalink::parse(text.as_bytes());
        let _ = Metalink::parse(metalink(&text).as_bytes());
    }
}
