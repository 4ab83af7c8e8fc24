//! The file settings of the other keepers, compared with those of this keeper. Each keeper writes its own to
//! ZooKeeper.

use std::collections::BTreeMap;

use super::ZkSession;
use super::subject::Subject;
use crate::domain::node::KeeperId;
use crate::domain::settings::{FileSettings, SettingNews, in_words};
use crate::layout::state::Document;
use crate::ports::coordination::Node;

/// How many differences are shown for each keeper.
const SHOWN: usize = 20;

impl ZkSession {
    /// Follows the file settings of a keeper. A keeper is online before it writes them.
    pub(super) fn follow_file(&mut self, keeper: &KeeperId) {
        let online = self.phase.online_mut();
        if online.is_some_and(|online| online.files.insert(keeper.clone())) {
            self.follow(Subject::File(keeper.clone()));
        }
    }

    /// Notes that a subject is not followed any more.
    pub(super) fn let_go(&mut self, subject: &Subject) {
        if let (Subject::File(keeper), Some(online)) = (subject, self.phase.online_mut()) {
            online.files.remove(keeper);
        }
    }

    /// Takes in a keeper's file settings, and logs whether they differ.
    pub(super) fn file_read(&mut self, keeper: &KeeperId, node: Option<&Node>) {
        if *keeper == self.identity.me.id {
            return;
        }
        let file = node.map(|node| FileSettings::decode(&node.data));
        let file = match file.transpose() {
            Ok(file) => file,
            Err(error) => {
                return tracing::debug!(%keeper, %error, "the settings of a keeper's file are not compared");
            }
        };
        match self.other_files.read(keeper, file.as_ref()) {
            Some(SettingNews::Differ(differences)) => {
                let settings = in_words(&differences, SHOWN).join("; ");
                tracing::warn!(
                    %keeper,
                    settings,
                    "the keepers' files differ: that keeper's and this one's have different settings; make them the same, and restart the keeper whose file was wrong"
                );
            }
            Some(SettingNews::Agree) => {
                tracing::info!(%keeper, "the settings of that keeper's file differ no more");
            }
            None => {}
        }
    }

    /// The settings in which each keeper online differs from this keeper's file, in words.
    pub(super) fn setting_differences(&self) -> BTreeMap<String, Vec<String>> {
        let differing = self.other_files.differing();
        differing
            .filter(|(keeper, _)| self.keepers.is_online(keeper))
            .map(|(keeper, differences)| (keeper.to_string(), in_words(differences, SHOWN)))
            .collect()
    }
}
