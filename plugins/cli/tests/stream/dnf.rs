//! A repository of RPM packages behind the command, and dnf before it.

use std::fs;

use ganymede_kit::Folder;

use crate::serving::Serving;
use crate::web::{Web, age, is_root, program};

const SPEC: &str = "\
Name: hello
Version: 1.0
Release: 1
Summary: Says hello
License: MIT
BuildArch: noarch
%description
Says hello.
%install
mkdir -p %{buildroot}/usr/share/hello
echo 'hello from an rpm' > %{buildroot}/usr/share/hello/greeting
%files
/usr/share/hello/greeting
";

fn publish(web: &Web) {
    let (folder, content) = (Folder::new(), web.content());
    folder.write("hello.spec", SPEC);
    let top = format!("_topdir {}", folder.path().display());
    let target = format!("_rpmdir {}", content.display());
    program("rpmbuild", folder.path(), &[], ["-bb", "--quiet", "-D", &top, "-D", &target, "hello.spec"]);
    program("createrepo_c", folder.path(), &[], ["--quiet", content.to_str().unwrap()]);
    age(&content, 30);
}

/// Installs the package into a folder of its own, and returns the content of its file.
#[track_caller]
fn installed(server: &Serving) -> String {
    let folder = Folder::new();
    let path = folder.path().display();
    folder.write(
        "dnf.conf",
        format!(
            "[main]\ncachedir={path}/cache\nlogdir={path}/log\npersistdir={path}/state\nreposdir={path}/none\n\
             varsdir={path}/none\npluginpath={path}/none\nplugins=0\nretries=1\n\
             [repository]\nname=repository\nbaseurl={}\ngpgcheck=0\nenabled=1\n",
            server.url("/")
        ),
    );
    let root = folder.file("root");
    fs::create_dir(&root).unwrap();
    let arguments = ["--config", "dnf.conf", "--releasever", "1", "--assumeyes", "--quiet", "--installroot"];
    let arguments = arguments.iter().copied().chain([root.to_str().unwrap(), "install", "hello"]);
    // It changes its root, which is for root; so is who is alone in a namespace.
    let alone = if is_root() { &[][..] } else { &["unshare", "--map-root-user"] };
    let arguments = alone.iter().copied().chain(["dnf"]).chain(arguments);
    program("env", folder.path(), &[], arguments);
    fs::read_to_string(root.join("usr/share/hello/greeting")).unwrap()
}

#[test]
#[ignore = "needs createrepo_c, dnf, nginx, rpmbuild and unshare, which tests/run installs"]
fn dnf_installs_a_package_and_later_ones_find_it_here() {
    let (web, folder) = (Web::start(""), Folder::new());
    publish(&web);
    let server = Serving::keeping(&web.url("/"), &folder, [""; 0]);
    let package = "/noarch/hello-1.0-1.noarch.rpm";
    assert_eq!(installed(&server), "hello from an rpm\n");
    let asked = web.asked(&server);
    let repository = ("/repodata/repomd.xml".to_owned(), 200);
    assert!(asked.contains(&repository) && asked.contains(&(package.to_owned(), 200)), "{asked:?}");
    assert!(asked.iter().all(|(_, status)| *status == 200), "{asked:?}");

    assert_eq!(installed(&server), "hello from an rpm\n");
    let asked = web.asked(&server);
    assert!(asked.iter().all(|(path, status)| *status == 304 && path != package), "{asked:?}");
    assert!(server.get(package).is_hit());
}
