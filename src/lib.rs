//! redis-keeper: keeps Redis and Valkey primary/replica clusters writable.
//!
//! The modules in the order in which the data flows. Dependencies point one way: `tests/architecture/` fails on a
//! back-edge.
//!
//! | module | what it is | may use |
//! |---|---|---|
//! | [`domain`] | the pure core: facts, votes, election, plan | nothing |
//! | [`config`] | the file and the environment, validated into domain types | domain |
//! | [`ports`] | the outside world for the actors, as traits | domain |
//! | [`layout`] | the nodes in ZooKeeper: paths and versioned JSON | domain |
//! | [`keeper_client`] | the HTTP client to other keepers | nothing |
//! | [`adapters`] | Redis, ZooKeeper, embedded coordination, other keepers, clocks | domain, ports, keeper_client |
//! | [`supervision`] | restart policy over actix | nothing |
//! | [`actors`] | thin shells around the core | domain, ports, layout, supervision |
//! | [`http`] | HAProxy checks, admin, health, metrics | domain, ports, keeper_client, supervision, actors |
//! | [`app`] | wiring: configuration + ports → supervision tree → server | all above |
//! | [`cli`] | subcommands | all above |

pub mod actors;
pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod keeper_client;
pub mod layout;
pub mod ports;
pub mod supervision;
