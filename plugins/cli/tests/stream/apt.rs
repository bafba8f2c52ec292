//! A Debian repository behind the command, and apt before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ganymede::Algorithm;
use ganymede_kit::Folder;

use crate::serving::Serving;
use crate::web::{Web, age, is_root, program};

/// A repository with one package, signed by a key of its own.
struct Repository {
    web: Web,
    folder: Folder,
    architecture: String,
    by_hash: bool,
}

const INDEX: &str = "dists/stable/main";

impl Repository {
    fn new(by_hash: bool) -> Self {
        let (web, folder) = (Web::start(""), Folder::new());
        fs::create_dir_all(folder.file("gnupg")).unwrap();
        let architecture = program("dpkg", folder.path(), &[], ["--print-architecture"]);
        let architecture = String::from_utf8(architecture).unwrap().trim().to_owned();
        let repository = Self { web, folder, architecture, by_hash };
        repository.gpg(&["--passphrase", "", "--quick-generate-key", "archive", "ed25519", "sign", "never"]);
        repository.gpg(&["--output", "archive.gpg", "--export"]);
        repository
    }

    fn gpg(&self, arguments: &[&str]) {
        let home = self.folder.file("gnupg");
        let arguments = ["--batch", "--quiet", "--no-permission-warning"].iter().chain(arguments);
        program("gpg", self.folder.path(), &[("GNUPGHOME", &home)], arguments);
    }

    /// Publishes a version of the package whose one file has this content, as if it had been there for some days.
    fn publish(&self, version: &str, greeting: &str, days: u64) {
        let content = self.web.content();
        let package = self.folder.file(format!("hello-{version}"));
        let write = |name: &str, text: &str| {
            fs::create_dir_all(package.join(name).parent().unwrap()).unwrap();
            fs::write(package.join(name), text).unwrap();
        };
        write("usr/share/hello/greeting", greeting);
        write(
            "DEBIAN/control",
            &format!(
                "Package: hello\nVersion: {version}\nArchitecture: all\n\
                 Maintainer: Nobody <nobody@example.org>\nDescription: says hello\n"
            ),
        );
        fs::create_dir_all(content.join("pool")).unwrap();
        let mut build = vec!["--build"];
        if is_root() {
            build.push("--root-owner-group");
        }
        let file = content.join(format!("pool/hello_{version}_all.deb"));
        build.extend([package.to_str().unwrap(), file.to_str().unwrap()]);
        program("dpkg-deb", self.folder.path(), &[], build);

        let index = content.join(INDEX).join(format!("binary-{}", self.architecture));
        fs::create_dir_all(&index).unwrap();
        let packages = program("apt-ftparchive", &content, &[], ["packages", "pool"]);
        fs::write(index.join("Packages"), &packages).unwrap();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = crate::digest(algorithm, &packages);
            let hashed = index.join("by-hash").join(algorithm.name().to_ascii_uppercase());
            fs::create_dir_all(&hashed).unwrap();
            fs::write(hashed.join(digest), &packages).unwrap();
        }

        let release = content.join("dists/stable/InRelease");
        let _ = fs::remove_file(&release);
        let said = |name: &str, value: &str| format!("APT::FTPArchive::Release::{name}={value}");
        let said = [
            said("Suite", "stable"),
            said("Components", "main"),
            said("Architectures", &self.architecture),
            said("Acquire-By-Hash", if self.by_hash { "yes" } else { "no" }),
        ];
        let arguments = said.iter().flat_map(|said| ["-o", said]).chain(["release", "dists/stable"]);
        let text = program("apt-ftparchive", &content, &[], arguments);
        self.folder.write("Release", text);
        self.gpg(&["--yes", "--output", release.to_str().unwrap(), "--clearsign", "Release"]);
        age(&content, days);
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        // It has started an agent, which would stay.
        let _ = Command::new("gpgconf")
            .env("GNUPGHOME", self.folder.file("gnupg"))
            .args(["--kill", "all"])
            .status();
    }
}

/// A system of its own, as far as apt and dpkg are concerned.
struct System(Folder);

