//! Tells the events of the demo as they happen.

use std::collections::{BTreeSet, VecDeque};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::news::{LogLine, News, Outage};
use super::questions::{Questions, Silence};
use super::screen::{Screen, Tone};
use super::stage::{Stage, name, until};
use super::{CLUSTER, STEP_TIMEOUT, Trouble, http, play};

/// An event after a quiet of this length begins a new chapter.
const QUIET: Duration = Duration::from_secs(20);

/// The time from the start of the client to the death of the primary.
const WRITES_BEFORE: Duration = Duration::from_secs(1);

/// How much later than its consequence a cause may become known.
const CAUSE_WITHIN: Duration = Duration::from_millis(20);

/// The story of one demo.
pub(super) struct Story<'a> {
    stage: &'a Stage,
    screen: &'a Screen,
    news: mpsc::UnboundedReceiver<(Instant, News)>,
    /// The events that came in and were not told yet.
    backlog: VecDeque<(Instant, News)>,
    chapter: Chapter,
    /// The primary that was published last.
    primary: String,
    questions: Questions,
}

/// A part of the story, with times counted from one moment.
struct Chapter {
    origin: Instant,
    latest: Instant,
    /// Whether the next event begins another chapter.
    closed: bool,
    /// The events that were told, so that no other keeper's report repeats them.
    told: BTreeSet<String>,
}

impl Chapter {
    fn from(origin: Instant) -> Self {
        Self {
            origin,
            latest: origin,
            closed: false,
            told: BTreeSet::new(),
        }
    }
}

/// The key in `told` for the event that `node` is down.
fn down(node: &str) -> String {
    format!("down {node}")
}

/// The seconds from `one` to `other`; negative if `other` came first.
fn seconds_between(one: Instant, other: Instant) -> f64 {
    match other.checked_duration_since(one) {
        Some(after) => after.as_secs_f64(),
        None => -(one - other).as_secs_f64(),
    }
}

// === impl Story ===

impl<'a> Story<'a> {
    pub(super) fn new(
        stage: &'a Stage,
        screen: &'a Screen,
        news: mpsc::UnboundedReceiver<(Instant, News)>,
    ) -> Self {
        Self {
            stage,
            screen,
            news,
            backlog: VecDeque::new(),
            chapter: Chapter::from(Instant::now()),
            primary: name(stage.servers[0]),
            questions: Questions::new(stage),
        }
    }

    /// Tells the story from the first good order to the end of the demo. Returns only on an error.
    pub(super) async fn tell(mut self) -> Result<(), Trouble> {
        let old = self.primary.clone();
        self.wait_for_order().await?;
        self.questions.start_client(self.stage.way());
        // The client needs an accepted write before the primary dies.
        sleep(WRITES_BEFORE).await;
        self.skip_news();

        self.stage
            .processes
            .kill(&old)
            .map_err(Trouble::at(old.as_str()))?;
        let (mut accepted, mut rejoined) = (false, false);
        let story = async {
            while !(accepted && rejoined) {
                let Some((at, news)) = self.next().await else {
                    break;
                };
                accepted |= matches!(news, News::Accepted(_));
                rejoined |= matches!(&news, News::InStep(node, _) if *node == old);
                self.report(at, news).await?;
            }
            Ok::<_, Trouble>(())
        };
        let overdue =
            |_| Trouble::Overdue("the failover and the return of the old primary".to_owned());
        timeout(STEP_TIMEOUT, story).await.map_err(overdue)??;

        play::invite(self.stage, self.screen, &self.primary)?;
        self.chapter.closed = true;
        while let Some((at, news)) = self.next().await {
            self.report(at, news).await?;
        }
        Ok(())
    }

