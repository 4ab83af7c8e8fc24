//! Measures how many `is-writable` checks the HTTP server answers in a second, against a bare actix-web handler. Each
//! check has a connection of its own, as with HAProxy.
//!
//! - Both servers run in this process with the same number of workers. They get the same requests in turns.
//! - Checks are answered in two ways: by an actor on the system's thread, through its mailbox; or from a snapshot
//!   that an actor provides to the workers.
//! - The example prints requests a second, CPU time for each request, and the ratios.
//!
//! `cargo run --release --example bench_http [workers] [requests a turn] [turns]`

use std::collections::BTreeSet;
use std::fmt;
use std::future::ready;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, Context, Handler};
use actix_web::{App, HttpServer, web};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use metrics_exporter_prometheus::PrometheusBuilder;
use redis_keeper::actors::cluster_api::{
    CheckAnswer, ClusterStatus, ClusterView, Question, Reason, RunCheck,
};
use redis_keeper::actors::messages::{
    NotAcknowledged, NotDropped, NotSwitched, SessionReport, Switched,
};
use redis_keeper::domain::explain::Explanation;
use redis_keeper::domain::failsafe::{ConsentRefusal, ConsentRequest};
use redis_keeper::domain::group::GroupAnswer;
use redis_keeper::domain::identity::KeeperProcess;
use redis_keeper::domain::node::{ClusterName, Generation, KeeperId, Moment, NodeAddr};
use redis_keeper::domain::observed::Requested;
use redis_keeper::domain::rehearsal::RehearsalRequest;
use redis_keeper::http::backend::{Backend, ChildReport, NodeReport, Readiness, Unanswered};
use redis_keeper::http::{self, HttpState};
use redis_keeper::ports::clock::LeaseClock;
use tokio::sync::watch;
use tokio::time::Instant;

const CLIENTS: u32 = 8;

const REQUEST: &[u8] = b"GET /cluster/cluster-1/is-writable HTTP/1.1\r\n\
    host: localhost\r\n\
    x-haproxy-server-state: UP 1/3; address=10.0.0.1; port=6379; name=cluster-1-writable/10.0.0.1:6379; \
    node=lb1; weight=1/3; scur=0/3; qcur=0\r\n\
    connection: close\r\n\r\n";

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (workers, requests, turns) = (number(1) as usize, number(10_000), number(9));
    actix::System::new().block_on(compare(workers, requests, turns))
}

async fn compare(workers: usize, requests: u32, turns: u32) -> std::io::Result<()> {
    let bare = HttpServer::new(|| App::new().route("/{any:.*}", web::get().to(|| async { "OK" })))
        .workers(workers)
        .disable_signals()
        .bind(("127.0.0.1", 0))?;
    let bare_addr = bare.addrs()[0];
    actix::spawn(bare.run());

    let (_actor, snapshot) = watch::channel(StandIn::new());
    let mailbox = serve(Way::Mailbox(StandIn::new().start()), workers)?;
    let snapshot = serve(Way::Snapshot(snapshot), workers)?;

    println!("{workers} workers, {CLIENTS} clients, {requests} requests a turn, {turns} turns");
    let (mut by_mailbox, mut by_snapshot) = (Comparison::default(), Comparison::default());
    for turn in 0..=turns {
        let bare = load(bare_addr, requests).await;
        let mailbox = load(mailbox, requests).await;
        let snapshot = load(snapshot, requests).await;
        if turn > 0 {
            println!("bare {bare}   mailbox {mailbox}   snapshot {snapshot}");
            by_mailbox.add(&bare, &mailbox);
            by_snapshot.add(&bare, &snapshot);
        }
    }
    println!("against bare, median: mailbox {by_mailbox}; snapshot {by_snapshot}");
    Ok(())
}

fn serve(way: Way, workers: usize) -> std::io::Result<SocketAddr> {
    let listener = http::server::bind("127.0.0.1", 0).map_err(std::io::Error::other)?;
    let addr = listener.local_addr()?;
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let state = HttpState::new(Arc::new(way), Arc::new(Clock(Instant::now())), metrics);
    actix::spawn(http::server::serve(
        listener,
        Arc::new(state),
        workers,
        4096,
    )?);
    Ok(addr)
}

/// One server compared with the bare one, turn by turn.
#[derive(Default)]
struct Comparison {
    requests: Vec<f64>,
    cpu: Vec<f64>,
}

impl Comparison {
    fn add(&mut self, bare: &Turn, other: &Turn) {
        self.requests.push(other.per_second / bare.per_second);
        self.cpu
            .push(bare.cpu.as_secs_f64() / other.cpu.as_secs_f64());
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, cpu) = (median(&self.requests), median(&self.cpu));
        write!(
            f,
            "{requests:.3} of the requests a second, {cpu:.3} by CPU time"
        )
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The figures of one turn. The CPU time includes server and clients, and hardly depends on the other load of the
/// machine.
struct Turn {
    per_second: f64,
    cpu: Duration,
    not_ok: usize,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            cpu,
            not_ok,
        } = self;
        write!(f, "{per_second:6.0}/s {:4} us CPU each", cpu.as_micros())?;
        if *not_ok > 0 {
            write!(f, " ({not_ok} answers were not 200)")?;
        }
        Ok(())
    }
}

