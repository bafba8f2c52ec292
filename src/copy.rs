//! The state of one copy of the bytes: its output, its checks, its tally.

use std::io::Write;

use url::Url;

use crate::digest::Algorithm;
use crate::facts::{Facts, Tally};
use crate::failure::{ErrorKind, Failure};
use crate::limits::host;
use crate::reply::{Head, Reply, Validator};
use crate::request::{ByteRange, Request};
use crate::validation::{Check, Validation, ValidationError};
use crate::writer::{Output, Writer};

/// Fresh state for one copy, opened from the specifications; one that resumes is carried on.
pub(crate) struct Copy {
    output: Option<Box<dyn Output>>,
    checks: Vec<Running>,
    tally: Tally,
    facts: Option<Facts>,
    warnings: Vec<ValidationError>,
    /// Whether passing the checks proves what the bytes are, wherever they came from.
    identified: bool,
    begun: Option<Begun>,
}

struct Running {
    check: Box<dyn Check>,
    enforced: bool,
}

impl Running {
    fn begin(validation: &impl AsRef<dyn Validation>) -> Self {
        let validation = validation.as_ref();
        Self { check: validation.begin(), enforced: validation.enforced() }
    }
}

/// What was known of the content when its first byte came.
struct Begun {
    source: Url,
    /// Where the source's redirects led, if any.
    found: String,
    validator: Option<Validator>,
    total: Option<u64>,
    expected: Option<u64>,
    /// What was asked for: a handler may ask for something else next time.
    range: Option<ByteRange>,
    /// Whether another source went on with what this one began.
    mixed: bool,
}

impl Copy {
    pub(crate) fn open(
        writer: Option<&dyn Writer>,
        validations: &[Box<dyn Validation>],
        mut digests: Vec<Algorithm>,
    ) -> Result<Self, Failure> {
        digests.extend(validations.iter().flat_map(Validation::needs));
        Ok(Self {
            output: writer.map(Writer::open).transpose().map_err(Failure::writing)?,
            checks: validations.iter().map(Running::begin).collect(),
            tally: Tally::new(digests),
            facts: None,
            warnings: Vec::new(),
            identified: validations.iter().any(|validation| validation.identifies() && validation.enforced()),
            begun: None,
        })
    }

    /// Returns how many bytes are there.
    pub(crate) fn size(&self) -> u64 {
        self.tally.size()
    }

