//! What is kept, and when.

/// What is kept, and when.
///
/// ```
/// use ganymede_streamer::Policy;
///
/// assert_eq!(Policy::default(), Policy::OnDemand);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// A content is kept when it is asked for first.
    #[default]
    OnDemand,
    /// The same, and what is [named](crate::Streamer::prefetch) is fetched before it is asked for. What is under way is
    /// brought to its end, also when nobody waits for it any more.
    Immediate,
    /// Nothing is kept: contents pass through a bounded buffer.
    Streamed,
}
