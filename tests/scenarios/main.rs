//! Scenarios with real servers: `redis-server`, ZooKeeper and HAProxy as child processes, and the built
//! `redis-keeper`.
//!
//! `tests/run.sh` installs what the scenarios need. Each test takes a network of its own. So all tests may run at
//! once, also beside other copies of this binary.

mod alarms;
mod brake;
mod breaker;
mod busy;
mod by_hand;
mod check;
mod check_cluster;
mod client_kills;
mod command_line;
mod commandable;
mod demo;
mod departure;
mod discovery;
mod disk_full;
mod drained;
mod election;
mod end_of_cut;
mod errors_at_address;
mod failover;
mod failsafe;
mod files;
mod flapping;
mod fresh_facts;
mod from_sentinel;
mod frozen;
mod groups;
mod handover;
mod haproxies;
mod harness;
mod held_elsewhere;
mod host_loss;
mod impostors;
mod json_log;
mod keepers;
mod logins;
mod min_replicas;
mod misnamed;
mod newcomers;
mod other_deployments;
mod out_of_sight;
mod process;
mod proof_of_life;
mod proxied;
mod reach;
mod restore;
mod returning;
mod samples;
mod set_back;
mod settings;
mod shutdown;
mod silence;
mod state_header;
mod storm;
mod story;
#[expect(
    dead_code,
    reason = "the scenarios that need the rest follow the daemon"
)]
mod support;
mod switchover;
mod tls;
mod unsteady;
mod versions;
mod votes;
mod who_leads;
mod write_safety;
