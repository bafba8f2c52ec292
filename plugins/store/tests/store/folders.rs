//! A folder as a store: what goes over no HTTP.

use ganymede::{BufferWriter, ByteRange, Context, Download, Http, HttpDownload, Protocol, Request, Transfer};
use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_store::{Store, StoreWriter};

#[test]
fn a_file_is_an_object_and_a_part_of_it_as_well() {
    let folder = Folder::new();
    let content = pattern(100_000);
    let path = folder.write("a/b c", &content);
    let url = format!("fs://{}", path.display());
    let buffer = BufferWriter::new(1 << 20);
    let request = Request::get(&url).unwrap();
    let receipt = Transfer::new(request, Store::new()).writer(buffer.clone()).run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == content);
    assert!(receipt.head().modified().is_some());
    let mut request = Request::get(&url).unwrap();
    request.set_range(ByteRange::new(10, Some(19)));
    let (head, body) = Store::new().send(&request, &Context::new()).unwrap().into_parts();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut body.unwrap(), &mut bytes).unwrap();
    assert_eq!((head.offset(), bytes), (10, content[10..20].to_vec()));
}

#[test]
fn a_folder_gets_the_file_when_it_is_complete() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let content = pattern(20 << 20);
    let url = origin.on("/file", Reply::ok(content.clone()));
    let writer = StoreWriter::new(&Store::new(), &format!("fs://{}/new/a", folder.path().display())).unwrap();
    HttpDownload::get(&url).unwrap().writer(writer.clone()).run(&Context::new()).unwrap();
    assert!(folder.read("new/a") == content);
    let broken = origin.on("/broken", Reply::ok(content).cut_after(15 << 20));
    assert!(HttpDownload::get(&broken).unwrap().writer(writer).run(&Context::new()).is_err());
    assert_eq!(folder.entries(), ["new/", "new/a"]);
}

#[test]
fn a_folder_is_missing_where_it_is_not_and_is_not_made_by_looking() {
    let folder = Folder::new();
    let url = format!("fs://{}/no/such/file", folder.path().display());
    let failure = Store::new().send(&Request::get(&url).unwrap(), &Context::new()).err().unwrap();
    assert_eq!(failure.kind().name(), "not-found", "{failure:?}");
    assert!(folder.entries().is_empty());
}

#[test]
fn a_guard_keeps_away_from_folders() {
    let store = Store::new().http(&Http::new().guard(ganymede::Guard::public_only()));
    let failure = store.send(&Request::get("fs:///etc/hostname").unwrap(), &Context::new()).err().unwrap();
    assert_eq!(failure.kind().name(), "forbidden");
}
