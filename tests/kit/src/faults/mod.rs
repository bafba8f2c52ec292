//! The fault matrix: what can go wrong, and when, and sources to which it happens.
//!
//! A [`Cell`] is one combination of a fault, a phase, and what there is against it. A [`Source`] answers as the cell says;
//! what happens below HTTP is done by a [`Front`] before it. Who is tested, and what must come of it, is the test's.

mod cell;
mod content;
mod front;
mod source;

pub use cell::{Cell, Fault, Phase};
pub use content::Content;
pub use front::Front;
pub use source::{Source, TAG};
