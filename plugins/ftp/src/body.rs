//! The body of a reply, while it arrives.

use std::io::{self, BufRead, Read};

use ganymede::{ErrorKind, Failure, Permit};
use suppaftp::{FtpError, TransferStream};

use crate::failure::{Answer, failure_of, of_connection};
use crate::pool::Lease;
use crate::tls::Secure;

/// How much is read at once, in bytes.
const BLOCK: usize = 128 << 10;

/// The bytes that come on a connection for data.
///
/// It ends when that has ended, the server has said that it was all, and it is as much as was told.
pub(crate) struct Body {
    under_way: Option<UnderWay>,
    block: Vec<u8>,
    start: usize,
    end: usize,
    received: u64,
    extent: Extent,
    /// Why it has failed: what is read after that is no end.
    failure: Option<Failure>,
}

/// How many bytes there should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extent {
    Unknown,
    /// So many, and then the file ends.
    Whole(u64),
    /// So many of more.
    Part(u64),
    /// So many, if the file does not end before.
    Most(u64),
}

struct UnderWay {
    transfer: TransferStream<Secure>,
    path: Vec<u8>,
    lease: Lease,
    permit: Permit,
}

impl Body {
    /// Waits for the first block: some servers accept the command for what they do not have, and say so only then.
    pub(crate) fn begin(
        transfer: TransferStream<Secure>,
        path: Vec<u8>,
        lease: Lease,
        permit: Permit,
        extent: Extent,
    ) -> Result<Self, Failure> {
        let under_way = Some(UnderWay { transfer, path, lease, permit });
        let mut body =
            Self { under_way, block: Vec::new(), start: 0, end: 0, received: 0, extent, failure: None };
        body.fill()?;
        if let Some(under_way) = &mut body.under_way {
            under_way.permit.served();
        }
        Ok(body)
    }

    /// Reads the next block; nothing at the end.
    fn fill(&mut self) -> io::Result<()> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone().into());
        }
        let Some(under_way) = &mut self.under_way else { return Ok(()) };
        let room = match self.extent {
            Extent::Part(length) | Extent::Most(length) => match length.saturating_sub(self.received) {
                0 => return self.cut_short(),
                left => usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK)),
            },
            Extent::Unknown | Extent::Whole(_) => BLOCK,
        };
        self.block.resize(BLOCK, 0);
        let read = loop {
            match under_way.transfer.read(&mut self.block[..room]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Some servers close a secure connection without saying so: then all must be there.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.is_whole() => break 0,
                Err(error) => return Err(self.broken(error)),
                Ok(read) => break read,
            }
        };
        if read == 0 {
            return self.ended();
        }
        (self.start, self.end) = (0, read);
        self.received += read as u64;
        match self.extent {
            Extent::Whole(length) if self.received > length => {
                let message = format!("the server sends more than the {length} bytes that it has told");
                Err(self.fails(Failure::new(ErrorKind::Malformed, message).transient(true)))
            }
            _ => Ok(()),
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self.extent, Extent::Whole(length) if length == self.received)
    }

    /// Hears what the server says at the end.
    fn ended(&mut self) -> io::Result<()> {
        let Some(UnderWay { transfer, path, mut lease, mut permit }) = self.under_way.take() else {
            return Ok(());
        };
        let (session, received) = (&mut lease.session, self.received);
        session.wire().release();
        let said = transfer.finish();
        let (failure, sound) = match (said, self.extent) {
            _ if session.wire().is_cancelled() => (Failure::cancelled(), false),
            (Ok(()), Extent::Whole(length) | Extent::Part(length)) if received < length => {
                let message = format!("the body ended after {received} of {length} bytes");
                (Failure::new(ErrorKind::Incomplete, message), false)
            }
            (Ok(()), _) => {
                permit.served();
                // First the session: who gets the place is to find it.
                lease.give_back();
                drop(permit);
                return Ok(());
            }
            (Err(FtpError::UnexpectedResponse(response)), _) => {
                let answer = Answer::of(&response);
                if received == 0 && answer.code == 550 {
                    (session.refused(&answer, &path), true)
                } else {
                    let message = format!("after {received} bytes, {}", answer.failure());
                    (Failure::new(ErrorKind::Incomplete, message), false)
                }
            }
            (Err(error), _) => (failure_of(error, session.settings().read_timeout), false),
        };
        if sound {
            lease.give_back();
        } else {
            session.wire().cut();
        }
        Err(self.failure.insert(permit.failed(failure)).clone().into())
    }

    /// Ends it where nothing more is wanted.
    fn cut_short(&mut self) -> io::Result<()> {
        if let Some(UnderWay { transfer, mut lease, permit, .. }) = self.under_way.take() {
            if lease.session.recover(transfer) {
                lease.give_back();
            }
            drop(permit);
        }
        Ok(())
    }

    fn broken(&mut self, error: io::Error) -> io::Error {
        let Some(under_way) = &self.under_way else { return error };
        let session = &under_way.lease.session;
        let failure = match session.wire().is_cancelled() {
            true => Failure::cancelled(),
            false => of_connection(error, session.settings().read_timeout),
        };
        self.fails(failure)
    }

    /// Gives everything up.
    fn fails(&mut self, failure: Failure) -> io::Error {
        let Some(UnderWay { transfer, lease, mut permit, .. }) = self.under_way.take() else {
            return failure.into();
        };
        // Dropped, the transfer would wait for a reply.
        lease.session.wire().cut();
        drop(transfer);
        (self.start, self.end) = (0, 0);
        self.failure.insert(permit.failed(failure)).clone().into()
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            self.fill()?;
        }
        Ok(&self.block[self.start..self.end])
    }

    fn consume(&mut self, length: usize) {
        self.start = self.end.min(self.start + length);
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let Some(under_way) = &self.under_way else { return };
        let there = match self.extent {
            Extent::Whole(length) | Extent::Part(length) => length == self.received,
            Extent::Unknown | Extent::Most(_) => false,
        };
        // Who has all bytes may not ask whether there are more, and the session is of use to others.
        if there && under_way.lease.session.hurry() {
            let _ = self.fill();
        }
        if let Some(under_way) = &self.under_way {
            under_way.lease.session.wire().cut();
        }
    }
}
