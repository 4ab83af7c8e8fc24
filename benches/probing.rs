//! Measures the costs of probing many nodes: CPU time for each node and second, and memory for each node.
//!
//! `cargo bench --bench probing [-- NODES…]` (default 100 1000). Linux only.
//!
//! For each number of nodes, the benchmark runs the built keeper with embedded coordination and one probe a second.
//! The servers are stand-ins in this process: a real `redis-server` for each node would not fit. The keeper's CPU
//! time and memory are read from `/proc`.

#![allow(clippy::cast_precision_loss)] // figures, far below 2^52

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The length of the measurement, which begins after `SETTLING`.
const MEASURED: Duration = Duration::from_secs(20);
const SETTLING: Duration = Duration::from_secs(5);
const NODES_A_CLUSTER: usize = 3;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![100, 1000]
    } else {
        sizes
    };
    println!("one probe a second, {} s measured", MEASURED.as_secs());
    println!(
        "{:>6}  {:>22}  {:>12}",
        "nodes", "CPU a node a second", "memory"
    );
    let measured: Vec<_> = sizes
        .into_iter()
        .map(|nodes| (nodes, measure(nodes)))
        .collect();
    for (nodes, figures) in &measured {
        println!(
            "{nodes:>6}  {:>19.1} µs  {:>9} kB",
            figures.cpu_micros, figures.memory_kb
        );
    }
    if let [(few, small), .., (many, large)] = &measured[..] {
        let marginal = (large.memory_kb - small.memory_kb) as f64 / (many - few) as f64;
        println!("memory a node, marginal: {marginal:.1} kB (to reach: ≤ 30 kB; CPU ≤ 40 µs)");
    }
}

struct Figures {
    cpu_micros: f64,
    memory_kb: i64,
}

fn measure(nodes: usize) -> Figures {
    let ports = start_stand_ins(nodes);
    let directory = tempfile::tempdir().expect("a directory");
    let keeper = start_keeper(directory.path(), &ports);
    std::thread::park_timeout(SETTLING);
    let before = cpu(&keeper);
    std::thread::park_timeout(MEASURED);
    let used = cpu(&keeper).saturating_sub(before);
    let cpu_micros = used.as_secs_f64() * 1e6 / nodes as f64 / MEASURED.as_secs_f64();
    Figures {
        cpu_micros,
        memory_kb: memory_kb(&keeper),
    }
}

// === the keeper ===

struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_keeper(directory: &Path, ports: &[u16]) -> Keeper {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr());
    let rest_port = free.expect("a port").port();
    let mut text = format!(
        r#"{{"coordination": "embedded", "rest-host": "127.0.0.1", "rest-port": {rest_port}, "log-level": "warn", "clusters": ["#
    );
    for (index, cluster) in ports.chunks(NODES_A_CLUSTER).enumerate() {
        write!(text, "{{\"name\": \"c{index}\", \"nodes\": [").expect("text");
        for port in cluster {
            write!(text, "{{\"host\": \"127.0.0.1\", \"port\": {port}}},").expect("text");
        }
        text.push_str("]},");
    }
    text.push_str("]}");
    let file = directory.join("keeper.conf");
    std::fs::write(&file, text).expect("the configuration is written");
    let keeper = Command::new(env!("CARGO_BIN_EXE_redis-keeper"))
        .arg(&file)
        .spawn();
    Keeper(keeper.expect("the keeper starts"))
}

/// User and system time, from fields 14 and 15 of `/proc/PID/stat`, in ticks of 10 ms.
/// Source: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
fn cpu(keeper: &Keeper) -> Duration {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", keeper.0.id())).expect("the keeper runs");
    let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn memory_kb(keeper: &Keeper) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", keeper.0.id()))
        .expect("the keeper runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

// === a stand-in for a server ===

/// Starts `nodes` servers in one thread, so that they cost little beside the keeper. Returns their ports.
fn start_stand_ins(nodes: usize) -> Vec<u16> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let mut listeners = Vec::new();
            for _ in 0..nodes {
                listeners.push(
                    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                        .await
                        .expect("a port"),
                );
            }
            let port = |listener: &TcpListener| listener.local_addr().expect("bound").port();
            let ports: Vec<_> = listeners.iter().map(port).collect();
            for (index, listener) in listeners.into_iter().enumerate() {
                tokio::spawn(stand_in(
                    listener,
                    index,
                    ports[index - index % NODES_A_CLUSTER],
                ));
            }
            tell.send(ports).expect("the benchmark waits");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("stand-ins that start")
}

/// Answers probes as the primary or a replica of a healthy cluster of three.
async fn stand_in(listener: TcpListener, index: usize, primary: u16) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, index, primary));
    }
}

async fn serve(stream: TcpStream, index: usize, primary: u16) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut replies = String::new();
    while let Some(words) = request(&mut stream).await? {
        let reply = match words
            .first()
            .map(|word| word.to_ascii_uppercase())
            .as_deref()
        {
            Some("PING") => "+PONG\r\n".to_owned(),
            Some("INFO") => bulk(&info(index, primary)),
            Some("PUBSUB") => "*2\r\n$18\r\n__sentinel__:hello\r\n:0\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        replies.push_str(&reply);
        if stream.buffer().is_empty() {
            stream
                .write_all(std::mem::take(&mut replies).as_bytes())
                .await?;
        }
    }
    Ok(())
}

/// Reads the words of one request; `None` at the end of the stream.
async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let words: usize = line.trim().trim_start_matches('*').parse().unwrap_or(0);
    let mut request = Vec::new();
    for _ in 0..words {
        stream.read_line(&mut line).await?; // its length
        line.clear();
        stream.read_line(&mut line).await?;
        request.push(line.trim().to_owned());
    }
    Ok(Some(request))
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn info(index: usize, primary: u16) -> String {
    let replication_id = format!("{:040x}", index - index % NODES_A_CLUSTER + 1);
    let role = if index.is_multiple_of(NODES_A_CLUSTER) {
        "role:master\r\nconnected_slaves:2\r\nslave0:ip=127.0.0.1,port=1,state=online,offset=1,lag=0\r\n\
         slave1:ip=127.0.0.1,port=2,state=online,offset=1,lag=0\r\n"
            .to_owned()
    } else {
        format!(
            "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:{primary}\r\nmaster_link_status:up\r\n\
             master_last_io_seconds_ago:0\r\nmaster_sync_in_progress:0\r\nslave_read_repl_offset:1000\r\n\
             slave_repl_offset:1000\r\nslave_priority:100\r\nslave_read_only:1\r\n"
        )
    };
    format!(
        "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:{index:040x}\r\nuptime_in_seconds:100\r\n\
         # Persistence\r\nloading:0\r\n# Replication\r\n{role}master_failover_state:no-failover\r\n\
         master_replid:{replication_id}\r\nmaster_replid2:0000000000000000000000000000000000000000\r\n\
         master_repl_offset:1000\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\n\
         repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:1000\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"
    )
}
