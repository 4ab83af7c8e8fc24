//! The HTTP interface over real sockets, and behind a real HAProxy.

mod checks;
mod fake;

mod haproxy;
mod operations;
mod served;
