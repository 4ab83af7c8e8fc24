//! Which servers can follow which: a replica must be able to load the dump that its primary makes.

use super::facts::{Family, NodeFacts, Version};

/// The product and the version of a server.
pub type Make = (Family, Version);

impl NodeFacts {
    /// The server's product and version.
    pub fn make(&self) -> Make {
        (self.family, self.version)
    }
}

/// The version of the dumps that a server makes, and the newest that it loads: `RDB_VERSION` in its `rdb.h`. `None`
/// for a server that is newer than this table.
///
/// Source: <https://github.com/redis/redis/blob/8.0/src/rdb.h>, <https://github.com/valkey-io/valkey/blob/9.0/src/rdb.h>.
fn dump_format((family, version): Make) -> Option<u32> {
    let Version { major, minor, .. } = version;
    match (family, major, minor) {
        (Family::Redis, ..5, _) => Some(8),
        (Family::Redis, 5 | 6, _) => Some(9),
        (Family::Redis, 7, ..2) => Some(10),
        (Family::Redis, 7, 2 | 3) | (Family::Valkey, ..9, _) => Some(11),
        (Family::Redis, 7, _) | (Family::Redis, 8, 0) => Some(12),
        (Family::Valkey, 9, _) => Some(80),
        (Family::Redis | Family::Valkey, ..) => None,
    }
}

/// The newest dump format that both products load: that of Redis 7.2 and of Valkey before 9.
const COMMON: u32 = 11;

/// Whether `replica` can load the dumps of `primary`.
pub fn can_follow(replica: Make, primary: Make) -> bool {
    let [own, theirs] = [replica, primary].map(dump_format);
    let minor = |(_, version): Make| (version.major, version.minor);
    if replica.0 == primary.0 {
        return minor(replica) >= minor(primary) || own.is_some() && own == theirs;
    }
    let loads = |theirs: u32| theirs <= COMMON && own.is_none_or(|own| theirs <= own);
    theirs.is_some_and(loads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(family: Family, major: u16, minor: u16) -> Make {
        let patch = 3;
        let version = Version {
            major,
            minor,
            patch,
        };
        (family, version)
    }

    #[test]
    fn a_newer_server_follows_an_older_one_and_an_older_one_only_what_it_can_load() {
        let [six, six_two, seven, seven_two, eight] =
            [(6, 0), (6, 2), (7, 0), (7, 2), (8, 0)].map(|it| make(Family::Redis, it.0, it.1));
        for (older, newer) in [(six, seven), (seven, seven_two), (seven_two, eight)] {
            assert!(can_follow(newer, older));
            assert!(!can_follow(older, newer));
        }
        assert!(can_follow(six, six_two), "they dump alike");
        let [to_come, later] = [(11, 0), (11, 1)].map(|it| make(Family::Redis, it.0, it.1));
        assert!(can_follow(later, to_come) && !can_follow(to_come, later));
    }

    #[test]
    fn redis_and_valkey_follow_each_other_up_to_the_last_format_they_have_in_common() {
        let redis = [(7, 0), (7, 2), (7, 4)].map(|it| make(Family::Redis, it.0, it.1));
        let valkey = [(8, 1), (9, 1)].map(|it| make(Family::Valkey, it.0, it.1));
        let follows = |replica, primaries: [Make; 2]| primaries.map(|it| can_follow(replica, it));
        assert_eq!(follows(redis[0], valkey), [false, false]);
        assert_eq!(follows(redis[1], valkey), [true, false]);
        for replica in valkey {
            assert_eq!(follows(replica, [redis[0], redis[1]]), [true, true]);
            assert!(!can_follow(replica, redis[2]));
        }
    }
}
