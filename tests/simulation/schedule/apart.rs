//! Draws from generators of their own, so that the other draws of a seed stay what they are.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::{Addressing, Chance, Oddity};

pub(super) fn failsafe(seed: u64) -> Option<u64> {
    let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0xfa11_5afe));
    chance.pick(&[None, Some(3), Some(3_600), Some(3_600)])
}

/// How long a consent lasts, in milliseconds. 6 s is longer than a restarted keeper takes to lead: its former
/// consents still bind that keeper.
pub(super) fn consent(seed: u64) -> u64 {
    let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0xc0_45e7));
    let most = failsafe(seed).unwrap_or(u64::MAX).saturating_mul(1_000);
    chance.pick(&[600, 800, 800, 6_000]).min(most)
}

pub(super) fn unnamed(seed: u64) -> bool {
    Chance(StdRng::seed_from_u64(seed ^ 0x0a4e)).happens(15)
}

pub(super) fn addressing(seed: u64) -> Addressing {
    let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0xadd7));
    if chance.happens(70) {
        return Addressing::Own;
    }
    let addressing = chance.pick(&[
        Addressing::Loopback,
        Addressing::Mirror,
        Addressing::Astray,
        Addressing::Swapped,
        Addressing::Reused,
        Addressing::Nowhere,
    ]);
    if chance.happens(20) {
        return Addressing::Shared;
    }
    addressing
}

/// A keeper whose file differs, if there are enough others.
///
/// - One of two keepers that lacks a node leaves no majority for the node.
/// - A keeper that lacks one of two nodes has a single node.
pub(super) fn odd_file(seed: u64, keepers: usize, nodes: usize) -> Option<(usize, Oddity)> {
    let mut chance = Chance(StdRng::seed_from_u64(seed ^ 0x0dd_f11e));
    if keepers < 3 || nodes < 3 || !chance.happens(20) {
        return None;
    }
    let oddity = if chance.happens(50) {
        Oddity::Lacks(chance.below(nodes))
    } else {
        Oddity::Named
    };
    Some((chance.below(keepers), oddity))
}
