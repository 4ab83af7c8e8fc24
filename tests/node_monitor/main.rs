//! The node monitor on virtual time, with servers in the test process.

#[path = "../fakes/clock.rs"]
mod clock;
mod facts;
#[path = "../fakes/redis.rs"]
#[allow(dead_code)]
mod fake_redis;
mod new_connection;
mod probing;
mod silence;
#[path = "../fakes/time.rs"]
mod time;
mod trial;
mod unproven;
mod votes;
mod watch;
