//! The place of this process: processes at one place share their loopback addresses.

use std::fs;
use std::path::Path;

use crate::domain::identity::Place;

/// A random id that the kernel draws at each boot. Source:
/// <https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html>.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// The network namespace. Source: <https://man7.org/linux/man-pages/man7/namespaces.7.html>.
const NETWORK: &str = "/proc/self/ns/net";

/// The place of this process: the running kernel and the network namespace. If either cannot be read, the place is a
/// random one, which no other process shares.
pub fn place() -> Place {
    let boot = fs::read_to_string(BOOT_ID).ok();
    let network = fs::read_link(NETWORK).ok();
    let network = network.as_deref().and_then(Path::to_str);
    Place::new(match (boot, network) {
        (Some(boot), Some(network)) => format!("{} {network}", boot.trim()),
        _ => format!("unknown {:016x}", rand::random::<u64>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_always_at_the_same_place() {
        assert_eq!(place(), place());
        assert!(!place().as_str().starts_with("unknown"));
    }
}
