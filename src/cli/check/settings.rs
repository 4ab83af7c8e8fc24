//! Checks whether the running keepers have the settings of this file.

use super::findings::Subject;
use crate::config::Config;
use crate::domain::node::KeeperId;
use crate::domain::settings::{FileSettings, in_words};
use crate::layout::paths;
use crate::layout::state::Document as _;
use crate::ports::coordination::{CoordinationError, Session};

/// The number of differences that are shown of each keeper.
const SHOWN: usize = 20;

/// Warns of each running keeper whose settings differ from the file's. Keepers of former builds do not publish their
/// settings.
pub(super) async fn look(config: &Config, session: &dyn Session) -> Vec<Subject> {
    let own = config.compared();
    let read = match read(session).await {
        Ok(read) => read,
        Err(error) => {
            let subject = Subject::new("settings of the keepers at work");
            return vec![subject.problem(format!("cannot be read: {error}"), "try again")];
        }
    };
    let subjects = read.into_iter().filter_map(|(keeper, file)| {
        let differences = in_words(&own.differences(&file), SHOWN);
        let remedy = if keeper == config.keeper_id {
            "restart it if this file is what is wanted"
        } else {
            "make the files of all keepers the same, and restart those that had others"
        };
        (!differences.is_empty()).then(|| {
            let text = format!(
                "runs with other settings than this file: {}",
                differences.join("; ")
            );
            Subject::new(format!("keeper {keeper}")).warning(text, remedy)
        })
    });
    subjects.collect()
}

async fn read(session: &dyn Session) -> Result<Vec<(KeeperId, FileSettings)>, CoordinationError> {
    let mut names = session.children(paths::FILES).await?.names;
    names.sort();
    let mut files = Vec::new();
    for keeper in names.into_iter().map(KeeperId::new) {
        let node = session.get(&paths::file(&keeper)).await?;
        let file = node.and_then(|node| FileSettings::decode(&node.data).ok());
        files.extend(file.map(|file| (keeper, file)));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::embedded::Embedded;
    use crate::ports::coordination::{Coordination as _, CreateKind};

    fn config(id: &str, extra: &str) -> Config {
        let text = format!(
            r#"{{"keeper-id": "{id}", "zk-quorum": ["z:2181"], {extra}
                "clusters": [{{"name": "c", "nodes": [{{"host": "a", "port": 1}}]}}]}}"#
        );
        Config::parse("test", &text, std::iter::empty()).unwrap().0
    }

    #[tokio::test]
    async fn a_keeper_at_work_with_other_settings_is_told_with_both_values_and_others_are_not() {
        let session = Embedded::new().connect().await.unwrap();
        let said = async || {
            let subjects = look(&config("k1", ""), &*session).await;
            let subjects = subjects.iter().map(ToString::to_string);
            subjects.collect::<Vec<_>>()
        };
        assert_eq!(said().await, Vec::<String>::new(), "no keeper has told any");
        let create = |path: &str, data: &[u8]| session.create(path, data, CreateKind::Persistent);
        create(paths::FILES, b"").await.unwrap();
        for (id, extra) in [
            ("k1", r#""drain-seconds": 3,"#),
            ("k2", ""),
            ("k3", r#""max-lag-bytes": 7,"#),
        ] {
            let data = config(id, extra).compared().encode();
            create(&paths::file(&KeeperId::new(id)), &data)
                .await
                .unwrap();
        }
        let said = said().await;
        assert_eq!(said.len(), 2, "{said:?}");
        for (said, parts) in said.iter().zip([
            [
                "warning  keeper k1",
                "drain-seconds of cluster c: 1.2 here, 3 there",
                "restart it",
            ],
            [
                "warning  keeper k3",
                "max-lag-bytes of cluster c: none here, 7 there",
                "the same",
            ],
        ]) {
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        }
    }
}
