//! The public suite, over the protocols and writers of this crate.

use std::fs;

use ganymede::conformance::{self, Source};
use ganymede::{
    BufferWriter, Context, FileProtocol, FileWriter, Http, Protocol, Request, TeeWriter, reqwest,
};
use ganymede_kit::{Folder, Origin, Reply as Scripted};

/// An HTTP origin, and the protocol under test.
struct Web(Origin, fn() -> Box<dyn Protocol>);

impl Web {
    fn add(&self, reply: Scripted) -> Option<String> {
        let path = format!("/{}", self.0.journal().len());
        Some(self.0.on(&path, reply))
    }
}

impl Source for Web {
    fn protocol(&self) -> Box<dyn Protocol> {
        (self.1)()
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        self.add(Scripted::ok(content).ranges().etag("\"1\""))
    }

    fn missing(&self) -> String {
        self.0.url("/missing")
    }

    fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add(Scripted::ok(content).cut_after(sent as u64))
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add(Scripted::ok(content).stall_after(sent as u64))
    }
}

#[test]
fn http_conforms() {
    conformance::protocol(&Web(Origin::start(), || Box::new(Http::new())));
}

#[test]
fn http_over_a_source_without_ranges_and_lengths_conforms() {
    struct Plain(Web);
    impl Source for Plain {
        fn protocol(&self) -> Box<dyn Protocol> {
            self.0.protocol()
        }
        fn serve(&self, content: &[u8]) -> Option<String> {
            self.0.add(Scripted::ok(content).chunked())
        }
        fn missing(&self) -> String {
            self.0.missing()
        }
    }
    conformance::protocol(&Plain(Web(Origin::start(), || Box::new(Http::new()))));
}

#[test]
fn a_blocking_client_of_the_callers_own_conforms() {
    struct Own(Web);
    impl Source for Own {
        fn protocol(&self) -> Box<dyn Protocol> {
            Box::new(reqwest::blocking::Client::new())
        }
        fn serve(&self, content: &[u8]) -> Option<String> {
            self.0.serve(content)
        }
        fn missing(&self) -> String {
            self.0.missing()
        }
        fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
            self.0.broken(content, sent)
        }
    }
    conformance::protocol(&Own(Web(Origin::start(), || Box::new(Http::new()))));
}

#[test]
fn a_closure_conforms() {
    let protocol = || -> Box<dyn Protocol> {
        Box::new(|request: &Request, context: &Context| Http::new().send(request, context))
    };
    conformance::protocol(&Web(Origin::start(), protocol));
}

#[test]
fn files_conform() {
    struct Files(Folder);
    impl Source for Files {
        fn protocol(&self) -> Box<dyn Protocol> {
            Box::new(FileProtocol::new())
        }
        fn serve(&self, content: &[u8]) -> Option<String> {
            let name = format!("a file {}", self.0.entries().len());
            let path = self.0.write(&name, content);
            Some(ganymede::Url::from_file_path(path).unwrap().into())
        }
        fn missing(&self) -> String {
            format!("file://{}/missing", self.0.path().display())
        }
    }
    conformance::protocol(&Files(Folder::new()));
}

#[test]
fn the_writers_conform() {
    let folder = Folder::new();
    let path = folder.file("a/b/file");
    conformance::writer(&FileWriter::new(&path), &|| fs::read(&path).ok());
    let buffer = BufferWriter::new(1 << 20);
    let committed = std::cell::RefCell::new(None);
    let taken = || {
        if let Some(bytes) = buffer.take() {
            *committed.borrow_mut() = Some(bytes);
        }
        committed.borrow().clone()
    };
    conformance::writer(&buffer, &taken);
    let copy = folder.file("copy");
    let tee = TeeWriter::new(BufferWriter::new(1 << 20), FileWriter::new(&copy));
    conformance::writer(&tee, &|| fs::read(&copy).ok());
    assert_eq!(folder.entries(), ["a/", "a/b/", "a/b/file", "copy"]);
}
