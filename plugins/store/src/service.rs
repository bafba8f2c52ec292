//! The services, and how each is reached.

use ganymede::Credentials;
use opendal::Operator;

use crate::location::{Location, Place};
use crate::settings::Settings;

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Service {
    #[cfg(feature = "s3")]
    S3,
    #[cfg(feature = "gcs")]
    Gcs,
    #[cfg(feature = "azblob")]
    Azblob,
    #[cfg(feature = "webdav")]
    Webdav { secure: bool },
    #[cfg(feature = "sftp")]
    Sftp,
    #[cfg(feature = "fs")]
    Fs,
}

const SERVICES: &[(&str, Service)] = &[
    #[cfg(feature = "s3")]
    ("s3", Service::S3),
    #[cfg(feature = "gcs")]
    ("gs", Service::Gcs),
    #[cfg(feature = "azblob")]
    ("az", Service::Azblob),
    #[cfg(feature = "webdav")]
    ("webdav", Service::Webdav { secure: false }),
    #[cfg(feature = "webdav")]
    ("webdavs", Service::Webdav { secure: true }),
    #[cfg(feature = "sftp")]
    ("sftp", Service::Sftp),
    #[cfg(feature = "fs")]
    ("fs", Service::Fs),
];

/// Returns the schemes of URLs that this build knows: those of its features.
///
/// ```
/// use ganymede::Factory;
/// use ganymede_store::Store;
///
/// let store = Store::new();
/// let factory = ganymede_store::schemes().iter().fold(Factory::new(), |factory, scheme| {
///     factory.register(scheme, store.clone())
/// });
/// # let _ = factory;
/// ```
#[must_use]
pub fn schemes() -> Vec<&'static str> {
    SERVICES.iter().map(|(scheme, _)| *scheme).collect()
}

/// How a service is asked: by whom, and where.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) anonymous: bool,
    pub(crate) credentials: Option<Credentials>,
    /// The folder of this machine in which files are until they are whole.
    pub(crate) workshop: Option<String>,
}

impl Service {
    pub(crate) fn of(scheme: &str) -> Option<Self> {
        SERVICES.iter().find(|(known, _)| *known == scheme).map(|(_, service)| *service)
    }

    /// Tells whether it is this machine's own.
    pub(crate) fn is_local(self) -> bool {
        match self {
            #[cfg(feature = "fs")]
            Self::Fs => true,
            #[allow(unreachable_patterns, reason = "where no other service is compiled in")]
            _ => false,
        }
    }

    /// Tells whether it goes over a client of the system's, which no guard sees.
    pub(crate) fn is_unguarded(self) -> bool {
        match self {
            #[cfg(feature = "sftp")]
            Self::Sftp => true,
            #[allow(unreachable_patterns, reason = "where no other service is compiled in")]
            _ => self.is_local(),
        }
    }

    /// Tells whether a content can be put there piece by piece, and is not there before it is whole.
    pub(crate) fn takes_contents(self) -> bool {
        match self {
            #[cfg(feature = "s3")]
            Self::S3 => true,
            #[cfg(feature = "gcs")]
            Self::Gcs => true,
            #[cfg(feature = "azblob")]
            Self::Azblob => true,
            #[cfg(feature = "fs")]
            Self::Fs => true,
            #[allow(unreachable_patterns, reason = "where no other service is compiled in")]
            _ => false,
        }
    }

