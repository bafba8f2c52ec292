//! Objects as sources.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ganymede::{Context, Credentials, Failure, Http, Protocol, Reply, Request, Transfer};

use crate::body::Body;
use crate::location::{Location, shown};
use crate::question::{Answer, Question};
use crate::session::Session;
use crate::settings::Settings;

/// A download of an object.
///
/// ```no_run
/// use ganymede::{Context, Download, FileWriter};
/// use ganymede_store::StoreDownload;
///
/// StoreDownload::get("s3://bucket/images/a.iso")?.writer(FileWriter::new("a.iso")).run(&Context::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type StoreDownload = Transfer<Store>;

/// The protocol of the URLs of stores: `s3://bucket/key` and, by the features of this crate, others.
///
/// A key is percent-encoded in its URL, as a path is. Operators, clients and connections are kept in the context, for
/// each bucket and set of settings. An entity tag of the store guards what is gone on with: never do bytes of two
/// versions of an object meet.
///
/// What is not said is as the services' own tools have it, from their environment variables and files; credentials in
/// the URL itself come first. They are not used for a URL that a server has named: that is asked for without.
///
/// ```
/// use ganymede::{BufferWriter, Request, Transfer};
/// use ganymede_store::Store;
///
/// let store = Store::new().endpoint("http://127.0.0.1:9000").credentials("minioadmin", "minioadmin");
/// let download = Transfer::new(Request::get("s3://bucket/key")?, store).writer(BufferWriter::new(1 << 20));
/// # let _ = download;
/// # Ok::<(), ganymede::Failure>(())
/// ```
#[derive(Clone)]
pub struct Store {
    pub(crate) settings: Settings,
    pub(crate) http: Arc<Http>,
}

/// Shared, so that downloads with the default settings share their connections, too.
static HTTP: LazyLock<Arc<Http>> = LazyLock::new(|| Arc::new(Http::new()));

/// A time that nobody here will see the end of, and that every clock can tell.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

impl Store {
    /// Makes the protocol with the settings of the environment.
    #[must_use]
    pub fn new() -> Self {
        Self { settings: Settings::default(), http: Arc::clone(&HTTP) }
    }

    /// Sets the URL of a service other than that of the scheme's own provider: `http://127.0.0.1:9000`, say.
    ///
    /// Without it, `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` says it for S3.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// Sets the region of the bucket.
    ///
    /// Without it, `AWS_REGION` or `AWS_DEFAULT_REGION` says it; otherwise AWS is asked, and other endpoints are taken
    /// to be in `us-east-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.settings.region = Some(region.into());
        self
    }

    /// Sets a name and a secret: an access key and its secret for S3, an account and its key for Azure, a user and a
    /// password for a server.
    #[must_use]
    pub fn credentials(mut self, name: impl Into<String>, secret: impl Into<String>) -> Self {
        self.settings.credentials = Some(Credentials::password(name, secret));
        self
    }

    /// Sets the session token that belongs to the [credentials](Self::credentials) of AWS.
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        self.settings.session_token = Some(token.into());
        self
    }

    /// Signs nothing, and looks for no credentials: for what is public.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.settings.anonymous = true;
        self
    }

    /// Sets whether the bucket is in the path of S3's requests rather than in the name of the host.
    ///
    /// It is, unless set, where there is an [endpoint](Self::endpoint) of one's own or the bucket has a dot.
    #[must_use]
    pub fn path_style(mut self, in_path: bool) -> Self {
        self.settings.path_style = Some(in_path);
        self
    }

    /// Sets how long a service may send nothing; 30 seconds unless set.
    #[must_use]
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.settings.read_timeout = limit.min(FAR);
        self
    }

    /// Takes certificates, proxy, guard and time-out for connecting from these settings.
    ///
    /// With a [guard](Http::guard), an endpoint that is not public is refused, and so is what goes over no HTTP.
    #[must_use]
    pub fn http(mut self, http: &Http) -> Self {
        self.http = Arc::new(http.clone());
        self
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Protocol for Store {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        context.check()?;
        let location = Location::of(request.url())?;
        let session = Session::of(self, request, &location, false, context)?;
        let mut permit = context.permit(&session.counted(request))?;
        let (operator, seen) = session.operator();
        let question = Question {
            operator,
            capability: session.capability(),
            seen,
            key: location.key,
            url: shown(request.url()),
            method: request.method(),
            range: request.range(),
            if_range: request.if_range().cloned(),
            if_changed: request.if_changed().cloned(),
        };
        let answer =
            session.driver.wait(context, question.ask()).map_err(|failure| permit.failed(failure))?;
        permit.served();
        Ok(match answer {
            Answer::Head(head) => Reply::bodiless(*head),
            Answer::Body(head, arriving) => {
                Reply::new(*head, Body::new(*arriving, &session, permit, context))
            }
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}
