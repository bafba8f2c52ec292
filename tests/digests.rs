//! Digests: their text forms, and their values, as other tools compute them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test tells its failure by a panic")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ganymede::{
    Algorithm, Batch, Context, Digest, Download, DownloadMonitor, Facts, FileWriter, HttpDownload,
    ParseDigestError, RetryDelegate,
};
use ganymede_kit::{Folder, Origin, Reply, pattern};

const EMPTY: [(Algorithm, &str); 6] = [
    (Algorithm::Md5, "d41d8cd98f00b204e9800998ecf8427e"),
    (Algorithm::Sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    (Algorithm::Sha224, "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"),
    (Algorithm::Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (
        Algorithm::Sha384,
        "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
    ),
    (
        Algorithm::Sha512,
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b9\
         31bd47417a81a538327af927da3e",
    ),
];

/// What a tool of the system says: `md5sum`, `sha1sum`, ..
fn external(algorithm: Algorithm, path: &Path) -> String {
    let output = Command::new(format!("{algorithm}sum")).arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn assert_as_external(facts: &Facts, path: &Path) {
    assert_eq!(facts.digests().len(), 6);
    for digest in facts.digests() {
        assert_eq!(digest.hex(), external(digest.algorithm(), path), "{}", digest.algorithm());
    }
}

#[test]
fn each_form_is_parsed_into_the_same_digest() {
    for (algorithm, hex) in EMPTY {
        let expected = Digest::from_hex(algorithm, hex).unwrap();
        assert_eq!((expected.algorithm(), expected.value().len()), (algorithm, algorithm.length()));
        assert_eq!((expected.hex(), expected.to_string()), (hex.to_owned(), format!("{algorithm}:{hex}")));
        let base64 = data_encoding::BASE64.encode(expected.value());
        let long = format!("SHA-{}", algorithm.name().trim_start_matches("sha"));
        let long = if algorithm == Algorithm::Md5 { "MD5".to_owned() } else { long };
        let forms = [
            format!("{algorithm}:{hex}"),
            format!("{algorithm}={hex}"),
            format!("{algorithm}:{}", hex.to_uppercase()),
            format!("{}={hex}", algorithm.name().to_uppercase()),
            format!("{long}:{hex}"),
            format!("{long}={hex}"),
            format!(" {algorithm}:{hex}\n"),
            format!("{algorithm}-{base64}"),
            format!("{algorithm}-{base64}?option"),
        ];
        for form in forms {
            assert_eq!(form.parse::<Digest>().as_ref(), Ok(&expected), "{form:?}");
        }
    }
}

#[test]
fn the_strongest_of_several_integrity_digests_counts() {
    let sri = |n: usize| {
        let (algorithm, hex) = EMPTY[n];
        let digest = Digest::from_hex(algorithm, hex).unwrap();
        format!("{algorithm}-{}", data_encoding::BASE64.encode(digest.value()))
    };
    let text = format!("{} sha999-AAAA {}?x {}", sri(3), sri(5), sri(4));
    assert_eq!(text.parse::<Digest>().unwrap().algorithm(), Algorithm::Sha512);
    assert_eq!(Digest::from_sri(&text).unwrap().hex(), EMPTY[5].1);
}

#[test]
fn what_is_no_digest_is_refused_with_what_is_wrong() {
    let (_, md5) = EMPTY[0];
    let parse = |text: &str| text.parse::<Digest>().unwrap_err();
    assert!(matches!(parse(&format!("crc32:{md5}")), ParseDigestError::Algorithm(name) if name == "crc32"));
    assert!(matches!(parse(md5), ParseDigestError::Form(text) if text == md5));
    assert!(matches!(parse(""), ParseDigestError::Form(_)));
    assert!(matches!(parse("sha3-AAAA"), ParseDigestError::Form(_)));
    assert!(matches!(parse("md5:xyz"), ParseDigestError::Encoding(text, "hexadecimal") if text == "xyz"));
    assert!(matches!(parse(&format!("md5:{md5}0")), ParseDigestError::Encoding(..)));
    assert!(matches!(parse("md5-!"), ParseDigestError::Encoding(_, "base64")));
    for text in [format!("sha256:{md5}"), format!("md5:{}", EMPTY[3].1), "md5:".to_owned()] {
        let ParseDigestError::Length { algorithm, .. } = parse(&text) else { panic!("{text}") };
        assert_eq!(text.split(':').next().unwrap(), algorithm.name());
    }
    let error = parse(&format!("sha256:{md5}")).to_string();
    assert_eq!(error, format!("a sha256 digest has 64 hexadecimal digits, not 32: {md5:?}"));
    assert!(matches!(
        Digest::new(Algorithm::Md5, &[0; 65]),
        Err(ParseDigestError::Length { actual: 65, .. })
    ));
    assert!("sha-3".parse::<Algorithm>().is_err());
}

#[test]
fn all_six_are_as_other_tools_compute_them() {
    let folder = Folder::new();
    for size in [0, 1, 55, 64, 1_000, 131_072, 1_000_003] {
        let path = folder.write("file", pattern(size));
        let facts = Facts::of(&pattern(size)[..], Algorithm::ALL).unwrap();
        assert_eq!(facts.size(), size as u64);
        assert_as_external(&facts, &path);
        if size == 0 {
            let known = EMPTY.map(|(algorithm, hex)| Digest::from_hex(algorithm, hex).unwrap());
            assert_eq!(facts.digests(), known);
        }
    }
}

#[test]
fn a_monitor_computes_them_on_the_way_also_after_a_retry_in_the_middle() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let whole = Reply::ok(pattern(1_000_003));
    let replies = [
        ("once", vec![whole.clone()]),
        ("again", vec![whole.clone().cut_after(400_000), whole.clone()]),
        ("on", vec![whole.clone().etag("\"1\"").cut_after(400_000), whole.clone().etag("\"1\"").ranges()]),
        ("wrong first", vec![Reply::ok("no such file").length(50), whole]),
    ];
    for (what, replies) in replies {
        let path = format!("/{}", what.replace(' ', "-"));
        let (url, file) = (origin.sequence(&path, replies), folder.file(what));
        let monitor = DownloadMonitor::new(Algorithm::ALL);
        let mut download = HttpDownload::get(&url)
            .unwrap()
            .writer(FileWriter::new(&file))
            .monitor(&monitor)
            .handler(RetryDelegate::new(1).base(Duration::ZERO));
        let receipt = download.run(&Context::new()).unwrap();
        let facts = monitor.facts().unwrap();
        assert_eq!((&facts, facts.size()), (receipt.facts(), 1_000_003), "{what}");
        assert_as_external(&facts, &file);
    }
}

#[test]
fn only_those_that_are_asked_for_are_computed_and_each_once() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    let monitors = [vec![], vec![Algorithm::Sha256, Algorithm::Md5], vec![Algorithm::Md5, Algorithm::Md5]]
        .map(DownloadMonitor::new);
    for (monitor, expected) in monitors.iter().zip([0, 2, 1]) {
        let mut download =
            HttpDownload::get(&url).unwrap().writer(ganymede::BufferWriter::new(10)).monitor(monitor);
        assert_eq!(download.run(&Context::new()).unwrap().facts().digests().len(), expected);
        assert_eq!(monitor.facts().unwrap().digests().len(), expected);
    }
}

#[test]
fn several_at_once_are_right_while_many_downloads_run() {
    let (origin, folder) = (Origin::start(), Folder::new());
    origin.handle("/", |received| Reply::ok(pattern(received.path()[1..].parse().unwrap())));
    let downloads = (0..24).map(|n| {
        let (size, monitor) = (100_000 + n * 1_111, DownloadMonitor::new(Algorithm::ALL));
        let file = folder.file(n.to_string());
        let download = HttpDownload::get(&origin.url(&format!("/{size}"))).unwrap();
        download.writer(FileWriter::new(&file)).monitor(&monitor).attach((size, monitor))
    });
    for plan in Batch::new(downloads) {
        plan.result().unwrap();
        let (size, monitor) = plan.attachment();
        assert_eq!(monitor.facts(), Facts::of(&pattern(*size)[..], Algorithm::ALL).ok());
    }
}

#[test]
fn existing_files_are_hashed_in_their_order() {
    let folder = Folder::new();
    let mut paths: Vec<_> = (0..20).map(|n| folder.write(n.to_string(), pattern(n * 50_000))).collect();
    paths.insert(7, folder.file("missing"));
    let all = Facts::of_files(&paths, &Algorithm::ALL);
    assert_eq!(all.len(), 21);
    for (path, facts) in paths.iter().zip(&all) {
        match facts {
            Ok(facts) => {
                assert_eq!(*facts, Facts::of(&std::fs::read(path).unwrap()[..], Algorithm::ALL).unwrap());
            }
            Err(error) => {
                assert_eq!((error.kind(), path), (std::io::ErrorKind::NotFound, &paths[7]));
            }
        }
    }
    assert_as_external(all[20].as_ref().unwrap(), &paths[20]);
    assert!(all[7].is_err() && all.iter().filter(|facts| facts.is_err()).count() == 1);
}
