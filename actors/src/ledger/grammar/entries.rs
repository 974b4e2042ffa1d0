//! Basic types and ledger entries (`Stellar-types.x`, `Stellar-ledger-entries.x`).

use super::*;

xdr! {
    type Hash = Opaque32;
    type Uint256 = Opaque32;
    type TimePoint = U64;
    type Duration = U64;
    type TimePointMs = U64;
    union ExtensionPoint { 0 => Void }
    union PublicKey { 0 => Uint256 }
    struct SignerKeyEd25519SignedPayload { ed25519: Uint256, payload: Bytes<64> }
    union SignerKey { 0 => Uint256, 1 => Uint256, 2 => Uint256, 3 => SignerKeyEd25519SignedPayload }
    type Signature = Bytes<64>;
    type SignatureHint = Opaque4;
    type NodeID = PublicKey;
    type AccountID = PublicKey;
    type ContractID = Hash;
    type PoolID = Hash;
    union ClaimableBalanceID { 0 => Hash }
    type Thresholds = Opaque4;
    type String32 = Bytes<32>;
    type String64 = Bytes<64>;
    type SequenceNumber = I64;
    type DataValue = Bytes<64>;
    type AssetCode4 = Opaque4;
    type AssetCode12 = Opaque12;
    union AssetCode { 1 => AssetCode4, 2 => AssetCode12 }
    struct AlphaNum4 { assetCode: AssetCode4, issuer: AccountID }
    struct AlphaNum12 { assetCode: AssetCode12, issuer: AccountID }
    union Asset { 0 => Void, 1 => AlphaNum4, 2 => AlphaNum12 }
    struct Price { n: I32, d: I32 }
    struct Liabilities { buying: I64, selling: I64 }
    struct Signer { key: SignerKey, weight: U32 }
    type SponsorshipDescriptor = Optional<AccountID>;
    struct AccountEntryExtensionV3 { ext: ExtensionPoint, seqLedger: U32, seqTime: TimePoint }
    union AccountEntryExtensionV2Ext { 0 => Void, 3 => AccountEntryExtensionV3 }
    struct AccountEntryExtensionV2 {
        numSponsored: U32, numSponsoring: U32, signerSponsoringIDs: Vector<SponsorshipDescriptor, 20>,
        ext: AccountEntryExtensionV2Ext,
    }
    union AccountEntryExtensionV1Ext { 0 => Void, 2 => AccountEntryExtensionV2 }
    struct AccountEntryExtensionV1 { liabilities: Liabilities, ext: AccountEntryExtensionV1Ext }
    union AccountEntryExt { 0 => Void, 1 => AccountEntryExtensionV1 }
    struct AccountEntry {
        accountID: AccountID, balance: I64, seqNum: SequenceNumber, numSubEntries: U32,
        inflationDest: Optional<AccountID>, flags: U32, homeDomain: String32, thresholds: Thresholds,
        signers: Vector<Signer, 20>, ext: AccountEntryExt,
    }
    union TrustLineAsset { 0 => Void, 1 => AlphaNum4, 2 => AlphaNum12, 3 => PoolID }
    union TrustLineEntryExtensionV2Ext { 0 => Void }
    struct TrustLineEntryExtensionV2 { liquidityPoolUseCount: I32, ext: TrustLineEntryExtensionV2Ext }
    union TrustLineEntryV1Ext { 0 => Void, 2 => TrustLineEntryExtensionV2 }
    struct TrustLineEntryV1 { liabilities: Liabilities, ext: TrustLineEntryV1Ext }
    union TrustLineEntryExt { 0 => Void, 1 => TrustLineEntryV1 }
    struct TrustLineEntry {
        accountID: AccountID, asset: TrustLineAsset, balance: I64, limit: I64, flags: U32,
        ext: TrustLineEntryExt,
    }
    union OfferEntryExt { 0 => Void }
    struct OfferEntry {
        sellerID: AccountID, offerID: I64, selling: Asset, buying: Asset, amount: I64, price: Price,
        flags: U32, ext: OfferEntryExt,
    }
    union DataEntryExt { 0 => Void }
    struct DataEntry { accountID: AccountID, dataName: String64, dataValue: DataValue, ext: DataEntryExt }
    union ClaimPredicate {
        0 => Void, 1 => Vector<ClaimPredicate, 2>, 2 => Vector<ClaimPredicate, 2>,
        3 => Optional<ClaimPredicate>, 4 => I64, 5 => I64,
    }
    struct ClaimantV0 { destination: AccountID, predicate: ClaimPredicate }
    union Claimant { 0 => ClaimantV0 }
    union ClaimableBalanceEntryExtensionV1Ext { 0 => Void }
    struct ClaimableBalanceEntryExtensionV1 { ext: ClaimableBalanceEntryExtensionV1Ext, flags: U32 }
    union ClaimableBalanceEntryExt { 0 => Void, 1 => ClaimableBalanceEntryExtensionV1 }
    struct ClaimableBalanceEntry {
        balanceID: ClaimableBalanceID, claimants: Vector<Claimant, 10>, asset: Asset, amount: I64,
        ext: ClaimableBalanceEntryExt,
    }
    struct LiquidityPoolConstantProductParameters { assetA: Asset, assetB: Asset, fee: I32 }
    struct LiquidityPoolEntryConstantProduct {
        params: LiquidityPoolConstantProductParameters, reserveA: I64, reserveB: I64, totalPoolShares: I64,
        poolSharesTrustLineCount: I64,
    }
    union LiquidityPoolEntryBody { 0 => LiquidityPoolEntryConstantProduct }
    struct LiquidityPoolEntry { liquidityPoolID: PoolID, body: LiquidityPoolEntryBody }
    enum ContractDataDurability { 0 | 1 }
    struct ContractDataEntry {
        ext: ExtensionPoint, contract: SCAddress, key: SCVal, durability: ContractDataDurability,
        val: SCVal,
    }
    struct ContractCodeCostInputs {
        ext: ExtensionPoint, nInstructions: U32, nFunctions: U32, nGlobals: U32, nTableEntries: U32,
        nTypes: U32, nDataSegments: U32, nElemSegments: U32, nImports: U32, nExports: U32,
        nDataSegmentBytes: U32,
    }
    struct ContractCodeEntryV1 { ext: ExtensionPoint, costInputs: ContractCodeCostInputs }
    union ContractCodeEntryExt { 0 => Void, 1 => ContractCodeEntryV1 }
    struct ContractCodeEntry { ext: ContractCodeEntryExt, hash: Hash, code: Bytes<ANY> }
    struct TTLEntry { keyHash: Hash, liveUntilLedgerSeq: U32 }
    union LedgerEntryExtensionV1Ext { 0 => Void }
    struct LedgerEntryExtensionV1 { sponsoringID: SponsorshipDescriptor, ext: LedgerEntryExtensionV1Ext }
    union LedgerEntryData {
        0 => AccountEntry, 1 => TrustLineEntry, 2 => OfferEntry, 3 => DataEntry, 4 => ClaimableBalanceEntry,
        5 => LiquidityPoolEntry, 6 => ContractDataEntry, 7 => ContractCodeEntry, 8 => ConfigSettingEntry,
        9 => TTLEntry,
    }
    union LedgerEntryExt { 0 => Void, 1 => LedgerEntryExtensionV1 }
    struct LedgerEntry { lastModifiedLedgerSeq: U32, data: LedgerEntryData, ext: LedgerEntryExt }
    struct LedgerKeyAccount { accountID: AccountID }
    struct LedgerKeyTrustLine { accountID: AccountID, asset: TrustLineAsset }
    struct LedgerKeyOffer { sellerID: AccountID, offerID: I64 }
    struct LedgerKeyData { accountID: AccountID, dataName: String64 }
    struct LedgerKeyClaimableBalance { balanceID: ClaimableBalanceID }
    struct LedgerKeyLiquidityPool { liquidityPoolID: PoolID }
    struct LedgerKeyContractData { contract: SCAddress, key: SCVal, durability: ContractDataDurability }
    struct LedgerKeyContractCode { hash: Hash }
    struct LedgerKeyConfigSetting { configSettingID: ConfigSettingID }
    struct LedgerKeyTtl { keyHash: Hash }
    union LedgerKey {
        0 => LedgerKeyAccount, 1 => LedgerKeyTrustLine, 2 => LedgerKeyOffer, 3 => LedgerKeyData,
        4 => LedgerKeyClaimableBalance, 5 => LedgerKeyLiquidityPool, 6 => LedgerKeyContractData,
        7 => LedgerKeyContractCode, 8 => LedgerKeyConfigSetting, 9 => LedgerKeyTtl,
    }
}
