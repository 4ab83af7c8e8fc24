//! The announcements of keepers, and the settings that all keepers must share.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::state::{Document, LayoutError, decode, encode};
use crate::domain::confirmation::{Finding, PollAnswer, PollState};
use crate::domain::failsafe::Failsafe;
use crate::domain::keepers::record::{KeeperRecord, SharedSettings};
use crate::domain::node::{ClusterName, Generation, KeeperId};

/// `/keepers/<id>`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireKeeper {
    rest: String,
    version: String,
    process: String,
    lease_ms: u64,
    #[serde(default)]
    failsafe: Option<WireFailsafe>,
    acknowledged: u64,
    #[serde(default)]
    polls: Option<BTreeMap<String, WireTold>>,
}

#[derive(Serialize, Deserialize)]
struct WireTold {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asks: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    answers: BTreeMap<String, WireAnswer>,
}

#[derive(Serialize, Deserialize)]
struct WireAnswer {
    number: u64,
    found: WireFinding,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireFinding {
    Refused,
    Silent,
    Loading,
    Answers,
    Replaced,
    #[serde(other)]
    Unknown,
}

/// `/settings`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireSettings {
    lease_ms: u64,
    #[serde(default)]
    failsafe: Option<WireFailsafe>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct WireFailsafe {
    consent_ms: u64,
    limit_ms: u64,
}

impl From<Finding> for WireFinding {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Refused => Self::Refused,
            Finding::Silent => Self::Silent,
            // A busy server serves nobody either, and every build knows this word.
            Finding::Loading | Finding::Busy => Self::Loading,
            Finding::Answers => Self::Answers,
            Finding::Replaced => Self::Replaced,
            Finding::Unknown => Self::Unknown,
        }
    }
}

impl From<WireFinding> for Finding {
    fn from(wire: WireFinding) -> Self {
        match wire {
            WireFinding::Refused => Self::Refused,
            WireFinding::Silent => Self::Silent,
            WireFinding::Loading => Self::Loading,
            WireFinding::Answers => Self::Answers,
            WireFinding::Replaced => Self::Replaced,
            WireFinding::Unknown => Self::Unknown,
        }
    }
}

fn wire_answer((asker, answer): (&KeeperId, &PollAnswer)) -> (String, WireAnswer) {
    let PollAnswer { number, finding } = *answer;
    let found = finding.into();
    (asker.to_string(), WireAnswer { number, found })
}

fn answer((asker, wire): (String, WireAnswer)) -> (KeeperId, PollAnswer) {
    let WireAnswer { number, found } = wire;
    let finding = found.into();
    (KeeperId::new(asker), PollAnswer { number, finding })
}

impl From<&PollState> for WireTold {
    fn from(told: &PollState) -> Self {
        Self {
            asks: told.asks,
            answers: told.answers.iter().map(wire_answer).collect(),
        }
    }
}

impl From<WireTold> for PollState {
    fn from(wire: WireTold) -> Self {
        Self {
            asks: wire.asks,
            answers: wire.answers.into_iter().map(answer).collect(),
        }
    }
}

impl From<Failsafe> for WireFailsafe {
    fn from(failsafe: Failsafe) -> Self {
        Self {
            consent_ms: milliseconds(failsafe.consent),
            limit_ms: milliseconds(failsafe.limit),
        }
    }
}

impl From<WireFailsafe> for Failsafe {
    fn from(wire: WireFailsafe) -> Self {
        Self {
            consent: Duration::from_millis(wire.consent_ms),
            limit: Duration::from_millis(wire.limit_ms),
        }
    }
}

/// Whole milliseconds, rounded up, so that no lease is taken for shorter than it is.
pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl Document for KeeperRecord {
    fn encode(&self) -> Vec<u8> {
        encode(WireKeeper {
            rest: self.rest.clone(),
            version: self.version.clone(),
            process: self.process.clone(),
            lease_ms: milliseconds(self.lease),
            failsafe: self.failsafe.map(Into::into),
            acknowledged: self.acknowledged.0,
            polls: self.polls.as_ref().map(|polls| {
                let polls = polls.iter();
                polls
                    .map(|(cluster, told)| (cluster.to_string(), told.into()))
                    .collect()
            }),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireKeeper = decode(data)?;
        Ok(Self {
            rest: wire.rest,
            version: wire.version,
            process: wire.process,
            lease: Duration::from_millis(wire.lease_ms),
            failsafe: wire.failsafe.map(Into::into),
            acknowledged: Generation(wire.acknowledged),
            polls: wire.polls.map(|polls| {
                let polls = polls.into_iter();
                polls
                    .map(|(cluster, told)| (ClusterName::new(cluster), told.into()))
                    .collect()
            }),
        })
    }
}

impl Document for SharedSettings {
    fn encode(&self) -> Vec<u8> {
        encode(WireSettings {
            lease_ms: milliseconds(self.lease),
            failsafe: self.failsafe.map(Into::into),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireSettings = decode(data)?;
        Ok(Self {
            lease: Duration::from_millis(wire.lease_ms),
            failsafe: wire.failsafe.map(Into::into),
        })
    }
}
