//! Names of files: what a server says of them, and that nothing it says does harm.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use ganymede::{FileName, Head, HeaderMap, HeaderValue, HttpDownload};
use ganymede_kit::{Folder, Origin, Reply};

use support::fetch;

fn head(values: &[&[u8]]) -> Head {
    let values = values.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
    let name = ganymede::HeaderName::from_static("content-disposition");
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(&name, value);
    }
    Head::new(&"https://example.com/a/file".parse().unwrap()).with_headers(headers)
}

fn named(value: impl AsRef<[u8]>) -> Option<String> {
    FileName::of_head(&head(&[value.as_ref()])).map(String::from)
}

#[track_caller]
fn all_named(cases: &[(&str, &str)]) {
    for (value, expected) in cases {
        assert_eq!(named(value).as_deref(), Some(*expected), "{value}");
    }
}

#[test]
fn a_plain_name_is_a_token_or_stands_in_quotes() {
    all_named(&[
        ("attachment; filename=a.iso", "a.iso"),
        ("attachment; filename=\"a.iso\"", "a.iso"),
        ("inline; filename=\"a b.iso\"", "a b.iso"),
        ("unknown; filename=a", "a"),
        ("attachment; filename=\"a;b=c.iso\"; size=7", "a;b=c.iso"),
        ("attachment; filename=\"a \\\"b\\\" \\c.iso\"", "a \"b\" c.iso"),
        ("attachment; filename=\"a%20b.iso\"", "a%20b.iso"),
        ("attachment; filename=a b.iso ; size=7", "a b.iso"),
        ("attachment; filename='a.iso'", "'a.iso'"),
        ("attachment; filename=a=b.iso", "a=b.iso"),
        ("filename=a.iso", "a.iso"),
    ]);
}

#[test]
fn an_extended_name_is_decoded() {
    all_named(&[
        ("attachment; filename*=UTF-8''na%C3%AFve%20plan.txt", "na\u{ef}ve plan.txt"),
        ("attachment; filename*=utf-8'en'%e2%82%ac%20rates", "\u{20ac} rates"),
        ("attachment; filename*=ISO-8859-1''%A3%20rates", "\u{a3} rates"),
        ("attachment; filename*=iso-8859-1'de-CH'na%EFve", "na\u{ef}ve"),
        ("attachment; filename*=UTF-8''plain", "plain"),
        ("attachment; filename*=\"UTF-8''%41.txt\"", "A.txt"),
        ("attachment; filename*=UTF-8''it's", "it's"),
    ]);
}

#[test]
fn the_extended_name_goes_before_the_plain_one_in_either_order() {
    all_named(&[
        ("attachment; filename=\"plain\"; filename*=UTF-8''extended", "extended"),
        ("attachment; filename*=UTF-8''extended; filename=\"plain\"", "extended"),
        ("attachment; filename=one; filename=two", "one"),
        ("attachment; filename*=UTF-8''one; filename*=UTF-8''two", "one"),
    ]);
    let both = head(&[b"attachment; filename=first", b"attachment; filename*=UTF-8''second"]);
    assert_eq!(FileName::of_head(&both).unwrap().as_str(), "first");
    let second = head(&[b"attachment", b"attachment; filename=second"]);
    assert_eq!(FileName::of_head(&second).unwrap().as_str(), "second");
}

#[test]
fn case_and_spacing_do_not_matter() {
    all_named(&[
        ("ATTACHMENT; FileName=\"A.iso\"", "A.iso"),
        ("attachment;filename=a", "a"),
        ("  attachment  ;  filename  =  \"a\"  ;  ", "a"),
        ("attachment;\tfilename\t=\ta\t", "a"),
        (";;attachment;; filename=a;;", "a"),
        ("attachment; FILENAME*=uTf-8''%61", "a"),
        ("attachment; filename * = UTF-8''a; filename=b", "b"),
    ]);
}

#[test]
fn what_is_malformed_is_passed_over() {
    all_named(&[
        ("attachment; filename*=UTF-8''%FF.txt; filename=plain", "plain"),
        ("attachment; filename*=UTF-8''%4; filename=plain", "plain"),
        ("attachment; filename*=UTF-8''%zz; filename=plain", "plain"),
        ("attachment; filename*=UTF-8''; filename=plain", "plain"),
        ("attachment; filename*=UTF-8'a; filename=plain", "plain"),
        ("attachment; filename*=UTF-16''a; filename=plain", "plain"),
        ("attachment; filename*=''a; filename=plain", "plain"),
        ("attachment; filename*=a; filename=plain", "plain"),
        ("attachment; filename*=UTF-8''%FF; filename*=UTF-8''good", "good"),
        ("attachment; filename=\"a\"b; filename=plain", "plain"),
        ("attachment; filename; filename=plain", "plain"),
        ("attachment; filename=; filename=plain", "plain"),
        ("attachment; =x; filename=plain", "plain"),
        ("attachment; name=form; filename=plain", "plain"),
        ("attachment; size=\"x; filename=no\"; filename=plain", "plain"),
    ]);
    for value in [
        "",
        "attachment",
        "attachment; filename",
        "attachment; filename=",
        "attachment; filename=\"\"",
        "attachment; filename=\"a; filename=b",
        "attachment; filename=\"a\\",
        "attachment; filename=\"a\\\"",
        "attachment; filename=\"a/\"",
        "attachment; filename=\"..\"",
        "attachment; filename=\" . \"",
        "attachment; filename*0=\"a\"; filename*1=\"b\"",
        "attachment; xfilename=a",
    ] {
        assert_eq!(named(value), None, "{value}");
    }
    let without = Head::new(&"https://example.com/a/file".parse().unwrap());
    assert_eq!(FileName::of_head(&without), None);
}

