//! Every reason and every action that the program puts into words, with the placeholders of docs/decisions.md as
//! values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis_keeper::domain::brake::Brake;
use redis_keeper::domain::claims::OverlapRole;
use redis_keeper::domain::confirmation::{ConfirmationReason, Flapping, Inquiry};
use redis_keeper::domain::drain::Proxy;
use redis_keeper::domain::election::Ineligibility;
use redis_keeper::domain::facts::{MinReplicas, Mode, ServerFailover};
use redis_keeper::domain::failsafe::ConsentRefusal;
use redis_keeper::domain::group::{GroupToken, OtherGroup, ProbeName};
use redis_keeper::domain::hindrance::HindranceKind;
use redis_keeper::domain::identity::{KeeperProcess, Nonce};
use redis_keeper::domain::lease::Unacknowledged;
use redis_keeper::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use redis_keeper::domain::plan::{Action, HindranceAction, Hold, StateChange};
use redis_keeper::domain::published::{Intent, Published, Step};
use redis_keeper::domain::rehearsal::RehearsalObstacle;
use redis_keeper::domain::rivals::{Astray, LeadsTo};

/// Samples of a type, at least one for each pattern. The patterns cover the type: with a new variant the list does
/// not compile before it has a sample.
macro_rules! samples {
    ($type:ty { $($pattern:pat => [$($sample:expr),+ $(,)?],)+ }) => {{
        let covers = |sample: &$type| match sample {
            $($pattern => (),)+
        };
        let mut samples: Vec<$type> = Vec::new();
        $($(
            let sample: $type = $sample;
            assert!(matches!(&sample, $pattern), "a sample of another variant: {sample:?}");
            samples.push(sample);
        )+)+
        samples.iter().for_each(covers);
        samples
    }};
}

const SPAN: Duration = Duration::from_millis(1_500);

/// When holds end; they are read at `Moment::default()`.
const UNTIL: Moment = Moment(SPAN);

fn node(name: &str) -> NodeAddr {
    NodeAddr::new(name, 6379)
}

fn a() -> NodeAddr {
    node("A")
}

fn b() -> NodeAddr {
    node("B")
}

fn any() -> NodeAddr {
    node("NODE")
}

fn why() -> String {
    "WHY".to_owned()
}

fn keeper() -> KeeperId {
    KeeperId::new("KEEPER")
}

fn keepers() -> BTreeSet<KeeperId> {
    [KeeperId::new("KEEPERS")].into()
}

fn process() -> KeeperProcess {
    KeeperProcess::new(keeper(), Nonce::new("7"))
}

fn nodes() -> Vec<NodeAddr> {
    vec![node("NODES")]
}

fn cluster() -> ClusterName {
    ClusterName::new("NAME")
}

fn group() -> GroupToken {
    GroupToken::drawn(7)
}

fn other_group() -> OtherGroup {
    OtherGroup {
        group: group(),
        keeper: keeper(),
        rest: node("ADDRESS"),
        place: "ZooKeeper".to_owned(),
        cluster: cluster(),
        primary: Some(any()),
    }
}

fn astray(leads_to: LeadsTo) -> Box<Astray> {
    Box::new(Astray {
        leads_to,
        name: ProbeName {
            group: group(),
            keeper: keeper(),
            rest: node("ADDRESS"),
        },
        nodes: nodes().into_iter().collect(),
    })
}

/// The holds of [`HindranceAction`]s.
fn hindered() -> Vec<Hold> {
    let actions = samples!(HindranceAction {
        HindranceAction::Nothing => [HindranceAction::Nothing],
        HindranceAction::Switchover(..) => [HindranceAction::Switchover(b(), UNTIL)],
        HindranceAction::NoSwitchover(_) => [HindranceAction::NoSwitchover(why())],
        HindranceAction::Replaced(_) => [
            HindranceAction::Replaced(Some(SPAN)),
            HindranceAction::Replaced(None),
        ],
    });
    let kinds = samples!(HindranceKind {
        HindranceKind::Misconf => [HindranceKind::Misconf],
        HindranceKind::Busy => [HindranceKind::Busy],
    });
    let both = kinds.into_iter().flat_map(|kind| {
        let actions = actions.clone().into_iter();
        actions.map(move |then| (kind, then))
    });
    let happens = both.filter(|(kind, then)| match then {
        HindranceAction::Nothing => true,
        HindranceAction::Replaced(_) => *kind == HindranceKind::Busy,
        HindranceAction::Switchover(..) | HindranceAction::NoSwitchover(_) => {
            *kind == HindranceKind::Misconf
        }
    });
    let holds = happens.map(|(kind, then)| Hold::Hindered {
        node: if then == HindranceAction::Nothing {
            b()
        } else {
            a()
        },
        kind,
        said: "SAID".to_owned(),
        then,
    });
    holds.collect()
}

