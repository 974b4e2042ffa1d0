//! The settings of a node that shares its work, checked.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use orrery_supervisor::ChildSpec;
use orrery_supervisor::cluster::certificates::{Credentials, Purpose, RegionAuthority, keep_current};
use orrery_supervisor::cluster::role::{Role, Roles};
use orrery_supervisor::cluster::transport::Limits;
use orrery_supervisor::cluster::{DeniedNames, NodeName};

use crate::config::Config;
use crate::exit::Failure;

/// Most ranges of ledgers at once: each is a pipeline with its own memory.
pub(super) const TASKS_MAX: u32 = 64;

/// How a node takes part in a cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterSettings {
    /// Where other nodes connect.
    pub(crate) listen: SocketAddr,
    /// What they are told, where that is another address.
    pub(crate) advertise: Option<SocketAddr>,
    /// `HOST:PORT` of nodes that may be there.
    pub(crate) join: Vec<String>,
    pub(crate) roles: Roles,
    /// Tasks at once.
    pub(crate) tasks: u32,
    pub(crate) credentials: Credentials,
    /// Who is locked out; shared by all that have to know, and changed while the node runs.
    pub(crate) denied: DeniedNames,
}

impl ClusterSettings {
    /// `None` for a node that works alone.
    ///
    /// # Errors
    ///
    /// Names the key, the value and the way out.
    pub(crate) fn new(config: &Config) -> Result<Option<Self>, Failure> {
        let cluster = &config.cluster;
        if cluster.listen.is_empty() {
            if let Some(address) = cluster.join.first() {
                let fix = "give --listen ADDRESS:PORT too, where other nodes reach this one";
                return Err(wrong("cluster.join", address, fix));
            }
            return Ok(None);
        }
        let listen = address("cluster.listen", &cluster.listen)?;
        let advertise = match cluster.advertise.as_str() {
            "" => None,
            text => Some(address("cluster.advertise", text)?),
        };
        if advertise.is_none() && listen.ip().is_unspecified() {
            let fix = "others cannot connect to every address: give --advertise ADDRESS:PORT";
            return Err(wrong("cluster.listen", &cluster.listen, fix));
        }
        for seed in &cluster.join {
            check_seed(seed)?;
        }
        if !(1..=TASKS_MAX).contains(&cluster.tasks) {
            return Err(wrong("cluster.tasks", &cluster.tasks.to_string(), "give 1 to 64"));
        }
        let roles = roles(&cluster.roles)?;
        if cluster.join.is_empty() && !roles.contains(Role::Coordinator) {
            let fix = "a node without the role coordinator does nothing by itself: give --join HOST:PORT of another, which may \
                       start later";
            return Err(wrong("cluster.roles", &roles.to_string(), fix));
        }
        let credentials = credentials(config, [Some(listen), advertise].into_iter().flatten())?;
        let denied = denied_names(config)?;
        if denied.contains(credentials.name()) {
            let fix = "it is this node's own: start it under another name, with a certificate for that";
            return Err(wrong("cluster.denied_names", credentials.name().as_str(), fix));
        }
        Ok(Some(Self {
            listen,
            advertise,
            join: cluster.join.clone(),
            roles,
            tasks: cluster.tasks,
            credentials,
            denied: DeniedNames::new(denied),
        }))
    }

    /// The node's name: its certificate's.
    pub(crate) fn name(&self) -> &NodeName {
        self.credentials.name()
    }

    /// Whether it reads or writes the dataset by its roles: who does not need not have it.
    pub(super) fn touches_dataset(&self) -> bool {
        self.roles.contains(Role::Sink) || self.roles.contains(Role::Coordinator)
    }

    /// What its port holds at most, and who may not connect.
    pub(super) fn limits(&self) -> Limits {
        Limits { denied: self.denied.clone(), ..Limits::default() }
    }

    /// The child that takes up a renewed certificate; none without files.
    pub(crate) fn renewal(&self) -> Option<ChildSpec> {
        let credentials = self.credentials.clone();
        self.credentials.are_of_files().then(|| {
            ChildSpec::task("certificates", move |_| {
                let credentials = credentials.clone();
                Ok(Box::pin(async move {
                    keep_current(credentials).await;
                    Ok(())
                }))
            })
        })
    }
}

/// The names that a configuration locks out.
///
/// # Errors
///
/// Something there is no name.
pub(crate) fn denied_names(config: &Config) -> Result<BTreeSet<NodeName>, Failure> {
    let name = |name: &String| {
        name.parse()
            .map_err(|_| wrong("cluster.denied_names", name, "give the name in a certificate, as node-3"))
    };
    config.cluster.denied_names.iter().map(name).collect()
}

fn wrong(key: &str, value: &str, fix: &str) -> Failure {
    Failure::Configuration(format!("{key}: `{value}`: {fix}"))
}

fn address(key: &str, text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| wrong(key, text, "give an IP address and a port, as 10.0.0.5:7100"))
}

fn check_seed(seed: &str) -> Result<(), Failure> {
    let port =
        seed.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
    match port {
        Some(1_u16..) => Ok(()),
        Some(0) | None => Err(wrong("cluster.join", seed, "give HOST:PORT, as 10.0.0.4:7100")),
    }
}

fn roles(names: &[String]) -> Result<Roles, Failure> {
    if names.is_empty() {
        return Ok(Roles::all());
    }
    let text = names.join(",");
    text.parse().map_err(|error| Failure::Configuration(format!("cluster.roles: {error}")))
}

