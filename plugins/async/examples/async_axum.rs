//! Serves with axum, while they arrive, the bytes of downloads of which it knows nothing.
//!
//! `cargo run -p ganymede-async --example async_axum -- ORIGIN DIGEST` serves paths on `ORIGIN` whose content must have
//! that digest.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use ganymede::{Context, DigestValidation, Download, Failure, HttpDownload, Importer, RetryDelegate};
use ganymede_async::stream;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

#[derive(Clone)]
struct Server {
    importer: Arc<dyn Importer>,
    context: Context,
}

async fn serve(State(server): State<Server>, uri: Uri) -> Response {
    let Ok(download) = server.importer.download(uri.path()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match stream(download, &server.context).await {
        Ok((head, bytes)) => {
            // An error in the middle breaks the connection off, and a client that leaves drops the stream.
            let mut response = Body::from_stream(bytes).into_response();
            *response.status_mut() = head.status();
            *response.headers_mut() = head.end_to_end();
            response
        }
        Err(error) => {
            println!("failed: {error}");
            error.gateway_status().into_response()
        }
    }
}

async fn listen(server: Server) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let router = Router::new().fallback(serve).with_state(server);
    Ok(axum::serve(listener, router).await?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [origin, digest] = arguments.as_slice() else {
        return Err("usage: async_axum ORIGIN DIGEST".into());
    };

    // The one place that knows where things are and how they are verified.
    let (origin, validation) = (origin.clone(), DigestValidation::new(digest.parse()?));
    let importer = move |path: &str| -> Result<Box<dyn Download>, Failure> {
        let download = HttpDownload::get(&format!("{origin}{path}"))?;
        Ok(Box::new(download.validation(validation.clone()).handler(RetryDelegate::new(3))))
    };
    let server = Server { importer: Arc::new(importer), context: Context::new() };
    Builder::new_current_thread().enable_all().build()?.block_on(listen(server))
}
