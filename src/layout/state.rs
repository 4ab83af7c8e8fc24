//! The JSON that keepers write for each other and for clients. Each document carries its `format`. A reader refuses a
//! format newer than [`FORMAT`] and ignores unknown fields, so keepers of neighbouring versions work together.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::keepers::generations::Generations;
use crate::domain::node::{ClusterName, Epoch, Generation, NodeAddr};

mod facts;
mod published;
mod report;
mod task;
mod witness;

/// The format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// A document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A newer version of this program wrote it.
    #[error("has format {0}, this redis-keeper reads up to {FORMAT}: update it")]
    Newer(u32),
    /// The document is malformed.
    #[error("cannot be read: {0}")]
    Malformed(String),
}

/// A document kept in ZooKeeper.
pub trait Document: Sized {
    /// The document as JSON.
    fn encode(&self) -> Vec<u8>;

    /// Reads a document from any version up to [`FORMAT`].
    fn decode(data: &[u8]) -> Result<Self, LayoutError>;
}

/// `/format`: marks the prefix as one of redis-keeper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FormatMark;

// === the wire ===

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    format: u32,
    #[serde(flatten)]
    document: T,
}

pub(super) fn encode<T: Serialize>(document: T) -> Vec<u8> {
    let versioned = Versioned {
        format: FORMAT,
        document,
    };
    serde_json::to_vec(&versioned).expect("strings, numbers and lists always make JSON")
}

pub(super) fn decode<T: DeserializeOwned>(data: &[u8]) -> Result<T, LayoutError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let malformed = |error: serde_json::Error| LayoutError::Malformed(error.to_string());
    let Format { format } = serde_json::from_slice(data).map_err(malformed)?;
    if format > FORMAT {
        return Err(LayoutError::Newer(format));
    }
    serde_json::from_slice(data).map_err(malformed)
}

#[derive(Serialize, Deserialize)]
struct WireMark {
    program: String,
}

#[derive(Serialize, Deserialize)]
struct WireAddr {
    host: String,
    port: u16,
}

/// `/generation`: the counter, and the cluster of each of its latest raises, newest last.
#[derive(Serialize, Deserialize)]
struct WireGenerations {
    generation: u64,
    changed: Vec<String>,
}

impl From<&NodeAddr> for WireAddr {
    fn from(addr: &NodeAddr) -> Self {
        Self {
            host: addr.host().to_owned(),
            port: addr.port(),
        }
    }
}

impl From<WireAddr> for NodeAddr {
    fn from(wire: WireAddr) -> Self {
        Self::new(wire.host, wire.port)
    }
}

fn wire_addrs(addrs: &BTreeSet<NodeAddr>) -> Vec<WireAddr> {
    addrs.iter().map(WireAddr::from).collect()
}

fn addrs(wire: Vec<WireAddr>) -> BTreeSet<NodeAddr> {
    wire.into_iter().map(NodeAddr::from).collect()
}

impl Document for FormatMark {
    fn encode(&self) -> Vec<u8> {
        encode(WireMark {
            program: env!("CARGO_PKG_NAME").to_owned(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let WireMark { .. } = decode(data)?;
        Ok(Self)
    }
}

impl Document for Generations {
    fn encode(&self) -> Vec<u8> {
        encode(WireGenerations {
            generation: self.generation.0,
            changed: self.changed.iter().map(ToString::to_string).collect(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireGenerations = decode(data)?;
        Ok(Self {
            generation: Generation(wire.generation),
            changed: wire.changed.into_iter().map(ClusterName::new).collect(),
        })
    }
}

impl Document for Epoch {
    fn encode(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        std::str::from_utf8(data)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map(Self)
            .ok_or_else(|| LayoutError::Malformed("not a decimal number".into()))
    }
}

#[cfg(test)]
mod tests;
