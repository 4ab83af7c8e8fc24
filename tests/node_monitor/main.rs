//! The node monitor on virtual time, with servers in the test process.

mod anew;
#[path = "../fakes/clock.rs"]
mod clock;
mod facts;
#[path = "../fakes/redis.rs"]
#[allow(dead_code)]
mod fake_redis;
mod probing;
mod silence;
#[path = "../fakes/time.rs"]
mod time;
mod trial;
mod unproven;
mod votes;
mod watch;
