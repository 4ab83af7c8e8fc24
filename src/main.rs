//! The `redis-keeper` program.

fn main() {}
