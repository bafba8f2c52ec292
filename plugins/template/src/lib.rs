#![doc = include_str!("../README.md")]

mod failure;
mod protocol;

pub use protocol::Redis;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct WriteAPlugin;
