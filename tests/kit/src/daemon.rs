//! Servers of the real world, each in a folder and on a port of its own.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use crate::folder::Folder;
use crate::process::wait_until;
use crate::silent::closed_port;

/// A line of `guards.log`: the status, the range that was asked for, and its guard; the same for all servers.
const NGINX_LOG: &str = "$status $http_range $http_if_range";
const APACHE_LOG: &str = "%>s %{Range}i %{If-Range}i";

/// A server of the real world in the foreground, in a folder and on a port of its own, which ends when dropped.
///
/// ```no_run
/// let nginx = ganymede_kit::Daemon::nginx("", |_| String::new());
/// nginx.folder.write("content/file", "hello");
/// let url = nginx.url("http", "/file");
/// // .. download it ..
/// assert_eq!(nginx.log("access.log").lines().count(), 1);
/// ```
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub child: Child,
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// What it serves, in `content`, and its configuration and logs.
    pub folder: Folder,
}

impl Daemon {
    /// Starts a program with the configuration that `configure` writes for a folder and a port, and waits until it
    /// listens.
    #[must_use]
    pub fn start(program: &str, configure: impl FnOnce(&Folder, u16) -> String, arguments: &[&str]) -> Self {
        let (folder, port) = (Folder::new(), closed_port());
        let configuration = folder.write("configuration", configure(&folder, port));
        let mut child = Command::new(program)
            // Servers are often not where other programs are.
            .env("PATH", format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default()))
            .args(arguments)
            .arg(&configuration)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        wait_until("a server to listen", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{program} ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { child, port, folder }
    }

    /// An nginx that serves `content` of its folder by these further directives of its server.
    #[must_use]
    pub fn nginx(listen: &str, directives: impl FnOnce(&Folder) -> String) -> Self {
        let configure = |folder: &Folder, port| {
            let path = folder.path().display();
            fs::create_dir(folder.file("content")).unwrap();
            format!(
                "daemon off; master_process off; worker_processes 1; pid {path}/pid;
                 error_log {path}/error.log; events {{ worker_connections 256; }}
                 http {{
                     log_format guards '{NGINX_LOG}';
                     access_log {path}/access.log; access_log {path}/guards.log guards; default_type application/octet-stream;
                     client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;
                     fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
                     gzip on; gzip_types *; gzip_min_length 1;
                     server {{ listen 127.0.0.1:{port} {listen}; root {path}/content; {} }}
                 }}",
                directives(folder)
            )
        };
        Self::start("nginx", configure, &["-p", "/", "-c"])
    }

    /// An apache2 that serves `content` of its folder, with these further directives.
    #[must_use]
    pub fn apache(directives: &str) -> Self {
        let configure = |folder: &Folder, port| {
            let path = folder.path().display();
            fs::create_dir(folder.file("content")).unwrap();
            format!(
                "ServerName localhost\nListen 127.0.0.1:{port}\nServerRoot {path}\nPidFile {path}/pid\nMutex pthread\n\
                 User nobody\nGroup nogroup\nErrorLog {path}/error.log\n\
                 LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
                 LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n\
                 LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so\n\
                 LogFormat \"{APACHE_LOG}\" guards\nCustomLog {path}/guards.log guards\n\
                 DocumentRoot {path}/content\n<Directory {path}/content>\nRequire all granted\n</Directory>\n\
                 {directives}\n"
            )
        };
        // All in one process, so that killing it kills all.
        Self::start("apache2", configure, &["-X", "-f"])
    }

    /// A lighttpd that serves `content` of its folder, with these further directives.
    ///
    /// What it does not know the type of has no validators there.
    #[must_use]
    pub fn lighttpd(directives: &str) -> Self {
        let configure = |folder: &Folder, port| {
            let path = folder.path().display();
            fs::create_dir(folder.file("content")).unwrap();
            format!(
                "server.modules = ( \"mod_accesslog\" )\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.document-root = \"{path}/content\"\nserver.errorlog = \"{path}/error.log\"\n\
                 mimetype.assign = ( \"\" => \"application/x-content\" )\n\
                 server.stat-cache-engine = \"disable\"\naccesslog.filename = \"{path}/guards.log\"\n\
                 accesslog.format = \"{APACHE_LOG}\"\n{directives}\n"
            )
        };
        Self::start("lighttpd", configure, &["-D", "-f"])
    }

    /// A URL with this scheme and path that leads to it.
    #[must_use]
    pub fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// The text of a log in its folder.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        String::from_utf8(self.folder.read(name)).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