    /// Returns where the service is, as far as that is said: what counts as its host.
    pub(crate) fn endpoint(self, place: &Place, settings: &Settings) -> Option<String> {
        #[allow(unused_variables, reason = "only servers of one's own have ports")]
        let (name, port) = (&place.name, place.port.map(|port| format!(":{port}")).unwrap_or_default());
        match self {
            #[cfg(feature = "s3")]
            Self::S3 => settings.endpoint(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            #[cfg(feature = "gcs")]
            Self::Gcs => settings.endpoint(&[]).or_else(|| Some("https://storage.googleapis.com".to_owned())),
            #[cfg(feature = "azblob")]
            Self::Azblob => settings.endpoint(&["AZURE_STORAGE_ENDPOINT"]).or_else(|| {
                let account = account(settings)?;
                Some(format!("https://{account}.blob.core.windows.net"))
            }),
            #[cfg(feature = "webdav")]
            Self::Webdav { secure } => {
                Some(format!("{}://{name}{port}", if secure { "https" } else { "http" }))
            }
            #[cfg(feature = "sftp")]
            Self::Sftp => Some(format!("ssh://{name}{port}")),
            #[cfg(feature = "fs")]
            Self::Fs => None,
        }
    }

    /// Makes the library's operator for a place.
    pub(crate) fn operator(
        self,
        place: &Place,
        access: &Access,
        settings: &Settings,
    ) -> opendal::Result<Operator> {
        #[allow(unused_variables, reason = "not every service has them")]
        let (name, settings) = (&place.name, settings);
        match self {
            #[cfg(feature = "s3")]
            Self::S3 => s3(name, access, settings),
            #[cfg(feature = "gcs")]
            Self::Gcs => {
                let mut builder = opendal::services::Gcs::default().bucket(name);
                if let Some(endpoint) = &access.endpoint {
                    builder = builder.endpoint(endpoint);
                }
                match &access.credentials {
                    _ if access.anonymous => builder = builder.skip_signature(),
                    Some(Credentials::Bearer(token)) => builder = builder.token(token.clone()),
                    _ => {}
                }
                Operator::new(builder)
            }
            #[cfg(feature = "azblob")]
            Self::Azblob => azblob(name, access, settings),
            #[cfg(feature = "webdav")]
            Self::Webdav { .. } => {
                let mut builder = opendal::services::Webdav::default().root("/");
                if let Some(endpoint) = &access.endpoint {
                    builder = builder.endpoint(endpoint);
                }
                match &access.credentials {
                    Some(Credentials::Password { user, password }) => {
                        builder = builder.username(user).password(password);
                    }
                    Some(Credentials::Bearer(token)) => builder = builder.token(token),
                    _ => {}
                }
                Operator::new(builder)
            }
            #[cfg(feature = "sftp")]
            Self::Sftp => {
                let mut builder = opendal::services::Sftp::default().root("/");
                if let Some(endpoint) = &access.endpoint {
                    builder = builder.endpoint(endpoint);
                }
                if let Some(Credentials::Password { user, .. }) = &access.credentials {
                    builder = builder.user(user);
                }
                Operator::new(builder)
            }
            #[cfg(feature = "fs")]
            Self::Fs => {
                let builder = opendal::services::Fs::default().root("/");
                Operator::new(match &access.workshop {
                    Some(folder) => builder.atomic_write_dir(folder),
                    None => builder,
                })
            }
        }
    }

    /// Returns the folder in which the file of a location is until it is whole.
    pub(crate) fn workshop(self, location: &Location) -> Option<String> {
        let folder = location.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.is_local().then(|| format!("/{folder}"))
    }
}

#[cfg(feature = "s3")]
fn s3(bucket: &str, access: &Access, settings: &Settings) -> opendal::Result<Operator> {
    let mut builder = opendal::services::S3::default().bucket(bucket);
    // Without a name of one's own for it, the bucket of AWS is a host, as it wants.
    if !settings.path_style.unwrap_or(access.endpoint.is_some() || bucket.contains('.')) {
        builder = builder.enable_virtual_host_style();
    }
    if let Some(endpoint) = &access.endpoint {
        builder = builder.endpoint(endpoint);
    }
    if let Some(region) = &access.region {
        builder = builder.region(region);
    }
    match &access.credentials {
        _ if access.anonymous => builder = builder.skip_signature(),
        Some(Credentials::Password { user, password }) => {
            builder = builder.access_key_id(user).secret_access_key(password);
            if let Some(token) = &settings.session_token {
                builder = builder.session_token(token);
            }
        }
        _ => {}
    }
    Operator::new(builder)
}

#[cfg(feature = "azblob")]
fn azblob(container: &str, access: &Access, settings: &Settings) -> opendal::Result<Operator> {
    let said = crate::settings::variable(&["AZURE_STORAGE_CONNECTION_STRING"]);
    let mut builder = match said.filter(|_| settings.endpoint.is_none() && access.credentials.is_none()) {
        Some(connection) => opendal::services::Azblob::from_connection_string(&connection)?,
        None => opendal::services::Azblob::default(),
    };
    builder = builder.container(container);
    if let Some(endpoint) = &access.endpoint {
        builder = builder.endpoint(endpoint);
    }
    match &access.credentials {
        _ if access.anonymous => builder = builder.skip_signature(),
        Some(Credentials::Password { user, password }) => {
            builder = builder.account_name(user).account_key(password);
        }
        _ => {
            if let Some(account) = account(settings) {
                builder = builder.account_name(&account);
            }
            let names = ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"];
            if let Some(key) = crate::settings::variable(&names) {
                builder = builder.account_key(&key);
            }
        }
    }
    Operator::new(builder)
}

#[cfg(feature = "azblob")]
fn account(settings: &Settings) -> Option<String> {
    match &settings.credentials {
        Some(Credentials::Password { user, .. }) => Some(user.clone()),
        _ => crate::settings::variable(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"]),
    }
}
