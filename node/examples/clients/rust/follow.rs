//! Follows the live feed and keeps its place in a file, so that it goes on where it was after any end, its own or the server's.
//!
//! ```text
//! cargo run -p orrery-node --example follow -- http://127.0.0.1:9464 place.txt --from oldest kind=transfer asset=native
//! cargo run -p orrery-node --example follow -- https://eu.example,https://us.example place.txt
//! ```
//!
//! Of several servers, also of several regions, it reads at the first that is in traffic, and goes on at another one when that
//! one fails, sends its readers elsewhere or has not what comes next: a cursor is the same everywhere.
//!
//! Prints one event a line as JSON. A token, if the server asks for one, is in the variable ORRERY_TOKEN. An event that was
//! printed and whose place was not written yet is printed again the next time: what must see each event once keeps place and
//! result together, as here an in-memory reader does by leaving out what is not behind its cursor.

#![allow(clippy::print_stderr, clippy::disallowed_methods, reason = "a program by itself, and a short one")]

use std::error::Error;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::time::Duration;

use serde_json::Value;

type Failed = Box<dyn Error + Send + Sync>;

/// What is followed, and from where to where.
struct Follow {
    /// The feeds.
    servers: Vec<reqwest::Url>,
    place: String,
    start: String,
    last: Option<u32>,
    seen: Option<String>,
}

/// Why a connection ended.
enum End {
    /// All that was wanted was seen.
    Complete,
    /// Connecting again goes on.
    Broken(String),
    /// Only another server could help.
    Refused(String),
}

/// Which servers have failed since one served.
#[derive(Default)]
struct Failures {
    failed: Vec<usize>,
    /// Those that do not serve this cursor, this filter or this token.
    refused: Vec<usize>,
    /// How often all had failed.
    rounds: u32,
}

#[allow(dead_code, reason = "where this is a part of another program, that has its own")]
fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(&arguments, &mut std::io::stdout()))
}

/// Writes events to `out` until the last that is wanted.
#[allow(unreachable_pub, reason = "where this is a program by itself, nobody else calls it")]
pub async fn follow(arguments: &[String], out: &mut impl Write) -> Result<(), Failed> {
    let mut follow = Follow::new(arguments)?;
    let client = reqwest::Client::builder().read_timeout(Duration::from_secs(35)).build()?;
    let mut failures = Failures::default();
    let mut at = follow.choose(&client, &failures).await;
    loop {
        let why = match follow.connection(at, &client, out, &mut failures).await? {
            End::Complete => return Ok(()),
            End::Broken(why) => why,
            End::Refused(why) => {
                failures.refused.retain(|refused| *refused != at);
                failures.refused.push(at);
                if failures.refused.len() == follow.servers.len() {
                    return Err(why.into());
                }
                why
            }
        };
        // Another server may be well: only when all have failed, it pays to wait for long.
        if failures.failed.contains(&at) || failures.failed.len() + 1 >= follow.servers.len() {
            failures.rounds = (failures.rounds + 1).min(6);
            failures.failed.clear();
        }
        failures.failed.push(at);
        let next = follow.choose(&client, &failures).await;
        let (seen, ended) = (follow.seen.as_deref().unwrap_or(&follow.start), &follow.servers[at]);
        eprintln!("{ended}: {why}; going on at {} behind {seen}", follow.servers[next]);
        // Chance keeps readers that left together from coming together.
        let longest = 100 << failures.rounds;
        tokio::time::sleep(Duration::from_millis(RandomState::new().hash_one(at) % longest)).await;
        at = next;
    }
}

impl Follow {
    fn new(arguments: &[String]) -> Result<Self, Failed> {
        let usage = "follow URL[,URL]... PLACE_FILE [--from CURSOR] [to=LEDGER] [KEY=VALUE]...";
        let [given, place, rest @ ..] = arguments else { return Err(usage.into()) };
        let mut servers = Vec::new();
        for server in given.split(',') {
            let mut url: reqwest::Url = server.parse()?;
            url.set_path("/v1/feed.sse");
            servers.push(url);
        }
        let (mut start, mut last, mut rest) = ("latest".to_owned(), None, rest.iter());
        while let Some(argument) = rest.next() {
            match argument.split_once('=') {
                Some(("to", ledger)) => last = Some(ledger.parse()?),
                Some((key, value)) => {
                    for url in &mut servers {
                        url.query_pairs_mut().append_pair(key, value);
                    }
                }
                None if argument == "--from" => start = rest.next().ok_or(usage)?.clone(),
                None => return Err(usage.into()),
            }
        }
        let seen = fs::read_to_string(place).ok().map(|text| text.trim().to_owned());
        Ok(Self { servers, place: place.clone(), start, last, seen: seen.filter(|text| !text.is_empty()) })
    }

