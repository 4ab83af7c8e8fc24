//! Connections for probes.

use std::future::pending;
use std::rc::Rc;

use async_trait::async_trait;
use redis_keeper::domain::hindrance::HindranceKind;
use redis_keeper::domain::info::Info;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::ports::redis::{
    Alive, ConnectionEvent, Depth, ProbeConnection, ProbeFailure, Subscribers,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Deed, FakeServer, Manner, State};

/// A probe connection.
pub(super) struct Connection {
    pub(super) server: Rc<FakeServer>,
    pub(super) state: watch::Receiver<State>,
    pub(super) cuts: u64,
    pub(super) mutes: u64,
    /// When the probe was sent whose answer the keeper stopped waiting for.
    pub(super) owed: Option<Instant>,
}

impl Connection {
    async fn cut(&mut self) {
        let (cuts, mutes) = (self.cuts, self.mutes);
        // The sender lives as long as the server, which the connection holds.
        let _ = self
            .state
            .wait_for(|state| state.mutes == mutes && state.cuts != cuts)
            .await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.open.set(self.server.open.get() - 1);
    }
}

/// The answer to a probe that was sent at `sent`. A connection that has gone mute gets none: its number is not
/// `mutes`.
async fn answer(server: Rc<FakeServer>, depth: Depth, sent: Instant, mutes: u64) -> Alive {
    let mut state = server.state.subscribe();
    let State {
        manner, latency, ..
    } = match state.wait_for(|state| state.manner != Manner::Hangs).await {
        Ok(state) => state.clone(),
        Err(_) => pending().await,
    };
    sleep_until(sent + latency).await;
    let mute = server.state.borrow().mutes != mutes;
    if mute {
        pending::<()>().await;
    }
    let mut info = server.info.borrow().clone();
    let (loading, error) = match manner {
        Manner::Loading => (true, None),
        Manner::Errors(error) => (false, Some(error.to_owned())),
        _ => (false, None),
    };
    if depth == Depth::Tick {
        info = Info {
            role: info.role,
            replication_id: info.replication_id,
            previous_replication_id: info.previous_replication_id,
            offset: info.offset,
            ..Info::default()
        };
    }
    Alive {
        info: error.is_none().then_some(info),
        loading,
        hindrance: error.clone().filter(|it| HindranceKind::of(it).is_some()),
        error,
        login_refused: None,
        foreign: false,
        subscribers: depth.is_full().then(|| Subscribers {
            sentinels: server.sentinels.borrow().clone(),
            others: 0,
        }),
        min_replicas: (depth == Depth::FullWithSettings).then(|| Ok(server.min_replicas.get())),
    }
}

#[async_trait(?Send)]
impl ProbeConnection for Connection {
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure> {
        self.server.note(Deed::Probe(depth));
        let sent = Instant::now();
        self.owed = Some(sent);
        let closed = || ProbeFailure::Evidence(DownReason::Closed, "connection closed".to_owned());
        if self.state.borrow().manner == Manner::Closes {
            return Err(closed());
        }
        let alive = answer(Rc::clone(&self.server), depth, sent, self.mutes);
        tokio::select! {
            biased;
            () = self.cut() => Err(closed()),
            alive = alive => {
                self.owed = None;
                Ok(alive)
            }
        }
    }

    async fn next_event(&mut self) -> ConnectionEvent {
        let (server, owed, mutes) = (Rc::clone(&self.server), self.owed, self.mutes);
        let late = async {
            match owed {
                Some(sent) => drop(answer(server, Depth::Tick, sent, mutes).await),
                None => pending().await,
            }
        };
        let stir = tokio::select! {
            biased;
            () = self.cut() => ConnectionEvent::Closed,
            () = late => ConnectionEvent::Answered,
        };
        self.owed = None;
        stir
    }
}
