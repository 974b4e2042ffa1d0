//! A configuration, checked: text becomes types, once, with errors that name the key.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use orrery_actors::dataset::{DatasetUrl, Grid, GridStep};
use orrery_actors::ledger::Network;
use orrery_actors::pipeline::Proof;
use orrery_actors::processor::ttp::Mode;
use orrery_actors::source::{LedgerBound, SourceUrl};
use orrery_schemas::LedgerSequence;
use orrery_supervisor::cluster::role::Role;

use crate::cluster::ClusterSettings;
use crate::config::{Config, HttpConfig};
use crate::exit::Failure;
use crate::region::RegionSettings;
use crate::serve::{AccessSettings, ListenerLimits, TlsFiles};

/// What a node does.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) access: AccessSettings,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) listener: ListenerLimits,
    pub(crate) look_ups: LookUpLimits,
    pub(crate) unready_after: Duration,
    pub(crate) stop_within: Duration,
    /// `None` takes the runtime's bound.
    pub(crate) blocking_threads: Option<NonZeroU32>,
    pub(crate) sources: Vec<SourceUrl>,
    /// Passphrase; `None` if the source says it.
    pub(crate) network: Option<String>,
    pub(crate) from: Option<LedgerBound>,
    pub(crate) to: Option<LedgerBound>,
    /// `None` waits for ever.
    pub(crate) patience: Option<Duration>,
    pub(crate) dataset: DatasetUrl,
    pub(crate) grid: Option<Grid>,
    pub(crate) slots_per_checkpoint: u64,
    pub(crate) pipeline: String,
    pub(crate) workers: NonZeroU32,
    pub(crate) mode: Mode,
    pub(crate) proof: Proof,
    pub(crate) prefetch_bytes: usize,
    /// `None` lets a stage hang.
    pub(crate) hangs_after: Option<Duration>,
    /// `None` works alone.
    pub(crate) cluster: Option<ClusterSettings>,
    /// `None` without other regions.
    pub(crate) region: Option<RegionSettings>,
}

/// What look-ups may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LookUpLimits {
    /// In memory: half for ends of files and Bloom filters, a quarter for answers, and the rest for making row files.
    pub(crate) cache_bytes: usize,
    /// On the node's own disk; 0 keeps nothing there.
    pub(crate) row_files_bytes: u64,
}

/// Most memory for look-ups: more is another machine's business.
const CACHE_MIB_MAX: usize = 1 << 20;

/// Least that is fetched ahead: one ledger of the largest size.
const PREFETCH_MIB_MIN: usize = 33;

/// Most: more is another bound's business.
const PREFETCH_MIB_MAX: usize = 1 << 16;

impl Settings {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Names the key, the value and the way out.
    pub(crate) fn new(config: &Config) -> Result<Self, Failure> {
        let Config { node, http, source, dataset, pipeline, .. } = config;
        let cluster = ClusterSettings::new(config)?;
        let region = RegionSettings::new(config)?;
        // A region that only copies derives nothing.
        let copies = region.as_ref().is_some_and(RegionSettings::copies_only);
        if source.urls.is_empty() && needs(&cluster, Role::Fetcher) && !copies {
            return Err(wrong("source.urls", "", "say where ledgers come from: --source URL"));
        }
        if dataset.url.is_empty() && needs(&cluster, Role::Sink) {
            return Err(wrong("dataset.url", "", "say where rows go: --dataset URL, as file:///data/orrery"));
        }
        let dataset_url = if dataset.url.is_empty() { "memory://" } else { &dataset.url };
        let sources = source.urls.iter().map(|url| parse("source.urls", url)).collect::<Result<_, _>>()?;
        let network = network(&source.network, &source.passphrase)?;
        if pipeline.name.is_empty() || pipeline.name.contains(['/', '"']) {
            return Err(wrong("pipeline.name", &pipeline.name, "give a name without / and quotes"));
        }
        if !(PREFETCH_MIB_MIN..=PREFETCH_MIB_MAX).contains(&pipeline.prefetch_mib) {
            let found = pipeline.prefetch_mib.to_string();
            let fix = format!("give {PREFETCH_MIB_MIN} to {PREFETCH_MIB_MAX}; the largest ledger must fit");
            return Err(wrong("pipeline.prefetch_mib", &found, &fix));
        }
        Ok(Self {
            // In a cluster the certificate says who it is.
            name: cluster.as_ref().map_or(node.name.as_str(), |cluster| cluster.name().as_str()).to_owned(),
            data_dir: node.data_dir.clone(),
            http: optional("node.http", &node.http)?,
            admin: optional("node.admin", &node.admin)?,
            access: AccessSettings::new(http)?,
            tls: tls(http)?,
            listener: ListenerLimits {
                connections_max: http.connections_max.max(1) as usize,
                per_address_max: http.connections_per_address_max.max(1) as usize,
            },
            look_ups: LookUpLimits {
                cache_bytes: http.cache_mib.min(CACHE_MIB_MAX) << 20,
                row_files_bytes: http.row_files_mib.saturating_mul(1 << 20),
            },
            unready_after: Duration::from_secs(node.unready_after_seconds),
            stop_within: Duration::from_secs(node.stop_within_seconds),
            blocking_threads: NonZeroU32::new(node.blocking_threads),
            sources,
            network,
            from: optional("source.from", &source.from)?,
            to: optional("source.to", &source.to)?,
            patience: seconds(source.patience_seconds),
            dataset: parse("dataset.url", dataset_url)?,
            grid: grid(&dataset.grid)?,
            slots_per_checkpoint: dataset.slots_per_checkpoint.max(1),
            pipeline: pipeline.name.clone(),
            workers: workers(pipeline.workers),
            mode: mode(&pipeline.mode)?,
            proof: proof(&pipeline.proof)?,
            prefetch_bytes: pipeline.prefetch_mib << 20,
            hangs_after: seconds(pipeline.hangs_after_seconds),
            cluster,
            region,
        })
    }
}

