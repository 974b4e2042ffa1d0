//! How HTTP reaches a node, which is there later than HTTP is and ends before it: its dataset, and what it says of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use orrery_actors::dataset::{DatasetView, RowFileLimits, Store, ViewLimits};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use crate::region::Move;
use crate::settings::{LookUpLimits, Settings};

/// Between two looks for new slots. More is later for readers of the dataset, less is more requests to its store.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where rows are kept for look-ups, below the node's own folder.
const ROW_FILES: &str = "rows";

/// Questions that wait; a further one is refused.
const QUESTIONS_MAX: usize = 64;

/// Questions in work: each may wait for other nodes.
const IN_WORK_MAX: usize = 8;

/// What the node is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Every node, with its supervision tree and its counts; alone, this one.
    Tree,
    /// Ledgers in quarantine on this node.
    Quarantine,
    /// What was restarted on a node, this one or another, newest last.
    Restarts {
        /// Its name.
        node: String,
    },
    /// To change something.
    Change(Change, By),
}

/// What an operator has a node do, or all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Stop a pipeline on every node until it is resumed.
    Park { pipeline: String },
    /// Start a parked pipeline on every node.
    Resume { pipeline: String },
    /// Have a node hand over its work and leave.
    Drain { node: String },
    /// Have this node forget a quarantined ledger, so that it is tried again.
    Retry { ledger: u32 },
    /// Decide where traffic belongs.
    Failover(Move),
}

/// Who has it done, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct By {
    pub(crate) who: String,
    /// As `http ADDRESS`.
    pub(crate) via: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Nobody answers now; trying again may help.
    Away(String),
    /// It is not done.
    Refused(String),
    /// What it is about is not there.
    Unknown(String),
}

/// A question, and where the answer goes.
type Asked = (Question, oneshot::Sender<Result<Value, Unanswered>>);

/// The way to a node.
pub(crate) struct Reach {
    dataset: watch::Sender<Option<Arc<DatasetView>>>,
    questions: mpsc::Sender<Asked>,
    /// Taken by the node that answers.
    asked: Mutex<Option<mpsc::Receiver<Asked>>>,
}

impl Default for Reach {
    fn default() -> Self {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        Self { dataset: watch::Sender::default(), questions, asked: Mutex::new(Some(asked)) }
    }
}

impl Reach {
    /// The node's dataset is in this store.
    pub(crate) fn show(&self, dataset: Store, settings: &Settings) {
        let LookUpLimits { cache_bytes, row_files_bytes } = settings.look_ups;
        let view = DatasetView::new(
            dataset,
            ViewLimits { cache_bytes_max: cache_bytes / 2, ..ViewLimits::default() },
        );
        let view = match settings.http.is_some() && row_files_bytes > 0 {
            true => {
                let limits =
                    RowFileLimits { disk_bytes_max: row_files_bytes, memory_bytes_max: cache_bytes / 4 };
                view.with_row_files(settings.data_dir.join(ROW_FILES), limits)
            }
            false => view,
        };
        self.dataset.send_replace(Some(Arc::new(view)));
    }

    /// The dataset, once the node has opened it.
    pub(crate) fn dataset(&self) -> Option<Arc<DatasetView>> {
        self.dataset.borrow().clone()
    }

    /// Follows the dataset's log for ever, from when there is one.
    pub(crate) async fn follow(&self) {
        let mut dataset = self.dataset.subscribe();
        let view = dataset.wait_for(Option::is_some).await.ok().and_then(|view| view.clone());
        match view {
            Some(view) => {
                tokio::join!(view.follow(LOOK_EVERY), view.keep_row_files());
            }
            None => std::future::pending().await,
        }
    }

    /// Asks the node.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    pub(crate) async fn ask(&self, question: Question) -> Result<Value, Unanswered> {
        let (reply, answer) = oneshot::channel();
        if self.questions.try_send((question, reply)).is_err() {
            return Err(Unanswered::Away("the node has too much to answer, or has ended".to_owned()));
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(Unanswered::Away("the node has ended".to_owned())),
        }
    }

    /// Answers questions for ever: the node does, while it runs.
    pub(crate) async fn answer<'a>(
        &self,
        answer: impl Fn(Question) -> BoxFuture<'a, Result<Value, Unanswered>>,
    ) {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut asked) = asked else { return std::future::pending().await };
        let mut in_work = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some((question, reply)) = asked.recv(), if in_work.len() < IN_WORK_MAX => {
                    let answer = answer(question);
                    in_work.push(async move {
                        // Whoever asked may have gone.
                        let _ = reply.send(answer.await);
                    });
                }
                Some(()) = in_work.next() => {}
                else => return std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_question_waits_for_a_node_that_answers() {
        let reach = Reach::default();
        let answers = reach.answer(|question| {
            async move {
                if question == Question::Quarantine {
                    Ok(json!(1))
                } else {
                    Err(Unanswered::Refused("no".to_owned()))
                }
            }
            .boxed()
        });
        let asks = async {
            let both = tokio::join!(reach.ask(Question::Quarantine), reach.ask(Question::Tree));
            assert_eq!(both, (Ok(json!(1)), Err(Unanswered::Refused("no".to_owned()))));
        };
        tokio::select! {
            () = answers => panic!("it ends"),
            () = asks => {}
        }
        assert!(reach.dataset().is_none());
    }

    #[tokio::test]
    async fn too_many_questions_are_refused_at_once() {
        let reach = Reach::default();
        let asked: Vec<_> = (0..=QUESTIONS_MAX).map(|_| reach.ask(Question::Tree)).collect();
        let mut asked = asked.into_iter().collect::<FuturesUnordered<_>>();
        let Err(Unanswered::Away(why)) = asked.next().await.unwrap() else { panic!("it is answered") };
        assert!(why.contains("too much"));
        assert!(asked.next().now_or_never().is_none());
    }
}
