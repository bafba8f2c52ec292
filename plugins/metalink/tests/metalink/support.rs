//! What the tests share.

use data_encoding::BASE64;
use ganymede::{Algorithm, BufferWriter, Digest, Facts, Http, Request, Transfer};
use ganymede_kit::Origin;
use ganymede_metalink::{PieceDigests, Pieces};

/// How long the pieces are in most tests.
pub const PIECE: usize = 64 << 10;

pub fn pieces(content: &[u8]) -> PieceDigests {
    PieceDigests::of(content, PIECE as u64, Algorithm::Sha256).unwrap()
}

pub fn sha256(content: &[u8]) -> Digest {
    Facts::of(content, [Algorithm::Sha256]).unwrap().digest(Algorithm::Sha256).unwrap()
}

/// The content with a byte changed in each of these pieces.
pub fn damaged(content: &[u8], numbers: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut content = content.to_vec();
    for number in numbers {
        content[number * PIECE + 17] ^= 1;
    }
    content
}

/// A download whose pieces are verified, into memory.
pub fn verified(url: &str, digests: PieceDigests) -> (Transfer<Pieces<Http>>, BufferWriter) {
    let buffer = BufferWriter::new(64 << 20);
    let protocol = Pieces::new(Http::new(), digests);
    (Transfer::new(Request::get(url).unwrap(), protocol).writer(buffer.clone()), buffer)
}

/// The ranges that were asked for by GET, in order; an empty text is everything.
pub fn ranges(origin: &Origin, path: &str) -> Vec<String> {
    let journal = origin.journal();
    let asked = journal.iter().filter(|received| received.method == "GET" && received.path() == path);
    asked.map(|received| received.header("range").unwrap_or_default().to_owned()).collect()
}

/// The range of a piece, as it is asked for.
pub fn range_of(number: usize) -> String {
    format!("bytes={}-{}", number * PIECE, (number + 1) * PIECE - 1)
}

/// The value of a header `Digest` (RFC 3230).
pub fn instance_digest(content: &[u8]) -> String {
    format!("SHA-256={}", BASE64.encode(sha256(content).value()))
}

/// A Metalink of version 4 with these files.
pub fn metalink(files: &str) -> String {
    format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{files}</metalink>")
}

/// The elements that say what a content is: size, digest and pieces.
pub fn described(content: &[u8]) -> String {
    let digests = pieces(content);
    let hashes: String = (0..digests.count())
        .map(|number| format!("<hash>{}</hash>", digests.digest(number).unwrap().hex()))
        .collect();
    let (size, digest) = (content.len(), sha256(content).hex());
    format!(
        "<size>{size}</size><hash type=\"sha-256\">{digest}</hash>\
         <pieces length=\"{PIECE}\" type=\"sha-256\">{hashes}</pieces>"
    )
}
