//! Faults, and the times at which they strike.

use crate::network::{Cut, Host};
use crate::redis::{Ailment, Rebirth, Squatter};

/// A fault with its time; `lasts` in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) when: When,
    pub(crate) lasts: u64,
    pub(crate) fault: Fault,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    At(u64),
    /// `after` microseconds after the `number`th withdrawal of a primary.
    Withdrawal {
        number: u32,
        after: u64,
    },
    /// `after` microseconds after the `number`th choice of a candidate was written. The command to the candidate
    /// follows.
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

/// The end of a server that was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Called {
    /// The server ends.
    On,
    /// `SHUTDOWN ABORT` calls the end off.
    Off,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// SIGSTOP.
    Pause(Which),
    /// The machine of the keeper is suspended, with its clock.
    Stun(Which),
    /// kill -9.
    Crash(Which),
    /// The host of the keeper dies for good.
    Retire(Which),
    /// A newcomer is started for the first time.
    Join(usize),
    /// SIGTERM.
    Stop(Which),
    /// SIGTERM, and a new start.
    Restart(Which),
    /// The ensemble ends the keeper's session.
    Expire(Which),
    /// The keeper's connection to ZooKeeper is closed.
    Disconnect(Which),
    /// The keeper's ZooKeeper server is cut off from the ensemble, and goes on serving the keeper.
    Believe(Which),
    /// All stopped keepers continue.
    Continue,
    /// All sessions end. Some keepers are restarted at once, others are cut off from ZooKeeper.
    Upheaval,
    /// ZooKeeper is away.
    Outage,
    Kill(Node, Rebirth),
    /// An operator promotes a replica by hand, and writes to it.
    Wander(usize),
    /// kill -9. Then another program listens at the server's address, and answers only errors.
    Squat(Node, Squatter),
    /// No fault: clients delete everything.
    Drain(usize),
    Freeze(Node),
    /// The server lives, and is not well.
    Ail(Node, Ailment),
    /// SIGTERM. The server waits for replicas that lag, then ends and is started again; or the end is called off.
    End(Node, Called),
    Isolate(Host),
    Sever(Host, Host, Cut),
    SeverOneWay(Host, Host, Cut),
    /// The keeper that leads is cut off from the servers on this host; all others reach them.
    Blind(Host, Cut),
    /// All keepers but the one that leads are cut off from the servers on this host.
    BlindOthers(Host, Cut),
    /// All keepers, and no client, are cut off from this node's host; with `None`, from the hosts of all nodes.
    Unreachable(Option<Node>, Cut),
    /// All keepers, and no client, are cut off from this node's host: silently at first, refused after this many
    /// microseconds.
    Barred(Node, u64),
    Slow(Host, u64),
    /// The open flows with the servers on this host go mute; new connections work.
    Mute(Host),
    /// All open flows with servers go mute, once nothing else is wrong. From then on no vote for silence is right.
    MuteAll,
    /// The name of a replica leads keepers to another server, which is empty.
    MoveName(usize),
    /// The host of a replica resolves the name of its primary to a server of another site.
    Mislead(usize),
    /// No resolver answers: a keeper that has just started knows no address of a name.
    NoNames,
    /// At every node a client takes the name of a keeper's command connection.
    Imitate,
    /// No fault: an operator asks for a switchover of a cluster, to a given node or to the best.
    Switchover(usize, Option<usize>),
}
