//! `orrery certs`: a private authority, and certificates of nodes and operators.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_supervisor::cluster::certificates::{Authority, CertificateError, Issued, Purpose, Validity};
use serde_json::{Value, json};

use crate::cli::{CertsAction, CertsArgs};
use crate::console::Console;
use crate::exit::Failure;

const DAY: Duration = Duration::from_secs(86_400);

/// Makes an authority or issues a certificate, and says what to copy where.
pub(crate) fn run(args: &CertsArgs, console: &Console) -> Result<(), Failure> {
    match &args.action {
        CertsAction::Init { dir, cluster, days } => {
            let authority = Authority::create(dir, cluster, validity(*days)).map_err(failure)?;
            init_said(&authority, console)
        }
        CertsAction::Issue { name, dir, out, days, operator } => {
            let purpose = if *operator { Purpose::Operator } else { Purpose::Node };
            let out = out.clone().unwrap_or_else(|| dir.join(name.as_str()));
            let authority = Authority::open(dir).map_err(failure)?;
            let issued = authority.issue(name, purpose, validity(*days), &out).map_err(failure)?;
            issue_said(&authority, &issued, &out, console)
        }
    }
}

fn validity(days: u32) -> Validity {
    Validity::starting_now(DAY.saturating_mul(days))
}

/// A file that is not there is as wrong as one that does not fit: trying again does not help.
pub(crate) fn failure(error: CertificateError) -> Failure {
    match error {
        CertificateError::Exists { .. } | CertificateError::Validity { .. } | CertificateError::Name(_) => {
            Failure::Usage(error.to_string())
        }
        CertificateError::Io { .. } => Failure::Unavailable(error.to_string()),
        CertificateError::Cryptography { .. } => Failure::Bug(error.to_string()),
        CertificateError::Missing { .. }
        | CertificateError::TooLarge { .. }
        | CertificateError::Unreadable { .. }
        | CertificateError::KeyReadable { .. }
        | CertificateError::Expired { .. }
        | CertificateError::NotYetValid { .. }
        | CertificateError::WrongAuthority { .. }
        | CertificateError::KeyMismatch { .. }
        | CertificateError::Foreign { .. }
        | CertificateError::BadName { .. } => Failure::Configuration(error.to_string()),
    }
}

fn init_said(authority: &Authority, console: &Console) -> Result<(), Failure> {
    let folder = authority.folder().display();
    console.result(&[
        ("cluster", json!(authority.cluster().as_str())),
        ("directory", json!(folder.to_string())),
        ("valid_until", json!(authority.until())),
    ])?;
    console.text(format_args!(
        "\nKeep {folder} away from the nodes: whoever reads ca.key can be any of them.\n\
         Next, for each node: orrery certs issue NAME --dir {folder}"
    ))
}

fn issue_said(authority: &Authority, issued: &Issued, out: &Path, console: &Console) -> Result<(), Failure> {
    let files: Vec<Value> =
        issued.files.iter().map(|path: &PathBuf| json!(path.display().to_string())).collect();
    console.result(&[
        ("cluster", json!(authority.cluster().as_str())),
        ("name", json!(issued.name.as_str())),
        ("purpose", json!(issued.purpose.as_str())),
        ("valid_until", json!(issued.until)),
        ("directory", json!(out.display().to_string())),
        ("files", Value::Array(files)),
    ])?;
    let (name, out) = (&issued.name, out.display());
    match issued.purpose {
        Purpose::Node => console.text(format_args!(
            "\nCopy this folder to the node, readable by its user alone, and start it:\n  \
             scp -rp {out} HOST:certs\n  orrery run --name {name} --certificates certs --listen ADDRESS:PORT ...\n\
             Then delete node.key here: it belongs on that node alone."
        )),
        Purpose::Operator | Purpose::Region => console.text(format_args!(
            "\nCopy this folder to whoever asks the cluster:\n  scp -rp {out} HOST:certs\n  \
             orrery tree --cluster HOST:PORT --certificates certs"
        )),
    }
}
