//! Messages of other nodes that are not as they should be: of another version (M5), or with batches that are none (M6). They come
//! from a node of the cluster itself, with a certificate of its authority, over the connection on which batches cross.
//!
//! Each must be refused in words that say why, and the node and its dataset must be as if nothing had come.

use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::peer::{Asked, Peer};
use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// Names of the node and of the one that sends.
const NODE: &str = "node";
const SENDER: &str = "sender";

/// Batches that are sent with other bytes than they should have.
const MALFORMED: usize = 24;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    OtherVersions,
    Malformed,
}

/// The fault.
#[derive(Debug)]
pub(in crate::run) struct Messages {
    what: What,
    listen: String,
    certificates: PathBuf,
    sends: Option<JoinHandle<Result<Vec<Asked>, String>>>,
    refused: Vec<String>,
    problems: Vec<String>,
}

impl Messages {
    const fn new(what: What) -> Self {
        Self {
            what,
            listen: String::new(),
            certificates: PathBuf::new(),
            sends: None,
            refused: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// M5: versions that are no longer, and that are not yet.
    pub(in crate::run) const fn of_another_version() -> Self {
        Self::new(What::OtherVersions)
    }

    /// M6: bytes of a batch are others or are missing, or its rows are not those that are due.
    pub(in crate::run) const fn malformed() -> Self {
        Self::new(What::Malformed)
    }

    /// Hears what became of what was sent, when all of it was.
    fn hear(&mut self) {
        if !self.sends.as_ref().is_some_and(JoinHandle::is_finished) {
            return;
        }
        let Some(Ok(heard)) = self.sends.take().map(JoinHandle::join) else {
            self.problems.push("the thread that sends has ended".to_owned());
            return;
        };
        match heard {
            Ok(all) => {
                for Asked { sent, answer, words } in all {
                    match answer {
                        Some(refusal) if !refusal.contains(words) => {
                            self.problems.push(format!("{sent} was refused in other words: {refusal}"));
                        }
                        Some(refusal) => self.refused.push(format!("{sent}: {refusal}")),
                        None => self.problems.push(format!("{sent} was not refused")),
                    }
                }
            }
            Err(error) => self.problems.push(error),
        }
    }
}

impl Fault for Messages {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let (listen, authority) = setup.certify(NODE, &[SENDER])?;
        (self.listen, self.certificates) = (listen, authority.join(SENDER));
        setup.witness_within = Duration::from_secs(90);
        Ok(())
    }

    fn inject(&mut self, _: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        let (what, listen, certificates) = (self.what, self.listen.clone(), self.certificates.clone());
        let mut random = Random::new(random.next_u64());
        let send = move || {
            let mut peer = Peer::connect(&listen, &certificates)?;
            match what {
                What::OtherVersions => peer.speak_other_versions(),
                What::Malformed => peer.send_malformed(MALFORMED, &mut random),
            }
        };
        let spawned = Builder::new().name("sender".to_owned()).spawn(send);
        self.sends = Some(spawned.map_err(ExperimentError::io("start", Path::new("a sender")))?);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        self.hear();
        let first = self.refused.first()?;
        Some(format!("{} messages were refused; {first}", self.refused.len()))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        if let Some(line) = world.said(&["panicked at"]) {
            self.problems.push(format!("a message made it panic: {line}"));
        }
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn clean_up(&mut self) {
        if let Some(sends) = self.sends.take() {
            let _ = sends.join();
        }
    }
}
