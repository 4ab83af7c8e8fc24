//! `/files/<id>`: the settings of a keeper's file, which other keepers compare with theirs. Secrets are left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::state::{Document, LayoutError, decode, encode};
use crate::domain::node::ClusterName;
use crate::domain::settings::{FileSettings, Settings};

/// How many bytes the clusters may take, far below the limit of `ZooKeeper`. Clusters beyond that are left out.
const MOST: usize = 400_000;

#[derive(Serialize, Deserialize)]
struct WireFile {
    keeper: Settings,
    /// The value of a setting for each cluster that does not state its own.
    common: Settings,
    clusters: BTreeMap<String, Settings>,
}

/// The settings that all clusters have, each with its most frequent value. So a thousand similar clusters take no
/// more than their names.
fn common<'a>(clusters: impl Iterator<Item = &'a Settings> + Clone) -> Settings {
    let number = clusters.clone().count();
    let mut values: BTreeMap<&String, BTreeMap<&String, usize>> = BTreeMap::new();
    for (setting, value) in clusters.flatten() {
        let counts = values.entry(setting).or_default();
        *counts.entry(value).or_default() += 1;
    }
    let everywhere = values
        .into_iter()
        .filter(|(_, counts)| counts.values().sum::<usize>() == number);
    everywhere
        .filter_map(|(setting, counts)| {
            let (value, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
            Some((setting.clone(), value.clone()))
        })
        .collect()
}

impl Document for FileSettings {
    fn encode(&self) -> Vec<u8> {
        let common = common(self.clusters.values());
        let mut size = 0;
        let clusters = self.clusters.iter().map(|(name, settings)| {
            let own = settings.iter();
            let own = own.filter(|(setting, value)| common.get(*setting) != Some(value));
            let own: Settings = own.map(|(it, value)| (it.clone(), value.clone())).collect();
            (name.to_string(), own)
        });
        let clusters = clusters.take_while(|(name, own)| {
            // Includes quotes, colons and commas.
            let own = own.iter().map(|(it, value)| it.len() + value.len() + 6);
            size += name.len() + 6 + own.sum::<usize>();
            size <= MOST
        });
        encode(WireFile {
            keeper: self.keeper.clone(),
            clusters: clusters.collect(),
            common: common.clone(),
        })
    }

    fn decode(data: &[u8]) -> Result<Self, LayoutError> {
        let wire: WireFile = decode(data)?;
        let common = wire.common;
        let clusters = wire.clusters.into_iter().map(|(name, own)| {
            let mut settings = common.clone();
            settings.extend(own);
            (ClusterName::new(name), settings)
        });
        Ok(Self {
            keeper: wire.keeper,
            clusters: clusters.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(clusters: usize, odd: usize) -> FileSettings {
        let cluster = |number: usize| {
            let mark_down = if number == odd { "2" } else { "5" };
            let settings = [("seconds-mark-down", mark_down), ("write-safety", "none")];
            let settings = settings.map(|(it, value)| (it.to_owned(), value.to_owned()));
            (
                ClusterName::new(format!("cluster-{number:05}")),
                settings.into(),
            )
        };
        FileSettings {
            keeper: [("lease-seconds".to_owned(), "0.8".to_owned())].into(),
            clusters: (0..clusters).map(cluster).collect(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for file in [file(0, 0), file(1, 0), file(3, 1), FileSettings::default()] {
            assert_eq!(FileSettings::decode(&file.encode()), Ok(file));
        }
        let mut uneven = file(3, 9);
        let settings = uneven.clusters.values_mut().next().expect("a cluster");
        settings.insert("brand-new".to_owned(), "1".to_owned());
        assert_eq!(FileSettings::decode(&uneven.encode()), Ok(uneven));
    }

    #[test]
    fn a_thousand_clusters_that_are_alike_take_little_more_than_their_names() {
        assert!(file(1_000, 7).encode().len() < 25_000);
    }

    #[test]
    fn more_clusters_than_zookeeper_takes_are_left_out() {
        let many = file(40_000, 40_000);
        let data = many.encode();
        assert!(data.len() < 500_000);
        let read = FileSettings::decode(&data).expect("JSON");
        assert!(read.clusters.len() > 10_000);
        assert_eq!(many.differences(&read), []);
    }
}
