//! Which of ractor_cluster's sessions count: decides, and holds no actor.

use std::collections::BTreeMap;

use super::claim::HOST;
use crate::cluster::name::{NodeIdentity, NodeName};

/// An authenticated session, as ractor_cluster lists it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// Its number here; ids of remote actors begin with it.
    pub(super) node_id: u64,
    /// Name in the peer's certificate, which we gave ractor_cluster as the peer's address.
    pub(super) proven: String,
    /// Name that the peer claimed.
    pub(super) claimed: String,
}

/// A peer that is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    /// Its present life.
    pub(crate) identity: NodeIdentity,
    /// The session's number: remote actors of the peer have it in their ids.
    pub(crate) node_id: u64,
}

/// What is to be done about the sessions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) linked: BTreeMap<NodeName, Linked>,
    /// Sessions to stop, and why.
    pub(super) stopped: Vec<(u64, String)>,
}

/// Looks at all sessions of the node `me`.
pub(super) fn judge(
    me: &NodeName,
    is_denied: impl Fn(&NodeName) -> bool,
    mut sessions: Vec<Session>,
) -> Judged {
    // Of two sessions with one life ractor_cluster stops one itself; until then any will do, always the same.
    sessions.sort_by_key(|session| session.node_id);
    let mut judged = Judged::default();
    for Session { node_id, proven, claimed } in sessions {
        let identity = claimed.split_once('@').filter(|(_, host)| *host == HOST);
        let identity = identity.and_then(|(node, _)| node.parse::<NodeIdentity>().ok());
        let Some(identity) = identity.filter(|identity| identity.name.as_str() == proven) else {
            // The guard lets none of these through.
            judged.stopped.push((node_id, format!("`{proven}` claims to be `{claimed}`")));
            continue;
        };
        if identity.name == *me {
            judged.stopped.push((node_id, "it is this node, or another with its name".to_owned()));
            continue;
        }
        if is_denied(&identity.name) {
            judged.stopped.push((node_id, format!("the name `{}` is denied", identity.name)));
            continue;
        }
        let linked = Linked { identity, node_id };
        match judged.linked.get_mut(&linked.identity.name) {
            None => {
                judged.linked.insert(linked.identity.name.clone(), linked);
            }
            Some(other) if other.identity.incarnation == linked.identity.incarnation => {}
            Some(other) => {
                let is_later = linked.identity.incarnation > other.identity.incarnation;
                let former = if is_later { std::mem::replace(other, linked) } else { linked };
                let reason = format!("`{}` is a former life of `{}`", former.identity, other.identity);
                judged.stopped.push((former.node_id, reason));
            }
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sessions: &[(&str, &str)], linked: &[(&str, u64)], stopped: &[u64]) {
        let sessions = sessions.iter().zip(0..).map(|((proven, claimed), node_id)| Session {
            node_id,
            proven: (*proven).to_owned(),
            claimed: (*claimed).to_owned(),
        });
        let judged = judge(&"m".parse().unwrap(), |name| name.as_str() == "eve", sessions.collect());
        let found: Vec<_> =
            judged.linked.values().map(|linked| (linked.identity.to_string(), linked.node_id)).collect();
        let expect: Vec<_> = linked.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
        assert_eq!(found, expect);
        assert_eq!(judged.stopped.iter().map(|(id, _)| *id).collect::<Vec<_>>(), stopped);
    }

    #[test]
    fn sessions_count_by_what_their_certificates_prove() {
        check(&[], &[], &[]);
        check(&[("a", "a.1@orrery"), ("b", "b.9@orrery")], &[("a.1", 0), ("b.9", 1)], &[]);
        check(&[("a", "b.1@orrery")], &[], &[0]);
        check(&[("a", "a.1@elsewhere"), ("a", "a@orrery"), ("external", "a.1@orrery")], &[], &[0, 1, 2]);
        check(&[("m", "m.1@orrery")], &[], &[0]);
    }

    #[test]
    fn who_is_denied_is_not_linked() {
        check(&[("eve", "eve.1@orrery"), ("a", "a.1@orrery")], &[("a.1", 1)], &[0]);
    }

    #[test]
    fn of_two_lives_the_later_counts() {
        check(&[("a", "a.1@orrery"), ("a", "a.2@orrery")], &[("a.2", 1)], &[0]);
        check(&[("a", "a.2@orrery"), ("a", "a.1@orrery")], &[("a.2", 0)], &[1]);
        check(&[("a", "a.2@orrery"), ("a", "a.2@orrery")], &[("a.2", 0)], &[]);
    }
}
