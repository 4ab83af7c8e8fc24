//! The keepers' questions to each other about published primaries, and the answers (RK-2, RK-11).

use redis_keeper::actors::messages::SetPoll;
use redis_keeper::domain::confirmation::{Finding, PollAnswer, PollState};
use redis_keeper::domain::node::{ClusterName, KeeperId};

use crate::time::on_virtual_time;
use crate::world::{HEARTBEAT, Keeper, World, eventually};

const CLUSTERS: usize = 50;

fn name(number: usize) -> String {
    format!("c{number:02}")
}

fn tell(keeper: &Keeper, cluster: &str, told: PollState) {
    let cluster = ClusterName::new(cluster);
    keeper.address.do_send(SetPoll { cluster, told });
}

fn told_by(teller: &str, at: &Keeper, cluster: &str) -> Option<PollState> {
    let shared = at.shared(cluster)?;
    shared.polls.get(&KeeperId::new(teller)).cloned()
}

#[test]
fn polls_of_all_clusters_and_their_answers_travel_in_a_few_heartbeats() {
    on_virtual_time(async {
        let (world, a, b) = World::pair().await;
        for number in 0..CLUSTERS {
            a.subscribe(&name(number)).await;
            b.subscribe(&name(number)).await;
        }
        let observer = world.observer().await;
        let version = async || {
            let node = observer.get("/keepers/a").await.expect("reachable");
            node.expect("a's heartbeat").version
        };
        let (before, began) = (version().await, world.now());
        let asks = PollState {
            asks: Some(7),
            ..PollState::default()
        };
        for number in 0..CLUSTERS {
            tell(&a, &name(number), asks.clone());
        }
        eventually("all are asked", async || {
            (0..CLUSTERS).all(|number| told_by("a", &b, &name(number)).as_ref() == Some(&asks))
        })
        .await;
        assert!(world.now().since(began) < HEARTBEAT, "without waiting");
        let written = version().await - before;
        assert!(written <= 3, "{written} writes for {CLUSTERS} clusters");

        let answer = PollAnswer {
            number: 7,
            finding: Finding::Silent,
        };
        let answers = PollState {
            asks: None,
            answers: [(KeeperId::new("a"), answer)].into(),
        };
        tell(&b, &name(3), answers.clone());
        eventually("it is answered", async || {
            told_by("b", &a, &name(3)).as_ref() == Some(&answers)
        })
        .await;
        tell(&a, &name(3), PollState::default());
        eventually("it is asked no more", async || {
            told_by("a", &b, &name(3)) == Some(PollState::default())
        })
        .await;
        assert_eq!(told_by("a", &b, &name(4)), Some(asks));
    });
}
