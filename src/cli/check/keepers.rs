//! Checks whether the registered keepers could ask each other for consent, and would find this one (RK-8).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::findings::Subject;
use crate::adapters::place::place;
use crate::config::Config;
use crate::domain::identity::{KeeperProcess, Nonce, Place};
use crate::domain::keepers::failsafe_member::FailsafeMember;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::node::KeeperId;
use crate::domain::rehearsal::{
    Address, Addresses, RehearsalObstacle, RehearsalRequest, answered, own_address, sharing,
};
use crate::layout::paths;
use crate::layout::state::Document as _;
use crate::ports::coordination::{CoordinationError, Session};
use crate::ports::peers::Peers;

/// The time limit for resolving a name, and for a keeper's answer.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(3);

const REMEDY: &str = "start it if it does not run; else set rest-advertise of each keeper to an address of its own that all others reach";

/// A warning if another keeper that is online holds the id in `config`. A keeper at another address is another
/// keeper.
pub(super) async fn id_taken(
    config: &Config,
    session: &dyn Session,
    peers: &dyn Peers,
) -> Option<Subject> {
    let id = &config.keeper_id;
    let record = session.get(&paths::keeper(id)).await.ok().flatten()?;
    let record = KeeperRecord::decode(&record.data).ok()?;
    let own = config.rest.advertise.to_string();
    let [ours, theirs] =
        [&own, &record.rest].map(|rest| timeout(KEEPER_TIMEOUT, peers.resolve(rest)));
    let [ours, theirs] = [ours.await, theirs.await].map(|it| it.ok().and_then(Result::ok));
    let [ours, theirs] = [(&own, &ours), (&record.rest, &theirs)].map(|(rest, resolved)| Address {
        rest,
        resolved: resolved.as_ref(),
    });
    if ours.is_shared_with(&theirs) {
        return None;
    }
    let text = format!(
        "another keeper that is online holds this id: {} at {}, and this file advertises {own}. A keeper started with this \
         file ends at once",
        record.process, record.rest
    );
    let remedy = "give this keeper a keeper-id of its own; if that process is this keeper with its former address, restart it";
    Some(Subject::new(format!("keeper-id {id}")).warning(text, remedy))
}

/// A keeper that is registered, or the one of the configuration.
struct Keeper {
    registration: FailsafeMember,
    addresses: Result<BTreeSet<SocketAddr>, String>,
}

type Keepers = BTreeMap<KeeperId, Keeper>;

/// Checks each member of the failsafe group, and the keeper of `config` even if that one does not run.
pub(super) async fn look(
    config: &Config,
    session: &dyn Session,
    peers: &dyn Peers,
) -> Vec<Subject> {
    if config.timing.failsafe.is_none() {
        return Vec::new();
    }
    let registered = match registered(session).await {
        Ok(registered) => registered,
        // There are no nodes below the prefix yet.
        Err(CoordinationError::NoNode(_)) => return Vec::new(),
        Err(error) => {
            let subject = Subject::new("keepers");
            return vec![subject.problem(format!("cannot be read: {error}"), "try again")];
        }
    };
    let keepers = with_own(config, registered);
    let keepers = join_all(keepers.into_iter().map(async |(id, registration)| {
        let late = || Err(format!("no answer within {KEEPER_TIMEOUT:?}"));
        let addresses = timeout(KEEPER_TIMEOUT, peers.resolve(&registration.rest)).await;
        let addresses = addresses.unwrap_or_else(|_| late());
        let keeper = Keeper {
            registration,
            addresses,
        };
        (id, keeper)
    }));
    let keepers: Keepers = keepers.await.into_iter().collect();
    let looks = keepers.iter().map(async |(id, keeper)| {
        let subject = Subject::new(format!("keeper {id} at {}", keeper.registration.rest));
        match obstacle(id, &keepers, peers).await {
            Ok(note) => subject.note(note),
            Err(why @ RehearsalObstacle::FormerBuild) => {
                let cost = "without ZooKeeper no keeper goes on as long as it runs";
                subject.warning(format!("{why}: {cost}"), "upgrade it: docs/upgrade.md")
            }
            Err(why) => subject.problem(format!("failsafe: {why}"), REMEDY),
        }
    });
    join_all(looks).await
}

async fn registered(
    session: &dyn Session,
) -> Result<BTreeMap<KeeperId, FailsafeMember>, CoordinationError> {
    let names = session.children(paths::FAILSAFE_MEMBERS).await?.names;
    let mut registered = BTreeMap::new();
    for id in names.into_iter().map(KeeperId::new) {
        let node = session.get(&paths::registration(&id)).await?;
        let registration = node.and_then(|node| FailsafeMember::decode(&node.data).ok());
        registered.extend(registration.map(|registration| (id, registration)));
    }
    Ok(registered)
}

