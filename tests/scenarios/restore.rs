//! An operator restores a backup, as docs/operations.md says.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_backup_that_is_restored_by_the_book_is_not_undone() {
    let net = Net::new();
    let redis = Redis::trio(&net).await;
    let [primary, first, second] = &redis;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("restore");
    let settings = Settings::new().cluster("cache", &redis);
    let keeper = Keeper::launch("keeper-1", &net, &prefix, &settings).await;
    primary.write_keys("backed-up", 100).await;
    // The backup is taken here, without the later writes.
    primary.save().await;
    primary.write_keys("too-much", 50).await;
    for replica in [first, second] {
        replica.wait_in_step_with(primary).await;
    }
    keeper
        .wait_topology("cache", primary, &[first, second])
        .await;

    for replica in [first, second] {
        replica.kill();
        replica.forget();
    }
    primary.kill();
    primary.revive().await;
    keeper.wait_primary("cache", primary).await;
    eventually(SOON, "it to be writable", async || {
        let says = keeper.is_writable("cache", primary).await;
        let says = says.map_err(|error| error.to_string())?;
        (says.code == 200).then_some(()).ok_or(format!("{says:?}"))
    })
    .await;
    for replica in [first, second] {
        replica.revive().await;
    }
    keeper
        .wait_topology("cache", primary, &[first, second])
        .await;
    for replica in [first, second] {
        replica.wait_in_step_with(primary).await;
        replica.wait_role(Role::Replica).await;
    }
    for redis in [primary, first, second] {
        assert_eq!(redis.key_count().await, 100);
    }
    keeper.wait_plan("cache", &["nothing to do"]).await;
}
