//! Stock handlers that repair: they are stateless, so one object serves any number of downloads.

mod mirror;
mod retry;

pub use mirror::MirrorDelegate;
pub use retry::RetryDelegate;
