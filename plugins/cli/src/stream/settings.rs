//! What the command line asks for, checked.

use std::sync::Arc;

use ganymede::Context;
use ganymede_streamer::{Cache, CacheError, HeaderPolicy, Rules, Server, Streamer};

use crate::arguments::{Bounds, Freshness, Headers, Keeping, Policy, Stream};
use crate::settings::{Usage, limits};

use super::belonging;
use super::upstream::Upstream;

/// How much is kept where nobody has said it, in bytes.
const CACHE_SIZE: u64 = 10 << 30;

/// Refuses what makes no sense together.
pub(crate) fn check_combination(arguments: &Stream) -> Result<(), Usage> {
    let keeping = &arguments.keeping;
    let policy = match keeping.policy {
        Some(Policy::Streamed) if keeping.cache.is_some() => {
            return Err("--policy streamed keeps nothing: leave --cache out, or choose another policy".into());
        }
        Some(Policy::OnDemand) => "--policy on-demand",
        Some(Policy::Immediate) => "--policy immediate",
        Some(Policy::Streamed) | None => "",
    };
    let of_caches = [
        (policy, !policy.is_empty()),
        ("--cache-size", keeping.cache_size.is_some()),
        ("--prefetch", keeping.prefetch.is_some()),
        ("--finish", keeping.finish),
    ];
    if let (None, Some((option, _))) = (&keeping.cache, of_caches.into_iter().find(|(_, given)| *given)) {
        return Err(format!("{option} is for what is kept: say where with --cache DIR").into());
    }
    let listed = keeping.prefetch.is_some() || !arguments.service.digests.is_empty();
    if keeping.policy == Some(Policy::Immediate) && !listed {
        let lists = "list what to fetch with --prefetch FILE or --digests FILE";
        return Err(
            format!("--policy immediate fetches what is known before it is asked for: {lists}").into()
        );
    }
    Ok(())
}

/// Makes the streamer.
pub(crate) fn streamer(arguments: &Stream, upstream: &Arc<Upstream>) -> Result<Streamer, Usage> {
    let (keeping, bounds) = (&arguments.keeping, &arguments.bounds);
    let context = Context::with_limits(limits(&arguments.patience, &arguments.rate));
    let mut streamer = Streamer::new(Arc::clone(upstream))
        .context(&context)
        .rules(rules(&arguments.freshness)?)
        .headers(headers(&arguments.headers)?)
        .policy(policy(keeping))
        .finish(keeping.finish)
        .buffer(number(keeping.buffer))
        .clients(number(bounds.clients))
        .longest_target(number(bounds.url_size));
    if let Some(folder) = &keeping.cache {
        let cache = Cache::open(folder, keeping.cache_size.unwrap_or(CACHE_SIZE));
        let cache = cache.map_err(|error| unusable(&error))?;
        belonging::claim(folder, &arguments.service.remotes)?;
        streamer = streamer.cache(cache);
    }
    Ok(streamer)
}

/// Sets what a server lets its clients take.
pub(crate) fn server(server: Server, bounds: &Bounds) -> Server {
    server
        .connections(number(bounds.connections))
        .header_bytes(number(bounds.header_size))
        .header_count(bounds.header_count.into())
        .stall(bounds.stall)
        .idle(bounds.idle)
        .drain(bounds.drain)
}

fn policy(keeping: &Keeping) -> ganymede_streamer::Policy {
    match keeping.policy {
        Some(Policy::Immediate) => ganymede_streamer::Policy::Immediate,
        Some(Policy::Streamed) => ganymede_streamer::Policy::Streamed,
        // Without a cache, it keeps nothing.
        Some(Policy::OnDemand) | None => ganymede_streamer::Policy::OnDemand,
    }
}

fn rules(freshness: &Freshness) -> Result<Rules, Usage> {
    let rules = Rules::new()
        .negative(freshness.negative)
        .heuristic(f64::from(freshness.heuristic) / 100.0, freshness.heuristic_limit)
        .lifetime(freshness.lifetime);
    let rules = match freshness.stale_while_revalidate {
        Some(time) => rules.stale_while_revalidate(time),
        None => rules,
    };
    let rules = match freshness.stale_if_error {
        Some(time) => rules.stale_if_error(time),
        None => rules,
    };
    let heeded = &freshness.heeded;
    if heeded.is_empty() {
        return Ok(rules);
    }
    let names = heeded.iter().map(String::as_str);
    rules.targets(names).map_err(|_| no_header("--heed-header", &heeded.join(", ")))
}

fn headers(asked: &Headers) -> Result<HeaderPolicy, Usage> {
    let mut policy = HeaderPolicy::new();
    for name in &asked.passed {
        if ["authorization", "cookie"].contains(&name.to_ascii_lowercase().as_str()) {
            let reason =
                "it shows who a client is: if that is what you want, pass it with --pass-credentials";
            return Err(format!("--pass-header {name}: {reason}").into());
        }
        policy = policy.pass(name).map_err(|_| no_header("--pass-header", name))?;
    }
    for name in &asked.hidden {
        policy = policy.hide(name).map_err(|_| no_header("--hide-header", name))?;
    }
    for name in &asked.shown {
        policy = policy.show(name).map_err(|_| no_header("--show-header", name))?;
    }
    if asked.pass_all_headers {
        policy = policy.pass_all();
    }
    if asked.pass_credentials {
        policy = policy.pass_credentials();
    }
    let name = &asked.name;
    policy.name(name).map_err(|_| format!("--name {name:?}: write letters, digits, - and . alone").into())
}

fn no_header(option: &str, name: &str) -> Usage {
    format!("{option} {name:?} is no name of a header").into()
}

fn unusable(error: &CacheError) -> Usage {
    let advice = match error {
        CacheError::InUse(_) => "end that, or choose another folder",
        CacheError::Folder { .. } => "check the folder and who may write there",
        _ => "choose another folder, or remove this one: all in it can be fetched again",
    };
    format!("--cache: {error}; {advice}").into()
}

/// Returns a number of bytes, or of others, as this machine counts them.
fn number(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
