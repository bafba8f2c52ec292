//! A blocking client of the caller's own is a protocol, too.

use std::io::{self, BufReader, Read};

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::blocking::{Client, Response};
use url::Url;

use crate::context::Context;
use crate::failure::Failure;
use crate::limits::{Permit, host};
use crate::protocol::Protocol;
use crate::protocol::http::{describe, failure_of, interpret, is_conditional};
use crate::reply::Reply;
use crate::request::{Credentials, Method, Request};

/// A client of the caller's own, with whatever settings it has; redirects are followed as it says.
///
/// On a redirect to another host the library keeps back well-known secrets only: a custom header with one goes along,
/// unless the client's redirect policy is to follow none.
///
/// Its waits cannot be interrupted: cancelling takes effect at its time-outs, so give it some.
impl Protocol for Client {
    fn send(&self, request: &Request, context: &Context) -> Result<Reply, Failure> {
        let mut permit = context.permit(request)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        describe(request, &mut headers);
        let conditional = is_conditional(&headers);
        let url = request.display_url();
        let builder = match request.method() {
            Method::Get => self.get(url.clone()),
            Method::Head => self.head(url.clone()),
        };
        let builder = match request.credentials() {
            Some(Credentials::Password { user, password }) => builder.basic_auth(user, Some(password)),
            Some(Credentials::Bearer(token)) => builder.bearer_auth(token),
            None => builder,
        };
        let response =
            builder.headers(headers).send().map_err(|error| permit.failed(failure_of(error, &url)))?;
        context.check()?;
        let mut found = request.clone();
        found.set_url(response.url().clone());
        let interpreted = interpret(response.status(), response.headers().clone(), &found, conditional);
        // What a host says to which the library was redirected is nothing about the one of the permit, which answered.
        let (head, has_body) = match interpreted {
            Err(failure) if host(response.url()) == host(&url) => return Err(permit.failed(failure)),
            interpreted => {
                permit.served();
                interpreted?
            }
        };
        if !has_body {
            return Ok(Reply::bodiless(head));
        }
        let body = Body { response, url, permit };
        Ok(Reply::new(head, BufReader::with_capacity(64 << 10, body)))
    }
}

struct Body {
    response: Response,
    url: Url,
    permit: Permit,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.response.read(buffer).map_err(|error| match error.downcast::<reqwest::Error>() {
            Ok(error) => self.permit.failed(failure_of(error, &self.url)).into(),
            Err(error) => error,
        })
    }
}
