//! A switchover that is interrupted at every step by every fault.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{
    CLIENTS, Chance, ENSEMBLE, Fault, HOSTS, KEEPERS, Kind, Node, Planned, SERVERS, Schedule, When,
    Which,
};
use crate::network::Cut;
use crate::redis::Rebirth;

/// When an operator asks for the switchover, in microseconds.
const ASKED: u64 = 5_000_000;

/// The primary, and the node that is to become the primary.
const OLD: Node = Node::Number(0);
const SUCCESSOR: Node = Node::Number(1);

/// Faults of keepers, of ZooKeeper and of the ways to them: such a fault costs no write.
const AROUND: [Fault; 20] = [
    Fault::Pause(Which::Leader),
    Fault::Pause(Which::Number(0)),
    Fault::Crash(Which::Leader),
    Fault::Crash(Which::Number(1)),
    Fault::Stop(Which::Leader),
    Fault::Restart(Which::Leader),
    Fault::Restart(Which::Number(2)),
    Fault::Expire(Which::Leader),
    Fault::Expire(Which::Number(0)),
    Fault::Disconnect(Which::Leader),
    Fault::Disconnect(Which::Number(1)),
    Fault::Believe(Which::Leader),
    Fault::Believe(Which::Number(2)),
    Fault::Upheaval,
    Fault::Outage,
    Fault::Isolate(ENSEMBLE),
    Fault::Slow(ENSEMBLE, 300_000),
    Fault::Slow(KEEPERS, 300_000),
    Fault::Switchover(0, None),
    Fault::Switchover(0, Some(2)),
];

/// Faults of the servers and of the ways to them.
const SERVERS_FAIL: [Fault; 16] = [
    Fault::Kill(OLD, Rebirth::Whole),
    Fault::Kill(OLD, Rebirth::OldDump),
    Fault::Kill(SUCCESSOR, Rebirth::Whole),
    Fault::Kill(SUCCESSOR, Rebirth::OldDump),
    Fault::Freeze(OLD),
    Fault::Freeze(SUCCESSOR),
    Fault::Isolate(KEEPERS),
    Fault::Isolate(SERVERS),
    Fault::Isolate(SERVERS + 1),
    Fault::Sever(SERVERS, SERVERS + 1, Cut::Silent),
    Fault::Sever(SERVERS, SERVERS + 1, Cut::Resets),
    Fault::Blind(SERVERS, Cut::Silent),
    Fault::Blind(SERVERS, Cut::Resets),
    Fault::Blind(SERVERS + 1, Cut::Silent),
    Fault::Blind(SERVERS + 1, Cut::Resets),
    Fault::Slow(SERVERS, 300_000),
];

/// The steps of a switchover. The numbers count the times of one way over the network.
const STEPS: [InterruptedAt; 17] = [
    InterruptedAt::Asked(0),
    InterruptedAt::Asked(1),
    InterruptedAt::Withdrawn(0),
    InterruptedAt::Withdrawn(1),
    InterruptedAt::Withdrawn(2),
    InterruptedAt::Withdrawn(4),
    InterruptedAt::Chosen(0),
    InterruptedAt::Chosen(1),
    InterruptedAt::Chosen(2),
    InterruptedAt::Chosen(3),
    InterruptedAt::Chosen(4),
    InterruptedAt::Chosen(5),
    InterruptedAt::Chosen(6),
    InterruptedAt::Chosen(8),
    InterruptedAt::Chosen(10),
    InterruptedAt::Chosen(12),
    InterruptedAt::Chosen(16),
];

#[derive(Debug, Clone, Copy)]
enum InterruptedAt {
    Asked(u64),
    Withdrawn(u64),
    Chosen(u64),
}

/// How many seeds interrupt a switchover by every fault, each at another step.
pub(crate) const FAULTS: u64 = (AROUND.len() + SERVERS_FAIL.len()) as u64;

impl Schedule {
    /// A switchover with one fault in the middle, and nothing else.
    ///
    /// 612 seeds strike with every fault at every step. In the next 612 seeds the old primary is also voted down,
    /// though the leader sees it serve, and HAProxies are slow to follow. The two kinds take turns.
    pub(crate) fn interrupted(seed: u64) -> Self {
        let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x5317_c400));
        let index = |number: u64, of: usize| usize::try_from(number % of as u64).expect("few");
        let kinds = AROUND.len() + SERVERS_FAIL.len();
        let number = index(seed, kinds);
        let voted_down = seed / (FAULTS * STEPS.len() as u64) % 2 == 1;
        let step = STEPS[index(seed / FAULTS + seed % FAULTS, STEPS.len())];
        let mut schedule = Self {
            keepers: 3,
            nodes: 3,
            clusters: 1,
            colocated: false,
            drifts: chance.drifts(3),
            faults: Vec::new(),
            healed: 14_000_000,
            kind: if number < AROUND.len() && !voted_down {
                Kind::SwitchoverOnly
            } else {
                Kind::Anything
            },
            newcomers: 0,
            ..Self::at_random(seed)
        };
        let ways = |ways: u64| ways * schedule.latency;
        let jitter = chance.between(0, schedule.latency);
        let when = match step {
            InterruptedAt::Asked(after) => When::At(ASKED + ways(after) + jitter),
            InterruptedAt::Withdrawn(after) => When::Withdrawal {
                number: 1,
                after: ways(after) + jitter,
            },
            InterruptedAt::Chosen(after) => When::Choice {
                number: 1,
                after: ways(after) + jitter,
            },
        };
        let lasts = chance.pick(&[100_000, 900_000, 2_500_000, 5_000_000]);
        schedule.faults = vec![
            Planned {
                when: When::At(ASKED),
                lasts: 0,
                fault: Fault::Switchover(0, Some(1)),
            },
            Planned {
                when,
                lasts: chance.between(lasts / 2, lasts),
                fault: *AROUND
                    .iter()
                    .chain(&SERVERS_FAIL)
                    .nth(number)
                    .expect("one of them"),
            },
        ];
        if voted_down {
            // The last answer is up to a tick old by then.
            let late = schedule.tick * 1_000 + ways(10);
            let silent_from = ASKED + chance.between(0, late);
            schedule.faults.push(Planned {
                when: When::At(silent_from - schedule.mark_down * 1_000),
                lasts: schedule.mark_down * 1_000 + chance.between(500_000, 4_000_000),
                fault: Fault::BlindOthers(SERVERS, Cut::Silent),
            });
            let slow = (CLIENTS..HOSTS).map(|host| Planned {
                when: When::At(ASKED),
                lasts: 2_000_000,
                fault: Fault::Slow(host, 250_000),
            });
            schedule.faults.extend(slow);
        }
        schedule
    }
}
