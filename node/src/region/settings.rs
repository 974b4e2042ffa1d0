//! The settings of a region among others, checked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use orrery_actors::region::ReplicationMode;
use orrery_actors::region::report::RegionName;

use crate::config::{Config, RegionConfig, RegionPeerConfig};
use crate::exit::Failure;
use crate::settings::wrong;

/// Most peer regions: each costs a connection, and a report has so many.
const PEERS_MAX: usize = 16;

/// Most addresses of one.
const ADDRESSES_MAX: usize = 16;

/// A region among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionSettings {
    pub(crate) name: RegionName,
    /// Traffic belongs to the healthy regions of the lowest one.
    pub(crate) priority: u32,
    /// Share of traffic among those of one priority.
    pub(crate) weight: u32,
    pub(crate) lag_max_ledgers: u32,
    pub(crate) unheard_after: Duration,
    pub(crate) stable: Duration,
    pub(crate) peers: Vec<PeerSettings>,
}

/// Another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    pub(crate) name: RegionName,
    /// `HOST:PORT` each; any will do.
    pub(crate) addresses: Vec<String>,
    /// Of its certificates; `None` for this cluster's own.
    pub(crate) authority: Option<PathBuf>,
    pub(crate) mode: ReplicationMode,
    /// Of copies; 0 for no limit.
    pub(crate) mib_per_second: u32,
}

impl RegionSettings {
    /// `None` for a cluster that is the only region.
    ///
    /// # Errors
    ///
    /// Names the key, the value and the way out.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>, Failure> {
        let region = &config.region;
        if region.name.is_empty() {
            return match region.peers.first() {
                Some(peer) => {
                    Err(wrong("region.peers", &peer.name, "give this region a name too: region.name"))
                }
                None => Ok(None),
            };
        }
        let name = name("region.name", &region.name)?;
        if config.cluster.listen.is_empty() {
            let fix =
                "regions meet where nodes do: give --listen ADDRESS:PORT (cluster.listen) and certificates";
            return Err(wrong("region.name", name.as_str(), fix));
        }
        check_numbers(region)?;
        if region.peers.len() > PEERS_MAX {
            let fix = format!("give at most {PEERS_MAX}");
            return Err(wrong("region.peers", &format!("{} peers", region.peers.len()), &fix));
        }
        let peers = region.peers.iter().map(PeerSettings::new).collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::from([&name]);
        if let Some(twice) = peers.iter().find(|peer| !names.insert(&peer.name)) {
            let fix = "give every region once, and not this one";
            return Err(wrong("region.peers.name", twice.name.as_str(), fix));
        }
        let modes = |mode| peers.iter().find(|peer| peer.mode == mode);
        if let (Some(_), Some(both)) = (modes(ReplicationMode::Copy), modes(ReplicationMode::Both)) {
            let fix = format!(
                "{} is `both`: a region that copies derives nothing; give copy or recompute",
                both.name
            );
            return Err(wrong("region.peers.mode", "copy", &fix));
        }
        let unheard_after = Duration::from_secs(region.unheard_after_seconds);
        let stable = Duration::from_secs(region.stable_seconds);
        let RegionConfig { priority, weight, lag_max_ledgers, .. } = *region;
        Ok(Some(Self { name, priority, weight, lag_max_ledgers, unheard_after, stable, peers }))
    }

    /// Whether this region derives nothing by itself.
    pub(crate) fn copies_only(&self) -> bool {
        self.peers.iter().any(|peer| peer.mode == ReplicationMode::Copy)
    }
}

impl PeerSettings {
    fn new(peer: &RegionPeerConfig) -> Result<Self, Failure> {
        let name = name("region.peers.name", &peer.name)?;
        if peer.addresses.is_empty() || peer.addresses.len() > ADDRESSES_MAX {
            let fix = format!("give region {name} 1 to {ADDRESSES_MAX} addresses, as gw-1.us.example:7100");
            return Err(wrong(
                "region.peers.addresses",
                &format!("{} addresses", peer.addresses.len()),
                &fix,
            ));
        }
        for address in &peer.addresses {
            let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if !matches!(port.map(|(_, port)| port.parse()), Some(Ok(1_u16..))) {
                return Err(wrong(
                    "region.peers.addresses",
                    address,
                    "give HOST:PORT, as gw-1.us.example:7100",
                ));
            }
        }
        let mode = peer.mode.parse();
        let mode = mode.map_err(|fix: String| wrong("region.peers.mode", &peer.mode, &fix))?;
        Ok(Self {
            name,
            addresses: peer.addresses.clone(),
            authority: Some(peer.authority.clone()).filter(|path| !path.as_os_str().is_empty()),
            mode,
            mib_per_second: peer.mib_per_second,
        })
    }
}