    /// Who answers, has not just failed and is in traffic, in the order given. Who is not in traffic is better than nobody.
    async fn choose(&self, client: &reqwest::Client, failures: &Failures) -> usize {
        let mut ranks = Vec::new();
        for (at, server) in self.servers.iter().enumerate().filter(|_| self.servers.len() > 1) {
            let mut url = server.clone();
            url.set_path("/healthz/traffic");
            url.set_query(None);
            let answer = client.get(url).timeout(Duration::from_secs(2)).send().await;
            let status = answer.map(|answer| answer.status().as_u16());
            ranks.push((
                status.is_err(),
                failures.failed.contains(&at),
                status.is_ok_and(|it| it == 503),
                at,
            ));
        }
        ranks.into_iter().min().map_or(0, |(.., at)| at)
    }

    /// Reads server-sent events until the connection ends, or all was seen.
    async fn connection(
        &mut self,
        at: usize,
        client: &reqwest::Client,
        out: &mut impl Write,
        failures: &mut Failures,
    ) -> Result<End, Failed> {
        let from = self.seen.as_ref().unwrap_or(&self.start);
        let mut request = client.get(self.servers[at].clone()).header("Last-Event-ID", from);
        if let Ok(token) = std::env::var("ORRERY_TOKEN") {
            request = request.bearer_auth(token);
        }
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Ok(End::Broken(error.to_string())),
        };
        match answer.status().as_u16() {
            200 => {}
            // What is busy or starting may pass; what is refused will be refused again, unless another server knows better.
            429 | 502..=504 => return Ok(End::Broken(answer.status().to_string())),
            _ => return Ok(End::Refused(answer.text().await.unwrap_or_default())),
        }
        let (mut buffer, mut cursor) = (Vec::new(), None);
        loop {
            match answer.chunk().await {
                Ok(Some(bytes)) => buffer.extend_from_slice(&bytes),
                Ok(None) => return Ok(End::Broken("the server closed the connection".to_owned())),
                Err(error) => return Ok(End::Broken(error.to_string())),
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let line = String::from_utf8(line)?;
                match line.trim_end().split_once(": ") {
                    Some(("id", id)) => cursor = Some(id.to_owned()),
                    Some(("data", data)) => {
                        *failures = Failures::default();
                        if self.hear(&serde_json::from_str(data)?, cursor.as_deref(), out)? {
                            return Ok(End::Complete);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes a message; whether it was the last one.
    fn hear(&mut self, message: &Value, cursor: Option<&str>, out: &mut impl Write) -> Result<bool, Failed> {
        let seen = self.seen.as_deref().map(order);
        for event in message["events"].as_array().into_iter().flatten() {
            let ledger = event["ledger_sequence"].as_u64().ok_or("an event without its ledger")?;
            let place = (ledger, event["ledger_event_index"].as_u64().ok_or("an event without its place")?);
            let is_wanted = self.last.is_none_or(|last| ledger <= u64::from(last));
            if seen.is_none_or(|seen| seen < place) && is_wanted {
                writeln!(out, "{event}")?;
            }
        }
        out.flush()?;
        if message["type"] == "gap" {
            eprintln!("ledgers were lost: {} to {}", message["from"], message["to"]);
        }
        // A cursor never goes back, whatever a server that has just restarted says.
        if let Some(cursor) = cursor.filter(|cursor| seen.is_none_or(|seen| seen < order(cursor))) {
            self.seen = Some(cursor.to_owned());
            self.keep(cursor)?;
        }
        let last = self.last.map(|last| (u64::from(last), u64::MAX));
        Ok(last.is_some_and(|last| self.seen.as_deref().map(order) >= Some(last)))
    }

    /// Writes the place whole or not at all.
    fn keep(&self, cursor: &str) -> std::io::Result<()> {
        let new = format!("{}.new", self.place);
        let mut file = fs::File::create(&new)?;
        file.write_all(cursor.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.place)
    }
}

/// A cursor as it is ordered: an event of a ledger stands before the end of that ledger.
fn order(cursor: &str) -> (u64, u64) {
    let (ledger, event) = cursor.split_once(':').unwrap_or((cursor, ""));
    (ledger.parse().unwrap_or(0), event.parse().unwrap_or(u64::MAX))
}
