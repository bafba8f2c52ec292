//! One download as a head and a stream of bytes.

use futures::{StreamExt, TryStreamExt};
use ganymede::{Context, DownloadError, ErrorKind, Method, MirrorDelegate};
use ganymede_async::{Body, stream};
use ganymede_kit::{Gate, Origin, Reply, pattern};

use super::{Stubborn, block_on, digest, get, panicking, until};

const SIZE: usize = 300_000;

async fn rest_of(mut body: Body) -> Result<Vec<u8>, DownloadError> {
    let mut bytes = Vec::new();
    while let Some(block) = body.try_next().await? {
        assert!(!block.is_empty());
        bytes.extend(block);
    }
    assert!(body.next().await.is_none());
    assert_eq!(body.receipt().unwrap().facts().size(), bytes.len() as u64);
    Ok(bytes)
}

#[test]
fn the_head_comes_first_and_the_bytes_while_they_arrive() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", Reply::ok(pattern(SIZE)).etag("\"1\"").gate_after(100_000, &gate));
    block_on(async {
        let (head, mut body) = stream(get(&url), &Context::new()).await.unwrap();
        assert_eq!((head.length(), head.etag()), (Some(SIZE as u64), Some("\"1\"")));
        let first = body.next().await.unwrap().unwrap();
        assert!(body.receipt().is_none() && pattern(SIZE).starts_with(&first));
        // The rest has not left the origin yet.
        until("it to stand at the gate", || gate.standing() == 1).await;
        gate.open();
        let mut bytes = first.to_vec();
        while let Some(block) = body.next().await {
            bytes.extend(block.unwrap());
        }
        assert!(bytes == pattern(SIZE));
    });
}

#[test]
fn all_sizes_and_heads_alone_come_whole() {
    let origin = Origin::start();
    block_on(async {
        for size in [0, 1, 5_000, SIZE] {
            let url = origin.on("/file", Reply::ok(pattern(size)));
            let download = get(&url).validation(digest(&pattern(size)));
            let (_, body) = stream(download, &Context::new()).await.unwrap();
            assert!(rest_of(body).await.unwrap() == pattern(size));
        }
        let download = get(&origin.url("/file")).method(Method::Head);
        let (head, mut body) = stream(download, &Context::new()).await.unwrap();
        assert!(head.is_alone() && body.next().await.is_none());
    });
}

#[test]
fn a_wrong_content_never_ends_cleanly_and_its_error_comes_once() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(SIZE)));
    block_on(async {
        let (_, mut body) = stream(get(&url).validation(digest(b"other")), &Context::new()).await.unwrap();
        let mut received = 0;
        let error = loop {
            match body.next().await.unwrap() {
                Ok(block) => received += block.len(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), ErrorKind::Validation(_)) && received < SIZE, "{received}: {error}");
        assert!(body.next().await.is_none() && body.receipt().is_none());
    });
}

#[test]
fn what_is_known_before_the_first_byte_is_no_stream() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    block_on(async {
        let context = Context::new();
        let error = stream(get(&origin.url("/missing")), &context).await.unwrap_err();
        assert!(error.is_not_found());
        let error = stream(get(&url).validation(digest(b"other")), &context).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Validation(_)));
        let error = stream(get(&url).handler(panicking), &context).await.unwrap_err();
        assert_eq!(
            (matches!(error.kind(), ErrorKind::Panicked), error.gateway_status().as_u16()),
            (true, 500)
        );
        let mirrored = get(&origin.url("/missing")).handler(MirrorDelegate::new([url.parse().unwrap()]));
        let (_, body) = stream(mirrored, &context).await.unwrap();
        assert_eq!(rest_of(body).await.unwrap(), b"hello");
    });
}

/// Waits until an origin can send no more, and returns how much it has.
async fn held_back(origin: &Origin) -> u64 {
    let (mut before, mut same) = (0, 0);
    let stands = || {
        let sent = origin.sent("/file");
        same = if sent == before { same + 1 } else { 0 };
        before = sent;
        same == 50
    };
    until("the origin to be held back", stands).await;
    before
}

#[test]
fn while_nobody_reads_the_source_is_not_read_either() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::generated(256 << 20));
    block_on(async {
        let (_, mut body) = stream(get(&url), &Context::new()).await.unwrap();
        let first = body.next().await.unwrap().unwrap();
        // It stops by itself: what is on the way is bounded by what the two sides and the system between them hold.
        let before = held_back(&origin).await;
        assert!(before < 64 << 20, "{before} bytes were sent");
        assert!(pattern(1 << 20).starts_with(&first[..first.len().min(1 << 20)]));
        // It goes on when it is read on.
        let mut received = first.len() as u64;
        while received < before + (1 << 20) {
            received += body.next().await.unwrap().unwrap().len() as u64;
        }
        drop(body);
        until("the connection to be closed", || origin.open() == 0).await;
    });
}

#[test]
fn dropping_it_before_the_head_or_in_the_middle_closes_the_connection_and_waits_for_nothing() {
    let origin = Origin::start();
    let mute = origin.on("/mute", Reply::ok("hello").stall_header());
    let stalled = origin.on("/stalled", Reply::ok(pattern(SIZE)).stall_after(200_000));
    block_on(async {
        let mut waiting = Box::pin(stream(get(&mute), &Context::new()));
        assert!(futures::poll!(&mut waiting).is_pending());
        until("it to be asked for", || origin.requests("/mute") == 1).await;
        drop(waiting);
        until("the connection to be closed", || origin.open() == 0).await;
        let (_, body) = stream(get(&stalled), &Context::new()).await.unwrap();
        drop(body);
        until("the connection to be closed", || origin.open() == 0).await;

        let (download, stubborn) = Stubborn::download();
        let mut waiting = Box::pin(stream(download, &Context::new()));
        assert!(futures::poll!(&mut waiting).is_pending());
        stubborn.asked().await;
        drop(waiting);
        stubborn.go();
    });
}

#[test]
fn cancelling_the_context_ends_it_in_an_error() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(SIZE)).stall_after(200_000));
    block_on(async {
        let context = Context::new();
        let (_, mut body) = stream(get(&url), &context).await.unwrap();
        let cancelling = async {
            until("it to stall", || origin.sent("/file") == 200_000).await;
            context.cancel();
        };
        let reading = async {
            loop {
                if let Err(error) = body.next().await.unwrap() {
                    return error;
                }
            }
        };
        let (error, ()) = tokio::join!(reading, cancelling);
        assert!(error.is_cancelled(), "{error}");
    });
}

#[test]
fn a_reader_that_was_slow_learns_of_the_cancelling_too() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::generated(256 << 20));
    block_on(async {
        let context = Context::new();
        let (_, mut body) = stream(get(&url), &context).await.unwrap();
        held_back(&origin).await;
        context.cancel();
        // The channel was full, so there was no room to say how it ended.
        let end = async { while let Some(Ok(_)) = body.next().await {} };
        tokio::time::timeout(ganymede_kit::PATIENCE, end).await.unwrap();
    });
}