fn name(key: &str, text: &str) -> Result<RegionName, Failure> {
    text.parse().map_err(|error| Failure::Configuration(format!("{key}: {error}")))
}

fn check_numbers(region: &RegionConfig) -> Result<(), Failure> {
    let (weight, priority, lag) = (region.weight, region.priority, region.lag_max_ledgers);
    let numbers = [
        (
            "region.weight",
            u64::from(weight),
            1..=65_535,
            "give 1 to 65535; a region that is to have no traffic gets a higher priority",
        ),
        ("region.priority", u64::from(priority), 0..=65_535, "give 0 to 65535"),
        (
            "region.lag_max_ledgers",
            u64::from(lag),
            1..=1_000_000,
            "give 1 to 1000000: a ledger is never everywhere at once",
        ),
        (
            "region.unheard_after_seconds",
            region.unheard_after_seconds,
            2..=3_600,
            "give 2 to 3600: a region is heard about once a second",
        ),
        ("region.stable_seconds", region.stable_seconds, 0..=86_400, "give 0 to 86400"),
    ];
    match numbers.into_iter().find(|(_, value, fits, _)| !fits.contains(value)) {
        Some((key, value, _, fix)) => Err(wrong(key, &value.to_string(), fix)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, mode: &str) -> RegionPeerConfig {
        let addresses = vec!["gw.us.example:7100".to_owned()];
        RegionPeerConfig {
            name: name.to_owned(),
            addresses,
            mode: mode.to_owned(),
            ..RegionPeerConfig::default()
        }
    }

    fn with(change: impl FnOnce(&mut Config)) -> Result<Option<RegionSettings>, String> {
        let mut config = Config::default();
        config.region.name = "eu".to_owned();
        config.region.peers = vec![peer("us", "both")];
        config.cluster.listen = "127.0.0.1:0".to_owned();
        change(&mut config);
        RegionSettings::new(&config).map_err(|error| {
            assert!(matches!(error, Failure::Configuration(_)), "{error}");
            error.to_string()
        })
    }

    #[test]
    fn a_cluster_without_a_name_is_the_only_region() {
        let alone = |config: &mut Config| config.region = RegionConfig::default();
        assert_eq!(with(alone), Ok(None));
        let settings = with(|config| config.region.peers[0].mib_per_second = 2).unwrap().unwrap();
        assert_eq!(settings.peers[0].mib_per_second, 2);
        assert_eq!((settings.copies_only(), &settings.peers[0].authority), (false, &None));
        assert!(
            with(|config| config.region.peers[0].mode = "copy".to_owned()).unwrap().unwrap().copies_only()
        );
    }

    #[test]
    fn values_that_make_no_sense_name_their_key() {
        let check = |change: fn(&mut Config), expect: &str| {
            let error = with(change).map(|_| ()).unwrap_err();
            assert!(error.contains(expect), "`{expect}`: {error}");
        };
        check(|config| config.region.name = "E U".to_owned(), "region.name: `E U`");
        check(|config| config.region.name.clear(), "region.peers: `us`: give this region a name");
        check(|config| config.cluster.listen.clear(), "region.name: `eu`: regions meet where nodes do");
        check(|config| config.region.weight = 0, "region.weight: `0`");
        check(|config| config.region.priority = 70_000, "region.priority: `70000`");
        check(|config| config.region.lag_max_ledgers = 0, "region.lag_max_ledgers: `0`");
        check(|config| config.region.unheard_after_seconds = 1, "region.unheard_after_seconds: `1`");
        check(|config| config.region.stable_seconds = 86_401, "region.stable_seconds: `86401`");
        check(|config| config.region.peers = vec![peer("us", "both"); 17], "region.peers: `17 peers`");
        check(|config| config.region.peers.push(peer("us", "both")), "region.peers.name: `us`");
        check(|config| config.region.peers.push(peer("eu", "both")), "region.peers.name: `eu`");
        check(|config| config.region.peers.push(peer("", "both")), "region.peers.name");
        check(
            |config| config.region.peers.push(peer("ap", "copy")),
            "region.peers.mode: `copy`: us is `both`",
        );
        check(|config| config.region.peers[0].mode = "mirror".to_owned(), "region.peers.mode: `mirror`");
        check(|config| config.region.peers[0].addresses.clear(), "region.peers.addresses: `0 addresses`");
        check(
            |config| config.region.peers[0].addresses = vec!["us".to_owned()],
            "addresses: `us`: give HOST:PORT",
        );
        check(|config| config.region.peers[0].addresses = vec!["us:0".to_owned()], "addresses: `us:0`");
    }
}
