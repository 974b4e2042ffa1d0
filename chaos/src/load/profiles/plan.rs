//! Who is there when, and how often each asks. Pure.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::random::Random;

/// What a user does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads ranges of the table of events over Arrow Flight.
    Flight,
    /// Reads the live feed over a WebSocket.
    Live,
    /// Exports ranges as files.
    Export,
    /// Asks all sorts of small things.
    Mixed,
}

impl Kind {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Flight, Self::Live, Self::Export, Self::Mixed];

    /// Its name in reports and targets.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flight => "flight",
            Self::Live => "live",
            Self::Export => "export",
            Self::Mixed => "mixed",
        }
    }

    /// Seconds from one request of a user to the next; all thousand users together make some 75 requests a second, half as many
    /// again as they are to get answered. Nobody who reads the live feed asks twice.
    pub(super) const fn pause_seconds(self) -> f64 {
        match self {
            Self::Flight | Self::Live => 20.0,
            Self::Export => 40.0,
            Self::Mixed => 2.0,
        }
    }
}

/// Which users there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// 400 users who read ranges over Arrow Flight
    HighThroughput,
    /// 300 users who read the live feed over WebSocket
    Live,
    /// 200 users who export ranges as Parquet, CSV and JSON lines
    Export,
    /// 100 users who look up pages, accounts, ledgers and assets, and sometimes read or export a little
    Mixed,
    /// All of these: 1,000 users
    All,
}

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HighThroughput => "high-throughput",
            Self::Live => "live",
            Self::Export => "export",
            Self::Mixed => "mixed",
            Self::All => "all",
        }
    }

    /// Its users: so many in all, or as many as it has if nothing is said.
    pub fn users(self, count: Option<usize>) -> Users {
        let shares = match self {
            Self::HighThroughput => Users([400, 0, 0, 0]),
            Self::Live => Users([0, 300, 0, 0]),
            Self::Export => Users([0, 0, 200, 0]),
            Self::Mixed => Users([0, 0, 0, 100]),
            Self::All => Users([400, 300, 200, 100]),
        };
        count.map_or(shares, |count| shares.shared(count))
    }
}

/// How many users of each kind, in the order of [`Kind::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users([usize; 4]);

impl Users {
    /// Of a kind.
    pub fn of(self, kind: Kind) -> usize {
        self.0[kind as usize]
    }

    /// Of all kinds.
    pub fn sum(self) -> usize {
        self.0.iter().sum()
    }

    /// So many of all kinds with the same shares: each kind has its part of what those before it have left.
    fn shared(self, count: usize) -> Self {
        let (mut shares_left, mut left) = (self.sum(), count);
        Self(self.0.map(|share| {
            let own = if shares_left == 0 { 0 } else { (left * share).div_ceil(shares_left) };
            shares_left -= share;
            left -= own;
            own
        }))
    }

    /// Those of them that are there: a part of each kind, at least one of each if there is any part.
    fn part(self, part: f64) -> Self {
        Self(self.0.map(|all| match part > 0.0 {
            true => ((all as f64 * part).round() as usize).clamp(all.min(1), all),
            false => 0,
        }))
    }
}

/// How the number of users changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// All are there all the time
    Steady,
    /// They become more over three fifths of the time, and stay
    Ramp,
    /// A tenth is there; in the middle fifth of the time all come at once, and go again
    Spike,
    /// As steady; memory that grows, or times that do, are a failure: give it hours
    Soak,
}

impl Shape {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Ramp => "ramp",
            Self::Spike => "spike",
            Self::Soak => "soak",
        }
    }

    /// Who is there when this part of the time is over, from 0 to 1.
    pub fn present(self, all: Users, passed: f64) -> Users {
        all.part(match self {
            Self::Steady | Self::Soak => 1.0,
            Self::Ramp => (passed / 0.6).min(1.0),
            Self::Spike if (0.4..0.6).contains(&passed) => 1.0,
            Self::Spike => 0.1,
        })
    }

    /// Seconds within which users who come together ask first: who is there all the time comes at any moment, a crowd at once.
    pub(super) fn first_within_seconds(self, pause: f64) -> f64 {
        match self {
            Self::Steady | Self::Soak => pause,
            Self::Ramp | Self::Spike => pause.min(1.0),
        }
    }
}

/// Seconds to the next request: the pause, a fifth shorter to a fifth longer, so that users who came together part.
pub(super) fn next_in_seconds(pause: f64, random: &mut Random) -> f64 {
    pause * (0.8 + 0.4 * random.below(1000) as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_shared_as_the_profile_has_them() {
        let check = |profile: Profile, count: Option<usize>, expect: [usize; 4]| {
            assert_eq!(profile.users(count), Users(expect), "{profile:?} {count:?}");
        };
        check(Profile::All, None, [400, 300, 200, 100]);
        check(Profile::All, Some(10), [4, 3, 2, 1]);
        check(Profile::All, Some(5000), [2000, 1500, 1000, 500]);
        check(Profile::All, Some(4), [2, 1, 1, 0]);
        check(Profile::Live, Some(7), [0, 7, 0, 0]);
        check(Profile::HighThroughput, None, [400, 0, 0, 0]);
        for count in 0..100 {
            assert_eq!(Profile::All.users(Some(count)).sum(), count);
        }
    }

    #[test]
    fn shapes_say_who_is_there() {
        let check = |shape: Shape, passed: f64, expect: [usize; 4]| {
            assert_eq!(shape.present(Profile::All.users(None), passed), Users(expect), "{shape:?} {passed}");
        };
        check(Shape::Steady, 0.0, [400, 300, 200, 100]);
        check(Shape::Ramp, 0.0, [0, 0, 0, 0]);
        check(Shape::Ramp, 0.3, [200, 150, 100, 50]);
        check(Shape::Ramp, 0.001, [1, 1, 1, 1]);
        check(Shape::Ramp, 0.9, [400, 300, 200, 100]);
        check(Shape::Spike, 0.39, [40, 30, 20, 10]);
        check(Shape::Spike, 0.5, [400, 300, 200, 100]);
        check(Shape::Spike, 0.7, [40, 30, 20, 10]);
        assert_eq!(Shape::Spike.present(Profile::Live.users(Some(3)), 0.0), Users([0, 1, 0, 0]));
    }
}