fn unconfirmed() -> Vec<Hold> {
    let reasons = samples!(ConfirmationReason {
        ConfirmationReason::Answers => [ConfirmationReason::Answers],
        ConfirmationReason::Elsewhere => [ConfirmationReason::Elsewhere],
        ConfirmationReason::Voters(_) => [ConfirmationReason::Voters(keepers())],
        ConfirmationReason::Brake(..) => [ConfirmationReason::Brake(Brake::default(), keepers())],
    });
    let holds = reasons.into_iter();
    holds.map(|reason| Hold::Unconfirmed(a(), reason)).collect()
}

fn overlaps() -> Vec<Hold> {
    let parts = samples!(OverlapRole {
        OverlapRole::Unpublished => [OverlapRole::Unpublished],
        OverlapRole::Heir => [OverlapRole::Heir],
        OverlapRole::Held => [OverlapRole::Held],
        OverlapRole::Without => [OverlapRole::Without],
        OverlapRole::Managed => [OverlapRole::Managed],
    });
    let holds = parts.into_iter().map(|part| Hold::Overlaps {
        cluster: cluster(),
        nodes: nodes().into_iter().collect(),
        part,
    });
    holds.collect()
}

fn failing_over(outside: Option<NodeAddr>) -> Hold {
    Hold::FailingOver {
        node: a(),
        state: ServerFailover::InProgress,
        outside,
    }
}

fn refused(replaced: Option<NodeAddr>) -> Hold {
    let refusals = [(b(), Ineligibility::Down), (node("C"), Ineligibility::Down)];
    let refusals = BTreeMap::from(refusals);
    Hold::NoneEligible { replaced, refusals }
}

fn silent_keepers(withdrawn: bool) -> Hold {
    let until = [(keeper(), UNTIL)].into();
    Hold::SilentKeepers { until, withdrawn }
}

fn more_held(bytes: Option<u64>) -> Hold {
    Hold::MayHoldMore {
        node: b(),
        why_undecided: why(),
        best: any(),
        bytes,
    }
}

fn not_commandable(all: bool) -> Hold {
    Hold::NotCommandable {
        nodes: nodes(),
        why: why(),
        all,
    }
}

/// Every hold.
pub(crate) fn holds() -> Vec<Hold> {
    let mut holds = holds_of_one_kind();
    holds.extend(unconfirmed());
    holds.extend(overlaps());
    holds.extend(hindered());
    holds
}

