//! Sends an answer at its pace, as far as its script lets it.

use std::io::{self, ErrorKind, Write};

use crate::answer::Answer;
use crate::gate::Gate;
use crate::ledger::{Answering, Ledger};
use crate::received::Received;
use crate::reply::{Ending, Framing, Reply};
use crate::wire::Wire;

/// Sends a reply to the request at this place of the journal; returns whether the connection may serve another.
pub(crate) fn deliver(
    reply: &Reply,
    received: &Received,
    place: usize,
    wire: &mut Wire,
    ledger: &Ledger,
) -> io::Result<bool> {
    let answering = ledger.answering();
    let answer = Answer::new(reply, received);
    // What goes wrong after so many bytes of a body does not without one.
    let ending = if answer.has_body || reply.ending == Ending::Mute { reply.ending } else { Ending::Whole };
    if !matches!(ending, Ending::Reset(_)) {
        wire.release()?;
    }
    let mut delivery = Delivery { reply, received, place, ending, wire, ledger, answering: Some(answering) };
    delivery.head(&answer)?;
    if answer.has_body {
        delivery.body(&answer)?;
    }
    delivery.end(&answer)
}

struct Delivery<'a> {
    reply: &'a Reply,
    received: &'a Received,
    place: usize,
    ending: Ending,
    wire: &'a mut Wire,
    ledger: &'a Ledger,
    answering: Option<Answering<'a>>,
}

/// The most bytes written at once, and the length of a chunk.
pub(crate) const BLOCK: u64 = 64 * 1024;

impl Delivery<'_> {
    fn head(&mut self, answer: &Answer) -> io::Result<()> {
        let pace = &self.reply.pace;
        if !self.ledger.pause(pace.delay, || self.wire.abandoned()) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        for (_, gate) in pace.gates.iter().filter(|(position, _)| position.is_none()) {
            self.pass(gate)?;
        }
        match self.ending {
            Ending::Mute => {
                self.wire.wait_abandoned();
                return Err(ErrorKind::ConnectionAborted.into());
            }
            Ending::Abort(None, _) | Ending::GoAway(None, _) => {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            _ => {}
        }
        if answer.span.is_empty() && !self.stalls() {
            self.answering = None;
        }
        match pace.header {
            None => self.wire.write_all(&answer.head)?,
            Some(interval) => {
                for byte in answer.head.chunks(1) {
                    self.wire.write_all(byte)?;
                    self.wire.flush()?;
                    if !self.ledger.pause(interval, || self.wire.abandoned()) {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                }
            }
        }
        self.wire.flush()
    }

    fn body(&mut self, answer: &Answer) -> io::Result<()> {
        let length = answer.span.end - answer.span.start;
        let end = self.ending.limit().min(length);
        let chunked = self.reply.framing == Framing::Chunked;
        let block = self.reply.pace.drip.map_or(BLOCK, |(block, _)| block);
        let mut position = 0;
        while position < end {
            self.gates(position)?;
            let block_end = (position / block + 1) * block;
            if chunked && position % block == 0 {
                write!(self.wire, "{:x}\r\n", block_end.min(length) - position)?;
            }
            let next = [block_end, end, self.next_gate(position)].into_iter().min().unwrap_or(end);
            if next == length && !self.stalls() {
                self.answering = None;
            }
            let span = answer.span.start + position..answer.span.start + next;
            for start in span.clone().step_by(BLOCK as usize) {
                let part = start..span.end.min(start + BLOCK);
                let sent = part.end - answer.span.start;
                self.reply.body.write(part, self.wire)?;
                self.ledger.record_sent(self.place, self.received.path(), sent);
            }
            position = next;
            if chunked && (position == block_end || position == length) {
                self.wire.write_all(b"\r\n")?;
                self.wire.flush()?;
            }
            if let Some((_, interval)) = self.reply.pace.drip
                && position == block_end
                && position < end
                && !self.ledger.pause(interval, || self.wire.abandoned())
            {
                return Err(ErrorKind::ConnectionAborted.into());
            }
        }
        self.gates(end)
    }

    fn end(&mut self, answer: &Answer) -> io::Result<bool> {
        match self.ending {
            Ending::Whole | Ending::Mute => {}
            Ending::Cut(_) | Ending::Reset(_) | Ending::Abort(..) | Ending::GoAway(..) => return Ok(false),
            Ending::Stall(_) => {
                self.wire.wait_abandoned();
                return Ok(false);
            }
        }
        if self.reply.framing == Framing::Chunked && answer.has_body {
            self.wire.write_all(b"0\r\n")?;
            for (name, value) in &self.reply.trailers {
                write!(self.wire, "{name}: {value}\r\n")?;
            }
            self.wire.write_all(b"\r\n")?;
            self.wire.flush()?;
        }
        if answer.close {
            self.wire.finish();
        }
        Ok(!answer.close)
    }

    fn stalls(&self) -> bool {
        matches!(self.ending, Ending::Stall(_))
    }

    fn next_gate(&self, position: u64) -> u64 {
        let positions = self.reply.pace.gates.iter().filter_map(|(at, _)| *at);
        positions.filter(|at| *at > position).min().unwrap_or(u64::MAX)
    }

    fn gates(&mut self, position: u64) -> io::Result<()> {
        for (_, gate) in self.reply.pace.gates.iter().filter(|(at, _)| *at == Some(position)) {
            self.pass(gate)?;
        }
        Ok(())
    }

    fn pass(&mut self, gate: &Gate) -> io::Result<()> {
        if gate.pass(|| self.ledger.stopped() || self.wire.abandoned()) {
            Ok(())
        } else {
            Err(ErrorKind::ConnectionAborted.into())
        }
    }
}

impl Ending {
    pub(crate) fn limit(self) -> u64 {
        match self {
            Self::Cut(bytes) | Self::Reset(bytes) | Self::Stall(bytes) => bytes,
            Self::Abort(Some(bytes), _) | Self::GoAway(Some(bytes), _) => bytes,
            Self::Whole | Self::Mute | Self::Abort(None, _) | Self::GoAway(None, _) => u64::MAX,
        }
    }
}
