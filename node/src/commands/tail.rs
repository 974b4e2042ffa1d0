//! `orrery tail`: the live feed in a terminal or in a pipe.

use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use orrery_schemas::{Cursor, EventFilter, JsonEvent, TokenTransfer, write_json_line};
use orrery_supervisor::{Backoff, Clock, MonotonicTime, SeededRandom, SystemClock};

use crate::cli::TailArgs;
use crate::console::Console;
use crate::environment;
use crate::exit::Failure;
use crate::tail::{
    Begin, Closed, Core, End, Endpoints, Heard, Next, Server, Socket, better, human, standings,
};
use crate::{interrupt, runner, threads};

/// Variable with the token: arguments can be read by everybody on the machine.
const TOKEN: &str = "ORRERY_TOKEN";

/// Who takes longer to take a connection, before anything is asked, is cut off: there may be another server.
const CONNECTS_WITHIN: Duration = Duration::from_secs(3);

/// Between attempts to connect.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_CAP: Duration = Duration::from_secs(10);

/// A server that gives nothing new for so long is compared with the others: a ledger of the network has closed meanwhile, or is
/// about to. With what follows, a reader of a server that is cut off silently goes on at another one within ten seconds.
const STILL_FOR: Duration = Duration::from_secs(5);

/// Prints events until Ctrl-C, or until `--to`. Says where it was when it ends, unless nobody reads it: of what was written
/// last, only the reader knows how much it took.
pub(crate) fn run(args: &TailArgs, console: &Console) -> Result<(), Failure> {
    let mut tail = Tail::new(args, console)?;
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = tail.follow() => ended,
            () = interrupted => Err(Failure::Interrupted),
        }
    });
    if !matches!(ended, Ok(()) | Err(Failure::OutputClosed))
        && let Some(cursor) = tail.core.cursor()
    {
        console.progress(format_args!("seen up to {cursor}; go on with --from {cursor}"));
    }
    ended
}

/// The certificates of a file.
fn authorities(path: Option<&Path>) -> Result<Vec<reqwest::Certificate>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let wrong = |problem: &dyn std::fmt::Display| {
        Failure::Usage(format!("--ca {}: {problem}: give a PEM file of certificates", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let found = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| wrong(&error))?;
    if found.is_empty() { Err(wrong(&"it has none")) } else { Ok(found) }
}

struct Tail<'a> {
    console: &'a Console,
    core: Core,
    servers: Vec<Server>,
    endpoints: Endpoints,
    client: reqwest::Client,
    token: Option<String>,
    backoff: Backoff,
    random: SeededRandom,
    clock: SystemClock,
    patience: Option<Duration>,
}

