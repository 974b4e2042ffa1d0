use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::time_provider::TimeProvider;

use super::*;
use crate::cluster::NodeName;

const DAY: u64 = 86_400;
const NOW: u64 = 1_764_000_000;

/// A clock that stands still.
#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

fn days(count: u64) -> Validity {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    Validity::starting_at(now, Duration::from_secs(count * DAY))
}

fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority =
            Authority::create(&folder.path().join("ca"), &"moon".parse().unwrap(), days(100)).unwrap();
        Self { folder, authority }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, node: &str) -> PathBuf {
        let folder = self.path(node);
        self.authority.issue(&name(node), Purpose::Node, days(10), &folder).unwrap();
        folder
    }
}

fn load(folder: &Path, at: u64) -> Result<Credentials, CertificateError> {
    Credentials::load_with(folder, Arc::new(At(at)))
}

#[track_caller]
fn refused(folder: &Path, at: u64, says: &[&str]) {
    let error = load(folder, at).unwrap_err().to_string();
    for part in says {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

#[test]
fn what_is_issued_is_what_is_loaded() {
    let bench = Bench::new();
    let folder = bench.issue("a-1");
    let credentials = load(&folder, NOW).unwrap();
    assert_eq!(credentials.name().as_str(), "a-1");
    assert_eq!(credentials.cluster().as_str(), "moon");
    assert_eq!(credentials.purpose(), Purpose::Node);
    assert_eq!(credentials.validity().until, NOW + 10 * DAY);
    assert!(!credentials.is_insecure() && credentials.warnings().is_empty());
    let other = load(&bench.issue("b"), NOW).unwrap();
    assert_eq!(credentials.gossip_key(), other.gossip_key());
    assert_ne!(credentials.gossip_key().unwrap().bytes(), &[0; 32]);
    assert!(
        !format!("{credentials:?} {:?}", credentials.gossip_key())
            .contains(&hex::encode(credentials.gossip_key().unwrap().bytes()))
    );
}

#[test]
fn keys_are_their_owners_alone() {
    let bench = Bench::new();
    let node = bench.issue("a");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for path in [
        bench.path("ca/ca.key"),
        bench.path("ca/cluster.key"),
        node.join("node.key"),
        node.join("cluster.key"),
    ] {
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    assert_eq!(mode(node.join("node.pem")), 0o644);
    assert_eq!(mode(node.clone()), 0o700);
    let allow = |mode| fs::set_permissions(node.join("node.key"), fs::Permissions::from_mode(mode)).unwrap();
    allow(0o640);
    let warnings = load(&node, NOW).unwrap().warnings().join("");
    assert!(warnings.contains("0640") && warnings.contains("chmod 600"), "{warnings}");
    allow(0o604);
    refused(&node, NOW, &["node.key", "0604", "chmod 600"]);
}

#[test]
fn operators_can_call_and_hold_no_secret_of_the_nodes() {
    let bench = Bench::new();
    let folder = bench.path("anna");
    let issued = bench.authority.issue(&name("anna"), Purpose::Operator, days(1), &folder).unwrap();
    assert_eq!(issued.files.len(), 3);
    assert!(!folder.join("cluster.key").exists());
    let credentials = load(&folder, NOW).unwrap();
    assert_eq!(credentials.purpose(), Purpose::Operator);
    assert_eq!(credentials.gossip_key(), None);
}

#[test]
fn nothing_is_overwritten() {
    let bench = Bench::new();
    let again = Authority::create(&bench.path("ca"), &"moon".parse().unwrap(), days(100)).unwrap_err();
    assert!(again.to_string().contains("exists already"), "{again}");
    bench.issue("a");
    let before = fs::read(bench.path("a/node.key")).unwrap();
    fs::remove_file(bench.path("a/node.pem")).unwrap();
    let again = bench.authority.issue(&name("a"), Purpose::Node, days(1), &bench.path("a")).unwrap_err();
    assert!(again.to_string().contains("give another folder"), "{again}");
    assert_eq!(fs::read(bench.path("a/node.key")).unwrap(), before);
    assert!(!bench.path("a/node.pem").exists());
}

#[test]
fn wrong_files_are_named() {
    let bench = Bench::new();
    let node = bench.issue("a");
    refused(&node, NOW - DAY, &["holds from 2025-11-24T15:55:00Z only", "clock"]);
    refused(&node, NOW + 11 * DAY, &["node.pem", "`a`", "ran out on 2025-12-04T16:00:00Z", "certs issue"]);
    refused(&node, NOW + 101 * DAY, &["ca.pem", "`moon`", "ran out"]);
    refused(&bench.path("nowhere"), NOW, &["ca.pem: no such file", "certs issue"]);

    let other = bench.issue("b");
    fs::copy(other.join("node.key"), node.join("node.key")).unwrap();
    refused(&node, NOW, &["node.key", "is not the key of the certificate"]);

    let elsewhere = Bench::new();
    let stranger = elsewhere.issue("c");
    fs::copy(bench.path("ca/ca.pem"), stranger.join("ca.pem")).unwrap();
    refused(&stranger, NOW, &["`c` was not issued by the authority", "ca.pem"]);

    let check = |file: &str, bytes: &[u8], says: &str| {
        let whole = fs::read(other.join(file)).unwrap();
        fs::write(other.join(file), bytes).unwrap();
        refused(&other, NOW, &[file, says]);
        fs::write(other.join(file), whole).unwrap();
    };
    check("node.pem", b"", "holds no certificate");
    check("node.pem", &[b'x'; 70_000], "larger than 65536 bytes");
    check("node.pem", &fs::read(bench.path("ca/ca.pem")).unwrap(), "has no name");
    check("ca.pem", &fs::read(other.join("node.pem")).unwrap(), "not an authority's");
    check("node.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no key");
    check("cluster.key", b"abc", "64 hex digits");
    check("cluster.key", b"abcd", "another length");
    load(&other, NOW).unwrap();
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let bench = Bench::new();
    let error = bench.authority.issue(&name("a"), Purpose::Node, days(101), &bench.path("a")).unwrap_err();
    assert!(error.to_string().contains("its authority runs out on 2026-03-04"), "{error}");
    let backwards = Validity { from: NOW, until: NOW };
    assert!(bench.authority.issue(&name("a"), Purpose::Node, backwards, &bench.path("a")).is_err());
    assert!(!bench.path("a").exists());
}

#[test]
fn an_opened_authority_goes_on_issuing() {
    let bench = Bench::new();
    let opened = Authority::open(&bench.path("ca")).unwrap();
    assert_eq!(opened.cluster().as_str(), "moon");
    assert_eq!(opened.until(), "2026-03-04T16:00:00Z");
    opened.issue(&name("z"), Purpose::Node, days(1), &bench.path("z")).unwrap();
    load(&bench.path("z"), NOW).unwrap();
    let missing = Authority::open(&bench.path("no")).unwrap_err().to_string();
    assert!(missing.contains("orrery certs init"), "{missing}");
}

#[test]
fn loopback_credentials_say_that_they_prove_nothing() {
    let one = Credentials::insecure_loopback(&name("a"), Purpose::Node).unwrap();
    let two = Credentials::insecure_loopback(&name("b"), Purpose::Node).unwrap();
    assert!(one.is_insecure());
    assert_eq!(one.cluster(), two.cluster());
    assert_eq!(one.gossip_key(), two.gossip_key());
    let made = |node: &str| super::loopback::make(&name(node), Purpose::Node).unwrap();
    assert_eq!(made("a").authority, made("b").authority, "processes must agree on it");
}

/// Copies these files of one folder over those of another.
fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_by_all_clones() {
    let bench = Bench::new();
    let folder = bench.issue("a");
    let credentials = load(&folder, NOW).unwrap();
    let clone = credentials.clone();
    let before = credentials.server_config();
    assert!(!credentials.reload().unwrap(), "nothing has changed");
    let new = bench.path("new");
    bench.authority.issue(&name("a"), Purpose::Node, days(50), &new).unwrap();
    copy(&new, &folder, &["node.pem"]);
    let error = credentials.reload().unwrap_err().to_string();
    assert!(error.contains("is not the key of the certificate"), "{error}");
    assert!(Arc::ptr_eq(&before, &credentials.server_config()));
    copy(&new, &folder, &["node.key"]);
    assert!(credentials.reload().unwrap());
    assert_eq!(clone.validity().until, NOW + 50 * DAY);
    assert!(!Arc::ptr_eq(&before, &clone.server_config()));
    assert!(!credentials.reload().unwrap(), "it is taken up once");
}

#[test]
fn a_new_certificate_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let bench = Bench::new();
    let everything = ["node.pem", "node.key", "ca.pem", "cluster.key"];
    let check = |new: &Path, files: &[&str], says: &str| {
        let folder = bench.path("now");
        let _ = fs::remove_dir_all(&folder);
        bench.authority.issue(&name("a"), Purpose::Node, days(10), &folder).unwrap();
        let credentials = load(&folder, NOW).unwrap();
        let before = credentials.server_config();
        copy(new, &folder, files);
        let error = credentials.reload().unwrap_err().to_string();
        assert!(error.contains(says), "`{error}` does not say `{says}`");
        assert_eq!(credentials.validity().until, NOW + 10 * DAY);
        assert!(Arc::ptr_eq(&before, &credentials.server_config()));
    };
    let issue = |bench: &Bench, node: &str, purpose, validity: Validity, folder: &str| {
        let folder = bench.path(folder);
        bench.authority.issue(&name(node), purpose, validity, &folder).unwrap();
        folder
    };
    let over = Validity { from: NOW - 2 * DAY, until: NOW - DAY };
    check(&issue(&bench, "a", Purpose::Node, over, "over"), &["node.pem", "node.key"], "ran out");
    check(&bench.issue("b"), &everything, "node.pem: holds another name");
    let anna = issue(&bench, "a", Purpose::Operator, days(5), "anna");
    check(&anna, &["node.pem", "node.key"], "node.pem: holds another name");
    let other = Bench::new();
    let elsewhere = other.issue("a");
    check(&elsewhere, &everything, "ca.pem: holds another authority");
    check(&elsewhere, &["node.pem", "node.key"], "was not issued by the authority");
    let renewed = issue(&bench, "a", Purpose::Node, days(5), "renewed");
    fs::write(renewed.join("cluster.key"), "00".repeat(32)).unwrap();
    check(&renewed, &everything, "cluster.key: holds another cluster.key");
    fs::write(renewed.join("node.pem"), "").unwrap();
    check(&renewed, &["node.pem"], "holds no certificate");
}
