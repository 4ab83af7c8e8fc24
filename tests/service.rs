//! The systemd unit, as systemd itself judges it.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

const UNIT: &str = "conf/redis-keeper.service";

/// The highest exposure that `systemd-analyze security` may find: its points from 0 to 10, times ten.
const EXPOSURE: &str = "20";

/// The output of `systemd-analyze` for the unit, and whether it succeeded; `None` if the program is not installed.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join(UNIT);
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output();
    match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("left out: there is no systemd-analyze");
            None
        }
        output => {
            let output = output.expect("systemd-analyze runs");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            Some((output.status.success(), said))
        }
    }
}

#[test]
fn the_unit_gives_the_keeper_little_more_than_sockets() {
    let threshold = format!("--threshold={EXPOSURE}");
    if let Some((content, said)) = analyze(&["security", "--offline=true", &threshold]) {
        assert!(content, "{said}");
        assert!(said.contains("Overall exposure level"), "{said}");
    }
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    if let Some((_, said)) = analyze(&["verify"]) {
        // The keeper's program need not be installed here. A fault of a line comes with the path, others with the name.
        let name = "redis-keeper.service";
        let other = said
            .lines()
            .filter(|line| line.contains(name) && !line.contains("is not executable"));
        assert_eq!(other.collect::<Vec<_>>(), [""; 0], "{said}");
    }
}
