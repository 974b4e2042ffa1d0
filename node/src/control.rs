//! How commands on the same machine talk to a running node: a Unix socket in its data directory, which the file's mode
//! protects. One line of JSON each way, then the connection ends. A few clients at a time are served, each within a limit,
//! so that one that says nothing keeps nobody waiting; what changes something is done one after another.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use orrery_actors::checkpoint::{name_of_task, task_of};
use orrery_actors::coordinator::TaskId;
use orrery_actors::region::RegionView;
use orrery_schemas::LedgerSequence;
use orrery_supervisor::{CommandRefused, MonotonicTime, NodeKind, NodeState, SupervisorHandle, TreeNode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;

use crate::audit::chain::Note;
use crate::exit::Failure;
use crate::parked::{Parked, Reasons};
use crate::profile::{Form, Profile, SECONDS_MAX, heap};
use crate::readiness::Refused;
use crate::runner::Node;
use crate::{logs, quarantine, status};

/// A client that says nothing for so long is left. Longer than the longest profile that one may ask for.
const CLIENT_WITHIN: Duration = Duration::from_secs(SECONDS_MAX + 10);

/// Clients at a time; more wait to be accepted. Fewer would let a few that hang keep a person out, more serve nobody.
const CLIENTS_MAX: usize = 8;

/// Before another look for clients when the system gave none, as without a free descriptor.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The tree is read in less, unless the machine is starved.
const TREE_WITHIN: Duration = Duration::from_secs(1);

/// A request has some hundred bytes.
const REQUEST_BYTES_MAX: u64 = 64 << 10;

/// An answer may hold a ledger in hexadecimal.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// What a running node is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The supervision tree.
    Tree,
    /// The supervision tree, and what the node counts.
    Status,
    /// The newest lines of the log.
    Logs {
        /// Those after this number.
        after: u64,
    },
    /// Stop a pipeline until it is resumed, also over restarts of the node.
    Park {
        /// Its name.
        pipeline: String,
    },
    /// Start a parked pipeline.
    Resume {
        /// Its name.
        pipeline: String,
    },
    /// What was restarted, newest last.
    Restarts {
        /// At most so many.
        last: usize,
    },
    /// A profile of the process, as a picture.
    Profile {
        /// For so long.
        seconds: u64,
    },
    /// Who holds the process's memory.
    Heap,
    /// See [`quarantine::Request`].
    Quarantine {
        /// What of it.
        request: quarantine::Request,
    },
    /// Kill an actor, as faults do. Only in builds for tests.
    #[cfg(debug_assertions)]
    Kill {
        /// Ids from below the root.
        path: Vec<String>,
    },
}

impl Request {
    /// What it changes, if it changes something: the action, and to what.
    fn change(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Tree | Self::Status | Self::Logs { .. } | Self::Restarts { .. } => None,
            Self::Profile { .. } | Self::Heap => None,
            Self::Park { pipeline } => Some(("park", pipeline.clone())),
            Self::Resume { pipeline } => Some(("resume", pipeline.clone())),
            Self::Quarantine { request } => request
                .retried()
                .then(|| ("quarantine retry", serde_json::to_string(request).unwrap_or_default())),
            #[cfg(debug_assertions)]
            Self::Kill { path } => Some(("kill", path.join("/"))),
        }
    }
}

/// The user at the other end of a socket.
fn user(client: &UnixStream) -> String {
    client.peer_cred().map_or_else(|_| "unknown".to_owned(), |user| format!("uid {}", user.uid()))
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// What was asked for.
    Done(Value),
    /// Why not.
    Refused(String),
}

fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Serves clients, for ever; gives why it cannot.
pub(crate) async fn serve(control: &Control<'_>) -> Failure {
    let listener = match listen(&control.node.settings.data_dir) {
        Ok(listener) => listener,
        Err(failure) => return failure,
    };
    serve_clients(&listener, CLIENT_WITHIN, |client| control.answer(client)).await
}

fn listen(data_dir: &Path) -> Result<UnixListener, Failure> {
    let path = socket(data_dir);
    let failed = |action: &str, error: io::Error| {
        Failure::Unavailable(format!("{}: {action} the control socket: {error}", path.display()))
    };
    // The state's lock says that no other node uses the directory, so that a socket in it was left behind.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace", error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(|error| match error.kind() {
        // The system takes about a hundred characters.
        io::ErrorKind::InvalidInput => {
            failed("make", io::Error::other("the path is too long; give a shorter --data-dir"))
        }
        _ => failed("make", error),
    })?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
        .map_err(|error| failed("protect", error))?;
    Ok(listener)
}

