//! What an operator, or the node, may ask of a supervisor about one child.

use thiserror::Error;

use super::child::{Child, Leaving, State};
use super::{Action, Phase, SupervisorCore};
use crate::child_spec::{ChildId, ChildRules, SpecError, Strategy};
use crate::clock::MonotonicTime;

/// What an operator, or the node, wants. Refused by [`SupervisorCore::check`] if it makes no sense now.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Add(ChildRules),
    Remove(ChildId),
    Park(ChildId),
    Resume(ChildId),
}

impl PartialEq for Command {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.child() == other.child()
    }
}

impl Command {
    const fn child(&self) -> &ChildId {
        match self {
            Self::Add(rules) => &rules.id,
            Self::Remove(id) | Self::Park(id) | Self::Resume(id) => id,
        }
    }
}

/// Why a command was not carried out. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandRefused {
    /// Of this id.
    #[error("there is no child `{0}` here; see the tree for those there are")]
    NoSuchChild(String),
    /// The path leads through a worker, or a supervisor that is not running.
    #[error("`{0}` is not a running supervisor; see the tree for those there are")]
    NotASupervisor(String),
    /// It has the id already.
    #[error("there is a child `{0}` already; remove it first, or choose another id")]
    AlreadyThere(String),
    /// It needs no `resume`.
    #[error("`{0}` is neither parked nor ended")]
    NotParked(String),
    /// Children that depend on each other are parked together.
    #[error("`{0}` depends on its siblings; park their supervisor instead")]
    NotAlone(String),
    /// The supervisor is stopping.
    #[error("the supervisor is stopping")]
    Stopping,
    /// The child's specification makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The supervisor has ended or is stuck.
    #[error("the supervisor did not answer")]
    NoAnswer,
}

impl SupervisorCore {
    /// Whether a command makes sense now.
    pub(crate) fn check(&self, command: &Command) -> Result<(), CommandRefused> {
        if self.phase != Phase::Running {
            return Err(CommandRefused::Stopping);
        }
        let id = command.child();
        let child = self.child(id).ok_or_else(|| CommandRefused::NoSuchChild(id.to_string()));
        match command {
            Command::Add(_) => match child {
                Ok(_) => Err(CommandRefused::AlreadyThere(id.to_string())),
                Err(_) => Ok(()),
            },
            Command::Remove(_) => child.map(|_| ()),
            Command::Park(_) if self.rules.strategy != Strategy::OneForOne => {
                child.and(Err(CommandRefused::NotAlone(id.to_string())))
            }
            Command::Park(_) => child.map(|_| ()),
            Command::Resume(_) => {
                let child = child?;
                let is_parked = matches!(child.state, State::Parked | State::Ended);
                let is_to_be = child.leaving == Some(Leaving::Park);
                (is_parked || is_to_be).then_some(()).ok_or_else(|| CommandRefused::NotParked(id.to_string()))
            }
        }
    }

    pub(super) fn command(&mut self, command: Command, now: MonotonicTime, actions: &mut Vec<Action>) {
        let found = self.children.iter().position(|child| child.rules.id == *command.child());
        match (command, found) {
            (Command::Add(rules), _) => self.children.push(Child::new(rules, now)),
            (Command::Remove(_), Some(index)) => self.leave(index, Leaving::Remove, now, actions),
            (Command::Park(_), Some(index)) => self.leave(index, Leaving::Park, now, actions),
            // At once, or when what it parks for has ended.
            (Command::Resume(_), Some(index)) => self.leave(index, Leaving::Resume, now, actions),
            (Command::Remove(_) | Command::Park(_) | Command::Resume(_), None) => {}
        }
    }

    fn leave(&mut self, index: usize, leaving: Leaving, now: MonotonicTime, actions: &mut Vec<Action>) {
        if self.children[index].is_alive() {
            self.children[index].leaving = Some(leaving);
        } else {
            self.left(index, &leaving, now, actions);
        }
    }
}
