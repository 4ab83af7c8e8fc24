//! Finds differences between keepers' files in settings that decide what happens to a cluster. [`super::files`]
//! compares lists of nodes.

use std::collections::BTreeMap;
use std::fmt;

use super::node::{ClusterName, KeeperId, NodeAddr};

/// Settings as text, by their names in the file. Secrets are left out, except for whether there are any.
pub type Settings = BTreeMap<String, String>;

/// The setting that holds the priorities of a cluster's nodes: `a:1 = 50, b:1 = 0`.
pub const PRIORITY: &str = "priority";

/// The settings of one keeper's file, with defaults filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// The settings of the keeper itself.
    pub keeper: Settings,
    /// The settings of each cluster.
    pub clusters: BTreeMap<ClusterName, Settings>,
}

/// One setting that differs between two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDifference {
    /// The cluster; `None` for a setting of the keeper itself.
    pub cluster: Option<ClusterName>,
    /// Its name in the file.
    pub setting: String,
    /// Its value in this keeper's file.
    pub here: String,
    /// Its value in the other keeper's file.
    pub there: String,
}

/// The keepers whose files have settings that differ from this keeper's.
#[derive(Debug, Default)]
pub struct SettingComparison {
    own: FileSettings,
    /// The files of the keepers online that publish them, as read last.
    files: BTreeMap<KeeperId, FileSettings>,
    /// The differences of those files from this keeper's.
    differing: BTreeMap<KeeperId, Vec<SettingDifference>>,
    /// The differences that were reported last. A keeper that is away is not reported to agree again.
    told: BTreeMap<KeeperId, Vec<SettingDifference>>,
}

/// The news after a keeper's file was read.
#[derive(Debug, PartialEq, Eq)]
pub enum SettingNews {
    /// The keeper's settings differ, for the first time or in another way than before.
    Differ(Vec<SettingDifference>),
    /// The keeper's settings agree again.
    Agree,
}

impl fmt::Display for SettingDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cluster,
            setting,
            here,
            there,
        } = self;
        write!(f, "{setting}")?;
        if let Some(cluster) = cluster {
            write!(f, " of cluster {cluster}")?;
        }
        write!(f, ": {here} here, {there} there")
    }
}

// === impl FileSettings ===

impl FileSettings {
    /// The settings that have another value in `other`. A cluster or a setting that only one of the two has is no
    /// difference: a keeper of another build may not know it.
    pub fn differences(&self, other: &Self) -> Vec<SettingDifference> {
        let mut found = between(None, &self.keeper, &other.keeper);
        for (name, here) in &self.clusters {
            if let Some(there) = other.clusters.get(name) {
                found.extend(between(Some(name), here, there));
            }
        }
        found
    }
}

impl FileSettings {
    fn bars_all<'a>(
        &self,
        cluster: &ClusterName,
        nodes: impl Iterator<Item = &'a NodeAddr>,
    ) -> bool {
        let settings = self.clusters.get(cluster);
        let priorities = settings.and_then(|it| it.get(PRIORITY));
        let Some(priorities) = priorities.filter(|it| it.contains(" = 0")) else {
            return false;
        };
        let barred = |node: &NodeAddr| {
            let zero = format!("{node} = 0");
            priorities.split(", ").any(|it| it == zero)
        };
        let mut nodes = nodes.peekable();
        nodes.peek().is_some() && nodes.all(barred)
    }
}

fn between(
    cluster: Option<&ClusterName>,
    here: &Settings,
    there: &Settings,
) -> Vec<SettingDifference> {
    let both = here
        .iter()
        .filter_map(|(setting, here)| Some((setting, here, there.get(setting)?)));
    both.filter(|(_, here, there)| here != there)
        .map(|(setting, here, there)| SettingDifference {
            cluster: cluster.cloned(),
            setting: setting.clone(),
            here: here.clone(),
            there: there.clone(),
        })
        .collect()
}

/// `differences` in words, at most `most` of them.
pub fn in_words(differences: &[SettingDifference], most: usize) -> Vec<String> {
    let shown = differences.iter().take(most).map(ToString::to_string);
    let rest = differences.len().saturating_sub(most);
    shown
        .chain((rest > 0).then(|| format!("and {rest} more")))
        .collect()
}

// === impl SettingComparison ===

impl SettingComparison {
    /// A comparison with this keeper's own file.
    pub fn with(own: FileSettings) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// Records the settings in a keeper's file; `None` if the keeper publishes none, as one of a former build.
    pub fn read(&mut self, keeper: &KeeperId, file: Option<&FileSettings>) -> Option<SettingNews> {
        let Some(file) = file else {
            self.differing.remove(keeper);
            self.files.remove(keeper);
            return None;
        };
        self.files.insert(keeper.clone(), file.clone());
        let differences = self.own.differences(file);
        if differences.is_empty() {
            self.differing.remove(keeper);
            return self.told.remove(keeper).map(|_| SettingNews::Agree);
        }
        self.differing.insert(keeper.clone(), differences.clone());
        let before = self.told.insert(keeper.clone(), differences.clone());
        (before.as_ref() != Some(&differences)).then_some(SettingNews::Differ(differences))
    }

