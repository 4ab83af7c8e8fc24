//! The failures of children, and their effects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use actix::prelude::*;
use futures::future;
use redis_keeper::supervision::*;
use tokio::sync::oneshot;
use tokio::time::{Instant, advance, sleep, timeout};

use super::*;

#[test]
fn a_panicking_child_is_restarted_fresh_and_its_sibling_is_untouched() {
    on_virtual_time(async {
        let (a_slot, b_slot) = (Slot::new(), Slot::new());
        let (a, b) = (a_slot.reference(), b_slot.reference());
        let root = Root::start(
            "root",
            1,
            plan()
                .child(counter("a", &a_slot))
                .child(counter("b", &b_slot)),
        );
        a.up().await.unwrap();
        assert_eq!(a.send(Incr).await, Ok(1));
        assert_eq!(b.send(Incr).await, Ok(1));

        let (in_work, queued) = tokio::join!(a.send(Boom), a.send(Incr));
        assert_eq!(in_work, Err(MailboxError::Closed));
        assert_eq!(queued, Err(MailboxError::Closed));

        a.up().await.unwrap();
        assert_eq!(a.send(Incr).await, Ok(1), "fresh state, same reference");
        assert_eq!(b.send(Incr).await, Ok(2), "sibling untouched");
        let tree = root.tree().snapshot();
        assert_eq!(
            (tree.children[0].restarts, tree.children[1].restarts),
            (1, 0)
        );
        assert_eq!(tree.children[1].last_exit, None);
    });
}

#[test]
fn the_first_restart_is_immediate_and_later_ones_back_off_with_jitter() {
    let delays = |seed| {
        on_virtual_time(async move {
            let slot = Slot::new();
            let child = slot.reference();
            let _root = Root::start("root", seed, plan().child(counter("a", &slot)));
            let mut delays = Vec::new();
            for _ in 0..3 {
                child.up().await.unwrap();
                assert!(child.send(Boom).await.is_err());
                let died = Instant::now();
                child.up().await.unwrap();
                delays.push(died.elapsed());
            }
            delays
        })
    };
    let first = delays(1);
    assert_eq!(first[0], Duration::ZERO);
    // Timers have a granularity of one millisecond, and never fire early.
    assert!((500..=1001).contains(&first[1].as_millis()), "{first:?}");
    assert!((1000..=2001).contains(&first[2].as_millis()), "{first:?}");
    assert_eq!(first, delays(1), "the same seed gives the same delays");
    assert_ne!(first, delays(2), "another seed gives others");
}

#[test]
fn a_child_that_keeps_failing_ends_the_tree_with_the_chain_of_causes() {
    on_virtual_time(async {
        let (leaf_slot, sibling_slot) = (Slot::new(), Slot::new());
        let (leaf, sibling) = (leaf_slot.reference(), sibling_slot.reference());
        let cluster = plan()
            .child(counter("node:1", &leaf_slot))
            .child(counter("node:2", &sibling_slot));
        let root = Root::start(
            "root",
            1,
            plan().child(ChildSpec::supervisor("cluster:c1", &Slot::new(), cluster)),
        );
        leaf.up().await.unwrap();

        let tree = root.tree();
        fail_until(&leaf, || tree.snapshot().state == ChildState::GivenUp).await;
        let exit = root.ended().await;

        let Exit::GaveUp(top) = &exit else {
            panic!("{exit:?}")
        };
        assert_eq!((top.child.as_str(), top.restarts), ("root/cluster:c1", 3));
        let Exit::GaveUp(inner) = &top.exit else {
            panic!("{top:?}")
        };
        assert_eq!(
            (inner.child.as_str(), inner.restarts),
            ("root/cluster:c1/node:1", 3)
        );
        let Exit::Panicked(panic) = &inner.exit else {
            panic!("{inner:?}")
        };
        assert_eq!(panic.message, "boom");
        assert!(
            exit.to_string()
                .starts_with("gave up: root/cluster:c1 exited after 3 restarts within 60s"),
            "{exit}"
        );

        assert_eq!(
            sibling.send(Incr).await,
            Err(MailboxError::Closed),
            "siblings die with their supervisor"
        );
        let post_mortem = tree.snapshot();
        assert_eq!(
            find(&post_mortem, "node:1").unwrap().state,
            ChildState::GivenUp
        );
        assert_eq!(
            find(&post_mortem, "node:2").unwrap().state,
            ChildState::Stopped
        );
    });
}

