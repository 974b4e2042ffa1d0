//! What one user asks, and whether the answer is what the ledgers contain.

use orrery_supervisor::{Clock, MonotonicTime};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::flight::Flight;
use super::http::{Caller, Got, Http};
use super::parquet_rows;
use crate::load::profiles::contents::Contents;
use crate::load::profiles::plan::Kind;
use crate::load::profiles::tally::{Answered, Fault};
use crate::random::Random;
use crate::workload::FIRST_LEDGER;

/// Ledgers of a range that is read over Flight or exported: a few thousand events, as of the public network in half a minute.
const RANGE_LEDGERS: usize = 4;

/// Ledgers of a small one.
const SMALL_LEDGERS: usize = 1;

/// Rows of a page.
const PAGE_ROWS: u64 = 100;

/// How many of a hundred requests of a mixed user are which.
const MIX: [(Asked, usize); 7] = [
    (Asked::Page, 30),
    (Asked::Account, 20),
    (Asked::Ledger, 20),
    (Asked::Assets, 10),
    (Asked::Status, 5),
    (Asked::Flight(SMALL_LEDGERS), 10),
    (Asked::Export(SMALL_LEDGERS), 5),
];

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Flight(usize),
    Export(usize),
    Page,
    Account,
    Ledger,
    Assets,
    Status,
}

/// A user of some kind.
pub(super) struct User<'a> {
    kind: Kind,
    contents: &'a Contents,
    clock: &'a dyn Clock,
    http: Http,
    flight: Flight,
}

impl<'a> User<'a> {
    pub(super) fn new(kind: Kind, caller: Caller, contents: &'a Contents, clock: &'a dyn Clock) -> Self {
        Self { kind, contents, clock, http: Http::new(caller.clone()), flight: Flight::new(caller) }
    }

    /// What it does.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Ends its connections.
    pub(super) fn leaves(&mut self, caller: Caller) {
        (self.http, self.flight) = (Http::new(caller.clone()), Flight::new(caller));
    }

    /// Asks once. Times count from `due`, when it wanted to ask: what it waited for its last answer is part of them.
    pub(super) async fn asks(&mut self, due: MonotonicTime, random: &mut Random) -> Result<Answered, Fault> {
        let asked = match self.kind {
            Kind::Flight | Kind::Live => Asked::Flight(RANGE_LEDGERS),
            Kind::Export => Asked::Export(RANGE_LEDGERS),
            Kind::Mixed => mixed(random.below(100)),
        };
        let (first_at, rows, bytes, waits) = match asked {
            Asked::Flight(ledgers) => self.reads(ledgers, random).await?,
            Asked::Export(ledgers) => self.exports(ledgers, random).await?,
            Asked::Page => self.pages(random).await?,
            Asked::Account => self.looks_up(random).await?,
            Asked::Ledger => self.looks_at_ledger(random).await?,
            Asked::Assets => self.looks_at("/v1/assets?window=1h", "assets").await?,
            Asked::Status => self.looks_at("/v1/status", "tip").await?,
        };
        let whole = self.clock.now().since(due);
        Ok(Answered { first: first_at.since(due), whole, rows, bytes, waits })
    }

    /// Some ledgers that are stored.
    fn range(&self, ledgers: usize, random: &mut Random) -> (u32, u32) {
        let stored = self.contents.ledgers() as usize;
        let ledgers = ledgers.min(stored);
        let first = FIRST_LEDGER + random.below(stored - ledgers + 1) as u32;
        (first, first + ledgers as u32 - 1)
    }

    async fn reads(&mut self, ledgers: usize, random: &mut Random) -> Result<Measured, Fault> {
        let (first, last) = self.range(ledgers, random);
        let read = self.flight.read(first, last, self.clock).await?;
        let expect = self.contents.events(first, last);
        has(read.rows, expect, || format!("Flight of ledgers {first} to {last}"))?;
        Ok((read.first_at, read.rows, read.bytes, 0))
    }

