//! Peer regions, as the nodes of a cluster were told of them.

use serde::{Deserialize, Serialize};

use crate::console::thousands;

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RegionsView {
    pub(crate) peers: Vec<PeerRegionView>,
}

/// One.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PeerRegionView {
    pub(crate) region: String,
    pub(crate) mode: String,
    pub(crate) state: String,
    pub(crate) detail: Option<String>,
    pub(crate) heard_ms_ago: Option<u64>,
    /// Ledgers that it has and this region has not.
    pub(crate) lag_ledgers: Option<i64>,
    pub(crate) bytes_copied: u64,
}

impl PeerRegionView {
    /// Characters of what stands behind a state; readiness and `orrery regions` have all of it.
    const DETAIL_CHARS_MAX: usize = 120;

    /// In a line of the tree.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![format!("region {} ({}): {}", self.region, self.mode, self.state)];
        parts.push(match self.lag_ledgers {
            Some(lag @ 1..) => format!("this region is {} ledgers behind it", thousands(lag.unsigned_abs())),
            Some(0) => "as far as this region".to_owned(),
            Some(lag) => format!("{} ledgers behind this region", thousands(lag.unsigned_abs())),
            None => "how far it is is not known".to_owned(),
        });
        parts.push(match self.heard_ms_ago {
            Some(ago) => format!("heard {:.1} s ago", ago as f64 / 1000.0),
            None => "never heard".to_owned(),
        });
        parts.extend(self.detail.iter().map(|detail| detail.chars().take(Self::DETAIL_CHARS_MAX).collect()));
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_region_is_told_in_a_line() {
        let check = |lag_ledgers, heard_ms_ago, detail: Option<&str>, expect: &str| {
            let peer = PeerRegionView {
                region: "us".to_owned(),
                mode: "copy".to_owned(),
                state: "equal".to_owned(),
                detail: detail.map(str::to_owned),
                heard_ms_ago,
                lag_ledgers,
                bytes_copied: 0,
            };
            assert_eq!(peer.line(), format!("region us (copy): equal, {expect}"));
        };
        check(Some(0), Some(500), None, "as far as this region, heard 0.5 s ago");
        check(Some(2_000), Some(500), None, "this region is 2,000 ledgers behind it, heard 0.5 s ago");
        check(Some(-16), None, Some("why"), "16 ledgers behind this region, never heard, why");
        check(None, None, None, "how far it is is not known, never heard");
    }
}
