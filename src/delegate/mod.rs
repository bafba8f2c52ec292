//! Stock handlers that repair: they are stateless, so one object serves any number of downloads.

pub(crate) mod mirror;
mod retry;
mod space;

pub use mirror::MirrorDelegate;
pub use retry::RetryDelegate;
pub use space::SpaceDelegate;
