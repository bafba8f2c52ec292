//! A small disk, for tests that fill one.

use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::{env, fs};

use crate::folder::Folder;

/// Set in a process that may mount, where nobody else sees it.
const ISOLATED: &str = "GANYMEDE_TEST_ISOLATED";

/// A folder that is a small file system, which is gone when this is dropped.
#[derive(Debug)]
pub struct Disk(Folder);

/// Runs a test, by its whole name, with a disk of so many MiB, in a process with mounts of its own, which are gone with it.
///
/// It takes `unshare` and `mount`, and root or namespaces for users.
///
/// ```no_run
/// # fn a_full_disk_is_told() {
/// ganymede_kit::with_disk("a_full_disk_is_told", 2, |disk| {
///     let _file = disk.file("name");
///     // .. fill it ..
/// });
/// # }
/// ```
pub fn with_disk(test: &str, mebibytes: u32, body: impl FnOnce(&Disk)) {
    if env::var_os(ISOLATED).is_some() {
        return body(&Disk::new(mebibytes));
    }
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let namespaces: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let mut isolated = Command::new("unshare");
    isolated.args(namespaces).arg(env::current_exe().unwrap());
    isolated.args(["--exact", test, "--include-ignored", "--nocapture"]).env(ISOLATED, "1");
    assert!(isolated.status().unwrap().success());
}

impl Disk {
    fn new(mebibytes: u32) -> Self {
        let folder = Folder::new();
        let size = format!("size={mebibytes}m");
        let options = ["-t", "tmpfs", "-o", &size, "none"];
        assert!(Command::new("mount").args(options).arg(folder.path()).status().unwrap().success());
        Self(folder)
    }

    /// Mounts it anew with an option, such as `ro`.
    pub fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &option]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Deref for Disk {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