#[test]
fn bytes_that_were_not_encoded_count_as_utf_8_or_else_as_latin_1() {
    assert_eq!(named("attachment; filename=\"na\u{ef}ve \u{20ac}\"").unwrap(), "na\u{ef}ve \u{20ac}");
    assert_eq!(named(b"attachment; filename=\"na\xefve\"").unwrap(), "na\u{ef}ve");
    assert_eq!(named(b"attachment; filename=na\xefve").unwrap(), "na\u{ef}ve");
    assert_eq!(named(b"attachment; filename=\"\x85a\x9f\"").unwrap(), "_a_");
    assert_eq!(named("attachment; filename*=UTF-8''na\u{ef}ve; filename=plain").unwrap(), "plain");
}

/// What a server may say that means harm, as it stands in the quotes, and what becomes of it.
const HARMFUL: [(&str, &str); 22] = [
    ("../../etc/passwd", "passwd"),
    ("..\\\\..\\\\boot.ini", "boot.ini"),
    ("/etc/passwd", "passwd"),
    ("C:\\\\Windows\\\\system.ini", "system.ini"),
    ("\\\\\\\\host\\\\share\\\\a", "a"),
    ("a/..\\\\b", "b"),
    (".bashrc", "_bashrc"),
    ("..a", "_.a"),
    ("...", ""),
    ("~/.ssh/authorized_keys", "authorized_keys"),
    ("a.txt.", "a.txt"),
    ("a.txt. . ", "a.txt"),
    (" a.txt", "a.txt"),
    ("nul", "_nul"),
    ("COM1.txt", "_COM1.txt"),
    ("a\tb", "a_b"),
    ("\u{202e}gpj.exe", "_gpj.exe"),
    ("a\u{2066}b\u{2069}", "a_b_"),
    ("a\u{2028}b", "a_b"),
    ("a\u{85}b", "a_b"),
    ("a.ganymede-part", "a_ganymede-part"),
    (".a.ganymede-state", "_a_ganymede-state"),
];

#[test]
fn whatever_a_server_says_the_file_stays_in_the_folder_and_does_no_harm() {
    let origin = Origin::start();
    for (text, expected) in HARMFUL {
        let header = format!("attachment; filename=\"{text}\"");
        let url = origin.on("/file", Reply::ok("content").header("Content-Disposition", header));
        let (_, receipt) = fetch(HttpDownload::get(&url).unwrap()).unwrap();
        let name = FileName::of_head(receipt.head());
        assert_eq!(
            name.as_ref().map(FileName::as_str),
            Some(expected).filter(|name| !name.is_empty()),
            "{text:?}"
        );
        let Some(name) = name else { continue };
        let folder = Folder::new();
        folder.write(&name, "content");
        assert_eq!(folder.entries(), [name.to_string()]);
    }
}

#[test]
fn what_is_hidden_in_an_encoding_is_found_as_well() {
    all_named(&[
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("attachment; filename*=UTF-8''%2e%2e%5cboot.ini", "boot.ini"),
        ("attachment; filename*=UTF-8''a%00b%0a%1b%5b2J", "a_b__[2J"),
        ("attachment; filename*=ISO-8859-1''a%9bb", "a_b"),
        ("attachment; filename*=UTF-8''%E2%80%AEgpj.exe", "_gpj.exe"),
        ("attachment; filename*=UTF-8''%2Ebashrc", "_bashrc"),
        ("attachment; filename*=UTF-8''%2E%2E; filename=plain", "plain"),
        ("attachment; filename*=UTF-8''a%2F; filename=plain", "plain"),
    ]);
}

#[test]
fn a_long_name_is_cut_and_can_still_be_written() {
    let folder = Folder::new();
    for stem in ["x".repeat(4000), "\u{20ac}".repeat(200), "\u{1f600}".repeat(100), " .".repeat(400)] {
        for extension in ["", ".tar.gz", ".iso", &format!(".{}", "y".repeat(300))] {
            let encoded: String =
                format!("a{stem}{extension}").bytes().map(|byte| format!("%{byte:02X}")).collect();
            let name = named(format!("attachment; filename*=UTF-8''{encoded}")).unwrap();
            assert!(name.len() <= 255, "{name}");
            let kept = if extension == ".tar.gz" { ".gz" } else { extension };
            assert!(extension.len() > 16 || name.ends_with(kept), "{name}");
            folder.write(&name, "content");
            assert_eq!(folder.read(&name), b"content");
        }
    }
}
