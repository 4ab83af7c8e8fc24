//! Hosts in network namespaces, connected to one switch, which can be parted.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};

use super::namespace::Namespace;

type Job = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// Hosts numbered from 1, each with a cable to a switch. The network touches and reaches nothing outside.
pub(crate) struct Network {
    hosts: Vec<Host>,
    switch: Namespace,
}

/// A network namespace, and a thread in it that works for the test.
pub(crate) struct Host {
    number: usize,
    at: Ipv4Addr,
    namespace: Arc<Namespace>,
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Network ===

impl Network {
    /// Creates `count` hosts that all reach each other.
    pub(crate) fn new(count: usize) -> Self {
        let switch = Namespace::new();
        // The second bridge is the other side of a cut.
        let mut cables = String::new();
        for bridge in ["whole", "apart"] {
            writeln!(
                cables,
                "link add {bridge} type bridge\nlink set {bridge} up"
            )
            .expect("a string takes all");
        }
        let mut namespaces = Vec::new();
        for number in 1..=count {
            let namespace = Namespace::new();
            let (cable, far_end) = (cable(number), namespace.path());
            writeln!(
                cables,
                "link add {cable} type veth peer name eth0 netns {far_end}\n\
                 link set {cable} master whole\nlink set {cable} up"
            )
            .expect("a string takes all");
            namespaces.push(namespace);
        }
        switch.ip(&cables);
        let hosts = (1..).zip(namespaces);
        Self {
            hosts: hosts
                .map(|(number, namespace)| Host::new(number, namespace))
                .collect(),
            switch,
        }
    }

    /// All hosts, in the order of their numbers.
    pub(crate) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The host with this number.
    pub(crate) fn host(&self, number: usize) -> &Host {
        &self.hosts[number - 1]
    }

    /// Lets nothing pass between `apart` and the other hosts: packets vanish, and no connection learns of it.
    pub(crate) fn cut(&self, apart: &[usize]) {
        self.replug(apart, "apart");
    }

    /// Ends every cut.
    pub(crate) fn heal(&self) {
        let all: Vec<_> = self.hosts.iter().map(Host::number).collect();
        self.replug(&all, "whole");
    }

    fn replug(&self, hosts: &[usize], bridge: &str) {
        let order = |host: &usize| format!("link set {} master {bridge}\n", cable(*host));
        self.switch.ip(&hosts.iter().map(order).collect::<String>());
    }
}

/// The switch's end of a host's cable.
fn cable(host: usize) -> String {
    format!("host{host}")
}

// === impl Host ===

impl Host {
    fn new(number: usize, namespace: Namespace) -> Self {
        let last = u8::try_from(number).expect("a few hosts");
        let at = Ipv4Addr::new(10, 0, 0, last);
        namespace.ip(&format!(
            "link set lo up\naddress add {at}/24 dev eth0\nlink set eth0 up\n"
        ));
        let (jobs, received) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name(format!("host-{number}"));
        let namespace = Arc::new(namespace);
        let entered = Arc::clone(&namespace);
        let thread = thread.spawn(move || live(&entered, received));
        Self {
            number,
            at,
            namespace,
            jobs: Some(jobs),
            thread: Some(thread.expect("a thread")),
        }
    }

    /// The number of the host, from 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The address of the host.
    pub(crate) fn at(&self) -> Ipv4Addr {
        self.at
    }

    /// The host's network, for more addresses or a packet filter. The cable is `eth0`.
    #[allow(dead_code, reason = "the example only parts hosts")]
    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Does `work` on this host: its sockets and programs belong to the host.
    ///
    /// # Panics
    /// If `work` does.
    pub(crate) async fn run<T, Work>(&self, work: impl FnOnce() -> Work + Send + 'static) -> T
    where
        T: Send + 'static,
        Work: Future<Output = T> + 'static,
    {
        let (done, result) = oneshot::channel();
        self.start(move || async move {
            let result = AssertUnwindSafe(work()).catch_unwind().await;
            let _ = done.send(result);
        });
        match result.await.expect("the host lives") {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Begins `work` on this host. The work ends with the host.
    pub(crate) fn start<Work>(&self, work: impl FnOnce() -> Work + Send + 'static)
    where
        Work: Future<Output = ()> + 'static,
    {
        let jobs = self.jobs.as_ref().expect("kept until the end");
        let job: Job = Box::new(|| work().boxed_local());
        assert!(jobs.send(job).is_ok(), "host {} lives", self.number);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn live(namespace: &Namespace, mut jobs: mpsc::UnboundedReceiver<Job>) {
    namespace.enter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime for a host");
    LocalSet::new().block_on(&runtime, async {
        while let Some(job) = jobs.recv().await {
            spawn_local(job());
        }
    });
}
