//! One start of a child: what its factory is given.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ractor::{Actor, ActorCell, ActorRef, Message};

use crate::child_spec::ChildId;
use crate::exit::StartError;
use crate::probe::{Handle, Life, Probe, Probed};
use crate::supervisor::Environment;

/// What a factory is given for one life of its child.
pub struct StartContext {
    pub(crate) supervisor: ActorCell,
    /// Path of the child from the root.
    pub(crate) path: String,
    pub(crate) incarnation: u64,
    pub(crate) probe: Arc<Probe>,
    /// Those running now.
    pub(crate) siblings: BTreeMap<ChildId, Life>,
    /// Handed on to supervisors below.
    pub(crate) environment: Environment,
}

impl StartContext {
    /// To spawn the child linked under.
    pub const fn supervisor(&self) -> &ActorCell {
        &self.supervisor
    }

    /// Path of the child from the root, joined by `/`: for logs and labels.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Number of this life, from 1; larger with every start. Children that are restarted together share theirs, so under
    /// [`Strategy::OneForAll`](crate::Strategy::OneForAll) all siblings that are running have the same.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Counters of this life.
    pub const fn probe(&self) -> &Arc<Probe> {
        &self.probe
    }

    /// The sibling `id`, which was started before. It dies with its life: ask anew at every start.
    ///
    /// # Errors
    ///
    /// It is not running, or takes other messages than `M`.
    pub fn sibling<M: Message>(&self, id: &str) -> Result<Handle<M>, StartError> {
        let life = self.siblings.get(&ChildId::from(id));
        let life = life.ok_or_else(|| StartError::NoSibling { id: id.to_owned() })?;
        // Ractor kills an actor that is sent a message of a type it does not take.
        if life.cell.is_message_type_of::<M>() != Some(true) {
            return Err(StartError::SiblingOfOtherType { id: id.to_owned(), message: type_name::<M>() });
        }
        Ok(Handle::new(ActorRef::from(life.cell.clone()), Arc::clone(&life.probe)))
    }

    /// Spawns the child: linked, without a name, its messages counted and its errors typed.
    ///
    /// # Errors
    ///
    /// Its `pre_start` failed.
    pub async fn spawn<A: Actor>(&self, actor: A, arguments: A::Arguments) -> Result<ActorCell, StartError> {
        let actor = Probed::new(actor, Arc::clone(&self.probe));
        let (actor, _) = Actor::spawn_linked(None, actor, arguments, self.supervisor.clone()).await?;
        Ok(actor.get_cell())
    }
}

impl fmt::Debug for StartContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StartContext")
            .field("path", &self.path)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