/// Gives every client to `answer`, at most [`CLIENTS_MAX`] of them at a time and each for as long as `within`.
async fn serve_clients<T, A: Future<Output = io::Result<()>>>(
    listener: &UnixListener,
    within: Duration,
    answer: impl Fn(UnixStream) -> A,
) -> T {
    let mut clients = FuturesUnordered::new();
    loop {
        tokio::select! {
            client = accept(listener), if clients.len() < CLIENTS_MAX => {
                clients.push(tokio::time::timeout(within, answer(client)));
            }
            Some(served) = clients.next() => match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "control client lost"),
                Err(_) => tracing::warn!("control client was too slow"),
            },
        }
    }
}

/// The next client. What was not accepted yet is not lost if nobody waits any more.
async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((client, _)) => return client,
            Err(error) => {
                tracing::warn!(%error, "control client not accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// What a running node can be asked.
pub(crate) struct Control<'a> {
    node: &'a Node,
    handle: &'a SupervisorHandle,
    parked: &'a Parked,
    /// Held by whoever changes something: two who park and resume at once are told what came of it, in turn.
    change: Mutex<()>,
}

impl<'a> Control<'a> {
    pub(crate) fn new(node: &'a Node, handle: &'a SupervisorHandle, parked: &'a Parked) -> Self {
        Self { node, handle, parked, change: Mutex::new(()) }
    }

    /// Why the whole pipeline is parked, if it is. One of its tasks may have parked it, which no supervisor reports of it.
    pub(crate) fn parked_reason(&self) -> Option<String> {
        let noted = || self.node.state.parked.reason(&self.node.settings.pipeline).ok().flatten();
        self.parked.reason().or_else(noted)
    }

    async fn answer(&self, client: UnixStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        let mut line = String::new();
        (&mut client).take(REQUEST_BYTES_MAX).read_line(&mut line).await?;
        let answer = match serde_json::from_str(&line) {
            Ok(request) => self.audited(request, &user(client.get_ref())).await,
            Err(error) => Answer::Refused(format!("not a request: {error}")),
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        client.get_mut().write_all(&line).await
    }

    /// Does what a user of this machine asks, and notes it if it changes something.
    async fn audited(&self, request: Request, who: &str) -> Answer {
        let change = request.change();
        let answer = self.perform(request).await;
        if let Some((action, target)) = change {
            let outcome = answer.as_ref().map_or_else(Clone::clone, Value::to_string);
            let (who, via, action) = (who.to_owned(), "socket".to_owned(), action.to_owned());
            self.node.audit.note(Note { who, via, action, target, outcome, is_refusal: false }).await;
        }
        answer.map_or_else(Answer::Refused, Answer::Done)
    }

    /// Does what is asked.
    ///
    /// # Errors
    ///
    /// Why not, for whoever asked.
    pub(crate) async fn perform(&self, request: Request) -> Result<Value, String> {
        match request {
            Request::Tree => self.tree().await,
            Request::Status => self.status().await,
            Request::Logs { after } => Ok(logs::page(after)),
            Request::Park { pipeline } => self.park(&pipeline, "parked by an operator").await,
            Request::Resume { pipeline } => {
                let _change = self.change.lock().await;
                self.resume(&pipeline).await
            }
            Request::Restarts { last } => {
                let latest = self.node.state.restarts.latest(last).map_err(|error| error.to_string())?;
                Ok(json!(latest))
            }
            Request::Profile { seconds } => {
                let profile = Profile::take(seconds).await?;
                let picture = String::from_utf8_lossy(&profile.written(Form::Flame)).into_owned();
                Ok(json!({ "samples": profile.samples(), "svg": picture }))
            }
            Request::Heap => {
                let taken = heap().await.map_err(|refused| refused.to_string())?;
                Ok(json!({ "bytes": taken.len(), "pprof": BASE64_STANDARD.encode(taken) }))
            }
            Request::Quarantine { request } => {
                let _change = self.change.lock().await;
                let retried = request.retried();
                let answer =
                    quarantine::perform(&self.node.state, request).map_err(|error| error.to_string())?;
                if let Some(released) = answer["pipeline"].as_str().filter(|_| retried) {
                    self.retry(released).await?;
                }
                Ok(answer)
            }
            #[cfg(debug_assertions)]
            Request::Kill { path } => {
                let ids: Vec<_> = path.iter().map(String::as_str).collect();
                self.handle.kill(&ids).await.map_err(|error| error.to_string())?;
                Ok(json!({ "killed": path }))
            }
        }
    }

    /// Parks the pipeline until it is resumed, and says why wherever that is asked.
    pub(crate) async fn park(&self, pipeline: &str, reason: &str) -> Result<Value, String> {
        self.known(pipeline)?;
        let _change = self.change.lock().await;
        let noted = self.node.state.parked.park(pipeline, reason);
        let is_noted = self.node.state.writes.note("that a pipeline is parked", noted).is_some();
        let done = self.handle.park(&["pipelines", pipeline]).await;
        done.map_err(|error| error.to_string())?;
        self.parked.add(pipeline.to_owned(), reason.to_owned());
        Ok(parked(pipeline, is_noted))
    }

    async fn status(&self) -> Result<Value, String> {
        let refused = self.node.readiness.refused().map(|refused| refused.detail);
        let parked = self.parked_reason().or(refused);
        Ok(status::status(self.node, parked, self.parked.tasks(), self.tree().await?))
    }

    async fn tree(&self) -> Result<Value, String> {
        let tree = self.handle.tree(TREE_WITHIN).await.map_err(|error| error.to_string())?;
        Ok(tree_json(&tree))
    }

    async fn resume(&self, pipeline: &str) -> Result<Value, String> {
        self.known(pipeline)?;
        // With it, each of its tasks that a ledger parked.
        let state = &self.node.state;
        let noted = state.parked.resume_all(pipeline).map_err(|error| error.to_string());
        // What was parked while the state could not be written is not noted there.
        if noted.is_err() && state.parked.reason(pipeline).is_ok_and(|reason| reason.is_some()) {
            return noted.map(|_| Value::Null);
        }
        // Before it starts: it may be parked again at once.
        let before = self.parked.replace(Reasons::default());
        // Tasks that others do now are parked here in name alone.
        let is_needed = before.is_empty() || before.contains_key(pipeline);
        match self.start(&["pipelines", pipeline]).await {
            // It runs already, which is what is wanted: who asks all nodes, or asks twice, has what they asked for. In a cluster
            // it runs without tasks while it is noted as parked, as after a restart of the node.
            Err(CommandRefused::NotParked(_)) => Ok(json!({ "pipeline": pipeline, "state": "running" })),
            Err(refused) if is_needed => {
                self.parked.replace(before);
                Err(refused.to_string())
            }
            _ => Ok(json!({ "pipeline": pipeline, "state": "running" })),
        }
    }

    /// Goes on with what a ledger parked, by its full name, now that the ledger is out of quarantine.
    async fn retry(&self, name: &str) -> Result<(), String> {
        let own = self.node.settings.pipeline.as_str();
        let Some(task) = task_of(name, own) else {
            return match self.parked.reason() {
                Some(_) => self.resume(own).await.map(drop),
                None => Ok(()),
            };
        };
        self.parked.keep_tasks(|left| left.to_string() != task);
        // Others may have it by now.
        let started = self.start(&["pipelines", own, task]).await;
        started.unwrap_or_else(|refused| tracing::debug!(task, %refused, "the task is not started here"));
        Ok(())
    }

    /// Starts what is parked at a path; of a pipeline that runs, its tasks that are.
    async fn start(&self, path: &[&str]) -> Result<(), CommandRefused> {
        let tree = self.handle.tree(TREE_WITHIN).await?;
        let tasks = tree.find(path).filter(|found| found.state == NodeState::Running);
        let tasks: Vec<_> = tasks.into_iter().flat_map(|found| &found.children).collect();
        let parked: Vec<_> = tasks.into_iter().filter(|task| task.state == NodeState::Parked).collect();
        if parked.is_empty() {
            return self.handle.resume(path).await;
        }
        for task in parked {
            let path = [path, &[task.id.as_str()]].concat();
            self.handle.resume(&path).await?;
        }
        Ok(())
    }

    /// Notes why this node does not do what a coordinator says.
    pub(crate) fn refuse(&self, refused: Refused) {
        self.node.readiness.refuse(refused);
    }

    /// Notes that this node does what a coordinator says.
    pub(crate) fn obey(&self) {
        self.node.readiness.obey();
    }

    /// Why the node serves no readers now, if so.
    pub(crate) fn unready(&self) -> Option<String> {
        let (is_ready, answer) = self.node.readiness.answer();
        let why = answer["reasons"][0]["detail"].as_str().unwrap_or("it does not say why").to_owned();
        (!is_ready).then_some(why)
    }

    /// Takes what the coordinator says of regions. If this one has lost traffic, readers go elsewhere, each with its place.
    pub(crate) fn tell_regions(&self, view: &RegionView, now: MonotonicTime) {
        let readiness = &self.node.readiness;
        if readiness.regions.tell(view, now) {
            tracing::info!("traffic belongs to another region: readers are sent there");
            readiness.feed.send_away();
        }
    }

    /// The tasks that are parked here, each with its reason.
    pub(crate) fn parked_tasks(&self) -> BTreeMap<TaskId, String> {
        self.parked.tasks()
    }

    /// Ends what is parked although others have made it durable: every ledger before `next` is.
    pub(crate) fn mend(&self, next: LedgerSequence) {
        let (tasks, pipeline) = (self.parked.tasks(), &self.node.settings.pipeline);
        if tasks.is_empty() {
            return;
        }
        let durable = LedgerSequence(next.0.saturating_sub(1));
        let mended = self.node.mend(durable).and_then(|()| self.node.state.parked.reasons());
        let noted = mended.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is parked cannot be tidied");
            tasks.iter().map(|(task, why)| (name_of_task(pipeline, &task.to_string()), why.clone())).collect()
        });
        self.parked.keep_tasks(|task| match task {
            TaskId::Until(last) => last > durable.0,
            TaskId::Live => noted.contains_key(&name_of_task(pipeline, &task.to_string())),
        });
    }

    fn known(&self, pipeline: &str) -> Result<(), String> {
        match self.node.settings.pipeline.as_str() {
            own if own == pipeline => Ok(()),
            own => Err(format!("no pipeline `{pipeline}` here; this node has `{own}`")),
        }
    }
}

