//! Wiring: configuration and ports become the root of the supervision tree and the HTTP server.
