//! A lake as an HTTP server gives it: objects of a folder by their names, or what a fault puts in their place. Pure, but for
//! reading the folder.

use std::path::Path;

use super::http::{Reply, Request};
use super::made::MadeLedgers;
use super::spoil::{Instead, SourceFault, object};

/// Where a lake describes itself.
const MANIFEST: &str = ".config.json";

/// What is served, and whether the fault had a part in it.
pub(super) fn answer(
    request: &Request,
    path: &str,
    folder: &Path,
    made: &MadeLedgers,
    fault: SourceFault,
) -> (Reply, bool) {
    let missing = || Reply::new(404, "");
    if path.split('/').any(|part| part == "..") || !matches!(request.method.as_str(), "GET" | "HEAD") {
        return (missing(), false);
    }
    let there = || std::fs::read(folder.join(path)).map_or_else(|_| missing(), content);
    if path == MANIFEST {
        return match fault {
            SourceFault::OtherNetwork => {
                let text = std::fs::read_to_string(folder.join(path)).unwrap_or_default();
                (content(text.replace(super::made::PASSPHRASE, "Another Network ; 2020").into()), true)
            }
            _ => (there(), false),
        };
    }
    let Some(ledger) = ledger_of(path) else { return (there(), false) };
    let forked = || made.forked(ledger).map_or_else(missing, |xdr| content(object(ledger, xdr)));
    match fault {
        SourceFault::Ledgers(spoil, from) if ledger >= from && folder.join(path).is_file() => {
            let instead = spoil.instead(made, ledger);
            (instead.map_or_else(there, |instead| instead_of(ledger, instead)), true)
        }
        SourceFault::Replaced(to) if ledger <= to => (forked(), true),
        SourceFault::BeginsAnew(newest) if ledger <= newest => (forked(), true),
        SourceFault::BeginsAnew(_) => (missing(), true),
        SourceFault::Stalls(newest) if ledger > newest => (missing(), true),
        SourceFault::Forgets(oldest) if ledger < oldest => (missing(), true),
        _ => (there(), false),
    }
}

fn instead_of(ledger: u32, instead: Instead) -> Reply {
    match instead {
        Instead::Xdr(xdr) => content(object(ledger, &xdr)),
        Instead::Object(bytes) => content(bytes),
        Instead::Announced(length) => Reply { announced: Some(length), ..content(vec![0; 64]) },
        Instead::Text(text) | Instead::Body(text) => content(text.into()),
        Instead::Missing => Reply::new(404, ""),
    }
}

fn content(bytes: Vec<u8>) -> Reply {
    let modified = "Mon, 01 Jan 2024 00:00:00 GMT";
    Reply::new(200, bytes).with("Last-Modified", modified).with("Content-Type", "application/octet-stream")
}

/// The ledger of an object of one ledger, by its name: `FFFFFFFD--2.xdr.zst`.
pub(super) fn ledger_of(path: &str) -> Option<u32> {
    let name = path.rsplit('/').next()?.strip_suffix(".xdr.zst")?;
    name.split_once("--")?.1.parse().ok()
}
