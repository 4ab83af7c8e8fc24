//! Finds out why there is no session. The client library reports only a timeout. So while the connection is lost,
//! this module asks each server for its state, on a separate connection. The session never waits for these questions.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::ZooKeeper;
use super::inspect::ServerState;
use crate::ports::coordination::Outage;

/// The time from a loss to the first questions. A start, or an election in the ensemble, takes less.
const GRACE: Duration = Duration::from_millis(500);

/// The time between two rounds of questions.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// The state of the connection to the ensemble: present, or lost and why.
pub(super) struct Contact {
    servers: Arc<[String]>,
    outage: watch::Sender<Option<Outage>>,
}

impl Contact {
    pub(super) fn new(servers: Arc<[String]>) -> Arc<Self> {
        let outage = watch::Sender::default();
        Arc::new(Self { servers, outage })
    }

    pub(super) fn outage(&self) -> watch::Receiver<Option<Outage>> {
        self.outage.subscribe()
    }

    /// The states that the servers last gave; `None` if no server was asked.
    pub(super) fn causes(&self) -> Option<String> {
        let outage = self.outage.borrow();
        outage.as_ref().and_then(Outage::causes)
    }

    /// Notes that there is a connection: the outage is over.
    pub(super) fn made(&self) {
        self.outage.send_replace(None);
    }

    /// Notes that there is no connection. Changes nothing if the outage had begun before.
    pub(super) fn lost(self: &Arc<Self>) {
        let since = Instant::now();
        let news = self.outage.send_if_modified(|outage| {
            let news = outage.is_none();
            outage.get_or_insert_with(|| Outage::since(since));
            news
        });
        if news {
            tokio::spawn(ask(Arc::downgrade(self), since));
        }
    }

    /// Notes the servers' states in the outage that began at `since`, and logs them if they have changed.
    fn found(&self, since: Instant, servers: Vec<String>) {
        let news = self.outage.send_if_modified(|outage| {
            let outage = outage.as_mut().filter(|outage| outage.since == since);
            let outage = outage.filter(|outage| outage.servers != servers);
            outage.map(|outage| outage.servers = servers).is_some()
        });
        if news && let Some(why) = self.causes() {
            tracing::warn!(why, "ZooKeeper is out of reach");
        }
    }

    fn lasts(&self, since: Instant) -> bool {
        let outage = self.outage.borrow();
        outage.as_ref().is_some_and(|outage| outage.since == since)
    }
}

/// Asks all servers again and again, until the outage is over or its `Contact` is dropped.
async fn ask(contact: Weak<Contact>, since: Instant) {
    sleep(GRACE).await;
    while let Some(contact) = contact.upgrade().filter(|it| it.lasts(since)) {
        let asked = contact.servers.iter().map(|server| async move {
            let state = ZooKeeper::server_state(server).await;
            format!("{server}: {}", in_words(state))
        });
        contact.found(since, join_all(asked).await);
        drop(contact);
        sleep(ASKED_EVERY).await;
    }
}

fn in_words(state: io::Result<ServerState>) -> String {
    match state {
        Ok(ServerState::Serving { .. }) => "it serves, and has granted no session yet".to_owned(),
        Ok(ServerState::NotServing) => {
            "it is up, and serves nobody: its ensemble has no majority".to_owned()
        }
        Ok(ServerState::Silenced) => {
            "it is up, and has granted no session; why it may not say (4lw.commands.whitelist lacks srvr)".to_owned()
        }
        Err(error) => match error.kind() {
            ErrorKind::TimedOut => "no answer in time".to_owned(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "it closes the connection without an answer".to_owned()
            }
            _ => plain(&error.to_string()),
        },
    }
}

/// A message of the operating system, without its capital letter and its error number.
fn plain(message: &str) -> String {
    let words = message.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    let first = letters.next().map(|it| it.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    async fn wait_causes(contact: &Contact, wanted: &str) {
        let mut outage = contact.outage();
        let told = outage.wait_for(|outage| {
            let causes = outage.as_ref().and_then(Outage::causes);
            causes.is_some_and(|causes| causes.contains(wanted))
        });
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        assert!(told.is_ok(), "{wanted}: {:?}", contact.causes());
    }

    /// An address where no process listens.
    fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = listener.local_addr().expect("its address");
        at.to_string()
    }

    #[tokio::test]
    async fn an_outage_names_each_server_and_what_it_did_until_it_is_over() {
        let refusing = nobody();
        let servers = [refusing.clone(), "nowhere.invalid:2181".to_owned()];
        let contact = Contact::new(servers.into());
        assert_eq!(*contact.outage().borrow(), None);
        contact.lost();
        assert_eq!(contact.causes(), None, "nobody was asked yet");
        wait_causes(&contact, &format!("{refusing}: connection refused")).await;
        wait_causes(&contact, "nowhere.invalid:2181: failed to lookup address").await;

        let since = contact.outage().borrow().as_ref().map(|it| it.since);
        contact.lost();
        let still = contact.outage().borrow().as_ref().map(|it| it.since);
        assert_eq!(since, still, "it is the same outage");
        contact.made();
        assert_eq!(*contact.outage().borrow(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_soon_has_no_cause() {
        let contact = Contact::new([nobody()].into());
        contact.lost();
        sleep(GRACE / 2).await;
        contact.made();
        contact.lost();
        sleep(GRACE / 2 + Duration::from_millis(1)).await;
        assert_eq!(contact.causes(), None, "another outage, as young");
    }
}