impl<'a> Tail<'a> {
    fn new(args: &TailArgs, console: &'a Console) -> Result<Self, Failure> {
        let bug = |error: &dyn std::fmt::Display| Failure::Bug(error.to_string());
        let begin = Begin {
            from: args.from.clone().unwrap_or_else(|| "latest".to_owned()),
            to: args.to,
            filter: filter(args)?,
        };
        let servers = args.urls.iter().map(|url| Server::new(url).map_err(Failure::Usage));
        let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
        let client = reqwest::Client::builder().http1_only().redirect(reqwest::redirect::Policy::none());
        let client = client.connect_timeout(CONNECTS_WITHIN);
        let client = authorities(args.ca.as_deref())?
            .into_iter()
            .fold(client, reqwest::ClientBuilder::add_root_certificate);
        Ok(Self {
            console,
            core: Core::new(begin),
            endpoints: Endpoints::new(servers.len()),
            servers,
            client: client.build().map_err(|error| bug(&error))?,
            token: environment::variable(TOKEN).filter(|token| !token.is_empty()),
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_CAP).map_err(|error| bug(&error))?,
            random: SeededRandom::new(runner::seed()),
            clock: SystemClock::new(),
            patience: Some(args.patience_seconds).filter(|&seconds| seconds > 0).map(Duration::from_secs),
        })
    }

    /// Goes from server to server as they end, and on where it was.
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut away_since: Option<MonotonicTime> = None;
        let mut at = self.choose().await;
        loop {
            let problem = match self.read(at, &mut away_since).await? {
                Ok(()) => return Ok(()),
                // Another one may let it in.
                Err(Closed::Refused(problem)) if self.endpoints.is_without(at) => {
                    return Err(Failure::Usage(problem));
                }
                Err(Closed::TooSlow) => {
                    self.console.warn("too slow for the feed; going on where it was");
                    continue;
                }
                Err(Closed::Away(problem) | Closed::Refused(problem)) => problem,
            };
            self.endpoints.ended(at);
            let now = self.clock.now();
            let since = *away_since.get_or_insert(now);
            if self.patience.is_some_and(|patience| now.since(since) >= patience) {
                return Err(Failure::Unavailable(problem));
            }
            let next = self.choose().await;
            // The next server may be well: only when all have failed, it pays to wait for long.
            let delay = self.backoff.delay(self.endpoints.rounds(), &mut || self.random.draw());
            let go_on = match next == at {
                true => "connecting again".to_owned(),
                false => format!("going on at {}", self.servers[next].name()),
            };
            let behind = self.core.cursor().map(|cursor| format!(" behind {cursor}")).unwrap_or_default();
            self.console.warn(format_args!("{problem}; {go_on}{behind} in {} ms", delay.as_millis()));
            tokio::time::sleep(delay).await;
            at = next;
        }
    }

    /// The server to go to. One that is the only one is not asked before.
    async fn choose(&self) -> usize {
        match self.endpoints.are_several() {
            true => self.endpoints.choose(&standings(&self.servers, &self.client).await),
            false => 0,
        }
    }

    /// Reads from one connection to its end. The outer error ends all, the inner one the connection.
    async fn read(
        &mut self,
        at: usize,
        away_since: &mut Option<MonotonicTime>,
    ) -> Result<Result<(), Closed>, Failure> {
        let random = SeededRandom::new(self.random.draw());
        let server = &self.servers[at];
        let mut socket = match server.connect(&self.client, self.token.as_deref(), random).await {
            Ok(socket) => socket,
            Err(closed) => return Ok(Err(closed)),
        };
        if let Err(closed) = socket.say(&self.core.connected()).await {
            return Ok(Err(closed));
        }
        let mut moved = (self.core.cursor(), self.clock.now());
        loop {
            let text = match self.hear(&mut socket, at, &mut moved).await {
                Heard::Text(text) => text,
                Heard::Closed(closed) => return Ok(Err(closed)),
            };
            for next in self.core.hear(&text) {
                match next {
                    Next::Nothing => {}
                    Next::Subscribed => {
                        *away_since = None;
                        self.endpoints.begun();
                    }
                    Next::Events(events) => self.print(&events)?,
                    Next::Warn(text) => self.console.warn(text),
                    Next::Reconnect(problem) => return Ok(Err(Closed::Away(problem))),
                    // Another one may have what comes next.
                    Next::Without(problem) => match self.endpoints.is_without(at) {
                        true => return Err(Failure::CheckFailed(problem)),
                        false => {
                            let name = self.servers[at].name();
                            return Ok(Err(Closed::Away(format!("{name}: {problem}"))));
                        }
                    },
                    Next::End(End::Complete) => {
                        socket.leave().await;
                        return Ok(Ok(()));
                    }
                    Next::End(End::Usage(problem)) => return Err(Failure::Usage(problem)),
                }
            }
            if self.core.cursor() != moved.0 {
                moved = (self.core.cursor(), self.clock.now());
            }
        }
    }

    /// The next message. A server whose ledgers stand still, while another one's in traffic go on, is left. `moved` is the
    /// cursor, and when it moved, or was found to stand still everywhere.
    async fn hear(
        &self,
        socket: &mut Socket,
        at: usize,
        moved: &mut (Option<Cursor>, MonotonicTime),
    ) -> Heard {
        let mut heard = pin!(socket.hear());
        loop {
            let left = STILL_FOR.saturating_sub(self.clock.now().since(moved.1));
            tokio::select! {
                heard = &mut heard => return heard,
                () = tokio::time::sleep(left), if self.endpoints.are_several() => {}
            }
            let found = match moved.0 {
                Some(seen) => better(&self.servers, at, seen, &self.client, self.token.as_deref()).await,
                None => None,
            };
            if let Some(problem) = found {
                return Heard::Closed(Closed::Away(problem));
            }
            moved.1 = self.clock.now();
        }
    }

    /// What was printed is seen: it is written through before anything else is heard.
    fn print(&self, events: &[TokenTransfer]) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for event in events {
            match self.console.is_json() {
                true => write_json_line(&mut lines, JsonEvent { file: None, event })
                    .map_err(|error| Failure::Bug(error.to_string()))?,
                false => writeln!(lines, "{}", human(event))?,
            }
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&lines)?;
        Ok(stdout.flush()?)
    }
}

fn filter(args: &TailArgs) -> Result<EventFilter, Failure> {
    let mut filter = EventFilter::default();
    let lists = [
        ("kind", &args.kinds),
        ("op_type", &args.op_types),
        ("asset", &args.assets),
        ("account", &args.accounts),
        ("contract", &args.contracts),
    ];
    let values = lists.iter().flat_map(|(key, values)| values.iter().map(move |value| (*key, value)));
    for (key, value) in values.chain(args.min_amount.iter().map(|amount| ("min_amount", amount))) {
        filter.add(key, value).map_err(|error| Failure::Usage(error.to_string()))?;
    }
    Ok(filter)
}
