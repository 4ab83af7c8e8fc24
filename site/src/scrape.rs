//! The metrics of a keeper, as Prometheus reads them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::keeper::Keeper;
use super::wait::{SOON, eventually};

impl Keeper {
    /// The page of metrics.
    ///
    /// # Errors
    /// The reason why there is no page.
    pub async fn scrape(&self) -> Result<String, String> {
        let answer = self.get("/metrics").await;
        let answer = answer.map_err(|error| error.to_string())?;
        let page = answer.body.as_str().map(str::to_owned);
        page.ok_or_else(|| format!("{answer:?}"))
    }

    /// Waits until the page has each of these samples as a whole line. A text that ends in ` absent` names a series
    /// that must not exist.
    pub async fn wait_samples(&self, wanted: &[&str]) {
        let what = format!("the metrics of {} to have {wanted:?}", self.id());
        eventually(SOON, what, async || {
            let page = self.scrape().await?;
            let mut missing = wanted.iter().filter(|sample| !has(&page, sample));
            match missing.next() {
                Some(sample) => Err(format!("no {sample} in\n{page}")),
                None => Ok(()),
            }
        })
        .await;
    }
}

fn has(page: &str, sample: &str) -> bool {
    match sample.strip_suffix(" absent") {
        Some(series) => !page.lines().any(|line| line.starts_with(series)),
        None => page.lines().any(|line| line == sample),
    }
}

/// Asserts that Prometheus accepts the page and its names (`promtool check metrics`).
pub fn assert_well_formed(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package prometheus: tests/run.sh installs it");
    let mut input = promtool.stdin.take().expect("its input");
    input.write_all(page.as_bytes()).expect("it reads the page");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}
