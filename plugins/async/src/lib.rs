#![doc = include_str!("../README.md")]

mod batch;
mod body;
mod run;

pub use batch::{Batch, TryBatch};
pub use body::{Body, stream};
pub use run::{Run, run};
