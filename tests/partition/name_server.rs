//! A name server that answers, denies every name, or hangs: RFC 1035, as far as a resolver asks for addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use keeper_site::BACKGROUND;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// The port of name servers; configuration files cannot change it.
const PORT: u16 = 53;

/// How the server treats questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    /// The server denies every name.
    Denies,
    /// The server takes questions, and does not answer.
    Hangs,
}

pub(crate) struct NameServer {
    at: Ipv4Addr,
    mood: Arc<Mutex<Mood>>,
    task: AbortHandle,
}

// === impl NameServer ===

impl NameServer {
    /// Starts a name server at `at` that knows these names.
    pub(crate) async fn start(at: Ipv4Addr, names: &[(&str, Ipv4Addr)]) -> Self {
        let names = names.iter().map(|(name, ip)| ((*name).to_owned(), *ip));
        let names: BTreeMap<_, _> = names.collect();
        let mood = Arc::new(Mutex::new(Mood::Answers));
        let now = Arc::clone(&mood);
        let (listens, listening) = tokio::sync::oneshot::channel();
        let task = BACKGROUND.spawn(async move {
            let socket = UdpSocket::bind((at, PORT)).await;
            let socket = socket.unwrap_or_else(|error| panic!("port 53 of {at}: {error}"));
            let _ = listens.send(());
            let mut question = [0; 512];
            loop {
                let Ok((length, asker)) = socket.recv_from(&mut question).await else {
                    continue;
                };
                let mood = *now.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(answer) = answer(&question[..length], mood, &names) {
                    let _ = socket.send_to(&answer, asker).await;
                }
            }
        });
        listening.await.expect("it listens");
        Self {
            at,
            mood,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn at(&self) -> Ipv4Addr {
        self.at
    }

    /// Sets how the server treats questions from now on.
    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The answer to a question, if there is one.
fn answer(asked: &[u8], mood: Mood, names: &BTreeMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    if mood == Mood::Hangs {
        return None;
    }
    let (mut labels, mut at) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*asked.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        let label = asked.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
    let kind = asked.get(at..at + 4)?;
    let known = names
        .get(&labels.join("."))
        .filter(|_| mood == Mood::Answers);
    // An IPv4 address in the class of the internet; the server knows no others.
    let found = known.filter(|_| *kind == [0, 1, 0, 1]);
    let no_such_name = u8::from(known.is_none()) * 3;
    let mut reply = asked.get(..2)?.to_vec();
    reply.extend([0x81, 0x80 | no_such_name, 0, 1]);
    reply.extend([0, u8::from(found.is_some()), 0, 0, 0, 0]);
    reply.extend(&asked[HEADER..at + 4]);
    if let Some(ip) = found {
        // The name is that of the question, and the answer may be kept for 0 seconds.
        reply.extend([0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(ip.octets());
    }
    Some(reply)
}