#[test]
fn a_supervisor_that_gave_up_is_restarted_and_references_into_it_stay_valid() {
    on_virtual_time(async {
        let (leaf_slot, other_slot, mid_slot) = (Slot::new(), Slot::new(), Slot::new());
        let (leaf, other) = (leaf_slot.reference(), other_slot.reference());
        let mid =
            ChildSpec::supervisor("mid", &mid_slot, plan().child(counter("leaf", &leaf_slot)));
        let root = Root::start(
            "root",
            1,
            plan().child(mid).child(counter("other", &other_slot)),
        );
        leaf.up().await.unwrap();
        assert_eq!(other.send(Incr).await, Ok(1));

        let tree = root.tree();
        fail_until(&leaf, || {
            find(&tree.snapshot(), "mid").unwrap().restarts == 1
        })
        .await;
        leaf.up().await.unwrap();
        assert_eq!(leaf.send(Incr).await, Ok(1));
        assert_eq!(
            other.send(Incr).await,
            Ok(2),
            "the failure of the leaf went no further than its supervisor"
        );
        let mid = find(&tree.snapshot(), "mid").unwrap().clone();
        assert_eq!(mid.state, ChildState::Running);
        let last_exit = mid.last_exit.unwrap();
        assert!(
            last_exit.ends_with("lastly: panicked: boom") || last_exit.contains("boom at "),
            "{last_exit}"
        );
        assert_eq!(mid.children[0].restarts, 0, "a new incarnation counts anew");
    });
}

#[test]
fn a_hung_child_is_replaced_and_its_callers_are_freed() {
    on_virtual_time(async {
        let (a_slot, b_slot) = (Slot::new(), Slot::new());
        let (a, b) = (a_slot.reference(), b_slot.reference());
        let children = plan()
            .ping_every(PING)
            .child(counter("a", &a_slot))
            .child(counter("b", &b_slot));
        let root = Root::start("root", 1, children);
        a.up().await.unwrap();
        sleep(PING * 100).await;
        assert_eq!(
            root.tree().snapshot().children[0].restarts,
            0,
            "who answers is left alone"
        );

        let began = Instant::now();
        assert_eq!(b.send(Incr).await, Ok(1));
        let freed = timeout(PING * 10, future::join(a.send(Hang), a.send(Incr)));
        let (in_work, queued) = freed.await.expect("callers are freed");
        assert_eq!(
            (in_work, queued),
            (Err(MailboxError::Closed), Err(MailboxError::Closed))
        );
        assert!(
            began.elapsed() >= PING && began.elapsed() <= PING * 2,
            "{:?}",
            began.elapsed()
        );

        a.up().await.unwrap();
        assert_eq!(a.send(Incr).await, Ok(1));
        assert_eq!(b.send(Incr).await, Ok(2), "sibling untouched");
        let hung = &root.tree().snapshot().children[0];
        assert_eq!(
            hung.last_exit.as_deref(),
            Some("hung: left a ping unanswered for 1s")
        );
    });
}

#[test]
fn a_child_that_is_slow_but_answers_between_two_pings_is_left_alone() {
    struct Slow;
    impl Actor for Slow {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.run_interval(PING, |slow, ctx| {
                ctx.wait(sleep(PING * 9 / 10).into_actor(slow));
            });
        }
    }
    on_virtual_time(async {
        let child = ChildSpec::permanent("slow", &Slot::new(), || Slow);
        let root = Root::start("root", 1, plan().ping_every(PING).child(child));
        sleep(PING * 60).await;
        assert_eq!(root.tree().snapshot().children[0].restarts, 0);
    });
}

#[test]
fn a_stall_of_the_whole_process_is_not_held_against_the_children() {
    #[derive(Message)]
    #[rtype(result = "()")]
    struct WaitFor(oneshot::Receiver<()>);
    impl Handler<WaitFor> for Counter {
        type Result = AtomicResponse<Self, ()>;
        fn handle(&mut self, WaitFor(go): WaitFor, _: &mut Self::Context) -> Self::Result {
            AtomicResponse::new(Box::pin(async move { drop(go.await) }.into_actor(self)))
        }
    }
    on_virtual_time(async {
        let slot = Slot::new();
        let child = slot.reference();
        let root = Root::start(
            "root",
            1,
            plan().ping_every(PING).child(counter("a", &slot)),
        );
        sleep(PING * 3 / 2).await;
        let (go, wait) = oneshot::channel();
        child.try_send(WaitFor(wait)).unwrap();
        sleep(PING).await; // pinged while it waits
        advance(PING * 10).await;
        sleep(PING / 2).await;
        go.send(()).unwrap();
        assert_eq!(child.send(Incr).await, Ok(1));
        assert_eq!(root.tree().snapshot().children[0].restarts, 0);
    });
}