impl Settings {
    /// Whether this node reads sources: it fetches, or finds out what is to be fetched.
    pub(crate) fn needs_sources(&self) -> bool {
        needs(&self.cluster, Role::Fetcher) && self.derives()
    }

    /// Whether ledgers are derived here: a region that only copies needs no source.
    pub(crate) fn derives(&self) -> bool {
        !self.region.as_ref().is_some_and(RegionSettings::copies_only)
    }

    /// Whether this node reaches the dataset: it writes it, or finds out what is missing.
    pub(crate) fn needs_dataset(&self) -> bool {
        needs(&self.cluster, Role::Sink)
    }

    /// Whether this node looks into the dataset: it writes it, or serves those who read it.
    pub(crate) fn reads_dataset(&self) -> bool {
        let is_there = !matches!(self.dataset, DatasetUrl::Memory);
        self.needs_dataset() || (is_there && self.http.is_some() && needs(&self.cluster, Role::Gateway))
    }

    /// Whether this node finds out by itself what is to be done: it is alone, or may coordinate.
    pub(crate) fn needs_all(&self) -> bool {
        needs(&self.cluster, Role::Coordinator)
    }

    /// Keys that were set and change nothing: what is to be done, the coordinator says.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        let set = [
            ("source.from", self.from.is_some()),
            ("source.to", self.to.is_some()),
            ("dataset.grid", self.grid.is_some()),
        ];
        let set = set.into_iter().filter(|(_, is_set)| *is_set && !self.needs_all());
        set.map(|(key, _)| key).collect()
    }
}

/// A node that is alone does everything, and one that may coordinate has to know all.
fn needs(cluster: &Option<ClusterSettings>, role: Role) -> bool {
    cluster
        .as_ref()
        .is_none_or(|cluster| cluster.roles.contains(role) || cluster.roles.contains(Role::Coordinator))
}

/// Both files, or none.
fn tls(http: &HttpConfig) -> Result<Option<TlsFiles>, Failure> {
    let (certificate, key) = (&http.tls_certificate, &http.tls_key);
    match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() })),
        (false, true) => Err(wrong("http.tls_key", "", "name the certificate's key")),
        (true, false) => Err(wrong("http.tls_certificate", "", "name the key's certificate")),
    }
}

/// 0 is none.
fn seconds(seconds: u64) -> Option<Duration> {
    Some(seconds).filter(|&seconds| seconds > 0).map(Duration::from_secs)
}

pub(crate) fn wrong(key: &str, value: &str, fix: &str) -> Failure {
    Failure::Configuration(format!("{key}: `{value}`: {fix}"))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(key: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| Failure::Configuration(format!("{key}: {error}")))
}

fn optional<T: FromStr<Err: std::fmt::Display>>(key: &str, text: &str) -> Result<Option<T>, Failure> {
    if text.is_empty() { Ok(None) } else { parse(key, text).map(Some) }
}

fn network(name: &str, passphrase: &str) -> Result<Option<String>, Failure> {
    let known = match name {
        "" => None,
        "pubnet" => Some(Network::PUBNET),
        "testnet" => Some(Network::TESTNET),
        "futurenet" => Some(Network::FUTURENET),
        other => {
            let fix = "give pubnet, testnet or futurenet, or leave it out and give source.passphrase";
            return Err(wrong("source.network", other, fix));
        }
    };
    match (known, passphrase) {
        (None, "") => Ok(None),
        (Some(known), "") => Ok(Some(known.to_owned())),
        (None, passphrase) => Ok(Some(passphrase.to_owned())),
        (Some(_), _) => Err(wrong("source.passphrase", passphrase, "leave it out, or source.network")),
    }
}

/// `FROM:LEDGERS` each.
fn grid(steps: &[String]) -> Result<Option<Grid>, Failure> {
    if steps.is_empty() {
        return Ok(None);
    }
    let step = |text: &String| {
        let (from, width) = text.split_once(':')?;
        let from_ledger = LedgerSequence(from.parse().ok()?);
        Some(GridStep { from_ledger, ledgers_per_slot: width.parse().ok()? })
    };
    let parsed = steps
        .iter()
        .map(|text| step(text).ok_or_else(|| wrong("dataset.grid", text, "give FROM:LEDGERS, as 2:1024")))
        .collect::<Result<_, _>>()?;
    Grid::new(parsed).map(Some).map_err(|error| Failure::Configuration(format!("dataset.grid: {error}")))
}

