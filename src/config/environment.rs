//! `REDIS_KEEPER_…` environment variables, which override the file.
//!
//! - A key's variable is its path in capitals with underscores: `rest-port` is `REDIS_KEEPER_REST_PORT`,
//!   `redis.password` is `REDIS_KEEPER_REDIS_PASSWORD`.
//! - A key of one cluster has the variable `REDIS_KEEPER_CLUSTERS__<NAME>__<KEY>`. The name is in capitals, too, with
//!   an underscore for every character that is no letter or digit.
//! - Lists are separated by commas, or written as JSON5. Lists of objects are written as JSON5.
//! - An empty variable counts as not set.

use std::collections::BTreeMap;

use figment::value::{Dict, Empty, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::diagnostics::{Diagnostics, Override};
use super::keys::{CLUSTER, DOCUMENT, Key, Kind, keys};
use super::names::{Refused, refused};
use super::schema::suggestion;
use super::spans::{self, Spans};

/// The prefix of all variables of this program.
const PREFIX: &str = "REDIS_KEEPER_";
/// The prefix of the variables of one cluster, behind [`PREFIX`].
const CLUSTERS: &str = "CLUSTERS__";
/// Variables that Kubernetes sets in each container beside a service called `redis-keeper`. They are not for this
/// program.
const FOREIGN: [&str; 3] = ["PORT_", "SERVICE_HOST", "SERVICE_PORT"];

/// The variables for this program, by their names without the prefix.
#[derive(Debug, Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, String>,
    /// The values that were used, by path.
    overrides: BTreeMap<String, Override>,
    /// The variables that could not be used, by their whole names.
    faults: Vec<(String, Refused)>,
}

/// A layer of configuration, for figment to merge.
pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) dict: Dict,
}

// === impl Layer ===

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

// === impl Environment ===

impl Environment {
    /// Keeps those of `variables` that are for this program.
    pub(super) fn new(variables: impl Iterator<Item = (String, String)>) -> Self {
        let ours =
            |(name, text): (String, String)| Some((name.strip_prefix(PREFIX)?.to_owned(), text));
        let set = |(name, text): &(String, String)| {
            let foreign = name == "PORT" || FOREIGN.iter().any(|start| name.starts_with(start));
            !text.is_empty() && !foreign
        };
        Self {
            variables: variables.filter_map(ours).filter(set).collect(),
            ..Self::default()
        }
    }

    /// The layer of variables for the whole document.
    pub(super) fn layer(&mut self) -> Layer {
        let mut dict = Dict::new();
        for (name, path, kind) in variables_of(DOCUMENT) {
            if let Some(text) = self.variables.remove(&name) {
                self.set(&mut dict, "", &path, kind, format!("{PREFIX}{name}"), text);
            }
        }
        Layer {
            name: "environment",
            dict,
        }
    }

    /// Overrides the settings of single clusters of `document`.
    pub(super) fn apply_to_clusters(&mut self, document: &mut Dict) {
        let mut none = Vec::new();
        let clusters = match document.get_mut("clusters") {
            Some(Value::Array(_, clusters)) => clusters,
            _ => &mut none,
        };
        let names: Vec<_> = clusters
            .iter()
            .map(|cluster| Some(variable_name(cluster.find_ref("name")?.as_str()?)))
            .collect();
        for (name, text) in std::mem::take(&mut self.variables) {
            let variable = format!("{PREFIX}{name}");
            match setting_of_cluster(&name, &names) {
                Err(refused) => self.faults.push((variable, refused)),
                Ok((index, path, kind)) => {
                    if let Some(Value::Dict(_, dict)) = clusters.get_mut(index) {
                        let base = spans::item("clusters", index);
                        self.set(dict, &base, &path, kind, variable, text);
                    }
                }
            }
        }
    }

    /// A report that knows the used variables, and has a problem for each variable that could not be used.
    pub(super) fn into_report(self, spans: Spans) -> Diagnostics {
        let mut report = Diagnostics::new(spans, self.overrides);
        for (variable, Refused { fault, remedy }) in self.faults {
            report.variable(&variable, fault, remedy);
        }
        report
    }

