//! File descriptors: raises the limit, and shares the descriptors out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::http::server::PER_WORKER;

/// The descriptors of a keeper, apart from those of nodes and of HTTP: ZooKeeper, name servers, other keepers, event
/// queues, and new connections to some silent nodes.
const FOR_ITSELF: usize = 160;

/// The descriptors for one node: probes, commands, and one of either that is being replaced.
const PER_NODE: usize = 4;

/// The most connections of HTTP. Further ones are of no use, and each takes some 20 kB.
const MOST_FOR_HTTP: usize = 4096;

/// The fewest connections of HTTP: enough for the checks of a few HAProxies.
const FEWEST_FOR_HTTP: usize = 64;

/// Raises the limit of open files as far as the system permits. Returns the number of HTTP connections that the limit
/// allows.
pub(super) fn for_http(config: &Config) -> usize {
    let limit = raise();
    let nodes = config.clusters.iter().map(|cluster| cluster.nodes.len());
    let workers = config.rest.workers * PER_WORKER;
    let kept = FOR_ITSELF + workers + nodes.sum::<usize>() * PER_NODE;
    let left = share(limit, kept);
    if left == FEWEST_FOR_HTTP {
        let needed = kept + FEWEST_FOR_HTTP;
        tracing::warn!(
            limit,
            needed,
            "the limit of open files is too low: raise it (LimitNOFILE, ulimit -Hn)"
        );
    }
    left
}

fn share(limit: usize, kept: usize) -> usize {
    limit
        .saturating_sub(kept)
        .clamp(FEWEST_FOR_HTTP, MOST_FOR_HTTP)
}

/// Raises the limit, and returns the limit in force.
fn raise() -> usize {
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: now.maximum,
        ..now
    };
    let limit = if most.current == now.current {
        now
    } else {
        match setrlimit(Resource::Nofile, most) {
            Ok(()) => most,
            Err(error) => {
                tracing::warn!(%error, "the limit of open files cannot be raised");
                now
            }
        }
    };
    let count = limit.current.and_then(|limit| usize::try_from(limit).ok());
    count.unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_gets_what_is_left_within_bounds() {
        assert_eq!(share(1024, 200), 824);
        assert_eq!(share(256, 200), FEWEST_FOR_HTTP);
        assert_eq!(share(100, 200), FEWEST_FOR_HTTP);
        assert_eq!(share(usize::MAX, 200), MOST_FOR_HTTP);
    }
}
