//! How stores are reached: what was said, and what the environment says.

use std::fmt;
use std::time::Duration;

use ganymede::Credentials;

/// What was said of how a store is reached.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) session_token: Option<String>,
    pub(crate) anonymous: bool,
    pub(crate) path_style: Option<bool>,
    pub(crate) read_timeout: Duration,
}

impl Settings {
    /// Returns the endpoint that was said, here or in one of these variables.
    pub(crate) fn endpoint(&self, names: &[&str]) -> Option<String> {
        let endpoint = self.endpoint.clone().or_else(|| variable(names))?;
        let endpoint = endpoint.trim_end_matches('/');
        // As the services' own tools take it.
        Some(if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") })
    }

    /// Returns the region that was said, here or in the environment.
    pub(crate) fn region(&self) -> Option<String> {
        self.region.clone().or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]))
    }

    /// Tells whether nothing is to be signed.
    pub(crate) fn anonymous(&self) -> bool {
        let said = || variable(&["AWS_SKIP_SIGNATURE"]).is_some_and(|said| matches!(&*said, "1" | "true"));
        self.anonymous || (self.credentials.is_none() && said())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            credentials: None,
            session_token: None,
            anonymous: false,
            path_style: None,
            read_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An endpoint may hold a password, and the others are secrets by what they are.
        f.debug_struct("Settings").field("region", &self.region).finish_non_exhaustive()
    }
}

/// Returns the first of these environment variables that says something.
pub(crate) fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}