#[allow(clippy::too_many_lines)] // A list.
fn holds_of_one_kind() -> Vec<Hold> {
    let sentinel = || "NAME".to_owned();
    samples!(Hold {
        Hold::Undecided(_) => [Hold::Undecided(vec![(any(), why())])],
        Hold::Unconfirmed(..) => [Hold::Unconfirmed(a(), ConfirmationReason::Answers)],
        Hold::Flapping(..) => [Hold::Flapping(a(), Flapping {
            times: 3,
            within: Duration::from_secs(50),
            until: Moment::default(),
        })],
        Hold::Unacknowledged(_) => [Hold::Unacknowledged(Unacknowledged {
            keepers: keepers(),
            ..Unacknowledged::default()
        })],
        Hold::SilentKeepers { .. } => [silent_keepers(true), silent_keepers(false)],
        Hold::Draining { .. } => [Hold::Draining {
            node: a(),
            up: [Proxy {
                name: "HAPROXY".to_owned(),
                backend: "BACKEND".to_owned(),
                address: None,
            }].into(),
            untold: keepers(),
            until: UNTIL,
            drain: SPAN,
        }],
        Hold::NoNodeUp => [Hold::NoNodeUp],
        Hold::NoneEligible { .. } => [refused(Some(a())), refused(None)],
        Hold::SentinelAtWork { .. } => [
            Hold::SentinelAtWork { node: any(), sentinel: sentinel(), until: None },
            Hold::SentinelAtWork { node: any(), sentinel: sentinel(), until: Some(UNTIL) },
        ],
        Hold::SentinelPassedOver { .. } => [
            Hold::SentinelPassedOver { node: any(), sentinel: sentinel() },
        ],
        Hold::SentinelChannel { .. } => [Hold::SentinelChannel { node: any(), clients: 7 }],
        Hold::OtherGroup(_) => [Hold::OtherGroup(Box::new(other_group()))],
        Hold::Overlaps { .. } => [Hold::Overlaps {
            cluster: cluster(),
            nodes: nodes().into_iter().collect(),
            part: OverlapRole::Unpublished,
        }],
        Hold::Contended { .. } => [Hold::Contended { cluster: cluster(), keepers: keepers() }],
        Hold::ChangedFromOutside { .. } => [Hold::ChangedFromOutside { until: UNTIL }],
        Hold::WrongMode(..) => [
            Hold::WrongMode(any(), Mode::Cluster),
            Hold::WrongMode(any(), Mode::Sentinel),
        ],
        Hold::SameServer(..) => [Hold::SameServer(any(), any())],
        Hold::ReplicatesFromOutside { .. } => [
            Hold::ReplicatesFromOutside { node: b(), primary: node("SERVER") },
        ],
        Hold::FailingOver { .. } => [failing_over(None), failing_over(Some(node("SERVER")))],
        Hold::Astray { .. } => [
            Hold::Astray { first: astray(LeadsTo::Myself), more: 0 },
            Hold::Astray { first: astray(LeadsTo::Nobody(why())), more: 7 },
        ],
        Hold::Unrelated { .. } => [Hold::Unrelated { kept: a(), other: b() }],
        Hold::FollowsAnother { .. } => [Hold::FollowsAnother { node: b(), primary: a() }],
        Hold::Stranger { .. } => [Hold::Stranger { node: a() }],
        Hold::CameBackBehind { .. } => [Hold::CameBackBehind { node: a(), holder: b() }],
        Hold::CameBack { .. } => [Hold::CameBack { node: a(), holder: b() }],
        Hold::BothWentOn { .. } => [Hold::BothWentOn { primary: a(), other: b() }],
        Hold::MayHoldMore { .. } => [more_held(Some(7)), more_held(None)],
        Hold::NotInFile { .. } => [
            Hold::NotInFile { node: a(), voters: 0 },
            Hold::NotInFile { node: a(), voters: 2 },
        ],
        Hold::ShuttingDown { .. } => [Hold::ShuttingDown { node: a(), until: UNTIL, why: why() }],
        Hold::PrimaryLoading(_) => [Hold::PrimaryLoading(a())],
        Hold::FailedLately { .. } => [Hold::FailedLately { node: any(), why: why() }],
        Hold::NotCommandable { .. } => [not_commandable(true), not_commandable(false)],
        Hold::Hindered { .. } => [Hold::Hindered {
            node: b(),
            kind: HindranceKind::Busy,
            said: "SAID".to_owned(),
            then: HindranceAction::Nothing,
        }],
        Hold::RefusesForReplicas { .. } => [
            Hold::RefusesForReplicas { node: a(), to_write: 2, in_touch: 1 },
        ],
        Hold::WouldRefuseForReplicas { .. } => [
            Hold::WouldRefuseForReplicas { primary: a(), node: b(), to_write: 2, replicas: 1 },
        ],
        Hold::NotLinked(_) => [Hold::NotLinked(b())],
        Hold::ReplicasWaiting(_) => [Hold::ReplicasWaiting(nodes())],
        Hold::NoSwitchover(_) => [Hold::NoSwitchover(why())],
        Hold::CoolingDown { .. } => [Hold::CoolingDown {
            node: a(),
            replaced: Some(b()),
            generation: Generation(7),
            until: UNTIL,
            cooldown: SPAN,
        }],
        Hold::MinReplicasOutOfReach { .. } => [
            Hold::MinReplicasOutOfReach { node: any(), why: why() },
        ],
        Hold::TooFewReplicas { .. } => [
            Hold::TooFewReplicas { node: any(), demanded: 2, online: 1 },
        ],
    })
}