    /// Waits until all keepers know the primary and the replicas.
    async fn wait_for_order(&self) -> Result<(), Trouble> {
        let path = format!("/cluster/{CLUSTER}/status");
        for (keeper, port) in &self.stage.keepers {
            until(
                &format!("{keeper} to name the primary and two replicas"),
                async || {
                    let Ok((200, status)) = http::get(*port, &path).await else {
                        return false;
                    };
                    status["master"].is_object()
                        && status["slaves"].as_array().is_some_and(|it| it.len() == 2)
                },
            )
            .await?;
        }
        let way = match self.stage.full {
            Some(_) => "writes through HAProxy, every 2 ms",
            None => "writes every 2 ms to the primary that the keeper names",
        };
        self.screen.fact("client", way)?;
        let mark_down = self.stage.mark_down().as_secs();
        self.screen.fact(
            "rule",
            &format!("a server is marked down after {mark_down} s without a sign of life"),
        )
    }

    fn skip_news(&mut self) {
        while self.news.try_recv().is_ok() {}
    }

    /// The next event. The client may notice the end of its server before the demo does. So the end, as the cause,
    /// comes first.
    async fn next(&mut self) -> Option<(Instant, News)> {
        if self.backlog.is_empty() {
            let first = self.news.recv().await?;
            let is_consequence = matches!(first.1, News::Cut(_));
            self.backlog.push_back(first);
            if is_consequence {
                sleep(CAUSE_WITHIN).await;
                while let Ok(news) = self.news.try_recv() {
                    self.backlog.push_back(news);
                }
                let cause = self
                    .backlog
                    .iter()
                    .position(|(_, news)| matches!(news, News::Ended(..)));
                if let Some(cause) = cause.and_then(|index| self.backlog.remove(index)) {
                    self.backlog.push_front(cause);
                }
            }
        }
        self.backlog.pop_front()
    }

    async fn report(&mut self, at: Instant, news: News) -> Result<(), Trouble> {
        match news {
            News::Ended(who, status) => self.ended(at, &who, status),
            News::Restarted(who) => {
                let id = self.stage.processes.id(&who).unwrap_or_default();
                self.step(
                    at,
                    Tone::Plain,
                    "started",
                    &format!("{who} again, process {id}"),
                )
            }
            News::Log(line) => self.logged(at, &line).await,
            News::Cut(why) => self.step(at, Tone::Bad, "client", &format!("cannot write: {why}")),
            News::Accepted(outage) => self.accepted(at, outage),
            News::Writable(node) => {
                let what = match self.stage.keepers.len() {
                    1 => format!("{node}: the keeper answers 200 to is-writable"),
                    count => format!("{node}: all {count} keepers answer 200 to is-writable"),
                };
                self.once(at, Tone::Good, "published", &what)?;
                self.primary = node;
                Ok(())
            }
            News::InStep(node, primary) => self.once(
                at,
                Tone::Good,
                "in step",
                &format!("{node} replicates from {primary}"),
            ),
        }
    }

    // === processes and client ===

