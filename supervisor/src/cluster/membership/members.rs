//! Who is there, as this node sees it at one moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::cluster::role::{Role, Roles};
use crate::cluster::{NodeIdentity, NodeName};

/// What is thought of a node that is in the cluster. Who is thought to be dead, or has said that it leaves, is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// It was heard of lately.
    Alive,
    /// It has been silent for too long: it keeps what it has, and gets nothing new.
    Suspect,
}

impl MemberState {
    /// As shown to people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
        }
    }
}

/// What a node tells of itself when it starts; it stays so while the node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Where its links listen (TCP).
    pub address: SocketAddr,
    /// What it may be asked to do.
    pub roles: Roles,
    /// Of the program.
    pub version: String,
    /// Of the messages between nodes.
    pub protocol: u32,
    /// Tasks that it takes on at once.
    pub capacity: u32,
}

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Name and life.
    pub identity: NodeIdentity,
    /// What it told when it started.
    pub profile: Profile,
    /// How busy it says it is: 0 idle, 1 as busy as it can be.
    pub load: f32,
    /// It is about to leave and takes on nothing new.
    pub draining: bool,
    /// What this node thinks of it.
    pub state: MemberState,
}

impl Member {
    /// Whether it may be given something new to do.
    pub fn takes_work(&self) -> bool {
        self.state == MemberState::Alive && !self.draining
    }

    /// Whether it may be given something new to do in this role.
    pub fn serves(&self, role: Role) -> bool {
        self.takes_work() && self.profile.roles.contains(role)
    }
}

/// All nodes of the cluster that this node knows to be there, itself among them. Never two lives of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Members {
    me: NodeIdentity,
    members: BTreeMap<NodeName, Member>,
    is_joining: bool,
}

impl Members {
    /// `me` must be among them, which [`Self::myself`] relies on only by saying `None` otherwise.
    pub fn new(me: NodeIdentity, members: impl IntoIterator<Item = Member>) -> Self {
        let members = members.into_iter().map(|member| (member.identity.name.clone(), member)).collect();
        Self { me, members, is_joining: false }
    }

    /// The same, and whether this node was told whom to join and has met nobody in this life.
    #[must_use]
    pub fn joining(self, is_joining: bool) -> Self {
        Self { is_joining, ..self }
    }

    /// Whether this node was told whom to join and has met nobody in this life: there may be a cluster that it cannot see.
    pub const fn is_joining(&self) -> bool {
        self.is_joining
    }

    /// This node.
    pub const fn me(&self) -> &NodeIdentity {
        &self.me
    }

    /// This node, as the others see it.
    pub fn myself(&self) -> Option<&Member> {
        self.get(&self.me.name)
    }

    /// By name.
    pub fn get(&self, name: &NodeName) -> Option<&Member> {
        self.members.get(name)
    }

    /// Whether exactly this life of a node is there.
    pub fn contains(&self, identity: &NodeIdentity) -> bool {
        self.get(&identity.name).is_some_and(|member| member.identity == *identity)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// All but this node, in the order of their names.
    pub fn others(&self) -> impl Iterator<Item = &Member> {
        self.iter().filter(|member| member.identity.name != self.me.name)
    }

    /// How many, this node included.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether not even this node is there.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