impl System {
    fn new(server: &Serving, repository: &Repository) -> Self {
        let folder = Folder::new();
        let root = folder.path().display();
        for name in
            ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/dpkg/info", "var/lib/dpkg/updates"]
        {
            fs::create_dir_all(folder.file(name)).unwrap();
        }
        for name in ["var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "tmp"] {
            fs::create_dir_all(folder.file(name)).unwrap();
        }
        folder.write("var/lib/dpkg/status", "");
        let (url, key) = (server.url("/"), repository.folder.file("archive.gpg"));
        folder
            .write("etc/apt/sources.list", format!("deb [signed-by={}] {url} stable main\n", key.display()));
        folder.write(
            "apt.conf",
            format!(
                "Dir \"{root}\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\n\
                 APT::Architecture \"{0}\";\nAPT::Architectures {{ \"{0}\"; }};\nAPT::Sandbox::User \"root\";\n\
                 Acquire::Languages \"none\";\nAcquire::Retries \"0\";\nDPkg::Use-Pty \"false\";\n\
                 DPkg::Options {{ \"--root={root}\"; \"--force-not-root\"; \"--force-bad-path\"; \
                 \"--log={root}/var/log/dpkg.log\"; }};\n",
                repository.architecture
            ),
        );
        Self(folder)
    }

    #[track_caller]
    fn apt_get(&self, arguments: &[&str]) {
        let (configuration, temporary): (PathBuf, _) = (self.0.file("apt.conf"), self.0.file("tmp"));
        let environment: [(&str, &Path); 3] = [
            ("APT_CONFIG", &configuration),
            ("TMPDIR", &temporary),
            ("DEBIAN_FRONTEND", Path::new("noninteractive")),
        ];
        let arguments = ["--yes", "--quiet"].iter().chain(arguments);
        program("apt-get", self.0.path(), &environment, arguments);
    }

    /// Brings its lists up to date, where a warning is a failure, too: that lists do not fit together, say.
    #[track_caller]
    fn update(&self) {
        self.apt_get(&["update", "--error-on=any"]);
    }

    fn greeting(&self) -> String {
        String::from_utf8(self.0.read("usr/share/hello/greeting")).unwrap()
    }
}

/// What was asked for of the remote that was not there, or not as it is.
fn fetched(asked: &[(String, u16)]) -> Vec<&str> {
    asked.iter().filter(|(_, status)| *status != 304).map(|(path, _)| path.as_str()).collect()
}

fn installs_and_follows(by_hash: bool) {
    let repository = Repository::new(by_hash);
    repository.publish("1.0", "hello, world\n", 30);
    let folder = Folder::new();
    let server = Serving::keeping(&repository.web.url("/"), &folder, [""; 0]);

    let first = System::new(&server, &repository);
    first.update();
    first.apt_get(&["install", "hello"]);
    assert_eq!(first.greeting(), "hello, world\n");
    let asked = repository.web.asked(&server);
    let deb = "/pool/hello_1.0_all.deb";
    assert!(
        fetched(&asked).contains(&deb) && fetched(&asked).contains(&"/dists/stable/InRelease"),
        "{asked:?}"
    );
    let hashed = asked.iter().any(|(path, _)| path.contains("/by-hash/"));
    assert_eq!(hashed, by_hash, "{asked:?}");

    // Another system finds all of it here; at most it is asked whether it still holds.
    let second = System::new(&server, &repository);
    second.update();
    second.apt_get(&["install", "hello"]);
    assert_eq!(second.greeting(), "hello, world\n");
    let asked = repository.web.asked(&server);
    assert_eq!(fetched(&asked), [""; 0], "{asked:?}");
    assert!(asked.iter().all(|(path, _)| path != deb), "{asked:?}");

    // What is published is seen at once, and all of it: lists of two states together would be a failure.
    repository.publish("2.0", "hello again\n", 3);
    for system in [&first, &second, &System::new(&server, &repository)] {
        system.update();
        system.apt_get(&["install", "hello"]);
        assert_eq!(system.greeting(), "hello again\n");
    }
    let asked = repository.web.asked(&server);
    let count = |wanted: &str| fetched(&asked).iter().filter(|path| **path == wanted).count();
    assert_eq!((count("/pool/hello_2.0_all.deb"), count("/dists/stable/InRelease")), (1, 1), "{asked:?}");
}

#[test]
#[ignore = "needs apt-ftparchive, dpkg-deb, gpg and nginx, which tests/run installs"]
fn apt_installs_a_package_and_sees_what_is_published_later() {
    installs_and_follows(true);
}

#[test]
#[ignore = "needs apt-ftparchive, dpkg-deb, gpg and nginx, which tests/run installs"]
fn apt_does_the_same_where_lists_keep_their_names() {
    installs_and_follows(false);
}