    fn ended(&mut self, at: Instant, who: &str, status: ExitStatus) -> Result<(), Trouble> {
        let role = if who == self.primary {
            ", the primary,"
        } else {
            ""
        };
        let how = match (status.signal(), status.code()) {
            (Some(9), _) => "was killed (kill -9)".to_owned(),
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, code) => format!("has exited with code {}", code.unwrap_or_default()),
        };
        self.chapter = Chapter::from(at);
        self.screen.heading(&format!("{who}{role} {how}"))
    }

    fn accepted(&mut self, at: Instant, outage: Outage) -> Result<(), Trouble> {
        let Outage {
            since,
            attempts,
            lost,
        } = outage;
        let gap = (at - since).as_secs_f64();
        let lost = match lost {
            0 => "nothing lost".to_owned(),
            lost => format!("{lost} of the last writes lost with the old primary"),
        };
        let text =
            format!("writes again: none accepted for {gap:.3} s, {attempts} attempts; {lost}");
        self.step(at, Tone::Good, "client", &text)
    }

    // === the keepers' log ===

    async fn logged(&mut self, at: Instant, line: &LogLine) -> Result<(), Trouble> {
        let node = line.field("node");
        match line.message() {
            "node is held down by a majority of the keepers" => self.down(at, line, &node).await,
            "node is no longer held down" => {
                self.chapter.told.remove(&down(&node));
                self.once(at, Tone::Good, "alive again", &node)
            }
            "withdrawing the primary" => {
                let reason = line.field("reason");
                self.step(
                    at,
                    Tone::Bad,
                    "withdrawn",
                    &format!("no server may be written to: {reason}"),
                )
            }
            "candidate chosen" => {
                let candidate = line.field("candidate");
                let offsets = self
                    .questions
                    .offsets(line, &candidate)
                    .await
                    .unwrap_or_default();
                self.step(at, Tone::Plain, "chosen", &format!("{candidate}{offsets}"))
            }
            "promoted" => self.step(at, Tone::Plain, "promoted", &format!("{node} is a primary")),
            "publishing the primary" => {
                self.questions.await_writable(line.field("primary"));
                Ok(())
            }
            "made to follow the primary" => {
                let primary = line.field("primary");
                self.step(
                    at,
                    Tone::Plain,
                    "repointed",
                    &format!("{node} is to follow {primary}"),
                )?;
                self.questions.await_in_step(node, primary);
                Ok(())
            }
            "held" => self.once(at, Tone::Bad, "held", &line.field("why")),
            "leading" => {
                let text = format!(
                    "{} leads, epoch {}",
                    line.field("keeper"),
                    line.field("epoch")
                );
                self.step(at, Tone::Plain, "leader", &text)
            }
            "not leading any more" => {
                let text = format!(
                    "{} leads no more: {}",
                    line.field("keeper"),
                    line.field("why")
                );
                self.step(at, Tone::Bad, "leader", &text)
            }
            "coordination is in trouble; trying on" => {
                let text = format!(
                    "{} has lost ZooKeeper: {}",
                    line.keeper,
                    line.field("trouble")
                );
                self.once(at, Tone::Bad, "trouble", &text)
            }
            message @ ("promotion failed" | "repointing failed") => self.step(
                at,
                Tone::Bad,
                "trouble",
                &format!("{node}: {message}: {}", line.field("error")),
            ),
            _ => Ok(()),
        }
    }

    async fn down(&mut self, at: Instant, line: &LogLine, node: &str) -> Result<(), Trouble> {
        if !self.chapter.told.insert(down(node)) {
            return Ok(());
        }
        let silence = match self.questions.silence(line, node).await {
            Ok(Silence { since, reason }) => {
                let after = seconds_between(self.chapter.origin, since);
                format!(": last sign of life {after:+.3} s, then {reason}")
            }
            Err(_) => String::new(),
        };
        let text = match line.field("keepers").as_str() {
            "1" => format!("{node}{silence}"),
            keepers => format!(
                "{node}{silence}; votes {} of {keepers}",
                line.field("votes")
            ),
        };
        self.step(at, Tone::Bad, "marked down", &text)
    }

    // === lines ===

    fn step(&mut self, at: Instant, tone: Tone, name: &str, text: &str) -> Result<(), Trouble> {
        let quiet = at.saturating_duration_since(self.chapter.latest);
        if self.chapter.closed || quiet > QUIET {
            self.chapter = Chapter::from(at);
            self.screen.line("")?;
        }
        self.chapter.latest = self.chapter.latest.max(at);
        self.screen.step(
            at.saturating_duration_since(self.chapter.origin),
            tone,
            name,
            text,
        )
    }

    /// Tells an event once for each chapter, whichever keeper reports it.
    fn once(&mut self, at: Instant, tone: Tone, name: &str, text: &str) -> Result<(), Trouble> {
        if self.chapter.told.insert(format!("{name} {text}")) {
            return self.step(at, tone, name, text);
        }
        Ok(())
    }
}
