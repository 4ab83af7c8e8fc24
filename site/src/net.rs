//! A network for each test, and a turn for each test with several keepers.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::Duration;

/// How many tests with ZooKeeper and several keepers may run at once on a machine.
const FLEETS: u16 = 2;

/// The port that holds a claim. Like all ports of the harness, it lies below those that the kernel gives to clients.
const CLAIM_PORT: u16 = 17_099;

/// A `127.x.y.0/24` that no other test has, in this process or another. So fixed ports on its addresses never
/// collide.
///
/// The claim is a bound socket: the kernel keeps it unique, and releases it with the process.
pub struct Net {
    x: u8,
    y: u8,
    next_host: AtomicU8,
    _claim: UdpSocket,
    turn: Option<UdpSocket>,
}

// === impl Net ===

impl Net {
    /// A network for a test that needs little of the machine.
    pub fn new() -> Self {
        Self::claim(None)
    }

    /// A network for a test with several keepers. Waits for the test's turn, which ends when the network is dropped.
    ///
    /// Make the network the test's first variable, so that it is dropped last.
    pub async fn fleet() -> Self {
        let turns = Ipv4Addr::new(127, 255, 255, 1);
        loop {
            for turn in 0..FLEETS {
                if let Ok(turn) = UdpSocket::bind((turns, CLAIM_PORT + turn)) {
                    return Self::claim(Some(turn));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn claim(turn: Option<UdpSocket>) -> Self {
        // Later tests take later networks, so that leftovers of a finished test in the kernel disturb no other test.
        static LATEST: AtomicU16 = AtomicU16::new(0);
        for _ in 0..=u16::MAX {
            let offset = LATEST.fetch_add(1, Ordering::Relaxed);
            let start = std::process::id().wrapping_mul(251).to_le_bytes();
            let [y, x] = u16::from_le_bytes([start[0], start[1]])
                .wrapping_add(offset)
                .to_le_bytes();
            if x == 0 || x == 255 {
                continue;
            }
            if let Ok(claim) = UdpSocket::bind((Ipv4Addr::new(127, x, y, 255), CLAIM_PORT)) {
                return Self {
                    x,
                    y,
                    next_host: AtomicU8::new(1),
                    _claim: claim,
                    turn,
                };
            }
        }
        panic!("every 127.x.y.0/24 is taken");
    }

    /// An address that nothing uses yet.
    pub fn host(&self) -> Ipv4Addr {
        let host = self.next_host.fetch_add(1, Ordering::Relaxed);
        assert!(host < 255, "a network has 254 hosts");
        Ipv4Addr::new(127, self.x, self.y, host)
    }

    /// The port `port` at an address that nothing uses yet.
    pub fn socket(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.host(), port)
    }

    /// Whether the test has waited for its turn.
    pub fn is_fleet(&self) -> bool {
        self.turn.is_some()
    }
}