    /// Whether the file of `keeper` gives priority 0 to each of these `nodes`, so that none of them may take over.
    /// `false` if that keeper publishes no settings.
    pub fn bars_all<'a>(
        &self,
        keeper: &KeeperId,
        cluster: &ClusterName,
        nodes: impl Iterator<Item = &'a NodeAddr>,
    ) -> bool {
        self.files
            .get(keeper)
            .is_some_and(|file| file.bars_all(cluster, nodes))
    }

    /// The same for this keeper's own file.
    pub fn own_bars_all<'a>(
        &self,
        cluster: &ClusterName,
        nodes: impl Iterator<Item = &'a NodeAddr>,
    ) -> bool {
        self.own.bars_all(cluster, nodes)
    }

    /// Each keeper whose settings differ, with the differences.
    pub fn differing(&self) -> impl Iterator<Item = (&KeeperId, &[SettingDifference])> {
        self.differing.iter().map(|(id, it)| (id, it.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mark_down: &str, clusters: &[&str]) -> FileSettings {
        let settings = |name: &str, value: &str| Settings::from([(name.into(), value.into())]);
        let clusters = clusters.iter();
        FileSettings {
            keeper: settings("lease-seconds", "0.8"),
            clusters: clusters
                .map(|name| {
                    let settings = settings("seconds-mark-down", mark_down);
                    (ClusterName::new(*name), settings)
                })
                .collect(),
        }
    }

    fn words(differences: &[SettingDifference]) -> String {
        in_words(differences, 2).join("; ")
    }

    #[test]
    fn a_setting_is_named_with_its_cluster_and_both_values() {
        let [own, other] = [file("5", &["a"]), file("2", &["a", "b"])];
        let told = words(&own.differences(&other));
        assert_eq!(told, "seconds-mark-down of cluster a: 5 here, 2 there");
        assert_eq!(own.differences(&own), []);
        let lease = FileSettings {
            keeper: Settings::from([("lease-seconds".into(), "1".into())]),
            ..own.clone()
        };
        let told = words(&own.differences(&lease));
        assert_eq!(told, "lease-seconds: 0.8 here, 1 there");
    }

    #[test]
    fn what_another_build_does_not_know_is_no_difference() {
        let own = file("5", &["a"]);
        let mut newer = own.clone();
        for settings in newer.clusters.values_mut() {
            settings.insert("brand-new".into(), "1".into());
        }
        assert_eq!(own.differences(&newer), []);
        assert_eq!(newer.differences(&own), []);
    }

    #[test]
    fn a_file_bars_all_nodes_that_it_gives_priority_0_each() {
        let cluster = ClusterName::new("c");
        let bars = |priorities: &str, nodes: &[&str]| {
            let settings = Settings::from([(PRIORITY.to_owned(), priorities.to_owned())]);
            let file = FileSettings {
                clusters: [(cluster.clone(), settings)].into(),
                ..FileSettings::default()
            };
            let nodes: Vec<NodeAddr> = nodes.iter().map(|host| NodeAddr::new(*host, 1)).collect();
            let comparison = SettingComparison::with(file);
            comparison.own_bars_all(&cluster, nodes.iter())
        };
        assert!(bars("a:1 = 0, b:1 = 0", &["a", "b"]));
        assert!(bars("a:1 = 50, b:1 = 0", &["b"]));
        assert!(!bars("a:1 = 50, b:1 = 0", &["a", "b"]));
        assert!(!bars("a:1 = 0", &["a", "b"]), "b has the server's own");
        assert!(!bars("none", &["a"]));
        assert!(!bars("a:1 = 0", &[]), "there is nobody to bar");
    }

    #[test]
    fn so_many_differences_are_shown_and_the_rest_is_counted() {
        let [own, other] = ["5", "2"].map(|it| file(it, &["a", "b", "c", "d"]));
        let told = words(&own.differences(&other));
        assert!(told.ends_with("of cluster b: 5 here, 2 there; and 2 more"));
    }

    #[test]
    fn a_difference_is_told_when_it_begins_changes_and_ends_and_not_while_the_keeper_is_away() {
        let keeper = KeeperId::new("keeper-3");
        let mut comparison = SettingComparison::with(file("5", &["a"]));
        let mut read = |file: Option<FileSettings>| comparison.read(&keeper, file.as_ref());
        assert_eq!(read(Some(file("5", &["a"]))), None);
        assert!(matches!(
            read(Some(file("2", &["a"]))),
            Some(SettingNews::Differ(_))
        ));
        assert_eq!(read(Some(file("2", &["a"]))), None, "told");
        assert_eq!(read(None), None);
        assert_eq!(read(Some(file("2", &["a"]))), None, "told before");
        assert!(matches!(
            read(Some(file("3", &["a"]))),
            Some(SettingNews::Differ(_))
        ));
        assert_eq!(read(Some(file("5", &["a"]))), Some(SettingNews::Agree));
        assert_eq!(comparison.differing().count(), 0);
    }
}
