//! Name resolution through this host's resolver, on threads of its own.
//!
//! - Each lookup runs on a separate thread: one lookup for each host, sixteen at once in all. While a name server
//!   does not answer, `getaddrinfo` blocks for many seconds. Callers stop waiting long before.
//! - The last addresses of a host stay known. While the resolver does not answer, or no longer knows the name,
//!   keepers still try the node at its last address. So they see a silent node as silent (RK-1).
//! - For a host with known addresses, a caller waits only while the resolver is quick, and for 50 ms at most.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a caller waits for a host with known addresses. A lookup that takes longer is slow.
const QUICK: Duration = Duration::from_millis(50);

/// How long a caller waits for a host without known addresses.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// The time for which the result of a lookup is used again.
const FRESH: Duration = Duration::from_secs(1);

/// The number of lookups at once. Hosts whose last lookup was slow get half of them, so that they delay no other
/// host.
const LOOKUPS: usize = 16;

/// The most addresses that are remembered for one host.
const MOST_ADDRESSES: usize = 16;

type Addresses = BTreeSet<IpAddr>;
type Lookup = dyn Fn(&str) -> io::Result<Addresses> + Send + Sync;

/// The resolver of a process. Clones share the known addresses.
#[derive(Clone)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    lookup: Box<Lookup>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: HashMap<String, Host>,
    queue: VecDeque<String>,
    /// Hosts whose last lookup was slow.
    slow_queue: VecDeque<String>,
    workers: usize,
    slow_workers: usize,
}

struct Host {
    known: Option<Addresses>,
    /// The error of the last lookup, if it failed.
    error: Option<String>,
    looked_up: Option<Instant>,
    /// The time of the request for the lookup that is under way.
    asked: Option<Instant>,
    slow: bool,
    /// Raised by every lookup that ends.
    ended: watch::Sender<u64>,
}

// === impl Resolver ===

impl Resolver {
    /// A resolver that calls `lookup`, which may block for any time.
    pub fn new(lookup: impl Fn(&str) -> io::Result<Addresses> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            lookup: Box::new(lookup),
            state: Mutex::default(),
        }))
    }

    /// The addresses of `host`, a name or an IP literal. If the resolver fails or does not answer in time, the last
    /// known addresses.
    ///
    /// # Errors
    /// No address is known after one second at most. The failure is this host's own, and no evidence about a node.
    pub async fn addresses(&self, host: &str) -> Result<Addresses, String> {
        if let Ok(ip) = host.parse() {
            return Ok(Addresses::from([ip]));
        }
        let (mut ended, wait) = {
            let mut state = self.0.state();
            let known = state.host(host);
            if known.is_fresh() {
                return known.told(host);
            }
            let ended = known.ended.subscribe();
            let wait = match (&known.known, known.is_quick()) {
                (None, _) => LOOKUP_TIMEOUT,
                (Some(_), true) => QUICK,
                (Some(_), false) => Duration::ZERO,
            };
            self.look_up(&mut state, host);
            (ended, wait)
        };
        if !wait.is_zero() {
            // The sender lives as long as this resolver.
            let _ = timeout(wait, ended.changed()).await;
        }
        self.0.state().host(host).told(host)
    }

    /// The known addresses of `host`, without waiting.
    pub fn known(&self, host: &str) -> Option<Addresses> {
        if let Ok(ip) = host.parse() {
            return Some(Addresses::from([ip]));
        }
        self.0.state().hosts.get(host)?.known.clone()
    }

    /// Notes that `host` once resolved to `addresses`. Used until the resolver gives an answer, and never instead of
    /// a known one.
    pub fn remember(&self, host: &str, addresses: &Addresses) {
        if addresses.is_empty() || host.parse::<IpAddr>().is_ok() {
            return;
        }
        let mut state = self.0.state();
        let known = &mut state.host(host).known;
        known.get_or_insert_with(|| addresses.iter().take(MOST_ADDRESSES).copied().collect());
    }

    /// Queues a lookup of `host`, unless one is under way.
    fn look_up(&self, state: &mut State, host: &str) {
        let known = state.host(host);
        if known.asked.is_some() {
            return;
        }
        known.asked = Some(Instant::now());
        if known.slow {
            state.slow_queue.push_back(host.to_owned());
        } else {
            state.queue.push_back(host.to_owned());
        }
        if state.workers < LOOKUPS {
            let shared = Arc::clone(&self.0);
            let worker = thread::Builder::new().name("resolver".to_owned());
            match worker.spawn(move || shared.work()) {
                Ok(_) => state.workers += 1,
                // A running worker takes the host. Without a running worker, all queued hosts fail, and the next
                // caller tries again.
                Err(error) if state.workers == 0 => {
                    let error = format!("no thread for name resolution: {error}");
                    while let Some(host) = state.next().map(|(host, _)| host) {
                        state.host(&host).end(Err(error.clone()));
                    }
                    state.slow_workers = 0;
                }
                Err(_) => {}
            }
        }
    }
}

