//! Checks that every known bug still fits the sources.
//!
//! `tests/known_bugs.sh` puts the bugs back one at a time. The simulation has to find each of them. A bug below the
//! simulation is found by a unit test of its adapter.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_known_bug_can_be_put_back_and_names_the_rule_it_breaks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/simulation/known-bugs");
    let mut bugs = 0;
    for entry in fs::read_dir(&folder).expect("the folder of known bugs") {
        let patch = entry.expect("a readable folder").path();
        let text = fs::read_to_string(&patch).expect("a readable patch");
        let rule = text.split_once(": ").map_or("", |(rule, _)| rule);
        let number = rule.strip_prefix("RK-");
        let number = number.and_then(|number| number.parse::<u8>().ok());
        assert!(
            ["switchover", "rest"].contains(&rule)
                || number.is_some_and(|number| (1..=12).contains(&number)),
            "{}: the first line names a rule, what a switchover promises, or what keepers write at rest",
            patch.display()
        );
        let applies = Command::new("git")
            .args(["apply", "--check"])
            .arg(&patch)
            .current_dir(root)
            .output()
            .expect("git");
        assert!(
            applies.status.success(),
            "{} does not fit the sources any more: {}",
            patch.display(),
            String::from_utf8_lossy(&applies.stderr)
        );
        bugs += 1;
    }
    assert!(bugs >= 20, "all known bugs were found: {bugs}");
}
