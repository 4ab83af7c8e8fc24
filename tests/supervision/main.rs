//! Supervision under injected panics and hangs, on virtual time.

mod failures;
mod life;
mod many_children;
#[path = "../fakes/time.rs"]
mod time;

use std::time::Duration;

use actix::prelude::*;
use redis_keeper::supervision::*;
use tokio::time::sleep;

use self::time::on_virtual_time;

#[derive(Message)]
#[rtype(result = "u32")]
struct Incr;

#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

#[derive(Message)]
#[rtype(result = "()")]
struct Hang;

#[derive(Message)]
#[rtype(result = "()")]
struct Finish;

/// An actor that counts, and fails in every way on request.
#[derive(Default)]
struct Counter(u32);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Incr> for Counter {
    type Result = u32;
    fn handle(&mut self, _: Incr, _: &mut Self::Context) -> u32 {
        self.0 += 1;
        self.0
    }
}

impl Handler<Boom> for Counter {
    type Result = ();
    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        panic!("boom");
    }
}

impl Handler<Hang> for Counter {
    type Result = AtomicResponse<Self, ()>;
    fn handle(&mut self, _: Hang, _: &mut Self::Context) -> Self::Result {
        AtomicResponse::new(Box::pin(std::future::pending().into_actor(self)))
    }
}

impl Handler<Finish> for Counter {
    type Result = ();
    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

const PING: Duration = Duration::from_secs(1);

fn policy() -> RestartPolicy {
    RestartPolicy {
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(8),
        max_restarts: 3,
        window: Duration::from_mins(1),
    }
}

fn plan() -> OneForOne {
    OneForOne::new(policy())
}

fn counter(name: &str, slot: &Slot<Counter>) -> ChildSpec {
    ChildSpec::permanent(name, slot, Counter::default)
}

/// Makes `child` fail until it stays down for good, as `given_up` tells.
async fn fail_until(child: &ChildRef<Counter>, given_up: impl Fn() -> bool) {
    while !given_up() {
        if child.send(Boom).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

fn find<'a>(tree: &'a TreeSnapshot, name: &str) -> Option<&'a TreeSnapshot> {
    if tree.name == name {
        return Some(tree);
    }
    tree.children.iter().find_map(|child| find(child, name))
}
