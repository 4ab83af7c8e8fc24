//! The HTTP interface: HAProxy checks, admin, health, metrics.