fn workers(count: u32) -> NonZeroU32 {
    let cores =
        || std::thread::available_parallelism().ok().and_then(|cores| NonZeroU32::try_from(cores).ok());
    NonZeroU32::new(count).or_else(cores).unwrap_or(NonZeroU32::MIN)
}

fn mode(text: &str) -> Result<Mode, Failure> {
    match text {
        "auto" => Ok(Mode::Auto),
        "derived" => Ok(Mode::Derived),
        "unified" => Ok(Mode::Unified),
        other => Err(wrong("pipeline.mode", other, "give auto, derived or unified")),
    }
}

fn proof(text: &str) -> Result<Proof, Failure> {
    match text {
        "hashes" => Ok(Proof::Hashes),
        "everything" => Ok(Proof::Everything),
        other => Err(wrong("pipeline.proof", other, "give hashes or everything")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Config)) -> Result<Settings, String> {
        let mut config = Config::default();
        config.source.urls = vec!["file:///lake".to_owned()];
        config.dataset.url = "file:///dataset".to_owned();
        change(&mut config);
        Settings::new(&config).map_err(|error| error.to_string())
    }

    #[test]
    fn values_that_make_no_sense_name_their_key() {
        let check = |change: fn(&mut Config), expect: &str| {
            let error = with(change).unwrap_err();
            assert!(error.contains(expect), "`{expect}`: {error}");
        };
        check(|config| config.source.urls.clear(), "source.urls");
        check(|config| config.source.urls = vec!["ftp://x".to_owned()], "source.urls");
        check(|config| config.dataset.url.clear(), "--dataset");
        check(|config| config.source.network = "mainnet".to_owned(), "source.network: `mainnet`");
        check(|config| config.source.from = "soon".to_owned(), "source.from");
        check(|config| config.dataset.grid = vec!["2".to_owned()], "dataset.grid: `2`");
        check(|config| config.dataset.grid = vec!["2:0".to_owned()], "dataset.grid");
        check(|config| config.pipeline.mode = "both".to_owned(), "pipeline.mode: `both`");
        check(|config| config.pipeline.prefetch_mib = 1, "pipeline.prefetch_mib: `1`");
        check(|config| config.pipeline.name = "a/b".to_owned(), "pipeline.name");
        check(|config| config.node.http = "9464".to_owned(), "node.http");
    }

    #[test]
    fn zero_means_the_natural_bound() {
        let settings = with(|_| ()).unwrap();
        assert!(settings.workers.get() >= 1);
        assert_eq!((settings.patience, settings.grid, settings.http), (None, None, None));
        assert_eq!(settings.blocking_threads, None);
        let settings =
            with(|config| config.dataset.grid = vec!["2:1024".to_owned(), "100:16".to_owned()]).unwrap();
        assert_eq!(settings.grid.unwrap().steps().len(), 2);
    }

    #[test]
    fn a_node_with_a_certificate_has_its_name() {
        use std::time::Duration;

        use orrery_supervisor::cluster::certificates::{Authority, Purpose, Validity};

        let folder = tempfile::tempdir().unwrap();
        let (ca, node) = (folder.path().join("ca"), folder.path().join("node"));
        let validity = Validity::starting_now(Duration::from_secs(3600));
        let authority = Authority::create(&ca, &"test".parse().unwrap(), validity).unwrap();
        authority.issue(&"b".parse().unwrap(), Purpose::Node, validity, &node).unwrap();
        let settings = with(|config| {
            config.cluster.listen = "127.0.0.1:0".to_owned();
            config.cluster.certificates = node;
        });
        assert_eq!(settings.unwrap().name, "b");
        assert_eq!(with(|config| config.node.name = "alone".to_owned()).unwrap().name, "alone");
    }

    #[test]
    fn what_only_a_coordinator_heeds_is_named() {
        let check = |roles: &str, expect: &[&str]| {
            let settings = with(|config| {
                config.source.from = "genesis".to_owned();
                config.source.to = "9".to_owned();
                config.dataset.grid = vec!["1:16".to_owned()];
                config.node.name = "a".to_owned();
                config.cluster.listen = "127.0.0.1:0".to_owned();
                config.cluster.join = vec!["127.0.0.1:1".to_owned()];
                config.cluster.insecure_loopback = true;
                config.cluster.roles = vec![roles.to_owned()];
            });
            assert_eq!(settings.unwrap().without_effect(), expect, "{roles}");
        };
        check("processor", &["source.from", "source.to", "dataset.grid"]);
        check("fetcher,sink", &["source.from", "source.to", "dataset.grid"]);
        check("coordinator,processor", &[]);
        assert!(with(|config| config.source.to = "9".to_owned()).unwrap().without_effect().is_empty());
    }
}
