//! All files of a Metalink, in a batch and by name.

use ganymede::{Batch, BufferWriter, Context, ErrorKind, Factory, Importer, Request};
use ganymede_kit::{Folder, Origin, Reply, pattern};
use ganymede_metalink::{Metalink, MetalinkImporter};

use crate::support::{PIECE, described, metalink};

fn importer(origin: &Origin) -> MetalinkImporter {
    let (one, two) = (pattern(2 * PIECE), pattern(10));
    let urls = [origin.on("/one", Reply::ok(one.clone())), origin.on("/two", Reply::ok(two))];
    let text = metalink(&format!(
        "<file name=\"folder/one\">{}<url>{}</url></file><file name=\"two\"><url>{}</url></file>",
        described(&one),
        urls[0],
        urls[1],
    ));
    let url = origin.on("/all.meta4", Reply::ok(text));
    let factory = Factory::new();
    let request = Request::get(&url).unwrap();
    MetalinkImporter::new(Metalink::fetch(request, factory.clone(), &Context::new()).unwrap(), factory)
}

#[test]
fn a_batch_downloads_all_files_into_a_folder() {
    let (origin, folder) = (Origin::start(), Folder::new());
    let importer = importer(&origin);
    let mut paths = Vec::new();
    for plan in Batch::try_new(importer.downloads_into(folder.path())) {
        let plan = plan.unwrap();
        plan.result().unwrap();
        paths.push(plan.attachment().to_string());
    }
    paths.sort();
    assert_eq!(paths, ["folder/one", "two"]);
    assert_eq!(folder.entries(), ["folder/", "folder/one", "two"]);
    assert!(folder.read("folder/one") == pattern(2 * PIECE) && folder.read("two") == pattern(10));
}

#[test]
fn an_importer_makes_the_download_of_a_name() {
    let origin = Origin::start();
    let importer = importer(&origin);
    let buffer = BufferWriter::new(1 << 20);
    let mut download = importer.download("folder/one").unwrap();
    assert!(download.identifies());
    download.set_writer(std::sync::Arc::new(buffer.clone()));
    download.run(&Context::new()).unwrap();
    assert!(buffer.take().unwrap() == pattern(2 * PIECE));
    for absent in ["one", "../two", ""] {
        assert!(
            importer.download(absent).is_err_and(|failure| matches!(failure.kind(), ErrorKind::NotFound))
        );
    }
}

#[test]
fn what_cannot_be_fetched_or_is_no_metalink_is_told_with_its_url() {
    let origin = Origin::start();
    let page = origin.on("/page", Reply::ok("<html>\n</html>"));
    let fetch = |url: &str| Metalink::fetch(Request::get(url).unwrap(), Factory::new(), &Context::new());
    let failure = fetch(&page).unwrap_err();
    assert!(matches!(failure.kind(), ErrorKind::Malformed), "{failure:?}");
    assert!(
        failure.to_string().starts_with(&format!("{page} is no Metalink: line 1, byte 0: ")),
        "{failure}"
    );
    assert!(matches!(fetch(&origin.url("/absent")).unwrap_err().kind(), ErrorKind::NotFound));
    let endless = origin.on("/endless", Reply::generated(Metalink::LARGEST as u64 + 1));
    assert!(matches!(fetch(&endless).unwrap_err().kind(), ErrorKind::TooLarge));
    assert!(origin.sent("/endless") < Metalink::LARGEST as u64);
}