/// Sends `requests` requests from blocking clients, each on a connection of its own.
async fn load(server: SocketAddr, requests: u32) -> Turn {
    let began = Instant::now();
    let cpu_began = cpu_time();
    let left = Arc::new(AtomicU32::new(requests));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let left = Arc::clone(&left);
            tokio::task::spawn_blocking(move || {
                let take = |left: u32| left.checked_sub(1);
                let mut not_ok = 0;
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    not_ok += usize::from(!request(server).expect("an answer"));
                }
                not_ok
            })
        })
        .collect();
    let mut not_ok = 0;
    for client in clients {
        not_ok += client.await.expect("no client fails");
    }
    Turn {
        per_second: f64::from(requests) / began.elapsed().as_secs_f64(),
        cpu: cpu_time().saturating_sub(cpu_began) / requests,
        not_ok,
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().expect("CPU time is positive")
}

/// Sends one request. Returns whether the answer was 200.
fn request(server: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(server)?;
    connection.write_all(REQUEST)?;
    let mut answer = Vec::with_capacity(512);
    connection.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

// === the actor that answers ===

struct StandIn {
    primary: NodeAddr,
}

impl StandIn {
    fn new() -> Self {
        let primary = NodeAddr::new("10.0.0.1", 6379);
        Self { primary }
    }
}

impl Actor for StandIn {
    type Context = Context<Self>;
}

impl Handler<RunCheck> for StandIn {
    type Result = CheckAnswer;

    fn handle(&mut self, ask: RunCheck, _: &mut Context<Self>) -> CheckAnswer {
        self.answer(&ask)
    }
}

impl StandIn {
    fn answer(&self, ask: &RunCheck) -> CheckAnswer {
        let resolved = BTreeSet::new();
        let node = ask.node.find(std::iter::once((&self.primary, &resolved)));
        let yes = node.is_some() && ask.question == Question::Writable;
        CheckAnswer {
            reason: if yes {
                Reason::Primary
            } else {
                Reason::NoSuchNode
            },
            node: node.cloned(),
            generation: Some(Generation(7)),
            deadline: Some(Moment(Duration::MAX)),
            consented: false,
        }
    }
}

/// The way to an answer.
enum Way {
    /// Ask the actor.
    Mailbox(Addr<StandIn>),
    /// Read the actor's last snapshot.
    Snapshot(watch::Receiver<StandIn>),
}

impl Backend for Way {
    fn clusters(&self) -> Vec<ClusterName> {
        Vec::new()
    }

    fn nodes(&self, _: &str) -> Vec<NodeAddr> {
        Vec::new()
    }

    fn ask<'a>(
        &'a self,
        _: &'a str,
        ask: RunCheck,
    ) -> LocalBoxFuture<'a, Result<CheckAnswer, Unanswered>> {
        match self {
            Self::Mailbox(actor) => {
                let answer = actor.send(ask);
                async move { answer.await.map_err(|_| Unanswered::NotAnswering) }.boxed_local()
            }
            Self::Snapshot(standing) => ready(Ok(standing.borrow().answer(&ask))).boxed_local(),
        }
    }

    fn status<'a>(
        &'a self,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<ClusterStatus, Reason>, Unanswered>> {
        unasked()
    }

    fn inspect_cluster<'a>(
        &'a self,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<ClusterView, Unanswered>> {
        unasked()
    }

    fn group<'a>(
        &'a self,
        _: Option<&'a NodeAddr>,
    ) -> LocalBoxFuture<'a, Result<Option<GroupAnswer>, Unanswered>> {
        unasked()
    }

    fn consent(
        &self,
        _: ConsentRequest,
    ) -> LocalBoxFuture<'_, Result<Result<KeeperProcess, ConsentRefusal>, Unanswered>> {
        unasked()
    }

    fn rehearse(
        &self,
        _: RehearsalRequest,
    ) -> LocalBoxFuture<'_, Result<KeeperProcess, Unanswered>> {
        unasked()
    }

    fn obstacles(&self) -> Arc<[String]> {
        Arc::default()
    }

    fn outage(&self) -> Option<String> {
        None
    }

    fn drop_keeper(
        &self,
        _: KeeperId,
    ) -> LocalBoxFuture<'_, Result<Result<(), NotDropped>, Unanswered>> {
        unasked()
    }

    fn explain_cluster<'a>(
        &'a self,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<Explanation, Unanswered>> {
        unasked()
    }

    fn switchover<'a>(
        &'a self,
        _: &'a str,
        _: Requested,
    ) -> LocalBoxFuture<'a, Result<Result<Switched, NotSwitched>, Unanswered>> {
        unasked()
    }

    fn acknowledge<'a>(
        &'a self,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<(), NotAcknowledged>, Unanswered>> {
        unasked()
    }

    fn inspect_node<'a>(
        &'a self,
        _: &'a str,
        _: NodeAddr,
    ) -> LocalBoxFuture<'a, Result<Option<NodeReport>, Unanswered>> {
        unasked()
    }

    fn inspect_session(&self) -> LocalBoxFuture<'_, Result<SessionReport, Unanswered>> {
        unasked()
    }

    fn readiness(&self) -> LocalBoxFuture<'_, Result<Readiness, Unanswered>> {
        unasked()
    }

    fn event_loop(&self) -> LocalBoxFuture<'_, Result<(), Unanswered>> {
        unasked()
    }

    fn supervision(&self) -> ChildReport {
        ChildReport {
            name: "root".to_owned(),
            state: "running",
            restarts: 0,
            last_exit: None,
            uptime: Duration::ZERO,
            children: Vec::new(),
        }
    }
}

/// The answer to questions that this example never asks.
fn unasked<'a, T: 'a>() -> LocalBoxFuture<'a, Result<T, Unanswered>> {
    ready(Err(Unanswered::NoSuchCluster)).boxed_local()
}

struct Clock(Instant);

impl LeaseClock for Clock {
    fn now(&self) -> Moment {
        Moment(self.0.elapsed())
    }
}
