//! Consensus messages (`Stellar-SCP.x`). Ledgers may carry them; nothing here reads them.

use super::*;

xdr! {
    type Value = Bytes<ANY>;
    struct SCPBallot { counter: U32, value: Value }
    struct SCPNomination { quorumSetHash: Hash, votes: Vector<Value, ANY>, accepted: Vector<Value, ANY> }
    struct SCPStatementPrepare {
        quorumSetHash: Hash, ballot: SCPBallot, prepared: Optional<SCPBallot>,
        preparedPrime: Optional<SCPBallot>, nC: U32, nH: U32,
    }
    struct SCPStatementConfirm {
        ballot: SCPBallot, nPrepared: U32, nCommit: U32, nH: U32, quorumSetHash: Hash,
    }
    struct SCPStatementExternalize { commit: SCPBallot, nH: U32, commitQuorumSetHash: Hash }
    union SCPStatementPledges {
        0 => SCPStatementPrepare, 1 => SCPStatementConfirm, 2 => SCPStatementExternalize,
        3 => SCPNomination,
    }
    struct SCPStatement { nodeID: NodeID, slotIndex: U64, pledges: SCPStatementPledges }
    struct SCPEnvelope { statement: SCPStatement, signature: Signature }
    struct SCPQuorumSet {
        threshold: U32, validators: Vector<NodeID, ANY>, innerSets: Vector<SCPQuorumSet, ANY>,
    }
}
