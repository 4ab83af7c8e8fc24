//! The set-up of a run: the servers, the ensemble and the keepers of a schedule, and the keepers' configuration.

use std::collections::BTreeMap;
use std::rc::Rc;

use redis_keeper::config::Config;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use serde_json::json;

use super::{LEASE, Run};
use crate::faults::Site;
use crate::keeper::{Keeper, Surroundings};
use crate::names::{alias, otherwise};
use crate::network::{Host, Network};
use crate::oracle::{Oracle, Times};
use crate::peers::{Interfaces, advertised};
use crate::redis::Fleet;
use crate::schedule::{ENSEMBLE, KEEPERS, Kind, Oddity, Schedule};
use crate::world::World;
use crate::zookeeper::Ensemble;

impl Run {
    pub(super) fn set_up(schedule: Schedule, world: &Rc<World>) -> Self {
        let network = Network::new(Rc::clone(world), schedule.latency);
        let ensemble = Ensemble::new(Rc::clone(world), Rc::clone(&network), ENSEMBLE);
        let fleet = Fleet::new(Rc::clone(world), Rc::clone(&network), schedule.append_only);
        let nodes: BTreeMap<ClusterName, Vec<(NodeAddr, Host)>> = (0..schedule.clusters)
            .map(|cluster| {
                let node = |number| {
                    let addr = NodeAddr::new(format!("10.0.{cluster}.{}", number + 1), 6379);
                    (addr, schedule.server_host(number))
                };
                let name = ClusterName::new(format!("cluster-{cluster}"));
                (name, (0..schedule.nodes).map(node).collect())
            })
            .collect();
        fleet.populate(&nodes);
        let choosy = schedule.kind == Kind::PrimaryOnly;
        let oracle = Oracle::new(
            Rc::clone(world),
            [LEASE, schedule.consent * 1_000],
            Times {
                mark_down: schedule.mark_down * 1_000,
                tick: schedule.tick * 1_000,
                probe_timeout: schedule.tick.min(schedule.mark_down / 4) * 1_000,
                busy: schedule.busy.is_some(),
            },
            choosy,
            (0..schedule.keepers)
                .flat_map(|number| nodes.keys().map(move |name| (number, name)))
                .map(|(number, name)| called(number, &schedule, name))
                .chain(nodes.keys().cloned()),
        );
        fleet.judged_by(Rc::clone(&oracle));
        let interfaces =
            Interfaces::new(Rc::clone(world), Rc::clone(&network), schedule.addressing);
        interfaces.judged_by(&oracle);
        let around = Surroundings {
            world: Rc::clone(world),
            network,
            ensemble,
            fleet,
            interfaces,
        };
        let keepers = (0..schedule.keepers + schedule.newcomers).map(|number| {
            let host = KEEPERS + Host::try_from(number).expect("few hosts");
            let config = config(number, &schedule, &nodes);
            let drift = schedule.drifts.get(number).copied().unwrap_or_default();
            let keeper = Keeper::new(&around, config, host, drift);
            if number >= schedule.keepers {
                keeper.joins_later();
            }
            keeper
        });
        let keepers = Rc::new(keepers.collect());
        let site = Rc::new(Site {
            around,
            keepers,
            nodes: nodes
                .values()
                .flatten()
                .map(|(addr, _)| addr.clone())
                .collect(),
            clusters: nodes.keys().cloned().collect(),
            oracle,
        });
        Self {
            schedule,
            site,
            nodes,
            ledger: Rc::default(),
            safe: Rc::default(),
        }
    }
}

/// The name of a cluster in the file of the keeper with this number.
pub(super) fn called(number: usize, schedule: &Schedule, name: &ClusterName) -> ClusterName {
    if schedule.odd_file == Some((number, Oddity::Called)) {
        otherwise(name)
    } else {
        name.clone()
    }
}

/// The configuration of the keeper with this number.
pub(super) fn config(
    number: usize,
    schedule: &Schedule,
    nodes: &BTreeMap<ClusterName, Vec<(NodeAddr, Host)>>,
) -> Config {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let seconds = |milliseconds: u64| milliseconds as f64 / 1_000.0;
    let odd = schedule.odd_file.filter(|(keeper, _)| *keeper == number);
    let named = schedule.named.then_some(Oddity::Named);
    let oddity = odd.map(|(_, oddity)| oddity).or(named);
    let clusters: Vec<_> = nodes
        .iter()
        .map(|(name, nodes)| {
            let listed = nodes
                .iter()
                .enumerate()
                .filter_map(|(place, (addr, _))| match oddity {
                    Some(Oddity::Lacks(node)) if node == place => None,
                    Some(Oddity::Named) => Some(alias(addr)),
                    _ => Some(addr.clone()),
                });
            let nodes: Vec<_> = listed
                .map(|addr| json!({"host": addr.host(), "port": addr.port()}))
                .collect();
            json!({"name": called(number, schedule, name).as_str(), "nodes": nodes})
        })
        .collect();
    let text = json!({
        "keeper-id": format!("keeper-{}", number + 1),
        "zk-quorum": ["10.1.0.1:2181"],
        "zk-session-timeout-seconds": 2,
        "lease-seconds": seconds(LEASE / 1_000),
        "rest-host": format!("10.1.1.{}", number + 1),
        "rest-advertise": advertised(number, schedule.addressing),
        "failsafe": schedule.failsafe.is_some(),
        "failsafe-consent-seconds": seconds(schedule.consent),
        "failsafe-max-seconds": schedule.failsafe.unwrap_or(3_600),
        "tick-seconds": seconds(schedule.tick),
        "seconds-mark-down": seconds(schedule.mark_down),
        "busy-seconds": seconds(schedule.busy.unwrap_or_default()),
        "failover-tick-seconds": seconds(schedule.failover_tick),
        "write-safety": if schedule.write_safety { "majority" } else { "none" },
        "clusters": clusters,
    });
    let parsed = Config::parse("simulated.conf", &text.to_string(), std::iter::empty());
    parsed.unwrap_or_else(|problems| panic!("{problems}")).0
}
