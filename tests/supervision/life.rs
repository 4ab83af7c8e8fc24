//! How children start and end when none fails.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::supervision::*;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::*;

#[test]
fn children_come_and_go_at_run_time() {
    on_virtual_time(async {
        let root = Root::start("root", 1, plan());
        let supervisor = root.supervisor();
        supervisor.up().await.unwrap();
        let slot = Slot::new();
        let child = slot.reference();

        let start = || supervisor.send(StartChild(counter("node:1", &slot)));
        assert_eq!(start().await, Ok(Ok(())));
        assert_eq!(
            start().await,
            Ok(Err(StartError::NameTaken("node:1".into())))
        );
        assert_eq!(child.send(Incr).await, Ok(1));

        let stop = || supervisor.send(StopChild("node:1".into()));
        assert_eq!(tokio::join!(stop(), stop()), (Ok(true), Ok(true)));
        assert_eq!(stop().await, Ok(false), "it is gone");
        assert_eq!(child.send(Incr).await, Err(MailboxError::Closed));
        assert!(!child.do_send(Finish));
        assert!(matches!(child.try_send(Finish), Err(SendError::Closed(_))));
        assert!(root.tree().snapshot().children.is_empty());

        assert_eq!(start().await, Ok(Ok(())));
        assert_eq!(
            child.send(Incr).await,
            Ok(1),
            "the old reference follows the new child"
        );
        drop(slot);
        assert_eq!(supervisor.send(StopChild("node:1".into())).await, Ok(true));
        assert_eq!(
            child.up().await,
            Err(MailboxError::Closed),
            "with its slot gone it can never be up again"
        );
    });
}

#[test]
fn a_child_stopped_while_it_waits_for_its_restart_is_not_restarted() {
    on_virtual_time(async {
        let slot = Slot::new();
        let child = slot.reference();
        let root = Root::start("root", 1, plan().child(counter("a", &slot)));
        for _ in 0..2 {
            child.up().await.unwrap();
            assert!(child.send(Boom).await.is_err());
            sleep(Duration::from_millis(1)).await;
        }
        let state = root.tree().snapshot().children[0].state;
        let ChildState::Restarting { due_in } = state else {
            panic!("{state:?}")
        };
        assert!(
            due_in >= Duration::from_millis(400) && due_in <= Duration::from_secs(1),
            "{due_in:?}"
        );
        assert_eq!(
            root.supervisor().send(StopChild("a".into())).await,
            Ok(true)
        );
        sleep(Duration::from_mins(1)).await;
        assert_eq!(child.send(Incr).await, Err(MailboxError::Closed));
        assert!(root.tree().snapshot().children.is_empty());
    });
}

#[test]
fn a_transient_child_is_restarted_after_a_panic_and_removed_when_it_is_done() {
    on_virtual_time(async {
        let slot = Slot::new();
        let run = slot.reference();
        let root = Root::start(
            "root",
            1,
            plan().child(ChildSpec::transient("run", &slot, Counter::default)),
        );
        run.up().await.unwrap();
        assert!(run.send(Boom).await.is_err());
        run.up().await.unwrap();
        assert_eq!(root.tree().snapshot().children[0].restarts, 1);
        assert_eq!(run.send(Finish).await, Ok(()));
        sleep(Duration::from_mins(1)).await;
        assert_eq!(run.send(Incr).await, Err(MailboxError::Closed));
        assert!(root.tree().snapshot().children.is_empty());
    });
}

#[test]
fn a_permanent_child_that_stops_by_itself_is_restarted() {
    on_virtual_time(async {
        let slot = Slot::new();
        let child = slot.reference();
        let root = Root::start("root", 1, plan().child(counter("a", &slot)));
        child.up().await.unwrap();
        assert_eq!(child.send(Finish).await, Ok(()));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(child.send(Incr).await, Ok(1));
        assert_eq!(
            root.tree().snapshot().children[0].last_exit.as_deref(),
            Some("stopped")
        );
    });
}

