//! The suite that every protocol is run through.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use ganymede::Protocol;
use ganymede::conformance::{self, Source};
use ganymede_gopher::Gopher;

/// What a server has, by selector.
type Contents = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A server with what the suite wants it to have.
struct Server {
    address: SocketAddr,
    contents: Contents,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, contents) = (listener.local_addr().unwrap(), Contents::default());
        let shared = Arc::clone(&contents);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let contents = Arc::clone(&shared);
                thread::spawn(move || answer(&socket, &contents));
            }
        });
        Self { address, contents }
    }

    fn add(&self, selector: String, content: &[u8]) -> Option<String> {
        let url = format!("gopher://{}/9{selector}", self.address);
        self.contents.lock().unwrap().insert(selector, content.to_vec());
        Some(url)
    }
}

fn answer(mut socket: &TcpStream, contents: &Contents) -> Result<()> {
    let mut selector = String::new();
    BufReader::new(socket).read_line(&mut selector)?;
    let content = contents.lock().unwrap().get(selector.trim_end()).cloned();
    socket.write_all(&content.unwrap_or(b"3It is not here\t\terror.host\t1\r\n.\r\n".to_vec()))?;
    if selector.starts_with("/stalled") {
        // Nothing more comes, until the other side has gone.
        while socket.read(&mut [0])? > 0 {}
    }
    Ok(())
}

impl Source for Server {
    fn protocol(&self) -> Box<dyn Protocol> {
        Box::new(Gopher::default())
    }

    fn serve(&self, content: &[u8]) -> Option<String> {
        let number = self.contents.lock().unwrap().len();
        self.add(format!("/{number}"), content)
    }

    fn missing(&self) -> String {
        format!("gopher://{}/9/missing", self.address)
    }

    fn stalled(&self, content: &[u8], sent: usize) -> Option<String> {
        self.add("/stalled".to_owned(), &content[..sent])
    }
}

#[test]
fn gopher_conforms() {
    conformance::protocol(&Server::start());
}
