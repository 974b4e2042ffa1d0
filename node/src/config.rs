//! What a node is told: defaults, then a TOML file, then environment variables, then flags; the last one wins.
//!
//! `ops/config/orrery.example.toml` documents every key. A variable is `ORRERY_<SECTION>__<KEY>`, as in
//! `ORRERY_DATASET__URL`. Unknown keys are errors wherever they stand. Values are checked when settings are made of them:
//! see [`crate::settings`].

use std::path::{Path, PathBuf};

use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Provider};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::exit::Failure;

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) node: NodeConfig,
    pub(crate) http: HttpConfig,
    pub(crate) source: SourceConfig,
    pub(crate) dataset: DatasetConfig,
    pub(crate) pipeline: PipelineConfig,
    pub(crate) cluster: ClusterConfig,
    pub(crate) region: RegionConfig,
    pub(crate) telemetry: TelemetryConfig,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeConfig {
    /// Its name, in logs and traces.
    #[serde(deserialize_with = "text")]
    pub(crate) name: String,
    /// What it keeps for itself; nothing of it is needed to go on.
    pub(crate) data_dir: PathBuf,
    /// Where health, API, feed and page are served; empty for nowhere.
    pub(crate) http: String,
    /// Where health and metrics are served; empty serves them with `http` if that is a loopback address.
    pub(crate) admin: String,
    /// Seconds that sources or dataset may be away before `/readyz` says so.
    pub(crate) unready_after_seconds: u64,
    /// Seconds that a stop may take before what is left is killed.
    pub(crate) stop_within_seconds: u64,
    /// Threads that encode and wait for disks; 0 is as many as are asked for, up to 512.
    pub(crate) blocking_threads: u32,
}

/// Who may ask what is served over HTTP, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// Who may read without a token: `loopback`, `viewer` for everybody, or `nobody`.
    pub(crate) anonymous: String,
    /// `NAME:ROLE:SHA256` each, as `orrery token` prints it.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) tokens: Vec<String>,
    /// PEM files of a certificate chain and of its key; empty serves without TLS.
    pub(crate) tls_certificate: PathBuf,
    pub(crate) tls_key: PathBuf,
    /// Other origins whose pages may ask, as `https://HOST`.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) origins: Vec<String>,
    /// Of one token, and of one address; 0 is no limit.
    pub(crate) requests_per_second: u32,
    /// Requests at once.
    pub(crate) burst: u32,
    /// Connections; more wait to be accepted.
    pub(crate) connections_max: u32,
    /// Connections from one address; more are closed.
    pub(crate) connections_per_address_max: u32,
    /// MiB of memory for what look-ups use again: ends of files, Bloom filters, answers.
    pub(crate) cache_mib: usize,
    /// MiB below `data_dir` for rows in a form in which single ones are found; 0 for none.
    pub(crate) row_files_mib: u64,
    /// An identity provider.
    pub(crate) oidc: OidcConfig,
}

/// Whose signed tokens are let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OidcConfig {
    /// `iss` of its tokens; empty for no provider.
    pub(crate) issuer: String,
    /// `aud` of tokens that are meant for this service.
    pub(crate) audience: String,
    /// Its keys: the `jwks_uri`, or a file.
    pub(crate) keys: String,
    /// The claim that says roles.
    pub(crate) role_claim: String,
    /// What stands before `viewer`, `operator` or `admin` there.
    pub(crate) role_prefix: String,
}

/// Where ledgers come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SourceConfig {
    /// In order of preference.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) urls: Vec<String>,
    /// `pubnet`, `testnet` or `futurenet`; empty if the source says it.
    pub(crate) network: String,
    /// Passphrase of any other network.
    #[serde(deserialize_with = "text")]
    pub(crate) passphrase: String,
    /// `genesis`, `latest` or a number; empty goes on where the dataset ends.
    #[serde(deserialize_with = "text")]
    pub(crate) from: String,
    /// `latest` or a number; empty follows for ever.
    #[serde(deserialize_with = "text")]
    pub(crate) to: String,
    /// Seconds that sources and dataset may be away before the process ends; 0 for ever.
    pub(crate) patience_seconds: u64,
}

/// Where rows go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DatasetConfig {
    /// `file://`, `s3://` or `gs://` (untested).
    pub(crate) url: String,
    /// `FROM:LEDGERS` each: slots of so many ledgers from that ledger on. Empty takes the dataset's, or the default.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) grid: Vec<String>,
    /// Slots between checkpoints of the log.
    pub(crate) slots_per_checkpoint: u64,
}

