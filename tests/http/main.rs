//! The HTTP interface over real sockets, and behind a real HAProxy.

mod admin;
mod checks;
mod consents;
mod fake;
mod groups;
mod haproxy;
mod operations;
mod requests;
mod served;
