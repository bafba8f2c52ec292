//! What is kept in a context for each place that is asked.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ganymede::reqwest::Client;
use ganymede::{Context, ErrorKind, Failure, Http, Request, SlotKey, Url};
use opendal::{Capability, HttpTransporter, OperationContext, Operator};

use crate::driver::Driver;
use crate::failure::failure_of;
use crate::location::{Location, Place, shown};
use crate::protocol::Store;
use crate::service::Access;
use crate::settings::Settings;
use crate::transport::{Parts, Seen, Transport};

/// The region of what has none: what speaks S3 elsewhere takes any.
const REGION: &str = "us-east-1";

/// A store, as it is asked: with a client, connections and credentials.
pub(crate) struct Session {
    operator: Operator,
    http: Arc<Http>,
    client: Client,
    settings: Settings,
    /// What counts as the host, for limits.
    endpoint: Option<Url>,
    pub(crate) driver: Arc<Driver>,
}

/// All that two downloads must agree on to share a session.
#[derive(PartialEq, Eq, Hash)]
struct SessionKey {
    place: Place,
    settings: Settings,
    access: Access,
    http: Same,
}

impl SlotKey for SessionKey {
    type Value = Session;
}

/// The client of a set of settings, which all sessions with these share.
#[derive(PartialEq, Eq, Hash)]
struct ClientKey(Same);

impl SlotKey for ClientKey {
    type Value = Client;
}

/// Settings that are the same when they are the same ones.
#[derive(Clone)]
struct Same(Arc<Http>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Session {
    /// Returns the session for what a request asks for, or for what is to be written there.
    pub(crate) fn of(
        store: &Store,
        request: &Request,
        location: &Location,
        writes: bool,
        context: &Context,
    ) -> Result<Arc<Self>, Failure> {
        let (place, settings) = (&location.place, &store.settings);
        let service = place.service;
        let own = request.is_trusted();
        let access = Access {
            endpoint: service.endpoint(place, settings),
            region: settings.region(),
            // What a server has named is none of the places that the credentials are for.
            anonymous: settings.anonymous() || !own,
            credentials: request.credentials().or_else(|| settings.credentials.clone().filter(|_| own)),
            workshop: service.workshop(location).filter(|_| writes),
        };
        let http = Same(Arc::clone(&store.http));
        let key =
            SessionKey { place: place.clone(), settings: settings.clone(), access: access.clone(), http };
        context.slot(key, |context| Self::start(store, &shown(request.url()), place, access, context))
    }

    fn start(
        store: &Store,
        url: &Url,
        place: &Place,
        mut access: Access,
        context: &Context,
    ) -> Result<Self, Failure> {
        let (service, settings) = (place.service, store.settings.clone());
        if service.is_unguarded() && store.http.admits(&guarded()?).is_err() {
            let message = format!("{url} is not known to be public: no guard sees where it leads");
            return Err(Failure::new(ErrorKind::Forbidden, message));
        }
        let endpoint = access.endpoint.as_deref().map(Url::parse).transpose().map_err(|error| {
            // It may hold a password, so it is not quoted.
            Failure::new(ErrorKind::Unsupported, format!("{url}: the endpoint is not a usable URL: {error}"))
        })?;
        if let Some(endpoint) = &endpoint {
            store.http.admits(endpoint)?;
        }
        let http = Arc::clone(&store.http);
        let client = context.slot(ClientKey(Same(Arc::clone(&http))), |_| http.library())?;
        let client = (*client).clone();
        let driver = Driver::of(context)?;
        if url.scheme() == "s3" && access.region.is_none() {
            let region = match &endpoint {
                Some(_) => None,
                None => {
                    let (http, seen, read_timeout) =
                        (Arc::clone(&http), Seen::default(), settings.read_timeout);
                    let (client, parts) = (client.clone(), Parts::default());
                    let transport = Transport { http, client, read_timeout, seen, parts };
                    let bucket = place.name.clone();
                    driver.wait(context, async move { Ok(transport.region(&bucket).await) })?
                }
            };
            access.region = Some(region.unwrap_or_else(|| REGION.to_owned()));
        }
        let operator = service.operator(place, &access, &settings);
        let operator = operator.map_err(|error| failure_of(&error, &Seen::default(), url))?;
        let aws = || Url::parse(&format!("https://s3.{}.amazonaws.com", access.region.as_deref()?)).ok();
        let endpoint = endpoint.or_else(|| aws().filter(|_| url.scheme() == "s3"));
        Ok(Self { operator, http, client, settings, endpoint, driver })
    }

    /// Returns what asks, and what it sees of the answers.
    pub(crate) fn operator(&self) -> (Operator, Seen) {
        let seen = Seen::default();
        let transport = Transport {
            http: Arc::clone(&self.http),
            client: self.client.clone(),
            read_timeout: self.settings.read_timeout,
            seen: Arc::clone(&seen),
            parts: Parts::default(),
        };
        let context = OperationContext::default().with_http_transport(HttpTransporter::new(transport));
        (self.operator.clone().with_context(context), seen)
    }

    pub(crate) fn capability(&self) -> Capability {
        self.operator.info().capability()
    }

    /// Returns a request to the host that is asked, which is what limits count.
    pub(crate) fn counted(&self, request: &Request) -> Request {
        let mut counted = request.clone();
        if let Some(endpoint) = &self.endpoint {
            counted.set_url(endpoint.clone());
        }
        counted
    }
}

/// Returns the URL of this machine, which any guard keeps away from.
fn guarded() -> Result<Url, Failure> {
    Url::parse("http://127.0.0.1/").map_err(|error| Failure::new(ErrorKind::Other, error.to_string()))
}
