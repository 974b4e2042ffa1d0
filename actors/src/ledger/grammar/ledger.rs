//! Ledger headers, entry changes, events and transaction meta (`Stellar-ledger.x`).

use super::*;

xdr! {
    type UpgradeType = Bytes<128>;
    struct LedgerCloseValueSignature { nodeID: NodeID, signature: Signature }
    struct StellarValueProposedValue {
        txSetHash: Hash, previousLedgerHash: Hash, previousLedgerVersion: U32,
        lcValueSignature: LedgerCloseValueSignature,
    }
    struct StellarValueSignedMsValue { closeTimeMs: TimePointMs, lcValueSignature: LedgerCloseValueSignature }
    struct StellarValueProposedMsValue {
        closeTimeMs: TimePointMs, txSetHash: Hash, previousLedgerHash: Hash, previousLedgerVersion: U32,
        lcValueSignature: LedgerCloseValueSignature,
    }
    union StellarValueExt {
        0 => Void, 1 => LedgerCloseValueSignature, 2 => StellarValueProposedValue,
        3 => StellarValueSignedMsValue, 4 => StellarValueProposedMsValue,
    }
    struct StellarValue {
        txSetHash: Hash, closeTime: TimePoint, upgrades: Vector<UpgradeType, 6>, ext: StellarValueExt,
    }
    union LedgerHeaderExtensionV1Ext { 0 => Void }
    struct LedgerHeaderExtensionV1 { flags: U32, ext: LedgerHeaderExtensionV1Ext }
    union LedgerHeaderExt { 0 => Void, 1 => LedgerHeaderExtensionV1 }
    struct LedgerHeader {
        ledgerVersion: U32, previousLedgerHash: Hash, scpValue: StellarValue, txSetResultHash: Hash,
        bucketListHash: Hash, ledgerSeq: U32, totalCoins: I64, feePool: I64, inflationSeq: U32, idPool: U64,
        baseFee: U32, baseReserve: U32, maxTxSetSize: U32, skipList: Opaque128, ext: LedgerHeaderExt,
    }
    struct ConfigUpgradeSetKey { contractID: ContractID, contentHash: Hash }
    union LedgerUpgrade {
        1 => U32, 2 => U32, 3 => U32, 4 => U32, 5 => U32, 6 => ConfigUpgradeSetKey, 7 => U32,
    }
    type DependentTxCluster = Vector<TransactionEnvelope, ANY>;
    type ParallelTxExecutionStage = Vector<DependentTxCluster, ANY>;
    struct ParallelTxsComponent {
        baseFee: Optional<I64>, executionStages: Vector<ParallelTxExecutionStage, ANY>,
    }
    struct TxSetComponentTxsMaybeDiscountedFee {
        baseFee: Optional<I64>, txs: Vector<TransactionEnvelope, ANY>,
    }
    union TxSetComponent { 0 => TxSetComponentTxsMaybeDiscountedFee }
    union TransactionPhase { 0 => Vector<TxSetComponent, ANY>, 1 => ParallelTxsComponent }
    struct TransactionSet { previousLedgerHash: Hash, txs: Vector<TransactionEnvelope, ANY> }
    struct TransactionSetV1 { previousLedgerHash: Hash, phases: Vector<TransactionPhase, ANY> }
    union GeneralizedTransactionSet { 1 => TransactionSetV1 }
    struct TransactionResultPair { transactionHash: Hash, result: TransactionResult }
    union LedgerHeaderHistoryEntryExt { 0 => Void }
    struct LedgerHeaderHistoryEntry { hash: Hash, header: LedgerHeader, ext: LedgerHeaderHistoryEntryExt }
    struct LedgerSCPMessages { ledgerSeq: U32, messages: Vector<SCPEnvelope, ANY> }
    struct SCPHistoryEntryV0 { quorumSets: Vector<SCPQuorumSet, ANY>, ledgerMessages: LedgerSCPMessages }
    union SCPHistoryEntry { 0 => SCPHistoryEntryV0 }
    union LedgerEntryChange {
        0 => LedgerEntry, 1 => LedgerEntry, 2 => LedgerKey, 3 => LedgerEntry, 4 => LedgerEntry,
    }
    type LedgerEntryChanges = Vector<LedgerEntryChange, ANY>;
    struct OperationMeta { changes: LedgerEntryChanges }
    struct TransactionMetaV1 { txChanges: LedgerEntryChanges, operations: Vector<OperationMeta, ANY> }
    struct TransactionMetaV2 {
        txChangesBefore: LedgerEntryChanges, operations: Vector<OperationMeta, ANY>,
        txChangesAfter: LedgerEntryChanges,
    }
    enum ContractEventType { 0..=2 }
    struct ContractEventV0 { topics: Vector<SCVal, ANY>, data: SCVal }
    union ContractEventBody { 0 => ContractEventV0 }
    struct ContractEvent {
        ext: ExtensionPoint, contractID: Optional<ContractID>, type: ContractEventType,
        body: ContractEventBody,
    }
    struct DiagnosticEvent { inSuccessfulContractCall: Bool, event: ContractEvent }
    struct SorobanTransactionMetaExtV1 {
        ext: ExtensionPoint, totalNonRefundableResourceFeeCharged: I64,
        totalRefundableResourceFeeCharged: I64, rentFeeCharged: I64,
    }
    union SorobanTransactionMetaExt { 0 => Void, 1 => SorobanTransactionMetaExtV1 }
    struct SorobanTransactionMeta {
        ext: SorobanTransactionMetaExt, events: Vector<ContractEvent, ANY>, returnValue: SCVal,
        diagnosticEvents: Vector<DiagnosticEvent, ANY>,
    }
    struct TransactionMetaV3 {
        ext: ExtensionPoint, txChangesBefore: LedgerEntryChanges, operations: Vector<OperationMeta, ANY>,
        txChangesAfter: LedgerEntryChanges, sorobanMeta: Optional<SorobanTransactionMeta>,
    }
    struct OperationMetaV2 {
        ext: ExtensionPoint, changes: LedgerEntryChanges, events: Vector<ContractEvent, ANY>,
    }
    struct SorobanTransactionMetaV2 { ext: SorobanTransactionMetaExt, returnValue: Optional<SCVal> }
    enum TransactionEventStage { 0..=2 }
    struct TransactionEvent { stage: TransactionEventStage, event: ContractEvent }
    struct TransactionMetaV4 {
        ext: ExtensionPoint, txChangesBefore: LedgerEntryChanges, operations: Vector<OperationMetaV2, ANY>,
        txChangesAfter: LedgerEntryChanges, sorobanMeta: Optional<SorobanTransactionMetaV2>,
        events: Vector<TransactionEvent, ANY>, diagnosticEvents: Vector<DiagnosticEvent, ANY>,
    }
    union TransactionMeta {
        0 => Vector<OperationMeta, ANY>, 1 => TransactionMetaV1, 2 => TransactionMetaV2,
        3 => TransactionMetaV3, 4 => TransactionMetaV4,
    }
    struct TransactionResultMeta {
        result: TransactionResultPair, feeProcessing: LedgerEntryChanges,
        txApplyProcessing: TransactionMeta,
    }
    struct TransactionResultMetaV1 {
        ext: ExtensionPoint, result: TransactionResultPair, feeProcessing: LedgerEntryChanges,
        txApplyProcessing: TransactionMeta, postTxApplyFeeProcessing: LedgerEntryChanges,
    }
    struct UpgradeEntryMeta { upgrade: LedgerUpgrade, changes: LedgerEntryChanges }
    struct LedgerCloseMetaV0 {
        ledgerHeader: LedgerHeaderHistoryEntry, txSet: TransactionSet,
        txProcessing: Vector<TransactionResultMeta, ANY>, upgradesProcessing: Vector<UpgradeEntryMeta, ANY>,
        scpInfo: Vector<SCPHistoryEntry, ANY>,
    }
    struct LedgerCloseMetaExtV1 { ext: ExtensionPoint, sorobanFeeWrite1KB: I64 }
    union LedgerCloseMetaExt { 0 => Void, 1 => LedgerCloseMetaExtV1 }
    struct LedgerCloseMetaV1 {
        ext: LedgerCloseMetaExt, ledgerHeader: LedgerHeaderHistoryEntry, txSet: GeneralizedTransactionSet,
        txProcessing: Vector<TransactionResultMeta, ANY>, upgradesProcessing: Vector<UpgradeEntryMeta, ANY>,
        scpInfo: Vector<SCPHistoryEntry, ANY>, totalByteSizeOfLiveSorobanState: U64,
        evictedKeys: Vector<LedgerKey, ANY>, unused: Vector<LedgerEntry, ANY>,
    }
    struct LedgerCloseMetaV2 {
        ext: LedgerCloseMetaExt, ledgerHeader: LedgerHeaderHistoryEntry, txSet: GeneralizedTransactionSet,
        txProcessing: Vector<TransactionResultMetaV1, ANY>,
        upgradesProcessing: Vector<UpgradeEntryMeta, ANY>, scpInfo: Vector<SCPHistoryEntry, ANY>,
        totalByteSizeOfLiveSorobanState: U64, evictedKeys: Vector<LedgerKey, ANY>,
    }
    union LedgerCloseMeta { 0 => LedgerCloseMetaV0, 1 => LedgerCloseMetaV1, 2 => LedgerCloseMetaV2 }
}
