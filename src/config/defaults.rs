//! Fills in what a checked document leaves out: first the values that a cluster inherits, then the defaults that do not
//! depend on other keys. Both follow from [`super::keys`].

use figment::value::{Dict, Value};

use super::keys::{AS_ONE, Absent, DOCUMENT, Key, Kind, TUNING, keys};

/// Gives each cluster the values for all clusters that it does not have itself, and each key its default.
pub(super) fn fill_in(document: &mut Dict) {
    let global = document.clone();
    if let Some(Value::Array(_, clusters)) = document.get_mut("clusters") {
        for cluster in clusters {
            if let Value::Dict(_, cluster) = cluster {
                inherit(&[TUNING], &global, cluster);
            }
        }
    }
    default(DOCUMENT, document);
}

/// Copies the values of `global` that `own` does not have.
fn inherit(groups: &'static [&'static [Key]], global: &Dict, own: &mut Dict) {
    let written: Vec<String> = own.keys().cloned().collect();
    let is_written = |name: &str| {
        let as_one = AS_ONE.into_iter().find(|names| names.contains(&name));
        let names = as_one.unwrap_or([name; 2]);
        written.iter().any(|key| names.contains(&key.as_str()))
    };
    for key in keys(groups) {
        match (key.kind, global.get(key.name)) {
            (Kind::Object(groups), Some(Value::Dict(_, global))) => {
                inherit(groups, global, object(own, key.name));
            }
            (_, Some(value)) if !is_written(key.name) => {
                own.insert(key.name.to_owned(), value.clone());
            }
            _ => {}
        }
    }
}

/// Inserts the defaults of the keys that `own` and its objects do not have.
fn default(groups: &'static [&'static [Key]], own: &mut Dict) {
    for key in keys(groups) {
        match (key.kind, own.get_mut(key.name), key.absent) {
            (Kind::Object(groups), ..) => default(groups, object(own, key.name)),
            (Kind::List(Kind::Object(groups)), Some(Value::Array(_, items)), _) => {
                for item in items {
                    if let Value::Dict(_, item) = item {
                        default(groups, item);
                    }
                }
            }
            (_, None, Absent::Is(text)) => {
                let value = json5::from_str(text).expect("a test reads all defaults");
                own.insert(key.name.to_owned(), value);
            }
            _ => {}
        }
    }
}

/// The object `name` of `own`, which is made if there is none.
fn object<'a>(own: &'a mut Dict, name: &str) -> &'a mut Dict {
    let object = own
        .entry(name.to_owned())
        .or_insert_with(|| Dict::new().into());
    match object {
        Value::Dict(_, object) => object,
        _ => unreachable!("the schema takes only objects there"),
    }
}

#[cfg(test)]
mod tests {
    use figment::util::nest;
    use serde_json::Value as Json;

    use super::super::Config;
    use super::super::keys::CLUSTER;
    use super::*;

    /// The cluster of a document that is filled in. `global` and `own` are a key with its value.
    fn cluster(global: (&str, &str), own: Option<(&str, &str)>) -> Value {
        let object = |(path, value): (&str, &str)| nest(path, value.into()).into_dict();
        let mut document = object(global).expect("an object");
        let own = own.and_then(object).unwrap_or_default();
        document.insert("clusters".to_owned(), vec![Value::from(own)].into());
        fill_in(&mut document);
        let clusters = document.remove("clusters").and_then(Value::into_array);
        clusters.expect("a list").remove(0)
    }

    #[test]
    fn a_cluster_inherits_each_key_that_it_does_not_have() {
        let paths = keys(&[TUNING]).flat_map(|key| match key.kind {
            Kind::Object(inner) => keys(inner)
                .map(|inner| format!("{}.{}", key.name, inner.name))
                .collect(),
            _ => vec![key.name.to_owned()],
        });
        for path in paths {
            let inherited = cluster((&path, "global"), None);
            let found = inherited.find_ref(&path).and_then(Value::as_str);
            assert_eq!(found, Some("global"), "{path} is inherited");
            let own = cluster((&path, "global"), Some((&path, "own")));
            let found = own.find_ref(&path).and_then(Value::as_str);
            assert_eq!(found, Some("own"), "{path} of the cluster itself");
        }
    }

    #[test]
    fn a_cluster_with_one_of_two_keys_that_count_as_one_inherits_neither() {
        for [one, other] in AS_ONE.into_iter().flat_map(|[a, b]| [[a, b], [b, a]]) {
            let [one, other] = [one, other].map(|key| format!("redis.{key}"));
            let own = cluster((&one, "global"), Some((&other, "own")));
            assert_eq!(own.find_ref(&one), None, "{one} beside {other}");
        }
    }

    #[test]
    fn the_effective_configuration_has_every_default() {
        fn look(groups: &'static [&'static [Key]], object: &Json) {
            for key in keys(groups) {
                let found = &object[key.name];
                match (key.kind, key.absent) {
                    (Kind::Object(groups), _) => look(groups, found),
                    (_, Absent::Is(text)) => {
                        let default: Json = json5::from_str(text).expect("JSON5");
                        let same = match default.as_f64() {
                            Some(number) => found.as_f64() == Some(number),
                            None => *found == default,
                        };
                        assert!(same, "{}: {found}, not {text}", key.name);
                    }
                    _ => {}
                }
            }
        }
        let file = r#"{"keeper-id": "k", "zk-quorum": ["z"], "clusters": [{"name": "c", "nodes": [{"host": "a", "port": 1}]}]}"#;
        let (config, _) = Config::parse("test", file, std::iter::empty()).expect("it is right");
        let effective: Json = serde_json::from_str(&config.effective()).expect("JSON");
        look(DOCUMENT, &effective);
        look(CLUSTER, &effective["clusters"][0]);
    }
}