    /// Returns how many bytes there should be in the end.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.begun.as_ref()?.expected
    }

    /// Tells whether its bytes are from several sources, so that none of them is proved bad when a check fails.
    pub(crate) fn is_mixed(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.mixed)
    }

    /// Returns the request for what is lacking, if its source can go on where this copy stops.
    ///
    /// That must be proved: by an expected digest at the end, or by the source, with a validator, that it still has
    /// the same content. Only a strong entity tag can be asked of another source than the first.
    pub(crate) fn continuation(&self, request: &Request) -> Option<Request> {
        let (begun, offset) = (self.begun.as_ref()?, self.size());
        if begun.range != request.range() || offset == 0 || self.output.as_ref()?.offset() != offset {
            return None;
        }
        let guard = match &begun.validator {
            Some(Validator::LastModified(_)) if begun.source != *request.url() => None,
            guard => guard.clone(),
        };
        // A mirror has its own tags: an expected digest is the better proof there.
        let guard = guard.filter(|_| begun.source == *request.url() || !self.identified);
        if guard.is_none() && !self.identified {
            return None;
        }
        let mut rest = request.clone();
        rest.set_range(Some(request.range().unwrap_or(ByteRange::from(0)).after(offset)?));
        rest.set_if_range(guard);
        Some(rest)
    }

    /// Tells whether a reply to the [`continuation`](Self::continuation) continues this copy.
    pub(crate) fn continues(&self, head: &Head, request: &Request) -> bool {
        let Some(begun) = &self.begun else { return false };
        let same_place = head.offset() == first(request) + self.size();
        let same_total = begun.total.is_none() || head.total().is_none() || begun.total == head.total();
        // Redirects that lead to another host this time are another source.
        let elsewhere = begun.source != *request.url() || host(head.url()) != begun.found;
        let same_content = match &begun.validator {
            // A source that did not confirm the tag has proved nothing about it.
            Some(Validator::ETag(tag)) if elsewhere => self.identified || head.strong_etag() == Some(tag),
            _ if elsewhere => self.identified,
            Some(Validator::ETag(tag)) => head.etag().is_none_or(|other| other == tag),
            Some(Validator::LastModified(date)) => {
                head.header(http::header::LAST_MODIFIED).is_none_or(|other| other == date)
            }
            None => self.identified,
        };
        same_place && same_total && same_content
    }

    /// Tells the output what comes, and returns at which byte of the content that begins.
    pub(crate) fn begin(&mut self, head: &Head, request: &Request) -> Result<u64, Failure> {
        let offset = self.size();
        let last = request.range().and_then(|range| range.last());
        let end = |total: u64| last.map_or(total, |last| total.min(last.saturating_add(1)));
        // The source may send less of a range than there is: what it said of the whole counts.
        let of_total = head.total().map(|total| end(total).saturating_sub(first(request)));
        let expected = of_total.or_else(|| Some(offset + head.length()?));
        if let Some(begun) = &mut self.begun {
            // A continuation may know what the first reply did not.
            begun.total = begun.total.or(head.total());
            begun.expected = begun.expected.or(expected);
            begun.mixed |= begun.source != *request.url();
        } else {
            self.begun = Some(Begun {
                range: request.range(),
                mixed: false,
                source: request.url().clone(),
                found: host(head.url()),
                validator: head.validator(),
                total: head.total(),
                expected,
            });
        }
        if let Some(output) = &mut self.output {
            output.begin(head, offset).map_err(Failure::writing)?;
        }
        Ok(offset)
    }

    /// Checks, counts and writes a block.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<(), Failure> {
        if let Some(expected) = self.expected()
            && self.size() + block.len() as u64 > expected
        {
            let message = format!("more than the {expected} bytes that were announced");
            return Err(Failure::new(ErrorKind::Incomplete, message));
        }
        let mut at = 0;
        while let Some(running) = self.checks.get_mut(at) {
            match running.check.update(block) {
                Ok(()) => at += 1,
                Err(error) if running.enforced => return Err(error.into()),
                Err(error) => {
                    self.warnings.push(error);
                    self.checks.remove(at);
                }
            }
        }
        self.tally.update(block);
        match &mut self.output {
            Some(output) => output.write_all(block).map_err(Failure::writing),
            None => Ok(()),
        }
    }

    /// Fails if fewer bytes are there than were announced.
    pub(crate) fn complete(&self) -> Result<(), Failure> {
        match self.expected() {
            Some(expected) if self.size() != expected => {
                let message = format!("the body ended after {} of {expected} bytes", self.size());
                Err(Failure::new(ErrorKind::Incomplete, message))
            }
            _ => Ok(()),
        }
    }

    /// Decides the checks, now that all bytes are there.
    pub(crate) fn verify(&mut self) -> Result<(), Failure> {
        let facts = self.tally.finish();
        let facts = self.facts.insert(facts);
        for running in self.checks.drain(..) {
            match running.check.finish(facts) {
                Ok(()) => {}
                Err(error) if running.enforced => return Err(error.into()),
                Err(error) => self.warnings.push(error),
            }
        }
        Ok(())
    }

    /// Ends a copy that has a head only: there is nothing to commit.
    pub(crate) fn abandon(&mut self) {
        self.output = None;
    }

    /// Makes the content real.
    pub(crate) fn commit(mut self) -> Result<(Facts, Vec<ValidationError>), Failure> {
        if let Some(output) = self.output {
            output.commit().map_err(Failure::writing)?;
        }
        Ok((self.facts.unwrap_or_else(|| self.tally.finish()), self.warnings))
    }
}

/// Tells whether a reply gives all of what was asked for, from its first byte.
pub(crate) fn restarts(reply: &Reply, request: &Request) -> bool {
    let head = reply.head();
    let most = request.range().and_then(|range| Some((range.last()? - range.first()).saturating_add(1)));
    let fits = most.is_none_or(|most| head.length().is_some_and(|length| length <= most));
    !reply.has_body() || (head.offset() == first(request) && fits)
}

fn first(request: &Request) -> u64 {
    request.range().map_or(0, |range| range.first())
}