/// A tree as JSON.
/// That a pipeline was parked, for whoever asked; it is stopped in any case.
fn parked(pipeline: &str, is_noted: bool) -> Value {
    let mut done = json!({ "pipeline": pipeline, "state": "parked" });
    if !is_noted {
        done["warning"] =
            "the node's state cannot be written: a restarted node starts the pipeline again".into();
    }
    done
}

fn tree_json(node: &TreeNode) -> Value {
    json!({
        "id": node.id.as_str(),
        "kind": match node.kind { NodeKind::Worker => "worker", NodeKind::Supervisor => "supervisor" },
        "state": node.state.as_str(),
        "incarnation": node.incarnation,
        "restarts_total": node.restarts_total,
        "restarts_in_window": node.restarts_in_window,
        "age_seconds": node.age.as_secs_f64(),
        "mailbox_depth": node.mailbox_depth,
        "last_error": node.last_error,
        "answered": node.answered,
        "children": node.children.iter().map(tree_json).collect::<Vec<_>>(),
    })
}

/// Asks the node that uses `data_dir`. `None` if none runs.
pub(crate) async fn ask(data_dir: &Path, request: &Request) -> Result<Option<Value>, Failure> {
    let path = socket(data_dir);
    let failed =
        |error: io::Error| Failure::Unavailable(format!("{}: ask the node: {error}", path.display()));
    let mut client = match UnixStream::connect(&path).await {
        Ok(client) => client,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut line = serde_json::to_vec(request).map_err(|error| Failure::Bug(error.to_string()))?;
    line.push(b'\n');
    client.write_all(&line).await.map_err(failed)?;
    let mut answer = Vec::new();
    client.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(failed)?;
    match serde_json::from_slice(&answer) {
        Ok(Answer::Done(value)) => Ok(Some(value)),
        Ok(Answer::Refused(why)) => Err(Failure::CheckFailed(why)),
        Err(error) => Err(Failure::Unavailable(format!("{}: no answer: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than anything here takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Says what it heard, once the client has ended its line.
    async fn echo(client: UnixStream) -> io::Result<()> {
        let mut client = BufReader::new(client);
        let mut line = String::new();
        client.read_line(&mut line).await?;
        client.get_mut().write_all(line.as_bytes()).await
    }

    /// Whether a client that asks is answered while `silent` others say nothing and are left after `within`.
    async fn is_answered(silent: usize, within: Duration) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let asking = async {
            let mut others = Vec::new();
            for _ in 0..silent {
                others.push(UnixStream::connect(&path).await.unwrap());
            }
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(b"hello\n").await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            drop(others);
            answer == "hello\n"
        };
        tokio::select! {
            () = serve_clients(&listener, within, echo) => false,
            answered = tokio::time::timeout(PATIENCE, asking) => answered.unwrap_or(false),
        }
    }

    #[tokio::test]
    async fn clients_that_say_nothing_keep_nobody_waiting() {
        assert!(is_answered(CLIENTS_MAX - 1, PATIENCE * 60).await);
    }

    #[tokio::test]
    async fn clients_beyond_the_limit_are_served_when_the_slow_ones_are_left() {
        assert!(is_answered(3 * CLIENTS_MAX, Duration::from_millis(20)).await);
    }
}