/// Every reason why a node may not take over.
pub(crate) fn refusals() -> Vec<Ineligibility> {
    use Ineligibility as Why;
    samples!(Ineligibility {
        Why::Replaced => [Why::Replaced],
        Why::Down => [Why::Down],
        Why::NotSeenByMajority => [Why::NotSeenByMajority],
        Why::Unfit => [Why::Unfit],
        Why::NotAnswering(_) => [Why::NotAnswering(why())],
        Why::WrongMode => [Why::WrongMode],
        Why::AliasOf(_) => [Why::AliasOf(any())],
        Why::Loading => [Why::Loading],
        Why::ShuttingDown => [Why::ShuttingDown],
        Why::Busy => [Why::Busy],
        Why::NeverByPriority => [Why::NeverByPriority],
        Why::NeverSynced => [Why::NeverSynced],
        Why::OtherData => [Why::OtherData],
        Why::HistoryUnknown => [Why::HistoryUnknown],
        Why::Empty => [Why::Empty],
        Why::TooFarBehind { .. } => [Why::TooFarBehind { behind: 7, limit: 6 }],
        Why::NotCommandable(_) => [Why::NotCommandable(why())],
        Why::FailedLately(_) => [Why::FailedLately(why())],
    })
}

fn writes() -> Vec<Action> {
    let changes = samples!(StateChange {
        StateChange::Withdraw => [StateChange::Withdraw],
        StateChange::Publish => [StateChange::Publish],
        StateChange::Resume => [StateChange::Resume],
        StateChange::Accept => [StateChange::Accept],
        StateChange::Note => [StateChange::Note],
    });
    let writes = changes.into_iter().map(|change| Action::Write {
        state: Published {
            primary: Some(any()),
            intent: Some(Intent {
                epoch: Epoch(7),
                old: Some(any()),
                old_run_id: None,
                switchover: None,
                candidate: None,
                step: Step::Withdrawn,
                reason: String::new(),
            }),
            ..Published::default()
        },
        change,
    });
    writes.collect()
}

fn promote(through: Option<KeeperId>) -> Action {
    Action::Promote {
        node: any(),
        state: Published::default(),
        through,
    }
}

/// Every action of a plan.
pub(crate) fn actions() -> Vec<Action> {
    let mut actions = samples!(Action {
        Action::Write { .. } => [Action::Write {
            state: Published::default(),
            change: StateChange::Note,
        }],
        Action::TakeOver(_) => [Action::TakeOver(cluster())],
        Action::LookFirst(_) => [Action::LookFirst(nodes().into_iter().collect())],
        Action::Confirm(_) => [Action::Confirm(Inquiry {
            primary: any(),
            successor: b(),
            through: None,
        })],
        Action::AskVoters(_) => [Action::AskVoters(any())],
        Action::Promote { .. } => [promote(None), promote(Some(keeper()))],
        Action::Switch { .. } => [Action::Switch {
            from: any(),
            to: any(),
            state: Published::default(),
            drain: SPAN,
        }],
        Action::Follow { .. } => [Action::Follow {
            nodes: nodes(),
            primary: any(),
            through: BTreeMap::new(),
        }],
        Action::SetMinReplicas { .. } => [Action::SetMinReplicas {
            node: any(),
            values: MinReplicas { to_write: 1, max_lag: 10 },
        }],
    });
    actions.extend(writes());
    actions
}

/// Every reason why a keeper does not consent.
pub(crate) fn consent_refusals() -> Vec<ConsentRefusal> {
    use ConsentRefusal as Why;
    samples!(ConsentRefusal {
        Why::NoAddressee => [Why::NoAddressee],
        Why::OtherProcess { .. } => [Why::OtherProcess { asked: process(), is: process() }],
        Why::SharedAddress(..) => [Why::SharedAddress(keeper(), keeper())],
        Why::Myself(_) => [Why::Myself(keeper())],
        Why::NeverRead => [Why::NeverRead],
        Why::InContact => [Why::InContact],
        Why::OtherGeneration { .. } => [Why::OtherGeneration {
            holds: Generation(7),
            asked: Generation(6),
        }],
        Why::Unasked(_) => [Why::Unasked(keeper())],
        Why::Off => [Why::Off],
    })
}

/// Every reason why a keeper cannot be asked for its consent.
pub(crate) fn obstacles() -> Vec<RehearsalObstacle> {
    use RehearsalObstacle as Why;
    samples!(RehearsalObstacle {
        Why::Unresolved(_) => [Why::Unresolved(why())],
        Why::Unreachable(_) => [Why::Unreachable(why())],
        Why::Refused(_) => [Why::Refused(why())],
        Why::Other(_) => [Why::Other(process())],
        Why::Myself => [Why::Myself],
        Why::FormerBuild => [Why::FormerBuild],
        Why::SharedAddress(_) => [Why::SharedAddress(keeper())],
        Why::Predecessor { .. } => [Why::Predecessor { gone: keeper(), of: keeper() }],
        Why::Loopback => [Why::Loopback],
    })
}