fn credentials(config: &Config, addresses: impl Iterator<Item = SocketAddr>) -> Result<Credentials, Failure> {
    let (node, cluster) = (&config.node, &config.cluster);
    let folder = &cluster.certificates;
    if cluster.insecure_loopback {
        let is_loopback = |ip: IpAddr| ip.is_loopback();
        if let Some(address) = { addresses }.find(|address| !is_loopback(address.ip())) {
            let fix = "without certificates only loopback addresses are listened on: make certificates with `orrery certs`";
            return Err(wrong("cluster.insecure_loopback", &address.to_string(), fix));
        }
        if let Some(peer) = config.region.peers.iter().find(|peer| !peer.authority.as_os_str().is_empty()) {
            let fix = "with insecure_loopback all regions are of one authority: leave it out";
            return Err(wrong("region.peers.authority", &peer.authority.display().to_string(), fix));
        }
        let name = node.name.parse::<NodeName>();
        let name = name.map_err(|error| Failure::Configuration(format!("node.name: {error}")))?;
        return Credentials::insecure_loopback(&name, Purpose::Node).map_err(crate::commands::certs::failure);
    }
    if folder.as_os_str().is_empty() {
        let fix = "say where this node's certificate is, --certificates DIR (`orrery certs init` and `orrery certs issue` \
                   make it), or try it on one machine with --insecure-loopback";
        return Err(wrong("cluster.certificates", "", fix));
    }
    // A region without a name of its own is refused elsewhere.
    let authorities = config.region.peers.iter().filter(|peer| !peer.authority.as_os_str().is_empty());
    let regions = authorities.map(|peer| RegionAuthority::load(&peer.name, &peer.authority));
    let regions = regions.collect::<Result<Vec<_>, _>>().map_err(crate::commands::certs::failure)?;
    let credentials =
        Credentials::load_with_regions(folder, regions).map_err(crate::commands::certs::failure)?;
    if credentials.purpose() != Purpose::Node {
        let fix = "it is an operator's certificate: issue one for the node";
        return Err(wrong("cluster.certificates", &folder.display().to_string(), fix));
    }
    let (own, told) = (credentials.name().as_str(), node.name.as_str());
    if told != own && told != crate::config::NodeConfig::default().name {
        let fix = format!("the certificate is `{own}`'s: leave the name out, or issue a certificate for it");
        return Err(wrong("node.name", told, &fix));
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Config)) -> Result<Option<ClusterSettings>, String> {
        let mut config = Config::default();
        config.node.name = "a".to_owned();
        config.cluster.listen = "127.0.0.1:0".to_owned();
        config.cluster.insecure_loopback = true;
        change(&mut config);
        ClusterSettings::new(&config).map_err(|error| {
            assert!(matches!(error, Failure::Configuration(_)), "{error}");
            error.to_string()
        })
    }

    #[test]
    fn a_node_without_an_address_works_alone() {
        assert!(with(|config| config.cluster.listen.clear()).unwrap().is_none());
        assert_eq!(with(|_| ()).unwrap().unwrap().name().as_str(), "a");
    }

    #[test]
    fn who_may_be_first_need_not_join_and_others_must() {
        let check = |roles: &str, join: &[&str], is_fine: bool| {
            let change = |config: &mut Config| {
                config.cluster.roles = vec![roles.to_owned()];
                config.cluster.join = join.iter().map(|seed| (*seed).to_owned()).collect();
            };
            assert_eq!(with(change).is_ok(), is_fine, "{roles} {join:?}");
        };
        check("fetcher,coordinator", &[], true);
        check("coordinator", &[], true);
        check("processor", &[], false);
        check("fetcher,processor,sink,gateway", &[], false);
        check("processor", &["127.0.0.1:7101"], true);
    }

    #[test]
    fn values_that_make_no_sense_name_their_key() {
        let check = |change: fn(&mut Config), expect: &str| {
            let error = with(change).map(|_| ()).unwrap_err();
            assert!(error.contains(expect), "`{expect}`: {error}");
        };
        check(|config| config.cluster.listen = "7100".to_owned(), "cluster.listen: `7100`");
        check(|config| config.cluster.listen = "0.0.0.0:7100".to_owned(), "--advertise");
        check(
            |config| config.cluster.listen = "10.0.0.1:7100".to_owned(),
            "cluster.insecure_loopback: `10.0.0.1:7100`",
        );
        check(|config| config.cluster.advertise = "10.0.0.1:1".to_owned(), "cluster.insecure_loopback");
        check(|config| config.cluster.join = vec!["host".to_owned()], "cluster.join: `host`");
        check(|config| config.cluster.join = vec!["host:0".to_owned()], "cluster.join: `host:0`");
        check(|config| config.cluster.roles = vec!["writer".to_owned()], "cluster.roles: `writer`");
        check(
            |config| config.cluster.roles = vec!["sink".to_owned()],
            "cluster.roles: `sink`: a node without",
        );
        check(|config| config.cluster.tasks = 0, "cluster.tasks: `0`");
        check(|config| config.cluster.insecure_loopback = false, "--certificates DIR");
        check(|config| config.node.name = "A b".to_owned(), "node.name");
        check(|config| config.cluster.denied_names = vec!["E e".to_owned()], "cluster.denied_names: `E e`");
        check(|config| config.cluster.denied_names = vec!["a".to_owned()], "this node's own");
        let missing = |config: &mut Config| {
            config.cluster.insecure_loopback = false;
            config.cluster.certificates = "no/such/folder".into();
        };
        check(missing, "no/such/folder");
        let with_authority = |config: &mut Config| {
            let authority = "us-ca.pem".into();
            config.region.peers = vec![crate::config::RegionPeerConfig {
                authority,
                ..crate::config::RegionPeerConfig::default()
            }];
        };
        check(with_authority, "region.peers.authority: `us-ca.pem`: with insecure_loopback");
        let alone = |config: &mut Config| {
            config.cluster.listen.clear();
            config.cluster.join = vec!["h:1".to_owned()];
        };
        check(alone, "--listen");
    }
}