#[test]
fn a_supervisor_stops_its_children_in_reverse_order_each_gone_before_the_next() {
    struct Witness(&'static str, Arc<Mutex<Vec<&'static str>>>);
    impl Actor for Witness {
        type Context = Context<Self>;
        fn started(&mut self, _: &mut Self::Context) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    impl Drop for Witness {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    on_virtual_time(async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let witness = |name: &'static str| {
            let seen = seen.clone();
            ChildSpec::permanent(name, &Slot::new(), move || Witness(name, seen.clone()))
        };
        let nested = plan().child(witness("b1")).child(witness("b2"));
        let nested = ChildSpec::supervisor("b", &Slot::new(), nested);
        let last = Slot::<Counter>::new();
        let root = Root::start(
            "root",
            1,
            plan()
                .child(witness("a"))
                .child(nested)
                .child(counter("c", &last)),
        );
        last.reference().up().await.unwrap();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(
            std::mem::take(&mut *seen.lock().unwrap()),
            ["a", "b1", "b2"]
        );
        assert_eq!(root.stop().await, Exit::Normal);
        assert_eq!(*seen.lock().unwrap(), ["b2", "b1", "a"]);
        assert_eq!(root.tree().snapshot().state, ChildState::Stopped);
    });
}

#[test]
fn the_whole_tree_dies_with_its_root() {
    struct Holder {
        _held: Arc<()>,
    }
    impl Actor for Holder {
        type Context = Context<Self>;
    }
    on_virtual_time(async {
        let alive = Arc::new(());
        let held = alive.clone();
        let leaf = ChildSpec::permanent("leaf", &Slot::new(), move || Holder {
            _held: held.clone(),
        });
        let mid = ChildSpec::supervisor("mid", &Slot::new(), plan().child(leaf));
        let root = Root::start("root", 1, plan().child(mid));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(
            Arc::strong_count(&alive),
            3,
            "here, in the factory, and in the actor"
        );
        drop(root);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&alive), 1);
    });
}

#[test]
fn the_snapshot_is_read_from_another_thread_while_the_arbiter_is_blocked() {
    struct Blocker(Mutex<mpsc::Receiver<()>>, Arc<AtomicBool>);
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Block;
    impl Actor for Blocker {
        type Context = Context<Self>;
    }
    impl Handler<Block> for Blocker {
        type Result = ();
        fn handle(&mut self, _: Block, _: &mut Self::Context) {
            let released = self.0.lock().unwrap().recv_timeout(Duration::from_secs(10));
            self.1.store(released.is_ok(), Relaxed);
        }
    }
    System::new().block_on(async {
        let (release, blocked) = mpsc::channel();
        let blocked = Mutex::new(Some(blocked));
        let released = Arc::new(AtomicBool::new(false));
        let told = released.clone();
        let slot = Slot::new();
        let child = ChildSpec::permanent("blocker", &slot, move || {
            Blocker(
                Mutex::new(blocked.lock().unwrap().take().expect("built once")),
                told.clone(),
            )
        });
        let root = Root::start("root", 1, plan().child(child));
        slot.reference().up().await.unwrap();
        let tree = root.tree();
        let reader = std::thread::spawn(move || {
            let snapshot = tree.snapshot();
            release.send(()).unwrap();
            snapshot
        });
        slot.reference().send(Block).await.unwrap();
        assert!(
            released.load(Relaxed),
            "released by the reader, not by the deadline"
        );
        assert_eq!(
            reader.join().unwrap().children[0].state,
            ChildState::Running
        );
    });
}

#[test]
fn a_reference_is_used_from_another_thread() {
    System::new().block_on(async {
        let slot = Slot::new();
        let child = slot.reference();
        let _root = Root::start("root", 1, plan().child(counter("a", &slot)));
        let (told, answer) = oneshot::channel();
        std::thread::spawn(move || {
            let asked = futures::executor::block_on(async {
                child.up().await?;
                child.send(Incr).await
            });
            told.send(asked).expect("the test waits");
        });
        let answer = timeout(Duration::from_secs(10), answer).await;
        assert_eq!(answer.expect("in time"), Ok(Ok(1)));
    });
}
