//! One download as a future.

use std::sync::Arc;

use ganymede::{Context, ErrorKind, Method};
use ganymede_async::run;
use ganymede_kit::{Gate, Origin, Reply, pattern};

use super::{Stubborn, block_on, digest, get, panicking, until};

#[test]
fn it_gives_the_download_back_with_its_receipt_and_its_attachment() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(10_000)));
    let download = get(&url).validation(digest(&pattern(10_000))).attach("mine");
    let plan = block_on(run(download, &Context::new()));
    assert_eq!(plan.result().unwrap().facts().size(), 10_000);
    let (download, _) = plan.into_parts();
    assert_eq!(download.into_parts().1, "mine");
}

#[test]
fn the_event_loop_goes_on_while_a_download_stalls() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", Reply::ok(pattern(10_000)).gate_after(5_000, &gate));
    block_on(async {
        let context = Context::new();
        let running = run(get(&url), &context);
        tokio::pin!(running);
        let stands = || gate.standing() == 1;
        // The event loop itself opens the gate, so what blocks it never ends.
        let opening = async {
            until("the download to stall", stands).await;
            gate.open();
        };
        let (plan, ()) = tokio::join!(&mut running, opening);
        assert_eq!(plan.result().unwrap().facts().size(), 10_000);
    });
}

#[test]
fn nothing_is_sent_before_it_is_polled() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    let context = Context::new();
    drop(run(get(&url), &context));
    let idle = run(get(&url), &context);
    assert!(block_on(run(get(&origin.url("/other")), &context)).result().is_err());
    drop(idle);
    assert_eq!((origin.journal().len(), origin.requests("/other")), (1, 1));
}

#[test]
fn many_run_at_once() {
    let (origin, gate) = (Origin::start(), Gate::new());
    let url = origin.on("/file", Reply::ok("hello").gate(&gate));
    let context = Context::new();
    block_on(async {
        let all = futures::future::join_all((0..50).map(|_| run(get(&url), &context)));
        let opening = async {
            until("all to be asked for", || gate.standing() == 50).await;
            gate.open();
        };
        let (plans, ()) = tokio::join!(all, opening);
        assert!(plans.iter().all(|plan| plan.result().is_ok()));
    });
}

#[test]
fn dropping_it_closes_the_connection() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(10_000)).stall_after(5_000));
    block_on(async {
        let running = run(get(&url), &Context::new());
        let stalled = until("the download to stall", || origin.sent("/file") == 5_000);
        tokio::select! {
            _ = running => panic!("it has ended"),
            () = stalled => {}
        }
        until("the connection to be closed", || origin.open() == 0).await;
    });
}

#[test]
fn dropping_it_waits_for_nothing_not_even_a_plugin_that_does_not_stop() {
    let (download, stubborn) = Stubborn::download();
    block_on(async {
        let mut running = Box::pin(run(download, &Context::new()));
        assert!(futures::poll!(&mut running).is_pending());
        stubborn.asked().await;
        drop(running);
        stubborn.go();
    });
}

#[test]
fn cancelling_the_context_ends_it() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok(pattern(10_000)).stall_after(5_000));
    block_on(async {
        let context = Context::new();
        let stalled = async {
            until("the download to stall", || origin.sent("/file") == 5_000).await;
            context.cancel();
        };
        let (plan, ()) = tokio::join!(run(get(&url), &context), stalled);
        assert!(plan.result().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_failure_and_a_panic_are_a_failed_plan_with_the_download() {
    let origin = Origin::start();
    let missing = block_on(run(get(&origin.url("/missing")).attach(7), &Context::new()));
    assert!(missing.result().unwrap_err().is_not_found());
    assert_eq!(missing.into_attachment(), 7);
    let panicked = block_on(run(get(&origin.url("/missing")).handler(panicking).attach(8), &Context::new()));
    assert!(matches!(panicked.result().unwrap_err().kind(), ErrorKind::Panicked));
    assert_eq!(panicked.into_attachment(), 8);
}

#[test]
fn it_may_run_in_a_task_and_its_context_be_dropped_on_the_event_loop() {
    let origin = Origin::start();
    let url = origin.on("/file", Reply::ok("hello"));
    block_on(async {
        let context = Arc::new(Context::new());
        let tasks = (0..4).map(|_| tokio::spawn(run(get(&url).method(Method::Head), &context)));
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap().result().unwrap().head().length(), Some(5));
        }
        drop(context);
    });
    origin.wait_open(0);
}