    /// Half of exports are Parquet, for that is what programs that analyse read.
    async fn exports(&mut self, ledgers: usize, random: &mut Random) -> Result<Measured, Fault> {
        let (first, last) = self.range(ledgers, random);
        let format = ["parquet", "parquet", "csv", "jsonl"][random.below(4)];
        let path = format!("/v1/export?from={first}&to={last}&format={format}");
        let (mut lines, mut file) = (0, Vec::new());
        let is_parquet = format == "parquet";
        let got = self.http.get(&path, self.clock, |bytes| match is_parquet {
            true => file.extend_from_slice(bytes),
            false => lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64,
        });
        let Got { first_at, bytes, waits } = got.await?;
        let rows = match format {
            "parquet" => parquet_rows::rows(&file)
                .ok_or_else(|| Fault::wrong(format!("{path}: {} bytes are no Parquet file", file.len())))?,
            "csv" => lines.saturating_sub(1),
            _ => lines,
        };
        has(rows, self.contents.events(first, last), || path)?;
        Ok((first_at, rows, bytes, waits))
    }

    async fn pages(&mut self, random: &mut Random) -> Result<Measured, Fault> {
        let (from, last) = (self.range(1, random).0.saturating_sub(1), self.contents.last());
        let path = format!("/v1/events?from={from}&limit={PAGE_ROWS}");
        let expect = PAGE_ROWS.min(self.contents.events(from + 1, last));
        self.page(&path, expect).await
    }

    async fn looks_up(&mut self, random: &mut Random) -> Result<Measured, Fault> {
        let addresses = &self.contents.addresses;
        let Some((address, events)) = addresses.get(random.below(addresses.len())) else {
            return self.pages(random).await;
        };
        let path = format!("/v1/accounts/{address}/events?limit={PAGE_ROWS}");
        let expect = PAGE_ROWS.min(*events);
        self.page(&path, expect).await
    }

    /// A page of at least so many events: live ledgers may bring more.
    async fn page(&mut self, path: &str, expect: u64) -> Result<Measured, Fault> {
        let (measured, page) = self.json::<Page>(path).await?;
        let rows = page.events.len() as u64;
        has(rows.min(expect), expect, || path.to_owned())?;
        Ok((measured.first_at, rows, measured.bytes, measured.waits))
    }

    async fn looks_at_ledger(&mut self, random: &mut Random) -> Result<Measured, Fault> {
        let (ledger, _) = self.range(1, random);
        let path = format!("/v1/ledgers/{ledger}");
        let (measured, value) = self.json::<Value>(&path).await?;
        let said = value["event_count"].as_u64().unwrap_or(u64::MAX);
        has(said, self.contents.events(ledger, ledger), || path)?;
        Ok((measured.first_at, 0, measured.bytes, measured.waits))
    }

    async fn looks_at(&mut self, path: &str, key: &str) -> Result<Measured, Fault> {
        let (measured, value) = self.json::<Value>(path).await?;
        match value.get(key) {
            Some(found) if !found.is_null() => Ok((measured.first_at, 0, measured.bytes, measured.waits)),
            _ => Err(Fault::wrong(format!("{path}: has no {key}"))),
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(&mut self, path: &str) -> Result<(Got, T), Fault> {
        let mut text = Vec::new();
        let got = self.http.get(path, self.clock, |bytes| text.extend_from_slice(bytes)).await?;
        let value = serde_json::from_slice(&text);
        Ok((got, value.map_err(|error| Fault::wrong(format!("{path}: {error}")))?))
    }
}

/// When the first byte came, rows, bytes, and how often the server asked to come again.
type Measured = (MonotonicTime, u64, u64, u64);

/// What is looked at of a page.
#[derive(Deserialize)]
struct Page {
    events: Vec<IgnoredAny>,
}

fn mixed(mut number: usize) -> Asked {
    for (asked, share) in MIX {
        match number.checked_sub(share) {
            Some(left) => number = left,
            None => return asked,
        }
    }
    Asked::Page
}

fn has(rows: u64, expect: u64, what: impl FnOnce() -> String) -> Result<(), Fault> {
    match rows == expect {
        true => Ok(()),
        false => Err(Fault::wrong(format!("{}: {rows} events, the ledgers contain {expect}", what()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_of_the_mix_has_its_share() {
        assert_eq!(MIX.iter().map(|(_, share)| share).sum::<usize>(), 100);
        for (asked, share) in MIX {
            assert_eq!((0..100).filter(|number| mixed(*number) == asked).count(), share, "{asked:?}");
        }
    }

    #[test]
    fn fewer_events_than_the_ledgers_contain_are_wrong() {
        assert!(has(7, 7, String::new).is_ok());
        let fault = has(6, 7, || "ledgers 2 to 9".to_owned()).unwrap_err();
        assert!(fault.is_wrong && fault.detail == "ledgers 2 to 9: 6 events, the ledgers contain 7");
    }
}
