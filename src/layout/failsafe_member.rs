//! `/circle`: the members of the failsafe group, and the keepers that each of them asks (RK-8).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keeper::milliseconds;
use super::state::{Document, LayoutError, decode, encode};
use crate::domain::identity::{Nonce, Place};
use crate::domain::keepers::failsafe_member::FailsafeMember;
use crate::domain::node::KeeperId;

/// `/circle/<id>`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireFailsafeMember {
    rest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    #[serde(default)]
    asks: Option<Vec<String>>,
    limit_ms: u64,
}

/// Milliseconds that are added to the limit of a registration with a nonce. A keeper of a former build that comes to
/// hold the id then finds a registration that differs from its own, and writes its own. So no nonce stands for a
/// process that has none.
const REPLACED_BY_FORMER: u64 = 1;

impl Document for FailsafeMember {
    fn encode(&self) -> Vec<u8> {
        let names = |asks: &BTreeSet<KeeperId>| asks.iter().map(ToString::to_string).collect();
        let replaced = u64::from(self.nonce.is_some()) * REPLACED_BY_FORMER;
        encode(WireFailsafeMember {
            rest: self.rest.clone(),
            nonce: self.nonce.as_ref().map(ToString::to_string),
            place: self.place.as_ref().map(|it| it.as_str().to_owned()),
            asks: self.asks.as_ref().map(names),
            limit_ms: milliseconds(self.limit).saturating_add(replaced),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireFailsafeMember = decode(data)?;
        let ids = |asks: Vec<String>| asks.into_iter().map(KeeperId::new).collect();
        let replaced = u64::from(wire.nonce.is_some()) * REPLACED_BY_FORMER;
        Ok(Self {
            rest: wire.rest,
            nonce: wire.nonce.map(Nonce::new),
            place: wire.place.map(Place::new),
            asks: wire.asks.map(ids),
            limit: Duration::from_millis(wire.limit_ms.saturating_sub(replaced)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(asks: Option<BTreeSet<KeeperId>>) -> FailsafeMember {
        FailsafeMember {
            rest: "keeper-1:46379".to_owned(),
            nonce: Some(Nonce::drawn(7)),
            place: Some(Place::new("here")),
            asks,
            limit: Duration::from_hours(1),
        }
    }

    #[test]
    fn a_registration_reads_back_with_and_without_a_list() {
        for asks in [None, Some(BTreeSet::from(["a", "b"].map(KeeperId::new)))] {
            let registration = registration(asks);
            let read = FailsafeMember::decode(&registration.encode());
            assert_eq!(read.expect("its own form"), registration);
        }
    }

    #[test]
    fn a_registration_of_a_former_build_has_no_nonce() {
        let former = br#"{"format":1,"rest":"keeper-1:46379","asks":["a"],"limit-ms":3600000}"#;
        let read = FailsafeMember::decode(former).expect("the former form");
        assert_eq!(read.nonce, None);
        assert_eq!(read.limit, Duration::from_hours(1));
    }

    /// A former build compares a registration that it finds under its id with its own: by address, list and limit.
    #[test]
    fn a_former_build_takes_no_registration_with_a_nonce_for_its_own() {
        let wire: WireFailsafeMember = decode(&registration(None).encode()).expect("its own form");
        assert_ne!(
            Duration::from_millis(wire.limit_ms),
            Duration::from_hours(1)
        );
    }
}