#[test]
fn a_factory_that_panics_is_the_failure_of_its_child_alone() {
    on_virtual_time(async {
        let (flaky_slot, sibling_slot) = (Slot::new(), Slot::new());
        let (flaky, sibling) = (flaky_slot.reference(), sibling_slot.reference());
        let builds = Arc::new(AtomicUsize::new(0));
        let counted = builds.clone();
        let child = ChildSpec::permanent("flaky", &flaky_slot, move || {
            assert!(counted.fetch_add(1, Relaxed) != 1, "flaky factory");
            Counter::default()
        });
        let root = Root::start(
            "root",
            1,
            plan().child(child).child(counter("sibling", &sibling_slot)),
        );
        flaky.up().await.unwrap();
        assert_eq!(sibling.send(Incr).await, Ok(1));
        assert!(flaky.send(Boom).await.is_err());
        let again = timeout(Duration::from_mins(1), flaky.up()).await;
        assert_eq!(again, Ok(Ok(())));
        assert_eq!(flaky.send(Incr).await, Ok(1));
        assert_eq!(builds.load(Relaxed), 3);
        assert_eq!(sibling.send(Incr).await, Ok(2));
        assert!(
            root.tree().snapshot().children[0]
                .last_exit
                .as_deref()
                .unwrap()
                .contains("flaky factory")
        );
    });
}

#[test]
fn an_exit_says_where_the_child_panicked() {
    install_panic_hook();
    on_virtual_time(async {
        let slot = Slot::new();
        let child = slot.reference();
        let root = Root::start("root", 1, plan().child(counter("a", &slot)));
        child.up().await.unwrap();
        assert!(child.send(Boom).await.is_err());
        sleep(Duration::from_millis(1)).await;
        let last_exit = root.tree().snapshot().children[0]
            .last_exit
            .clone()
            .unwrap();
        assert!(
            last_exit.starts_with("panicked: boom at tests/supervision/main.rs:"),
            "{last_exit}"
        );
    });
}

/// An actor that panics wherever it can.
struct Clumsy;

impl Actor for Clumsy {
    type Context = Context<Self>;
    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        Running::Continue // would let a half-written actor handle the rest of its mailbox
    }
    fn stopped(&mut self, _: &mut Self::Context) {
        panic!("in stopped");
    }
}

impl Drop for Clumsy {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

impl Handler<Boom> for Clumsy {
    type Result = ();
    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        panic!("in a handler");
    }
}

impl Handler<Incr> for Clumsy {
    type Result = u32;
    fn handle(&mut self, _: Incr, _: &mut Self::Context) -> u32 {
        7
    }
}

#[test]
fn a_second_panic_in_stopped_or_drop_is_survived() {
    on_virtual_time(async {
        let slot = Slot::new();
        let clumsy = slot.reference();
        let root = Root::start(
            "root",
            1,
            plan().child(ChildSpec::permanent("clumsy", &slot, || Clumsy)),
        );
        clumsy.up().await.unwrap();
        let (in_work, queued) = tokio::join!(clumsy.send(Boom), clumsy.send(Incr));
        assert!(in_work.is_err());
        assert!(queued.is_err(), "what panicked handles nothing more");
        clumsy.up().await.unwrap();
        assert_eq!(clumsy.send(Incr).await, Ok(7));
        assert_eq!(
            root.supervisor().send(StopChild("clumsy".into())).await,
            Ok(true),
            "nor does a panic on the way out"
        );
    });
}

#[test]
fn a_panic_in_stopped_is_an_exit_like_any_other() {
    struct BadEnd;
    impl Actor for BadEnd {
        type Context = Context<Self>;
        fn stopped(&mut self, _: &mut Self::Context) {
            panic!("in stopped");
        }
    }
    impl Handler<Finish> for BadEnd {
        type Result = ();
        fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
            ctx.stop();
        }
    }
    on_virtual_time(async {
        let slot = Slot::new();
        let child = slot.reference();
        let spec = ChildSpec::transient("bad-end", &slot, || BadEnd);
        let root = Root::start("root", 1, plan().child(spec));
        child.up().await.unwrap();
        assert_eq!(child.send(Finish).await, Ok(()));
        sleep(Duration::from_millis(1)).await;
        let last_exit = root.tree().snapshot().children[0]
            .last_exit
            .clone()
            .unwrap();
        assert!(last_exit.starts_with("panicked: in stopped"), "{last_exit}");
        let stopped = root.supervisor().send(StopChild("bad-end".into())).await;
        assert_eq!(stopped, Ok(true), "on request as well");
    });
}