/// How ledgers become rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PipelineConfig {
    /// Its name, in the tree, in metrics and in commands.
    #[serde(deserialize_with = "text")]
    pub(crate) name: String,
    /// Threads that prove and derive; 0 is one for each core.
    pub(crate) workers: u32,
    /// `auto`, `derived` or `unified`.
    pub(crate) mode: String,
    /// `hashes` or `everything`.
    pub(crate) proof: String,
    /// MiB of objects fetched ahead.
    pub(crate) prefetch_mib: usize,
    /// Seconds after which a stage that does not get on is begun anew; 0 for never.
    pub(crate) hangs_after_seconds: u64,
}

/// Other nodes that share the work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClusterConfig {
    /// Where other nodes connect, TCP and UDP; empty works alone.
    pub(crate) listen: String,
    /// The address that others are told, if it is not `listen`.
    pub(crate) advertise: String,
    /// Some nodes that are there already, `HOST:PORT` each.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) join: Vec<String>,
    /// Some of `fetcher`, `processor`, `sink`, `coordinator`, `gateway`; empty for all.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) roles: Vec<String>,
    /// What `orrery certs issue` wrote for this node.
    pub(crate) certificates: PathBuf,
    /// Names of nodes and operators that are locked out, though their certificates hold.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) denied_names: Vec<String>,
    /// Without certificates, among processes of one machine.
    pub(crate) insecure_loopback: bool,
    /// Ranges of ledgers that the node works on at once.
    pub(crate) tasks: u32,
}

/// Other regions: clusters with stores of their own that keep the same dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegionConfig {
    /// Of this region; empty for a cluster that is the only one.
    #[serde(deserialize_with = "text")]
    pub(crate) name: String,
    /// Traffic belongs to the healthy regions of the lowest one.
    pub(crate) priority: u32,
    /// Share of traffic among those of one priority.
    pub(crate) weight: u32,
    /// Ledgers behind the newest that is heard of, from which on a region is not healthy.
    pub(crate) lag_max_ledgers: u32,
    /// Seconds after which a region that is not heard is not healthy.
    pub(crate) unheard_after_seconds: u64,
    /// Seconds that a region has to be healthy before traffic comes back.
    pub(crate) stable_seconds: u64,
    pub(crate) peers: Vec<RegionPeerConfig>,
}

/// Another region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegionPeerConfig {
    pub(crate) name: String,
    /// `HOST:PORT` of some of its nodes; any that answers will do.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) addresses: Vec<String>,
    /// `ca.pem` of its cluster; empty if it has this one's authority.
    pub(crate) authority: PathBuf,
    /// `recompute`, `copy` or `both`.
    pub(crate) mode: String,
    /// Of what is copied; 0 is no limit.
    pub(crate) mib_per_second: u32,
}

/// What is told about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryConfig {
    /// A filter, as `info` or `info,orrery_actors=debug`.
    pub(crate) log: String,
    /// `text` or `json`.
    pub(crate) log_format: String,
    /// An OpenTelemetry collector that takes OTLP over HTTP, as `http://127.0.0.1:4318`; empty sends no traces.
    pub(crate) otlp: String,
    /// A server that takes profiles as Pyroscope does, as `http://127.0.0.1:4040`; empty sends none.
    pub(crate) profiles: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: "orrery".to_owned(),
            data_dir: "orrery-data".into(),
            http: String::new(),
            admin: String::new(),
            unready_after_seconds: 60,
            stop_within_seconds: 60,
            blocking_threads: 0,
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            anonymous: "loopback".to_owned(),
            tokens: Vec::new(),
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            origins: Vec::new(),
            requests_per_second: 100,
            burst: 500,
            connections_max: 20_000,
            connections_per_address_max: 1_024,
            cache_mib: 256,
            row_files_mib: 4_096,
            oidc: OidcConfig::default(),
        }
    }
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: String::new(),
            keys: String::new(),
            role_claim: "roles".to_owned(),
            role_prefix: "orrery-".to_owned(),
        }
    }
}

impl Default for DatasetConfig {
    fn default() -> Self {
        Self { url: String::new(), grid: Vec::new(), slots_per_checkpoint: 64 }
    }
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            name: "main".to_owned(),
            workers: 0,
            mode: "auto".to_owned(),
            proof: "hashes".to_owned(),
            prefetch_mib: 64,
            hangs_after_seconds: 180,
        }
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            advertise: String::new(),
            join: Vec::new(),
            roles: Vec::new(),
            certificates: PathBuf::new(),
            denied_names: Vec::new(),
            insecure_loopback: false,
            tasks: 2,
        }
    }
}

