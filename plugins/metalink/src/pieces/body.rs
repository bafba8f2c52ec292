//! A body whose pieces are verified before they are passed on.

use std::io::{self, BufRead, Read};

use ganymede::{ErrorKind, Facts, Failure, Protocol, ValidationError};

use super::repair::Repair;
use crate::digests::PieceDigests;

/// How many bytes of a piece are passed on at once, so that who counts them has something to count.
const BLOCK: usize = 256 << 10;

/// How many bad pieces one after the other are so many that their source is left.
const PATIENCE: u32 = 2;

/// What is passed on of a content.
pub(super) struct Span {
    /// Where the first piece begins.
    pub(super) start: u64,
    /// The first byte.
    pub(super) first: u64,
    /// The last byte, if it is not that of the content.
    pub(super) last: Option<u64>,
}

pub(super) struct Body<P> {
    /// What the source sends; `None` once it was given up, or is at its end.
    source: Option<Box<dyn BufRead + Send>>,
    digests: PieceDigests,
    span: Span,
    repair: Repair<P>,
    /// The number of the next piece.
    next: u64,
    /// The verified piece, and how much of it is passed on.
    piece: Vec<u8>,
    passed: usize,
    /// How many pieces one after the other were bad.
    bad: u32,
    ended: bool,
}

impl<P: Protocol + 'static> Body<P> {
    pub(super) fn new(
        source: Box<dyn BufRead + Send>,
        digests: PieceDigests,
        span: Span,
        repair: Repair<P>,
    ) -> Self {
        let (next, piece) = (span.start / digests.length(), Vec::new());
        Self { source: Some(source), digests, span, repair, next, piece, passed: 0, bad: 0, ended: false }
    }

    /// Gets the next piece, or comes to the end.
    fn advance(&mut self) -> Result<(), Failure> {
        self.piece.clear();
        self.passed = 0;
        let (number, start) = (self.next, self.next.saturating_mul(self.digests.length()));
        let asked = self.span.last.is_none_or(|last| start <= last);
        let Some(expected) = self.digests.digest(number).filter(|_| asked) else { return self.end() };
        self.receive(number)?;
        if self.is(&expected)? {
            self.bad = 0;
        } else {
            self.mend(number)?;
        }
        self.next += 1;
        if let Some(last) = self.span.last {
            self.piece.truncate(usize::try_from(last - start + 1).unwrap_or(usize::MAX));
        }
        self.passed = usize::try_from(self.span.first.saturating_sub(start)).unwrap_or(usize::MAX);
        Ok(())
    }

    /// Receives a piece from the source.
    fn receive(&mut self, number: u64) -> Result<(), Failure> {
        let length = self.length_at(number);
        let source = match &mut self.source {
            Some(source) => source,
            // It was given up for a piece that another one had.
            None => {
                let length = self.digests.length();
                let end = self.span.last.map(|last| (last / length + 1).saturating_mul(length));
                self.source.insert(self.repair.resume(number * length, end)?)
            }
        };
        fill(source, &mut self.piece, length)?;
        let last = number + 1 == self.digests.count() && self.repair.total().is_none();
        if self.piece.len() as u64 == length || (last && !self.piece.is_empty()) {
            return Ok(());
        }
        let (received, count) =
            (number * self.digests.length() + self.piece.len() as u64, self.digests.count());
        let message = format!("the body ended after {received} bytes, in piece {} of {count}", number + 1);
        Err(Failure::new(ErrorKind::Incomplete, message))
    }

    /// Returns how many bytes a piece has, at most.
    fn length_at(&self, number: u64) -> u64 {
        let start = number * self.digests.length();
        let left = self.repair.total().map_or(u64::MAX, |total| total.saturating_sub(start));
        left.min(self.digests.length())
    }

    fn is(&self, expected: &ganymede::Digest) -> Result<bool, Failure> {
        Ok(digest_of(&self.piece, expected)? == *expected)
    }

    /// Gets a piece that was bad from elsewhere.
    fn mend(&mut self, number: u64) -> Result<(), Failure> {
        let expected = self.digests.digest(number).ok_or(ErrorKind::Other)?;
        let actual = digest_of(&self.piece, &expected)?;
        self.bad += 1;
        let (start, length) = (number * self.digests.length(), self.length_at(number));
        tracing::warn!(piece = number + 1, start, length, %actual, %expected, "a bad piece: asking for it again");
        let good = self.repair.fetch(start, length, &expected, &mut self.source)?;
        let Some((piece, from)) = good else {
            let (number, count) = (number + 1, self.digests.count());
            let message = format!(
                "piece {number} of {count}, {length} bytes from byte {start} on, is nowhere as it should be: \
                 its digest is {actual}, expected {expected}"
            );
            let error = ValidationError::Digest { expected: Box::new(expected), actual: Box::new(actual) };
            return Err(Failure::from(error).message(message).transient(true));
        };
        self.piece = piece;
        if self.bad >= PATIENCE {
            self.repair.prefer(from);
            self.source = None;
            self.bad = 0;
        }
        Ok(())
    }

    /// Makes sure that nothing comes after the last piece.
    fn end(&mut self) -> Result<(), Failure> {
        self.ended = true;
        let Some(mut source) = self.source.take().filter(|_| self.span.last.is_none()) else { return Ok(()) };
        loop {
            match source.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(_) => {
                    let expected = self.repair.total().unwrap_or(self.next * self.digests.length());
                    let received = expected + 1;
                    return Err(ValidationError::Excess { expected, received }.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<P: Protocol + 'static> BufRead for Body<P> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.passed >= self.piece.len() && !self.ended {
            if let Err(failure) = self.advance() {
                // What was received of a piece proves nothing yet.
                self.piece.clear();
                return Err(failure.into());
            }
        }
        let rest = self.piece.get(self.passed..).unwrap_or_default();
        Ok(&rest[..rest.len().min(BLOCK)])
    }

    fn consume(&mut self, amount: usize) {
        self.passed += amount;
    }
}

impl<P: Protocol + 'static> Read for Body<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

/// Computes the digest of a piece, of the algorithm of another digest.
pub(super) fn digest_of(piece: &[u8], like: &ganymede::Digest) -> Result<ganymede::Digest, Failure> {
    let facts = Facts::of(piece, [like.algorithm()])?;
    facts.digest(like.algorithm()).ok_or_else(|| ErrorKind::Other.into())
}

/// Receives so many bytes, or fewer if there are no more.
pub(super) fn fill(
    source: &mut (impl BufRead + ?Sized),
    piece: &mut Vec<u8>,
    length: u64,
) -> Result<(), Failure> {
    while (piece.len() as u64) < length {
        let block = match source.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(block) => block,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let lacking = length - piece.len() as u64;
        let taken = usize::try_from(lacking).map_or(block.len(), |lacking| block.len().min(lacking));
        piece.extend_from_slice(&block[..taken]);
        source.consume(taken);
    }
    Ok(())
}
