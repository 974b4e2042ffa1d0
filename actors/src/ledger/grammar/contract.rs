//! Contract values and network settings (`Stellar-contract.x`, `Stellar-contract-config-setting.x`).

use super::*;

xdr! {
    type SCBytes = Bytes<ANY>;
    type SCString = Bytes<ANY>;
    type SCSymbol = Bytes<32>;
    enum SCErrorCode { 0..=9 }
    union SCError { 0 => U32, 1..=9 => SCErrorCode }
    struct UInt128Parts { hi: U64, lo: U64 }
    struct Int128Parts { hi: I64, lo: U64 }
    struct UInt256Parts { hi_hi: U64, hi_lo: U64, lo_hi: U64, lo_lo: U64 }
    struct Int256Parts { hi_hi: I64, hi_lo: U64, lo_hi: U64, lo_lo: U64 }
    struct MuxedEd25519Account { id: U64, ed25519: Uint256 }
    struct MuxedContract { id: U64, contractId: ContractID }
    union SCAddress {
        0 => AccountID, 1 => ContractID, 2 => MuxedEd25519Account, 3 => ClaimableBalanceID, 4 => PoolID,
        5 => MuxedContract,
    }
    struct ContractExecutableExternalRef { executable_owner: SCAddress, tag: SCString }
    union ContractExecutable { 0 => Hash, 1 => Void, 2 => ContractExecutableExternalRef }
    type SCVec = Vector<SCVal, ANY>;
    type SCMap = Vector<SCMapEntry, ANY>;
    struct SCNonceKey { nonce: I64 }
    struct SCContractInstance { executable: ContractExecutable, storage: Optional<SCMap> }
    union SCVal {
        0 => Bool, 1 => Void, 2 => SCError, 3 => U32, 4 => I32, 5 => U64, 6 => I64, 7 => TimePoint,
        8 => Duration, 9 => UInt128Parts, 10 => Int128Parts, 11 => UInt256Parts, 12 => Int256Parts,
        13 => SCBytes, 14 => SCString, 15 => SCSymbol, 16 => Optional<SCVec>, 17 => Optional<SCMap>,
        18 => SCAddress, 19 => SCContractInstance, 20 => Void, 21 => SCNonceKey, 22 => SCString,
    }
    struct SCMapEntry { key: SCVal, val: SCVal }
    type EncodedLedgerKey = Bytes<ANY>;
    struct ConfigSettingContractExecutionLanesV0 { ledgerMaxTxCount: U32 }
    struct ConfigSettingContractComputeV0 {
        ledgerMaxInstructions: I64, txMaxInstructions: I64, feeRatePerInstructionsIncrement: I64,
        txMemoryLimit: U32,
    }
    struct ConfigSettingContractParallelComputeV0 { ledgerMaxDependentTxClusters: U32 }
    struct ConfigSettingContractLedgerCostV0 {
        ledgerMaxDiskReadEntries: U32, ledgerMaxDiskReadBytes: U32, ledgerMaxWriteLedgerEntries: U32,
        ledgerMaxWriteBytes: U32, txMaxDiskReadEntries: U32, txMaxDiskReadBytes: U32,
        txMaxWriteLedgerEntries: U32, txMaxWriteBytes: U32, feeDiskReadLedgerEntry: I64,
        feeWriteLedgerEntry: I64, feeDiskRead1KB: I64, sorobanStateTargetSizeBytes: I64,
        rentFee1KBSorobanStateSizeLow: I64, rentFee1KBSorobanStateSizeHigh: I64,
        sorobanStateRentFeeGrowthFactor: U32,
    }
    struct ConfigSettingContractLedgerCostExtV0 { txMaxFootprintEntries: U32, feeWrite1KB: I64 }
    struct ConfigSettingContractHistoricalDataV0 { feeHistorical1KB: I64 }
    struct ConfigSettingContractEventsV0 { txMaxContractEventsSizeBytes: U32, feeContractEvents1KB: I64 }
    struct ConfigSettingContractBandwidthV0 {
        ledgerMaxTxsSizeBytes: U32, txMaxSizeBytes: U32, feeTxSize1KB: I64,
    }
    struct ContractCostParamEntry { ext: ExtensionPoint, constTerm: I64, linearTerm: I64 }
    struct StateArchivalSettings {
        maxEntryTTL: U32, minTemporaryTTL: U32, minPersistentTTL: U32, persistentRentRateDenominator: I64,
        tempRentRateDenominator: I64, maxEntriesToArchive: U32, liveSorobanStateSizeWindowSampleSize: U32,
        liveSorobanStateSizeWindowSamplePeriod: U32, evictionScanSize: U32, startingEvictionScanLevel: U32,
    }
    struct EvictionIterator { bucketListLevel: U32, isCurrBucket: Bool, bucketFileOffset: U64 }
    struct ConfigSettingSCPTiming {
        ledgerTargetCloseTimeMilliseconds: U32, nominationTimeoutInitialMilliseconds: U32,
        nominationTimeoutIncrementMilliseconds: U32, ballotTimeoutInitialMilliseconds: U32,
        ballotTimeoutIncrementMilliseconds: U32,
    }
    struct FrozenLedgerKeys { keys: Vector<EncodedLedgerKey, ANY> }
    struct FrozenLedgerKeysDelta {
        keysToFreeze: Vector<EncodedLedgerKey, ANY>, keysToUnfreeze: Vector<EncodedLedgerKey, ANY>,
    }
    struct FreezeBypassTxs { txHashes: Vector<Hash, ANY> }
    struct FreezeBypassTxsDelta { addTxs: Vector<Hash, ANY>, removeTxs: Vector<Hash, ANY> }
    type ContractCostParams = Vector<ContractCostParamEntry, 1024>;
    enum ConfigSettingID { 0..=20 }
    union ConfigSettingEntry {
        0 => U32, 1 => ConfigSettingContractComputeV0, 2 => ConfigSettingContractLedgerCostV0,
        3 => ConfigSettingContractHistoricalDataV0, 4 => ConfigSettingContractEventsV0,
        5 => ConfigSettingContractBandwidthV0, 6 => ContractCostParams, 7 => ContractCostParams, 8 => U32,
        9 => U32, 10 => StateArchivalSettings, 11 => ConfigSettingContractExecutionLanesV0,
        12 => Vector<U64, ANY>, 13 => EvictionIterator, 14 => ConfigSettingContractParallelComputeV0,
        15 => ConfigSettingContractLedgerCostExtV0, 16 => ConfigSettingSCPTiming, 17 => FrozenLedgerKeys,
        18 => FrozenLedgerKeysDelta, 19 => FreezeBypassTxs, 20 => FreezeBypassTxsDelta,
    }
}
