//! The suites of the framework.

#[cfg(feature = "s3")]
mod s3 {
    use std::sync::Mutex;

    use ganymede::Protocol;
    use ganymede::conformance::{self, Source};
    use ganymede_kit::{Break, Passage, Relay};
    use ganymede_store::{Store, StoreWriter};

    use crate::server::{Asked, ID, SECRET, Server};
    use crate::support::store;

    /// A bucket, and what stands between it and some of its objects.
    struct Bucket {
        server: Server,
        relays: Mutex<Vec<Relay>>,
    }

    impl Bucket {
        fn new() -> Self {
            Self { server: Server::start(), relays: Mutex::default() }
        }

        fn add(&self, content: &[u8]) -> String {
            let key = format!("an object/{}", self.server.keys().len());
            self.server.put(&key, content)
        }

        /// Makes a bucket's name into one that is reached through a relay.
        fn through(&self, relay: Relay, url: &str) -> String {
            let endpoint = relay.url("http", "");
            self.relays.lock().unwrap().push(relay);
            format!("{url}@{}", endpoint.trim_end_matches('/'))
        }
    }

    /// Asks through a relay for what has one behind an `@`.
    struct Through(Store);

    impl Protocol for Through {
        fn send(
            &self,
            request: &ganymede::Request,
            context: &ganymede::Context,
        ) -> Result<ganymede::Reply, ganymede::Failure> {
            let text = request.url().as_str().to_owned();
            let Some((url, endpoint)) = text.split_once('@') else { return self.0.send(request, context) };
            let mut straight = request.clone();
            straight.set_url(url.parse().unwrap());
            self.0.clone().endpoint(endpoint).send(&straight, context)
        }
    }

    impl Source for Bucket {
        fn protocol(&self) -> Box<dyn Protocol> {
            Box::new(Through(store(&self.server)))
        }

        fn serve(&self, content: &[u8]) -> Option<String> {
            Some(self.add(content))
        }

        fn missing(&self) -> String {
            "s3://bucket/missing".to_owned()
        }

        fn broken(&self, content: &[u8], sent: usize) -> Option<String> {
            let cut = Passage::After(sent as u64, Break::Close);
            Some(self.through(Relay::start(self.server.address(), [cut]), &self.add(content)))
        }

        fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
            let stall = Passage::After(sent as u64, Break::Stall);
            Some(self.through(Relay::start(self.server.address(), [stall]), &self.add(content)))
        }
    }

    #[test]
    fn a_bucket_conforms() {
        conformance::protocol(&Bucket::new());
    }

    #[test]
    fn a_bucket_that_is_open_to_all_conforms_without_credentials() {
        struct Public(Bucket);
        impl Source for Public {
            fn protocol(&self) -> Box<dyn Protocol> {
                let server = &self.0.server;
                Box::new(Store::new().endpoint(server.endpoint()).anonymous())
            }
            fn serve(&self, content: &[u8]) -> Option<String> {
                self.0.serve(content)
            }
            fn missing(&self) -> String {
                self.0.missing()
            }
        }
        let public = Public(Bucket { server: Server::public(), relays: Mutex::default() });
        conformance::protocol(&public);
        assert_eq!(public.0.server.count(|asked| asked.header("authorization").is_some()), 0);
    }

    #[test]
    fn an_object_as_a_target_conforms() {
        let server = Server::start();
        let store = Store::new().endpoint(server.endpoint()).credentials(ID, SECRET);
        let writer = StoreWriter::new(&store, "s3://bucket/folder/a%20target").unwrap();
        conformance::writer(&writer, &|| server.get("folder/a target"));
        assert_eq!(server.unfinished(), [""; 0]);
        // What is small is one request, and not three.
        assert_eq!(server.count(Asked::is_part), 0);
    }
}

#[cfg(feature = "fs")]
mod fs {
    use ganymede::Protocol;
    use ganymede::conformance::{self, Source};
    use ganymede_kit::Folder;
    use ganymede_store::{Store, StoreWriter};

    #[test]
    fn a_folder_conforms() {
        struct Files(Folder);
        impl Source for Files {
            fn protocol(&self) -> Box<dyn Protocol> {
                Box::new(Store::new())
            }
            fn serve(&self, content: &[u8]) -> Option<String> {
                let path = self.0.write(format!("a file {}", self.0.entries().len()), content);
                Some(format!("fs://{}", path.display()))
            }
            fn missing(&self) -> String {
                format!("fs://{}/missing", self.0.path().display())
            }
        }
        conformance::protocol(&Files(Folder::new()));
    }

    #[test]
    fn a_file_in_a_folder_as_a_target_conforms() {
        let folder = Folder::new();
        let url = format!("fs://{}/a/b/file", folder.path().display());
        let writer = StoreWriter::new(&Store::new(), &url).unwrap();
        conformance::writer(&writer, &|| std::fs::read(folder.file("a/b/file")).ok());
        assert_eq!(folder.entries(), ["a/", "a/b/", "a/b/file"]);
    }
}
