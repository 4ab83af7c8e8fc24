//! Who takes part in failsafe, and whom each would ask (RK-8).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keeper::milliseconds;
use super::state::{Document, LayoutError, decode, encode};
use crate::domain::node::KeeperId;

/// `/circle/<id>`: a keeper's part in failsafe. It outlives the keeper's session, so that whoever leads knows whether a
/// keeper that cannot be heard would have asked it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Where the keeper's HTTP interface listens, `host:port`.
    pub rest: String,
    /// Everyone it asks before it goes on without a lease, and itself; `None`: it asks nobody and does not go on.
    pub asks: Option<BTreeSet<KeeperId>>,
    /// *D*: how long after its lease it goes on at most.
    pub limit: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireRegistration {
    rest: String,
    #[serde(default)]
    asks: Option<Vec<String>>,
    limit_ms: u64,
}

impl Document for Registration {
    fn encode(&self) -> Vec<u8> {
        let names = |asks: &BTreeSet<KeeperId>| asks.iter().map(ToString::to_string).collect();
        encode(WireRegistration {
            rest: self.rest.clone(),
            asks: self.asks.as_ref().map(names),
            limit_ms: milliseconds(self.limit),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireRegistration = decode(data)?;
        let ids = |asks: Vec<String>| asks.into_iter().map(KeeperId::new).collect();
        Ok(Self {
            rest: wire.rest,
            asks: wire.asks.map(ids),
            limit: Duration::from_millis(wire.limit_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_reads_back_with_and_without_a_list() {
        for asks in [None, Some(BTreeSet::from(["a", "b"].map(KeeperId::new)))] {
            let registration = Registration {
                rest: "keeper-1:46379".to_owned(),
                asks,
                limit: Duration::from_hours(1),
            };
            let read = Registration::decode(&registration.encode());
            assert_eq!(read.expect("its own form"), registration);
        }
    }
}