/// Adds the keeper of `config`, if it is not registered, with the registration that it would make.
fn with_own(
    config: &Config,
    mut registered: BTreeMap<KeeperId, FailsafeMember>,
) -> BTreeMap<KeeperId, FailsafeMember> {
    let own = FailsafeMember {
        rest: config.rest.advertise.to_string(),
        place: Some(place()),
        ..FailsafeMember::default()
    };
    registered.entry(config.keeper_id.clone()).or_insert(own);
    registered
}

/// Checks one keeper from here.
///
/// # Errors
/// The obstacle because of which the keeper could not be asked.
async fn obstacle(
    id: &KeeperId,
    keepers: &Keepers,
    peers: &dyn Peers,
) -> Result<&'static str, RehearsalObstacle> {
    let keeper = &keepers[id];
    let addresses = keeper
        .addresses
        .clone()
        .map_err(RehearsalObstacle::Unresolved)?;
    let all: Addresses<'_> = keepers.iter().map(address).collect();
    if let Some(other) = sharing(id, &all) {
        return Err(RehearsalObstacle::SharedAddress(other.clone()));
    }
    let places = keepers.values();
    let places: BTreeSet<&Place> = places
        .filter_map(|it| it.registration.place.as_ref())
        .collect();
    own_address(&addresses, places.len() > 1)?;
    let Some(nonce) = keeper.registration.nonce.clone() else {
        // The registration has neither a list nor a nonce: the keeper of the configuration, which does not run.
        let runs = keeper.registration.asks.is_some();
        return if runs {
            Err(RehearsalObstacle::FormerBuild)
        } else {
            Ok("does not run")
        };
    };
    let request = RehearsalRequest {
        from: KeeperProcess::new(KeeperId::new("check"), Nonce::drawn(rand::random())),
        place: None,
        to: KeeperProcess::new(id.clone(), nonce),
    };
    let rest = &keeper.registration.rest;
    let late = || RehearsalObstacle::Unreachable(format!("no answer within {KEEPER_TIMEOUT:?}"));
    let answer = timeout(KEEPER_TIMEOUT, peers.rehearse(rest, &request)).await;
    let by = answer.unwrap_or_else(|_| Err(late()))?;
    answered(&request.to, by, &request.from)?;
    Ok("answers there")
}