impl Default for Resolver {
    /// The resolver of the operating system.
    fn default() -> Self {
        Self::new(|host| Ok((host, 0).to_socket_addrs()?.map(|at| at.ip()).collect()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver")
            .field(&self.0.state().hosts.len())
            .finish()
    }
}

/// For HTTP clients of the `reqwest` crate.
impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            let found = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up queued hosts until the queue is empty.
    fn work(&self) {
        let mut state = self.state();
        while let Some((host, slow)) = state.next() {
            drop(state);
            let found = (self.lookup)(&host);
            state = self.state();
            state.slow_workers -= usize::from(slow);
            let found = match found {
                Ok(found) if found.is_empty() => Err("it has no address".to_owned()),
                Ok(found) => Ok(found.into_iter().take(MOST_ADDRESSES).collect()),
                Err(error) => Err(error.to_string()),
            };
            state.host(&host).end(found);
        }
        state.workers -= 1;
    }
}

// === impl State ===

impl State {
    fn host(&mut self, host: &str) -> &mut Host {
        self.hosts.entry(host.to_owned()).or_default()
    }

    /// The next host to look up, and whether it counts as slow.
    fn next(&mut self) -> Option<(String, bool)> {
        if let Some(host) = self.queue.pop_front() {
            return Some((host, false));
        }
        if self.slow_workers >= LOOKUPS / 2 {
            return None;
        }
        let host = self.slow_queue.pop_front()?;
        self.slow_workers += 1;
        Some((host, true))
    }
}

// === impl Host ===

impl Default for Host {
    fn default() -> Self {
        Self {
            known: None,
            error: None,
            looked_up: None,
            asked: None,
            slow: false,
            ended: watch::Sender::new(0),
        }
    }
}

impl Host {
    fn is_fresh(&self) -> bool {
        self.looked_up.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Whether the last lookup was quick, and the one under way is still younger than `QUICK`.
    fn is_quick(&self) -> bool {
        !self.slow && self.asked.is_none_or(|asked| asked.elapsed() < QUICK)
    }

    /// Takes the result of a lookup.
    fn end(&mut self, found: Result<Addresses, String>) {
        let asked = self.asked.take();
        self.slow = asked.is_some_and(|asked| asked.elapsed() >= QUICK);
        self.looked_up = Some(Instant::now());
        match found {
            Ok(found) => {
                self.known = Some(found);
                self.error = None;
            }
            Err(error) => self.error = Some(error),
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    fn told(&self, host: &str) -> Result<Addresses, String> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        match (&self.error, self.asked) {
            (Some(error), _) => Err(format!("`{host}` does not resolve: {error}")),
            (None, Some(asked)) => Err(format!(
                "`{host}` does not resolve: the resolver has not answered for {:.1?}",
                asked.elapsed()
            )),
            (None, None) => Err(format!("`{host}` does not resolve")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A resolver whose lookups end when the test sends a result, and with that result.
    fn by_hand() -> (Resolver, Sender<io::Result<Addresses>>, Receiver<String>) {
        let (answer, answers) = channel::<io::Result<Addresses>>();
        let (ask, asked) = channel();
        let answers = Mutex::new(answers);
        let resolver = Resolver::new(move |host| {
            let _ = ask.send(host.to_owned());
            let answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("over")))
        });
        (resolver, answer, asked)
    }

    fn ips(ips: &[&str]) -> Addresses {
        ips.iter()
            .map(|ip| ip.parse().expect("an address"))
            .collect()
    }

    /// Makes the last lookup of a host old.
    fn age(resolver: &Resolver, host: &str) {
        let mut state = resolver.0.state();
        state.host(host).looked_up = None;
    }

    #[tokio::test]
    async fn a_resolver_that_hangs_delays_nobody_whose_addresses_are_known() {
        let (resolver, answer, asked) = by_hand();
        answer.send(Ok(ips(&["10.0.0.1"]))).expect("open");
        assert_eq!(resolver.addresses("a").await, Ok(ips(&["10.0.0.1"])));
        age(&resolver, "a");
        // The lookup under way never ends; callers wait only for its first moments.
        let begun = Instant::now();
        for _ in 0..100 {
            assert_eq!(resolver.addresses("a").await, Ok(ips(&["10.0.0.1"])));
        }
        assert!(begun.elapsed() < LOOKUP_TIMEOUT, "{:?}", begun.elapsed());
        assert_eq!(asked.try_iter().count(), 2, "one lookup a host at once");
        answer.send(Ok(ips(&["10.0.0.2"]))).expect("open");
        while resolver.known("a") != Some(ips(&["10.0.0.2"])) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_name_that_is_gone_is_still_tried_where_it_was() {
        let (resolver, answer, _asked) = by_hand();
        answer.send(Ok(ips(&["10.0.0.1"]))).expect("open");
        assert_eq!(resolver.addresses("a").await, Ok(ips(&["10.0.0.1"])));
        for gone in [Err(io::Error::other("no such name")), Ok(ips(&[]))] {
            age(&resolver, "a");
            answer.send(gone).expect("open");
            assert_eq!(resolver.addresses("a").await, Ok(ips(&["10.0.0.1"])));
        }
    }

    #[tokio::test]
    async fn a_name_that_never_resolved_fails_with_the_reason_and_what_is_remembered_stands_in() {
        let (resolver, answer, _asked) = by_hand();
        answer
            .send(Err(io::Error::other("no such name")))
            .expect("open");
        let failed = resolver.addresses("a").await;
        assert_eq!(failed, Err("`a` does not resolve: no such name".to_owned()));
        let hung = resolver.addresses("b").await.expect_err("nobody answers");
        assert!(hung.contains("has not answered for 1"), "{hung}");
        resolver.remember("b", &ips(&["10.0.0.9"]));
        assert_eq!(resolver.addresses("b").await, Ok(ips(&["10.0.0.9"])));
        answer.send(Ok(ips(&["10.0.0.3"]))).expect("open");
        while resolver.known("b") != Some(ips(&["10.0.0.3"])) {
            tokio::task::yield_now().await;
        }
        resolver.remember("b", &ips(&["10.0.0.9"]));
        assert_eq!(resolver.known("b"), Some(ips(&["10.0.0.3"])));
    }

    #[tokio::test]
    async fn many_names_are_looked_up_by_few_threads_and_slow_ones_hold_up_no_other() {
        let (open, never) = channel::<()>();
        let never = Mutex::new(never);
        let running = Arc::new(Mutex::new([0_usize; 2]));
        let counted = Arc::clone(&running);
        let resolver = Resolver::new(move |host| {
            {
                let mut running = counted.lock().expect("no panic");
                running[0] += 1;
                running[1] = running[1].max(running[0]);
            }
            if host.starts_with("slow") {
                let _ = never.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
            counted.lock().expect("no panic")[0] -= 1;
            Ok(ips(&["10.0.0.1"]))
        });
        for number in 0..100 {
            let mut state = resolver.0.state();
            let host = format!("slow-{number}");
            state.host(&host).slow = true;
            resolver.look_up(&mut state, &host);
        }
        for number in 0..100 {
            let found = resolver.addresses(&format!("quick-{number}")).await;
            assert_eq!(found, Ok(ips(&["10.0.0.1"])));
        }
        assert!(running.lock().expect("no panic")[1] <= LOOKUPS);
        drop(open);
        while resolver.known("slow-99").is_none() {
            tokio::task::yield_now().await;
        }
    }
}
