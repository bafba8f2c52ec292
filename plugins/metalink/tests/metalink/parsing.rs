//! What is a Metalink, and what is none.

use ganymede::{Algorithm, Digest};
use ganymede_metalink::{Metalink, Problem};

use crate::support::metalink;

const FOUR: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE metalink>
<m:metalink xmlns:m="urn:ietf:params:xml:ns:metalink" xmlns:x="urn:other">
  <m:generator>somebody &amp; co</m:generator>
  <m:file name="example.ext">
    <x:size>7</x:size> <size xmlns="">8</size>
    <m:size> 14471447 </m:size>
    <m:hash type="sha-1">80BC95FD391772FA61C91ED68567F0980BB45FD9</m:hash>
    <m:hash type="sha-256">f0ad929cd259957e160ea442eb80986b5f01f2c1c4e1a1ecf0d5f4c7b6a1a1b2</m:hash>
    <m:hash type="whirlpool">00</m:hash>
    <m:pieces length="14471440" type="sha-1">
      <m:hash>d96b9a4b92a899c2099b7b31bddb5ca423bb9b30</m:hash>
      <m:hash>10d68f4b1119014c123da2a0a6baf5c8a6d5ba1e</m:hash>
    </m:pieces>
    <m:pieces length="1" type="tiger"><m:hash>00</m:hash></m:pieces>
    <m:url location="DE" priority="2">http://example.org/a?b=1&#38;c=2</m:url>
    <m:url priority="1"><![CDATA[ftp://example.com/a]]><x:note>no</x:note></m:url>
    <m:url>https://example.net/<!-- here -->a</m:url>
    <m:metaurl mediatype="torrent" priority="5" name="b">http://example.com/a.torrent</m:metaurl>
    <x:url>nonsense</x:url>
  </m:file>
</m:metalink>
<!-- the end -->
"#;

#[test]
fn version_four_is_read_by_its_namespace() {
    let parsed = Metalink::parse(FOUR.as_bytes()).unwrap();
    let file = parsed.file("example.ext").unwrap();
    assert_eq!(file.size(), Some(14_471_447));
    let algorithms: Vec<_> = file.digests().iter().map(Digest::algorithm).collect();
    assert_eq!(
        (algorithms, file.unknown_digests()),
        (vec![Algorithm::Sha1, Algorithm::Sha256], &["whirlpool".to_owned()][..])
    );
    assert_eq!(file.digest().unwrap().algorithm(), Algorithm::Sha256);
    let pieces = file.pieces().unwrap();
    assert_eq!((pieces.count(), pieces.length(), pieces.algorithm()), (2, 14_471_440, Algorithm::Sha1));
    assert_eq!(pieces.digest(1).unwrap().hex(), "10d68f4b1119014c123da2a0a6baf5c8a6d5ba1e");
    let sources: Vec<_> = file
        .sources()
        .iter()
        .map(|source| (source.url().as_str(), source.priority(), source.location()))
        .collect();
    let expected = [
        ("ftp://example.com/a", 1, None),
        ("http://example.org/a?b=1&c=2", 2, Some("de")),
        ("https://example.net/a", 999_999, None),
    ];
    assert_eq!(sources, expected);
    let other = &file.descriptions()[0];
    assert_eq!((other.media_type(), other.priority(), other.name()), ("torrent", 5, Some("b")));
    assert_eq!(other.url().as_str(), "http://example.com/a.torrent");
}

#[test]
fn version_three_is_read_with_its_preferences_the_other_way_round() {
    let text = r#"<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic"><files>
        <file name="a"><size>3</size>
            <verification>
                <hash type="md5">900150983cd24fb0d6963f7d28e17f72</hash>
                <pieces length="2" type="sha1">
                    <hash piece="0">da23614e02469a0d7c7bd1bdab5c9c474b1904dc</hash>
                    <hash piece="1">84a516841ba77a5b4648de2cd0dfcb30ea46dbb4</hash>
                </pieces>
            </verification>
            <resources maxconnections="5">
                <url type="ftp" location="us" preference="90">ftp://example.com/a</url>
                <url type="bittorrent" preference="100">http://example.com/a.torrent</url>
                <url type="http" preference="100">http://example.com/a</url>
                <url type="http">http://example.org/a</url>
            </resources>
        </file>
        <file name="b"/>
    </files></metalink>"#;
    let parsed = Metalink::parse(text.as_bytes()).unwrap();
    assert_eq!(parsed.files().len(), 2);
    let file = &parsed.files()[0];
    let priorities: Vec<_> =
        file.sources().iter().map(|source| (source.url().scheme(), source.priority())).collect();
    assert_eq!(priorities, [("http", 1), ("ftp", 11), ("http", 999_999)]);
    assert_eq!((file.descriptions().len(), file.digests().len(), file.pieces().unwrap().count()), (1, 1, 2));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_do() {
    let file = |inside: &str| metalink(&format!("\n<file name=\"a\">{inside}</file>"));
    for (text, place, said) in [
        (String::new(), "line 1", "there is nothing"),
        ("no XML at all".to_owned(), "line 1", "no Metalink"),
        ("<html></html>".to_owned(), "line 1, byte 0", "<html xmlns=\"\">"),
        ("<metalink version=\"2.0\"/>".to_owned(), "line 1", "\"2.0\""),
        ("<metalink xmlns=\"http://www.metalinker.org/\" version=\"4.0\"/>".to_owned(), "", "\"4.0\""),
        ("<metalink xmlns=\"http://www.metalinker.org/\"/>".to_owned(), "", "no attribute version"),
        (metalink(""), "line 1", "names no file"),
        (metalink("<file/>"), "line 1", "<file> has no attribute name"),
        (metalink("\n\n<file name=\"../a\"/>"), "line 3, byte 52", "leads to another folder"),
        (file("<size>many</size>"), "line 2", "\"many\" is not a number of bytes"),
        (file("<size>-1</size>"), "line 2", "\"-1\""),
        (file("<size>18446744073709551616</size>"), "line 2", "is not a number"),
        (file("<size>1</size><size>2</size>"), "", "two different sizes"),
        (file("<hash>00</hash>"), "", "<hash> has no attribute type"),
        (file("<hash type=\"md5\">00</hash>"), "", "32 hexadecimal digits"),
        (file("<hash type=\"md5\">zz</hash>"), "", "not hexadecimal"),
        (
            file(&format!(
                "<hash type=\"md5\">{}</hash><hash type=\"MD5\">{}</hash>",
                "0".repeat(32),
                "1".repeat(32)
            )),
            "",
            "two different digests",
        ),
        (file("<pieces type=\"md5\"/>"), "", "<pieces> has no attribute length"),
        (file("<pieces length=\"1\"/>"), "", "<pieces> has no attribute type"),
        (file("<pieces length=\"0\" type=\"md5\"/>"), "", "at least 1"),
        (
            file("<size>5</size><pieces length=\"5\" type=\"md5\"/>"),
            "",
            "are 1 pieces, and digests are given of 0",
        ),
        (file("<url>there</url>"), "", "\"there\" is not an absolute URL"),
        (file("<url>http://amy:secret@:x/</url>"), "", "absolute URL"),
        (file("<url priority=\"0\">http://h/</url>"), "", "from 1 to 999999"),
        (file("<url priority=\"1000000\">http://h/</url>"), "", "from 1 to 999999"),
        (file("<url priority=\"1\" priority=\"1\">http://h/</url>"), "", "there twice"),
        (file("<metaurl>http://h/</metaurl>"), "", "<metaurl> has no attribute mediatype"),
        (file("<url>http://h/&nbsp;</url>"), "line 2", "the entity &nbsp; is not known"),
        (file("<url location=\"&nbsp;\">http://h/</url>"), "line 2", "well-formed"),
        (file("<size>1</url>"), "line 2", "well-formed"),
        (metalink("<file name=\"a\">").replace("</metalink>", ""), "", "in the middle of an element"),
        (format!("{}<more/>", metalink("<file name=\"a\"/>")), "", "goes on after its end"),
        ("<?xml version=\"1.0\" encoding=\"latin1\"?><metalink/>".to_owned(), "", "save it as UTF-8"),
    ] {
        let error = Metalink::parse(text.as_bytes()).expect_err(&text);
        let message = error.to_string();
        assert!(message.starts_with(place) && message.contains(said), "{text}\n{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let error = Metalink::parse(b"<metalink>\n\xff").unwrap_err();
    assert_eq!((error.problem(), error.line(), error.byte()), (&Problem::NotText, 2, 11));
}

#[test]
fn entities_are_never_expanded() {
    let laughs = "<!DOCTYPE metalink [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>";
    let text = format!("{laughs}{}", metalink("<file name=\"a\"><url>http://h/&b;</url></file>"));
    assert_eq!(Metalink::parse(text.as_bytes()).unwrap_err().problem(), &Problem::Doctype);
    let external = "<!DOCTYPE metalink [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>";
    let text = format!("{external}{}", metalink("<file name=\"&a;\"/>"));
    assert_eq!(Metalink::parse(text.as_bytes()).unwrap_err().problem(), &Problem::Doctype);
    let known = "<file name=\"&lt;&#97;&amp;&#x62;&gt;\"/>";
    assert_eq!(Metalink::parse(metalink(known).as_bytes()).unwrap().files()[0].name().as_str(), "<a&b>");
}

#[test]
fn everything_has_a_bound() {
    let too_much = |text: &str, what: &str| {
        let error = Metalink::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    too_much(&" ".repeat(Metalink::LARGEST + 1), "more than the 16777216 bytes");
    too_much(&metalink(&"<a>".repeat(Metalink::DEEPEST)), "32 elements inside one another");
    let attributes: String = (0..65).map(|number| format!(" a{number}=\"\"")).collect();
    too_much(&metalink(&format!("<file{attributes}/>")), "64 attributes");
    let urls = "<url>a:b</url>".repeat(Metalink::MOST_SOURCES + 1);
    too_much(&metalink(&format!("<file name=\"a\">{urls}</file>")), "1000 URLs of a file");
    let files: String =
        (0..=Metalink::MOST_FILES).map(|number| format!("<file name=\"{number}\"/>")).collect();
    too_much(&metalink(&files), "100000 files");
    let namespaces: String = (0..60).map(|number| format!(" xmlns:a{number}=\"u\"")).collect();
    let nested = format!("<a{namespaces}>").repeat(5);
    assert!(Metalink::parse(metalink(&nested).as_bytes()).is_err());
}
