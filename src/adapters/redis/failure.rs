//! Sorts failures of connections: evidence about the node, or a trouble of this host alone (RK-1).

use std::io;
use std::net::IpAddr;

use rustix::io::Errno;

use super::reach::{Reach, Reached};
use crate::domain::liveness::DownReason;
use crate::ports::redis::ProbeFailure;

/// Sorts the failure of a connection, or of an attempt to connect.
///
/// - Refused or closed: evidence about the node.
/// - `ETIMEDOUT`, `EHOSTUNREACH`, `EHOSTDOWN`: evidence. The node's host does not answer, or a router reports so. For
///   the keeper that is the same as dropped packets.
/// - Everything else is this host's own failure: no route (`ENETUNREACH`), no file descriptors, no ports, no
///   permission.
pub(super) fn sorted(error: &io::Error) -> ProbeFailure {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let reason = match (error.kind(), errno) {
        (io::ErrorKind::ConnectionRefused, _) => DownReason::Refused,
        (
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof,
            _,
        ) => DownReason::Closed,
        (io::ErrorKind::TimedOut, _) | (_, Some(Errno::HOSTUNREACH | Errno::HOSTDOWN)) => {
            DownReason::Unanswered
        }
        _ => return ProbeFailure::Own(error.to_string()),
    };
    let text = match reason {
        DownReason::Closed => "connection closed".to_owned(),
        _ => error.to_string(),
    };
    ProbeFailure::Evidence(reason, text)
}

/// Sorts the failure of an attempt to connect to `ip`. If this host reaches other destinations, a local error for
/// `ip` counts as silence of the node, like dropped packets.
pub(super) async fn of_attempt(error: &io::Error, ip: IpAddr, reach: &Reach) -> ProbeFailure {
    if let Some(least) = barred(error)
        && reach.others(ip).await >= least
    {
        let text = format!("{ip} is out of reach, other destinations are not: {error}");
        return ProbeFailure::Evidence(DownReason::Unanswered, text);
    }
    sorted(error)
}

/// For an error that one barred destination may cause, by a route or by a policy: the destination that must still
/// answer, to rule out the network of this host. `None` for other errors.
fn barred(error: &io::Error) -> Option<Reached> {
    match error.raw_os_error().map(Errno::from_raw_os_error)? {
        // Errors of a `blackhole` route and of a `prohibit` route.
        Errno::INVAL | Errno::ACCESS => Some(Reached::ThisHost),
        // Errors of a missing route, of a local firewall, and of a network that is down.
        Errno::NETUNREACH | Errno::PERM | Errno::NETDOWN | Errno::AFNOSUPPORT => {
            Some(Reached::AnotherHost)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn reason(errno: Errno) -> Option<DownReason> {
        match sorted(&io::Error::from_raw_os_error(errno.raw_os_error())) {
            ProbeFailure::Evidence(reason, _) => Some(reason),
            ProbeFailure::Own(_) => None,
        }
    }

    #[test]
    fn what_the_node_does_is_evidence() {
        assert_eq!(reason(Errno::CONNREFUSED), Some(DownReason::Refused));
        assert_eq!(reason(Errno::CONNRESET), Some(DownReason::Closed));
        assert_eq!(reason(Errno::PIPE), Some(DownReason::Closed));
        assert_eq!(reason(Errno::TIMEDOUT), Some(DownReason::Unanswered));
        assert_eq!(reason(Errno::HOSTUNREACH), Some(DownReason::Unanswered));
    }

    #[test]
    fn what_fails_on_this_host_is_no_evidence() {
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::NETUNREACH,
            Errno::NETDOWN,
            Errno::ACCESS,
            Errno::PERM,
        ] {
            assert_eq!(reason(errno), None, "{errno:?}");
        }
    }

    #[tokio::test]
    async fn a_route_that_bars_one_destination_is_evidence_while_another_answers() {
        let barred: IpAddr = "127.0.0.1".parse().expect("an address");
        let (nobody, reach) = (Reach::default(), Reach::default());
        let other = TcpListener::bind(("127.0.0.2", 0)).await.expect("a port");
        let addr = other.local_addr().expect("bound");
        reach.note(&TcpStream::connect(addr).await.expect("connected"));
        let unanswered = async |errno: Errno, reach: &Reach| {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            let failure = of_attempt(&error, barred, reach).await;
            matches!(failure, ProbeFailure::Evidence(DownReason::Unanswered, _))
        };
        for errno in [Errno::INVAL, Errno::ACCESS] {
            assert!(unanswered(errno, &reach).await, "{errno:?}");
            assert!(!unanswered(errno, &nobody).await, "{errno:?}");
        }
        // A network that is down gives these errors, too. A destination on this host proves nothing then.
        for errno in [Errno::NETUNREACH, Errno::PERM] {
            assert!(!unanswered(errno, &reach).await, "{errno:?}");
        }
    }

    #[test]
    fn what_this_host_lacks_is_never_taken_for_a_barred_destination() {
        let needs = |errno: Errno| barred(&io::Error::from_raw_os_error(errno.raw_os_error()));
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::ADDRNOTAVAIL,
            Errno::CONNREFUSED,
        ] {
            assert_eq!(needs(errno), None, "{errno:?}");
        }
        assert_eq!(needs(Errno::INVAL), Some(Reached::ThisHost));
        assert_eq!(needs(Errno::NETUNREACH), Some(Reached::AnotherHost));
        assert_eq!(barred(&io::ErrorKind::TimedOut.into()), None);
    }
}
