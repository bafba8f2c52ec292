//! A server that speaks enough of Redis's language, with its values under the test's control.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on 127.0.0.1, for as long as the test runs.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    values: HashMap<Vec<u8>, Vec<u8>>,
    password: Option<&'static str>,
    /// What every command is answered by, if it is set.
    answer: Option<&'static str>,
    commands: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let shared = Arc::clone(&state);
        let serve = move |socket: TcpStream| {
            let state = Arc::clone(&shared);
            thread::spawn(move || serve(&socket, &state));
        };
        thread::spawn(move || listener.incoming().flatten().for_each(serve));
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("redis://{}/{key}", self.address)
    }

    /// Keeps a value, and returns its URL.
    pub(crate) fn set(&self, key: &str, value: impl Into<Vec<u8>>) -> String {
        self.state.lock().unwrap().values.insert(key.into(), value.into());
        self.url(key)
    }

    pub(crate) fn require(&self, password: &'static str) {
        self.state.lock().unwrap().password = Some(password);
    }

    pub(crate) fn answer(&self, line: &'static str) {
        self.state.lock().unwrap().answer = Some(line);
    }

    /// The commands so far, words separated by blanks.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.state.lock().unwrap().commands.clone()
    }
}

fn serve(mut socket: &TcpStream, state: &Mutex<State>) -> Result<()> {
    let (mut reader, mut trusted) = (BufReader::new(socket), false);
    while let Some(words) = command(&mut reader)? {
        let answer = state.lock().unwrap().perform(&words, &mut trusted);
        socket.write_all(&answer)?;
    }
    Ok(())
}

fn command(reader: &mut impl BufRead) -> Result<Option<Vec<Vec<u8>>>> {
    let mut number = || -> Result<Option<usize>> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().get(1..).and_then(|number| number.parse().ok()))
    };
    let Some(count) = number()? else { return Ok(None) };
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut word = vec![0; line.trim_end()[1..].parse::<usize>().unwrap() + 2];
        reader.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(Some(words))
}

impl State {
    fn perform(&mut self, words: &[Vec<u8>], trusted: &mut bool) -> Vec<u8> {
        let text = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
        let words_as_text: Vec<String> = words.iter().map(text).collect();
        self.commands.push(words_as_text.join(" "));
        if let Some(answer) = self.answer {
            return answer.into();
        }
        if words_as_text[0] == "AUTH" {
            *trusted = self.password == Some(&words_as_text[2]);
            return if *trusted { "+OK\r\n".into() } else { "-WRONGPASS invalid password\r\n".into() };
        }
        if self.password.is_some() && !*trusted {
            return "-NOAUTH Authentication required.\r\n".into();
        }
        let value = self.values.get(&words[1]);
        let length = value.map_or(0, Vec::len);
        match words_as_text[0].as_str() {
            "EXISTS" => format!(":{}\r\n", u8::from(value.is_some())).into(),
            "STRLEN" => format!(":{length}\r\n").into(),
            "GETRANGE" => {
                let place = |word: &String| word.parse::<usize>().unwrap();
                let (first, end) = (place(&words_as_text[2]), length.min(place(&words_as_text[3]) + 1));
                let part = value.and_then(|value| value.get(first..end)).unwrap_or_default();
                [format!("${}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat()
            }
            _ => "-ERR unknown command\r\n".into(),
        }
    }
}
