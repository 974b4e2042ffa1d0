//! Why there is no link, and when that is worth a word: decides, and logs nothing.
//!
//! Both sides of a missing link dial, and of two connections one ends; a peer that leaves ends its own. Both look like a
//! failure for a moment, so that one is said only when the link is missing for longer, of a peer that is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::MonotonicTime;
use crate::cluster::name::NodeName;

/// Without a link for so long, its failure is news. Shorter tells of joining and leaving; longer tells late.
const SAID_AFTER: Duration = Duration::from_secs(2);

/// The newest failure of each peer.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<NodeName, Failure>);

#[derive(Debug)]
struct Failure {
    text: String,
    /// When the first one failed since there was a link.
    since: MonotonicTime,
    is_said: bool,
    /// Whether there was a link since: the same error is news then.
    is_over: bool,
}

impl Failures {
    /// A connection or a dial failed. The same error again is no news.
    pub(super) fn failed(&mut self, peer: &NodeName, text: String, now: MonotonicTime) {
        let last = self.0.get(peer).filter(|last| !last.is_over);
        if last.is_some_and(|last| last.text == text) {
            return;
        }
        let since = last.map_or(now, |last| last.since);
        self.0.insert(peer.clone(), Failure { text, since, is_said: false, is_over: false });
    }

    /// What is to be said now that these peers are wanted, and these linked. Others are forgotten.
    pub(super) fn look(
        &mut self,
        now: MonotonicTime,
        is_wanted: impl Fn(&NodeName) -> bool,
        linked: &BTreeSet<NodeName>,
    ) -> Vec<(NodeName, String)> {
        self.0.retain(|name, _| is_wanted(name) || linked.contains(name));
        let mut news = Vec::new();
        for (name, failure) in &mut self.0 {
            failure.is_over |= linked.contains(name);
            if !failure.is_over && !failure.is_said && now.since(failure.since) >= SAID_AFTER {
                failure.is_said = true;
                news.push((name.clone(), failure.text.clone()));
            }
        }
        news
    }

    /// Why the last connection or dial failed that did.
    pub(super) fn of(&self, peer: &NodeName) -> Option<&str> {
        self.0.get(peer).map(|failure| failure.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> MonotonicTime {
        MonotonicTime::ORIGIN.after(Duration::from_millis(milliseconds))
    }

    /// What is said of peer b, which fails with these texts at these times and is looked at at the last of them.
    struct Bench(Failures);

    impl Bench {
        fn fails(&mut self, milliseconds: u64, text: &str) {
            self.0.failed(&"b".parse().unwrap(), text.to_owned(), at(milliseconds));
        }

        fn look(&mut self, milliseconds: u64, is_wanted: bool, is_linked: bool) -> Vec<String> {
            let linked = if is_linked { ["b".parse().unwrap()].into() } else { BTreeSet::new() };
            let news = self.0.look(at(milliseconds), |_| is_wanted, &linked);
            news.into_iter().map(|(_, text)| text).collect()
        }
    }

    fn bench() -> Bench {
        Bench(Failures::default())
    }

    #[test]
    fn a_connection_that_gives_way_to_another_is_no_news() {
        let mut bench = bench();
        bench.fails(0, "gone");
        assert!(bench.look(100, true, false).is_empty());
        assert!(bench.look(200, true, true).is_empty());
        assert!(bench.look(9_000, true, true).is_empty());
        assert_eq!(bench.0.of(&"b".parse().unwrap()), Some("gone"), "whoever looks at links is told");
        // The link stood, and is lost.
        bench.fails(10_000, "gone");
        assert!(bench.look(11_999, true, false).is_empty());
        assert_eq!(bench.look(12_000, true, false), ["gone"]);
    }

    #[test]
    fn the_link_of_a_peer_that_leaves_is_no_news() {
        let mut bench = bench();
        assert!(bench.look(0, true, true).is_empty());
        bench.fails(10, "gone");
        assert!(bench.look(1_000, true, false).is_empty());
        assert!(bench.look(9_000, false, false).is_empty());
        assert_eq!(bench.0.of(&"b".parse().unwrap()), None);
    }

    #[test]
    fn a_peer_that_cannot_be_reached_is_told_once_for_each_reason() {
        let mut bench = bench();
        bench.fails(0, "refused");
        bench.fails(1_900, "refused");
        assert_eq!(bench.look(2_000, true, false), ["refused"]);
        bench.fails(3_000, "refused");
        assert!(bench.look(60_000, true, false).is_empty());
        bench.fails(61_000, "timed out");
        assert_eq!(bench.look(61_001, true, false), ["timed out"]);
    }
}
