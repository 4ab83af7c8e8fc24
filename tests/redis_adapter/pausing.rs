//! Writes that are paused for a switchover.

use std::time::Duration;

use redis_keeper::adapters::redis::Access;
use redis_keeper::domain::node::Epoch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::asking::{commanding, facts, node};
use crate::server::{PATIENCE, Server, command, eventually, impostor};

/// The server's `INFO replication`.
const INFO: &str = "# Replication\r\nrole:master\r\nmaster_repl_offset:4711\r\n";

#[tokio::test]
async fn writes_wait_until_the_pause_is_ended_and_reads_do_not() {
    let server = Server::start(&[]).await;
    server.run::<()>("SET before 1");
    let commands = commanding(&server, Access::default(), 1).await;
    let mut commands = commands.expect("a connection");
    let offset = commands.pause_writes(PATIENCE).await.expect("paused");
    assert_eq!(offset, facts(&server).await.expect("facts").offset);
    assert_eq!(commands.offset().await, Ok(offset));

    assert_eq!(server.run::<u32>("GET before"), 1);
    let mut client = server.client();
    let blocked = std::thread::spawn(move || command("SET during 1").query::<()>(&mut client));
    eventually("the write to wait", async || {
        let info: String = server.run("INFO clients");
        info.contains("blocked_clients:1").then_some(())
    })
    .await;
    assert_eq!(server.run::<u32>("EXISTS during"), 0);

    assert_eq!(commands.unpause().await, Ok(()));
    let written = blocked.join().expect("no panic");
    assert_eq!(written, Ok(()));
}

/// A server that answers as Redis 5.0 and 6.0 do, as far as this test asks.
#[tokio::test]
async fn a_server_that_knows_no_pause_of_writes_alone_is_paused_whole() {
    let (listener, addr) = impostor().await;
    let old = tokio::spawn(old_server(listener));
    let node = node(&addr, Access::default());
    let commands = node.command(Epoch(1)).await;
    let mut commands = commands.expect("a connection");
    let paused = commands.pause_writes(Duration::from_secs(1)).await;
    assert_eq!(paused, Ok(4711));
    // A client that gets an answer is not paused any more.
    assert_eq!(commands.unpause().await, Ok(()));
    drop(commands);
    let asked = old.await.expect("no panic");
    let tries: Vec<_> = asked
        .iter()
        .filter(|it| it.starts_with("CLIENT PAUSE"))
        .collect();
    assert_eq!(tries, ["CLIENT PAUSE 1000 WRITE", "CLIENT PAUSE 1000"]);
}

/// Serves one connection. Returns the requests.
async fn old_server(listener: TcpListener) -> Vec<String> {
    let (mut peer, _) = listener.accept().await.expect("a client");
    let (mut asked, mut received) = (Vec::new(), String::new());
    let mut queued: Option<Vec<String>> = None;
    let mut bytes = [0; 1024];
    loop {
        let count = peer.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            return asked;
        }
        received += std::str::from_utf8(&bytes[..count]).expect("text");
        let mut replies = String::new();
        while let Some((words, rest)) = request(&received) {
            received = rest;
            let reply = match (words.as_str(), &mut queued) {
                ("MULTI", _) => {
                    queued = Some(Vec::new());
                    "+OK\r\n".to_owned()
                }
                ("EXEC", Some(done)) => {
                    let reply = format!("*{}\r\n{}", done.len(), done.concat());
                    queued = None;
                    reply
                }
                (words, Some(done)) => {
                    done.push(answer(words));
                    "+QUEUED\r\n".to_owned()
                }
                (words, None) => answer(words),
            };
            asked.push(words);
            replies += &reply;
        }
        peer.write_all(replies.as_bytes()).await.expect("a client");
    }
}

fn answer(words: &str) -> String {
    match words.split(' ').collect::<Vec<_>>()[..] {
        ["INFO", "server"] => "$10\r\nrun_id:old\r\n".to_owned(),
        ["INFO", "replication"] => format!("${}\r\n{INFO}\r\n", INFO.len()),
        ["CLIENT", "PAUSE" | "SETNAME", _] => "+OK\r\n".to_owned(),
        ["CLIENT", subcommand, ..] => format!(
            "-ERR Unknown subcommand or wrong number of arguments for '{subcommand}'. Try CLIENT HELP\r\n"
        ),
        _ => panic!("asked {words}"),
    }
}

/// The first complete request in `received`, its words separated by spaces, and the text after it.
fn request(received: &str) -> Option<(String, String)> {
    let mut lines = received.split("\r\n");
    let count: usize = lines.next()?.strip_prefix('*')?.parse().ok()?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        lines.next()?.strip_prefix('$')?;
        words.push(lines.next()?);
    }
    let rest: Vec<_> = lines.collect();
    // A text that ends with a line break has an empty rest. Without a line break, the last word is not complete.
    (!rest.is_empty()).then(|| (words.join(" "), rest.join("\r\n")))
}
