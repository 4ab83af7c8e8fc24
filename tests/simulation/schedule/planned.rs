//! Faults, and when they strike.

use crate::network::{Cut, Host};
use crate::redis::{Ailment, Rebirth, Squatter};

/// A fault with its time.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) when: When,
    pub(crate) lasts: u64,
    pub(crate) fault: Fault,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    At(u64),
    /// So long after a primary was withdrawn for the `number`th time.
    Withdrawal {
        number: u32,
        after: u64,
    },
    /// So long after the `number`th time that a candidate was persisted: the command to it follows.
    Choice {
        number: u32,
        after: u64,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    Number(usize),
    Leader,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    Number(usize),
    /// The published primary of a cluster.
    Primary(usize),
}

/// What becomes of a server that was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// It ends.
    On,
    /// `SHUTDOWN ABORT`.
    Off,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// SIGSTOP.
    Pause(Which),
    /// Its machine is suspended, and its clock with it.
    Stun(Which),
    /// kill -9.
    Crash(Which),
    /// Its host dies for good.
    Retire(Which),
    /// A keeper that never ran before is started.
    Join(usize),
    /// SIGTERM.
    Stop(Which),
    /// SIGTERM, and started again.
    Restart(Which),
    /// Its session is ended by the ensemble.
    Expire(Which),
    /// Its connection to ZooKeeper is cut.
    Disconnect(Which),
    /// Its ZooKeeper server is cut off from the ensemble and goes on serving it.
    Believe(Which),
    /// All that are stopped continue.
    Continue,
    /// All sessions end; some keepers are restarted at once, some are cut off from ZooKeeper.
    Upheaval,
    /// No ZooKeeper at all.
    Outage,
    Kill(Node, Rebirth),
    /// Somebody makes a replica a primary by hand, and writes to it.
    Wander(usize),
    /// kill -9, and something else listens at its address, which answers errors alone.
    Squat(Node, Squatter),
    /// No fault: clients delete everything.
    Drain(usize),
    Freeze(Node),
    /// It lives, and is not well.
    Ail(Node, Ailment),
    /// SIGTERM, while it has replicas that lag: it waits for them, then ends and is started again; or that is called off.
    End(Node, Called),
    Isolate(Host),
    Sever(Host, Host, Cut),
    SeverOneWay(Host, Host, Cut),
    /// Whoever leads then is cut off from the servers on this host, and all others reach them.
    Blind(Host, Cut),
    /// All keepers but the one that leads then are cut off from the servers on this host.
    BlindOthers(Host, Cut),
    /// All keepers, and nobody else, are cut off from this node's host; from those of all nodes, if none is named.
    Unreachable(Option<Node>, Cut),
    /// All keepers, and nobody else, are cut off from this node's host: silently, and refused from so many microseconds on.
    Barred(Node, u64),
    Slow(Host, u64),
    /// The flows that are open with the servers on this host go mute; new connections work.
    Mute(Host),
    /// All flows with servers go mute, once nothing else is wrong any more: no vote of silence is right from then on.
    MuteAll,
    /// The name of a node that is no primary leads keepers to another server, which is empty.
    MoveName(usize),
    /// The host of a node that is no primary leads it, by the name of its primary, to a server of another site.
    Mislead(usize),
    /// No resolver answers: a keeper that was just started knows no address of a name.
    NoNames,
    /// A client at every node takes the name of a keeper's command connection.
    Imitate,
    /// No fault: an operator has a cluster switched over, to one of its nodes or to the best.
    Switchover(usize, Option<usize>),
}