    /// Sets the value of `variable` at `path` below the object `dict`, whose own path is `base`.
    fn set(
        &mut self,
        dict: &mut Dict,
        base: &str,
        path: &[&'static str],
        kind: Kind,
        variable: String,
        text: String,
    ) {
        let Some(value) = read(kind, &text) else {
            self.faults
                .push((variable, refused("is not JSON5", kind.expected())));
            return;
        };
        let (last, parents) = path.split_last().expect("a path has a key");
        let mut dict = dict;
        let mut place = base.to_owned();
        for parent in parents {
            place = spans::member(&place, parent);
            let inner = dict
                .entry((*parent).to_owned())
                .or_insert_with(|| Empty::None.into());
            if matches!(inner, Value::Empty(..)) {
                *inner = Dict::new().into();
            }
            // If the value there is no object, the schema reports the problem.
            let Value::Dict(_, inner) = inner else { return };
            dict = inner;
        }
        if let Some(rival) = rival(last)
            && !self.overrides.contains_key(&spans::member(&place, rival))
        {
            dict.insert(rival.to_owned(), Value::from(Empty::None));
        }
        dict.insert((*last).to_owned(), value);
        let text = (!matches!(
            kind,
            Kind::Secret | Kind::Passwords | Kind::Texts | Kind::List(Kind::Object(_))
        ))
        .then_some(text);
        self.overrides
            .insert(spans::member(&place, last), Override { variable, text });
    }
}

/// The setting of the variable `name` (without its prefix): the index of a cluster, the path and the kind of the key.
/// `names` are the clusters' names in the form of variables.
fn setting_of_cluster(
    name: &str,
    names: &[Option<String>],
) -> Result<(usize, Vec<&'static str>, Kind), Refused> {
    let unknown = "is not a known variable";
    let Some((cluster, key)) = name
        .strip_prefix(CLUSTERS)
        .and_then(|rest| rest.rsplit_once("__"))
    else {
        let known = variables_of(DOCUMENT).map(|(name, ..)| name);
        return Err(refused(unknown, suggestion(name, PREFIX, known)));
    };
    let prefix = format!("{PREFIX}{CLUSTERS}");
    let called = |(_, name): &(usize, &Option<String>)| name.as_deref() == Some(cluster);
    let mut matching = names.iter().enumerate().filter(called);
    let index = match (matching.next(), matching.next()) {
        (Some((index, _)), None) => index,
        (None, _) => {
            let known = names.iter().flatten().map(|name| format!("{name}__{key}"));
            let remedy = suggestion(&format!("{cluster}__{key}"), &prefix, known);
            return Err(refused("names no cluster of the file", remedy));
        }
        (Some(_), Some(_)) => {
            return Err(refused(
                "names several clusters alike",
                "say it in the file",
            ));
        }
    };
    let known = || variables_of(CLUSTER).filter(|(name, ..)| name != "NAME");
    known()
        .find(|(name, ..)| name == key)
        .map(|(_, path, kind)| (index, path, kind))
        .ok_or_else(|| {
            let prefix = format!("{prefix}{cluster}__");
            refused(
                unknown,
                suggestion(key, &prefix, known().map(|(name, ..)| name)),
            )
        })
}

/// The variables of an object without their prefix, each with the path and the kind of its key.
fn variables_of(
    groups: &'static [&'static [Key]],
) -> impl Iterator<Item = (String, Vec<&'static str>, Kind)> {
    keys(groups).flat_map(|key| {
        let inner: Vec<_> = match key.kind {
            Kind::Object(groups) => keys(groups)
                .map(|inner| (vec![key.name, inner.name], inner.kind))
                .collect(),
            kind => vec![(vec![key.name], kind)],
        };
        inner
            .into_iter()
            .map(|(path, kind)| (variable_name(&path.join("_")), path, kind))
    })
}

/// The other key for the same setting. A variable for `key` therefore overrides that key, too.
fn rival(key: &str) -> Option<&'static str> {
    match key {
        "password" => Some("password-file"),
        "password-file" => Some("password"),
        "zk-auth" => Some("zk-auth-file"),
        "zk-auth-file" => Some("zk-auth"),
        _ => None,
    }
}

/// Converts `name` to the form of variables.
fn variable_name(name: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    name.chars().map(allowed).collect()
}

/// Reads `text` as a value of `kind`. Unsuitable text stays text, so that the schema reports the problem.
fn read(kind: Kind, text: &str) -> Option<Value> {
    let text = if matches!(kind, Kind::Secret | Kind::Passwords) {
        text
    } else {
        text.trim()
    };
    let json = || match Spans::scan(text).too_deep {
        Some(_) => None,
        None => json5::from_str::<Value>(text).ok(),
    };
    match kind {
        Kind::Text | Kind::Secret | Kind::Choice(_) => Some(text.into()),
        // A password may begin with a bracket. A JSON5 list of texts is taken as a list of passwords.
        Kind::Passwords => Some(
            json()
                .filter(is_list_of_texts)
                .unwrap_or_else(|| text.into()),
        ),
        Kind::Flag => Some(
            text.parse::<bool>()
                .map_or_else(|_| text.into(), Value::from),
        ),
        Kind::Whole(..) | Kind::Port => Some(
            text.parse::<u64>()
                .map_or_else(|_| text.into(), Value::from),
        ),
        Kind::Seconds | Kind::SecondsOrZero => Some(
            text.parse::<f64>()
                .map_or_else(|_| text.into(), Value::from),
        ),
        Kind::List(Kind::Object(_)) | Kind::Texts => json(),
        Kind::List(_) if text.starts_with('[') => json(),
        Kind::List(item) => text
            .split(',')
            .map(|text| read(*item, text))
            .collect::<Option<Vec<_>>>()
            .map(Value::from),
        Kind::Object(_) => None,
    }
}

fn is_list_of_texts(value: &Value) -> bool {
    let text = |item: &Value| matches!(item, Value::String(..) | Value::Char(..));
    matches!(value, Value::Array(_, items) if items.iter().all(text))
}
