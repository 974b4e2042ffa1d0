//! What nodes tell of themselves, as keys and values of the gossip. Values of others are checked before they are believed.

use std::net::SocketAddr;

use chitchat::NodeState;
use serde::{Deserialize, Serialize};

use super::members::Profile;
use crate::cluster::role::{Role, Roles};

/// Set once when the node starts.
const PROFILE: &str = "profile";

/// Changes as the node works; hundredths.
const LOAD: &str = "load";

/// Set when the node is about to leave: `1`.
pub(super) const DRAINING: &str = "draining";

/// Set as the last thing of a life: `1`.
pub(super) const LEFT: &str = "left";

/// Longest profile that is read. The longest that is written has less than half of it.
const PROFILE_BYTES_MAX: usize = 1024;

/// Longest version that is told or believed.
const VERSION_BYTES_MAX: usize = 64;

/// Roles of a newer program that this one does not know are ignored.
#[derive(Serialize, Deserialize)]
struct ProfileWire {
    address: SocketAddr,
    roles: Vec<String>,
    version: String,
    protocol: u32,
    capacity: u32,
}

/// What a node has told so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) profile: Profile,
    pub(super) load: f32,
    pub(super) draining: bool,
    pub(super) left: bool,
}

pub(super) fn first_values(profile: &Profile) -> Vec<(String, String)> {
    let mut version = profile.version.clone();
    version.truncate(version.floor_char_boundary(VERSION_BYTES_MAX));
    let wire = ProfileWire {
        address: profile.address,
        roles: profile.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        version,
        protocol: profile.protocol,
        capacity: profile.capacity,
    };
    let profile = serde_json::json!(wire).to_string();
    vec![(PROFILE.to_owned(), profile), load_value(0.0)]
}

/// Key and value for a load, which is clamped to 0..=1.
pub(super) fn load_value(load: f32) -> (String, String) {
    (LOAD.to_owned(), hundredths(load).to_string())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=100; NaN becomes 0"
)]
fn hundredths(load: f32) -> u8 {
    (load.clamp(0.0, 1.0) * 100.0).round() as u8
}

/// `None` until a profile came that can be believed.
pub(super) fn read(state: &NodeState) -> Option<Record> {
    read_values(|key| state.get(key))
}

fn read_values<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Record> {
    let profile = get(PROFILE).filter(|text| text.len() <= PROFILE_BYTES_MAX)?;
    let wire: ProfileWire = serde_json::from_str(profile).ok()?;
    let is_text =
        |text: &str| text.len() <= VERSION_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_text(&wire.version) {
        return None;
    }
    let roles = Roles::new(wire.roles.iter().filter_map(|role| role.parse::<Role>().ok())).ok()?;
    let hundredths = get(LOAD).and_then(|load| load.parse::<u8>().ok()).unwrap_or(0).min(100);
    Some(Record {
        profile: Profile {
            address: wire.address,
            roles,
            version: wire.version,
            protocol: wire.protocol,
            capacity: wire.capacity,
        },
        load: f32::from(hundredths) / 100.0,
        draining: get(DRAINING) == Some("1"),
        left: get(LEFT) == Some("1"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            address: "192.0.2.1:9000".parse().unwrap(),
            roles: "fetcher,gateway".parse().unwrap(),
            version: "0.1.0".to_owned(),
            protocol: 1,
            capacity: 4,
        }
    }

    fn read_pairs(pairs: &[(String, String)]) -> Option<Record> {
        read_values(|key| pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str()))
    }

    #[test]
    fn what_is_told_is_what_is_read() {
        let mut values = first_values(&profile());
        let record = Record { profile: profile(), load: 0.0, draining: false, left: false };
        assert_eq!(read_pairs(&values), Some(record.clone()));
        values.push(load_value(0.42));
        values.push((DRAINING.to_owned(), "1".to_owned()));
        assert_eq!(read_pairs(&values), Some(Record { load: 0.42, draining: true, ..record }));
    }

    #[test]
    fn values_that_cannot_be_believed_are_not() {
        let check = |profile: &str, is_read: bool| {
            assert_eq!(
                read_pairs(&[(PROFILE.to_owned(), profile.to_owned())]).is_some(),
                is_read,
                "{profile}"
            );
        };
        let good = first_values(&profile()).remove(0).1;
        check(&good, true);
        check("", false);
        check("{}", false);
        check(&good.replace("0.1.0", "0.1\\u001b[2J"), false);
        check(&good.replace("0.1.0", &"1".repeat(VERSION_BYTES_MAX + 1)), false);
        check(&good.replace("fetcher", "poet"), true);
        check(&good.replace("fetcher", "poet").replace("gateway", "singer"), false);
        check(&format!("{good}{}", " ".repeat(PROFILE_BYTES_MAX)), false);
        check(&good.replace("192.0.2.1:9000", "somewhere"), false);
    }

    #[test]
    fn loads_are_between_idle_and_busy() {
        let check = |load: f32, expect: &str| assert_eq!(load_value(load).1, expect, "{load}");
        check(0.0, "0");
        check(0.666, "67");
        check(1.0, "100");
        check(7.0, "100");
        check(-1.0, "0");
        check(f32::NAN, "0");
    }
}