fn address<'a>((id, keeper): (&'a KeeperId, &'a Keeper)) -> (&'a KeeperId, Address<'a>) {
    let address = Address {
        rest: &keeper.registration.rest,
        resolved: keeper.addresses.as_ref().ok(),
    };
    (id, address)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::{LocalBoxFuture, ready};

    use super::*;
    use crate::adapters::embedded::Embedded;
    use crate::domain::failsafe::ConsentRequest;
    use crate::domain::group::GroupAnswer;
    use crate::domain::node::{Generation, NodeAddr};
    use crate::ports::coordination::{Coordination, CreateKind};

    /// Other keepers, by address: the process that answers there.
    struct There(BTreeMap<String, KeeperProcess>);

    impl Peers for There {
        fn ask_consent(
            &self,
            _: &str,
            _: &ConsentRequest,
        ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>> {
            unreachable!("a look asks nobody for consent")
        }

        fn rehearse(
            &self,
            rest: &str,
            _: &RehearsalRequest,
        ) -> LocalBoxFuture<'static, Result<KeeperProcess, RehearsalObstacle>> {
            let refused = || RehearsalObstacle::Unreachable("refused".to_owned());
            ready(self.0.get(rest).cloned().ok_or_else(refused)).boxed_local()
        }

        fn resolve(
            &self,
            rest: &str,
        ) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>> {
            let found = rest.parse().map(|address| BTreeSet::from([address]));
            ready(found.map_err(|_| "unknown".to_owned())).boxed_local()
        }

        fn ask_group(
            &self,
            _: &NodeAddr,
            _: Option<&NodeAddr>,
        ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>> {
            unreachable!("a look at keepers asks nobody for its group")
        }
    }

    fn registration(rest: &str, bits: Option<u64>, place: &str) -> FailsafeMember {
        FailsafeMember {
            rest: rest.to_owned(),
            nonce: bits.map(Nonce::drawn),
            place: bits.map(|_| Place::new(place)),
            asks: Some(BTreeSet::new()),
            limit: Duration::from_secs(9),
        }
    }

    /// The findings about the keepers in `registered`, and about keeper-0 at `own`, which does not run.
    async fn said(
        own: &str,
        registered: &[(&str, FailsafeMember)],
        answering: &[(&str, &str, u64)],
    ) -> Vec<String> {
        let session = Embedded::new().connect().await.unwrap();
        let create = |path: &str, data: &[u8]| session.create(path, data, CreateKind::Persistent);
        create(paths::FAILSAFE_MEMBERS, b"").await.unwrap();
        for (id, registration) in registered {
            let path = paths::registration(&KeeperId::new(*id));
            create(&path, &registration.encode()).await.unwrap();
        }
        let there = answering.iter().map(|(rest, id, bits)| {
            let process = KeeperProcess::new(KeeperId::new(*id), Nonce::drawn(*bits));
            ((*rest).to_owned(), process)
        });
        let text = format!(
            r#"{{"keeper-id": "keeper-0", "zk-quorum": ["z:2181"], "rest-advertise": "{own}",
                "clusters": [{{"name": "c", "nodes": [{{"host": "a", "port": 1}}]}}]}}"#
        );
        let config = Config::parse("test", &text, std::iter::empty()).unwrap().0;
        let subjects = look(&config, &*session, &There(there.collect())).await;
        subjects.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn each_keeper_is_looked_for_where_it_says_it_is() {
        let registered = [
            ("keeper-1", registration("10.0.0.1:1", Some(1), "one")),
            ("keeper-2", registration("10.0.0.2:1", Some(2), "two")),
            ("keeper-3", registration("10.0.0.3:1", Some(3), "three")),
            ("keeper-4", registration("10.0.0.4:1", None, "four")),
            ("keeper-5", registration("nowhere:1", Some(5), "five")),
            ("keeper-6", registration("127.0.0.1:1", Some(6), "six")),
        ];
        let answering = [("10.0.0.1:1", "keeper-1", 1), ("10.0.0.2:1", "keeper-1", 1)];
        let said = said("10.0.0.9:1", &registered, &answering).await;
        let wanted = [
            ("ok       keeper keeper-0 at 10.0.0.9:1", "does not run"),
            ("ok       keeper keeper-1 at 10.0.0.1:1", "answers there"),
            (
                "problem  keeper keeper-2",
                "keeper-1 (process 0000000000000001) answers at its address",
            ),
            ("problem  keeper keeper-3", "it is not reached: refused"),
            (
                "warning  keeper keeper-4",
                "it cannot prove its consent: a former build",
            ),
            (
                "problem  keeper keeper-5",
                "its address does not resolve: unknown",
            ),
            ("problem  keeper keeper-6", "it is a loopback address"),
        ];
        assert_eq!(said.len(), wanted.len(), "{said:#?}");
        for (said, (begins, contains)) in said.iter().zip(wanted) {
            assert!(
                said.starts_with(begins) && said.contains(contains),
                "{said}"
            );
        }
    }

    #[tokio::test]
    async fn two_keepers_at_one_address_are_named_and_so_is_one_yet_to_be_started() {
        let registered = [("keeper-1", registration("10.0.0.1:1", Some(1), "one"))];
        let answering = [("10.0.0.1:1", "keeper-1", 1)];
        let said = said("10.0.0.1:1", &registered, &answering).await;
        assert!(
            said[0].contains("it has the same address as keeper-1"),
            "{}",
            said[0]
        );
        assert!(
            said[1].contains("it has the same address as keeper-0"),
            "{}",
            said[1]
        );
    }

    #[tokio::test]
    async fn an_id_that_another_keeper_holds_is_told_with_its_process_and_address() {
        let session = Embedded::new().connect().await.unwrap();
        let said = async |own: &str| {
            let text = format!(
                r#"{{"keeper-id": "k3", "zk-quorum": ["z:2181"], "rest-advertise": "{own}", "failsafe": false,
                    "clusters": [{{"name": "c", "nodes": [{{"host": "a", "port": 1}}]}}]}}"#
            );
            let config = Config::parse("test", &text, std::iter::empty()).unwrap().0;
            let subject = id_taken(&config, &*session, &There(BTreeMap::new())).await;
            subject.map(|subject| subject.to_string())
        };
        assert_eq!(said("10.0.0.3:1").await, None, "nobody holds it");
        let record = KeeperRecord {
            rest: "10.0.0.3:1".to_owned(),
            version: "1.0".to_owned(),
            process: "process 42 on host-3".to_owned(),
            lease: Duration::from_millis(800),
            failsafe: None,
            acknowledged: Generation(0),
            polls: None,
        };
        let create = |path: &str, data: &[u8]| session.create(path, data, CreateKind::Persistent);
        create(paths::KEEPERS, b"").await.unwrap();
        let path = paths::keeper(&KeeperId::new("k3"));
        create(&path, &record.encode()).await.unwrap();
        assert_eq!(said("10.0.0.3:1").await, None, "it is this one");
        let taken = said("10.0.0.4:1").await.expect("a finding");
        for part in [
            "warning  keeper-id k3",
            "process 42 on host-3",
            "10.0.0.3:1",
        ] {
            assert!(taken.contains(part), "{taken}");
        }
    }

    #[tokio::test]
    async fn on_one_host_loopback_addresses_are_in_order() {
        let here = place();
        let registered = [(
            "keeper-1",
            registration("127.0.0.1:1", Some(1), here.as_str()),
        )];
        let answering = [("127.0.0.1:1", "keeper-1", 1)];
        let said = said("127.0.0.1:2", &registered, &answering).await;
        assert!(said.iter().all(|said| said.starts_with("ok")), "{said:#?}");
    }
}
