//! One connection for commands, and its connections for data.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::{End, FtpFile, FtpReply, Script};
use crate::ledger::Visit;

/// A stream of either kind.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

struct Session<'a> {
    visit: &'a Visit,
    script: &'a Script,
    stream: Stream,
    user: String,
    listener: Option<TcpListener>,
    start: usize,
    /// Whether data is to be secure.
    protected: bool,
}

/// What comes after a command.
enum Next {
    Reply(FtpReply),
    Secure,
}

pub(super) fn serve(visit: &Visit, script: &Script) -> io::Result<()> {
    let socket = visit.socket();
    script.state().sessions.push(Arc::downgrade(&socket));
    let plain = Stream::Plain(socket.try_clone()?);
    drop(socket);
    let stream = if script.implicit { secure(script, plain)? } else { plain };
    let (user, protected) = (String::new(), false);
    let mut session = Session { visit, script, stream, user, listener: None, start: 0, protected };
    session.say(script.reply("").unwrap_or_else(|| "220-Welcome\r\n220 Ready".into()))?;
    while let Some(line) = session.line()? {
        let text = String::from_utf8_lossy(&line).into_owned();
        script.state().commands.push(text.clone());
        let next = match script.reply(&text) {
            Some(reply) => Next::Reply(reply),
            None => session.obey(&line)?,
        };
        match next {
            Next::Reply(reply) => session.say(reply)?,
            Next::Secure => {
                session.say("234 Go on".into())?;
                session.stream = secure(script, session.stream)?;
            }
        }
    }
    Ok(())
}

fn secure(script: &Script, stream: Stream) -> io::Result<Stream> {
    let (Some(config), Stream::Plain(socket)) = (&script.tls, stream) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, socket))))
}

impl Session<'_> {
    /// Reads a command, without the end of its line; `None` at the end of the connection.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        loop {
            if self.stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            match byte[0] {
                b'\n' => return Ok(Some(line)),
                b'\r' => {}
                byte => line.push(byte),
            }
        }
    }

    fn say(&mut self, reply: FtpReply) -> io::Result<()> {
        match reply {
            FtpReply::Say(text) => {
                self.stream.write_all(format!("{text}\r\n").as_bytes())?;
                self.stream.flush()
            }
            FtpReply::Last(text) => {
                self.say(FtpReply::Say(text))?;
                self.say(FtpReply::Silence)
            }
            FtpReply::Silence => {
                while self.stream.read(&mut [0; 512])? > 0 {}
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            FtpReply::HangUp => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    fn obey(&mut self, line: &[u8]) -> io::Result<Next> {
        let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let verb = String::from_utf8_lossy(&line[..end]).to_ascii_uppercase();
        let argument = line.get(end + 1..).unwrap_or_default();
        let text = String::from_utf8_lossy(argument).into_owned();
        let secure = matches!(self.stream, Stream::Tls(_));
        let reply = match verb.as_str() {
            "USER" => {
                self.user = text;
                "331 And the password?".into()
            }
            "PASS" => match &self.script.state().account {
                Some((user, password)) if (user, password) != (&self.user, &text) => {
                    "530 Login incorrect".into()
                }
                _ => "230 Logged in".into(),
            },
            "AUTH" if self.script.tls.is_some() && !secure => return Ok(Next::Secure),
            "PROT" if secure => {
                self.protected = text == "P";
                "200 OK".into()
            }
            "PBSZ" if secure => "200 OK".into(),
            "TYPE" | "NOOP" => "200 OK".into(),
            "CWD" if self.script.state().folders.iter().any(|folder| folder == argument) => "250 OK".into(),
            "SIZE" => match self.script.file(argument, false).and_then(|file| file.told) {
                Some(size) => format!("213 {size}"),
                None => "550 Could not get file size".into(),
            },
            "MDTM" => match self.script.file(argument, false).and_then(|file| file.modified) {
                Some(stamp) => format!("213 {stamp}"),
                None => "550 Could not get the time".into(),
            },
            "REST" => {
                self.start = text.parse().unwrap_or(0);
                format!("350 Restarting at {text}")
            }
            "EPSV" => format!("229 Entering (|||{}|)", self.listen()?.port()),
            "PASV" => {
                let port = self.listen()?.port();
                // The address is a lie: clients are to connect to where they are connected to.
                format!("227 Entering (10,9,8,7,{},{})", port >> 8, port & 255)
            }
            "RETR" => return self.send(argument),
            "QUIT" => return Ok(Next::Reply(FtpReply::HangUp)),
            "CWD" => "550 No such folder".into(),
            _ => "500 What?".into(),
        };
        Ok(Next::Reply(FtpReply::Say(reply)))
    }

    fn listen(&mut self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        self.listener = Some(listener);
        Ok(address)
    }

    /// Sends a file, and says how that went.
    fn send(&mut self, path: &[u8]) -> io::Result<Next> {
        let start = std::mem::take(&mut self.start);
        let Some(file) = self.script.file(path, true) else {
            return Ok(Next::Reply("550 Failed to open file".into()));
        };
        let Some(listener) = self.listener.take() else {
            return Ok(Next::Reply("425 Use EPSV first".into()));
        };
        self.say("150 Here it comes".into())?;
        let socket = self.accept(&listener)?;
        drop(listener);
        let shared = Arc::new(socket.try_clone()?);
        self.visit.ledger.track(&shared);
        let sent = self.pour(&file, start, socket);
        let _ = shared.shutdown(Shutdown::Both);
        match sent {
            Ok(()) => Ok(Next::Reply(file.farewell)),
            Err(_) => Ok(Next::Reply("426 Failure writing network stream".into())),
        }
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        listener.set_nonblocking(true)?;
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(false)?;
                    return Ok(socket);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.visit.ledger.pause(Duration::from_millis(2), || false) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn pour(&self, file: &FtpFile, start: usize, socket: TcpStream) -> io::Result<()> {
        let mut stream = Stream::Plain(socket);
        if self.protected {
            stream = secure(self.script, stream)?;
        }
        let bytes = file.bytes.get(start..).unwrap_or_default();
        match file.end {
            End::Whole => {
                stream.write_all(bytes)?;
                stream.finish()
            }
            End::Cut(after) => stream.write_all(&bytes[..after.min(bytes.len())]),
            End::Stalled(after) => {
                stream.write_all(&bytes[..after.min(bytes.len())])?;
                stream.flush()?;
                while stream.read(&mut [0; 512])? > 0 {}
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
    }
}

impl Stream {
    /// Says that nothing more will come.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(block),
            Self::Tls(stream) => stream.read(block),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