impl Default for RegionConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            priority: 1,
            weight: 100,
            lag_max_ledgers: 5,
            unheard_after_seconds: 3,
            stable_seconds: 60,
            peers: Vec::new(),
        }
    }
}

impl Default for RegionPeerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            addresses: Vec::new(),
            authority: PathBuf::new(),
            mode: "recompute".to_owned(),
            mib_per_second: 0,
        }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: "text".to_owned(),
            otlp: String::new(),
            profiles: String::new(),
        }
    }
}

/// Text that looks like a number or a flag is text all the same: variables have no quotes to tell.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(i64),
    Flag(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Flag(flag) => flag.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Scalar),
    Many(Vec<Scalar>),
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Scalar::deserialize(deserializer).map(String::from).map_err(|_| D::Error::custom("give text"))
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match OneOrMany::deserialize(deserializer) {
        Ok(OneOrMany::One(one)) => Ok(vec![one.into()]),
        Ok(OneOrMany::Many(many)) => Ok(many.into_iter().map(String::from).collect()),
        Err(_) => Err(D::Error::custom("give text, or a list of texts")),
    }
}

/// A setting on the command line: section, key, value.
pub(crate) type Flag = (&'static str, &'static str, Value);

/// What was read, and where from.
pub(crate) struct Layers(Figment);

impl Layers {
    /// Reads a file, if one is given, the environment and flags.
    pub(crate) fn read(file: Option<&Path>, flags: Vec<Flag>) -> Self {
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        // Keys of sections alone: other variables that begin alike belong to others.
        let environment = Env::prefixed("ORRERY_").filter(|key| key.as_str().contains("__")).split("__");
        figment = figment.merge(environment);
        Self(figment.merge(Flags(flags)))
    }

    /// The effective configuration.
    ///
    /// # Errors
    ///
    /// Names the key, where it stands and what is wrong with it.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        if let Some((found, meant)) = misspelt(&|name| std::env::var_os(name).is_some()) {
            return Err(Failure::Configuration(format!("{found}: no setting has this name; give {meant}")));
        }
        self.0.extract().map_err(|error| {
            let lines: Vec<_> = error.into_iter().map(|error| describe(&error)).collect();
            Failure::Configuration(lines.join("\n"))
        })
    }

    /// Where the value of `section.key` comes from.
    pub(crate) fn origin(&self, key: &str) -> String {
        let Some(metadata) = self.0.find_metadata(key) else { return "default".to_owned() };
        match (&metadata.source, metadata.name.as_ref()) {
            (Some(figment::Source::File(path)), _) => path.display().to_string(),
            (_, name) if name.contains("environment") => {
                format!("ORRERY_{}", key.replace('.', "__").to_uppercase())
            }
            (_, "flags") => "command line".to_owned(),
            _ => "default".to_owned(),
        }
    }
}

/// A variable with one underscore where two belong would be taken for somebody else's, and change nothing.
fn misspelt(is_set: &dyn Fn(&str) -> bool) -> Option<(String, String)> {
    let config = serde_json::to_value(Config::default()).ok()?;
    let sections = config.as_object()?.iter();
    let keys = sections.flat_map(|(section, keys)| {
        keys.as_object()
            .into_iter()
            .flatten()
            .map(move |(key, _)| (section.to_uppercase(), key.to_uppercase()))
    });
    let mut names =
        keys.map(|(section, key)| (format!("ORRERY_{section}_{key}"), format!("ORRERY_{section}__{key}")));
    names.find(|(found, _)| is_set(found))
}

fn describe(error: &figment::Error) -> String {
    let key = error.path.join(".");
    let place = error.metadata.as_ref().map_or(String::new(), |metadata| {
        metadata.source.as_ref().map_or_else(|| metadata.name.to_string(), ToString::to_string)
    });
    let kind = &error.kind;
    match (key.is_empty(), place.is_empty()) {
        (true, true) => kind.to_string(),
        (true, false) => format!("{place}: {kind}"),
        (false, true) => format!("{key}: {kind}"),
        (false, false) => format!("{place}: {key}: {kind}"),
    }
}

struct Flags(Vec<Flag>);

impl Provider for Flags {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named("flags")
    }

    fn data(&self) -> Result<figment::value::Map<Profile, Dict>, figment::Error> {
        let mut sections = Dict::new();
        for (section, key, value) in &self.0 {
            let entry = sections.entry((*section).to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, keys) = entry {
                keys.insert((*key).to_owned(), value.clone());
            }
        }
        Ok(figment::value::Map::from([(Profile::Default, sections)]))
    }
}

#[cfg(test)]
mod tests;
