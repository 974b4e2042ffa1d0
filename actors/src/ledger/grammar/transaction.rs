//! Transactions and their results (`Stellar-transaction.x`).

use super::*;

xdr! {
    union LiquidityPoolParameters { 0 => LiquidityPoolConstantProductParameters }
    struct MuxedAccountMed25519 { id: U64, ed25519: Uint256 }
    union MuxedAccount { 0 => Uint256, 256 => MuxedAccountMed25519 }
    struct DecoratedSignature { hint: SignatureHint, signature: Signature }
    struct CreateAccountOp { destination: AccountID, startingBalance: I64 }
    struct PaymentOp { destination: MuxedAccount, asset: Asset, amount: I64 }
    struct PathPaymentStrictReceiveOp {
        sendAsset: Asset, sendMax: I64, destination: MuxedAccount, destAsset: Asset, destAmount: I64,
        path: Vector<Asset, 5>,
    }
    struct PathPaymentStrictSendOp {
        sendAsset: Asset, sendAmount: I64, destination: MuxedAccount, destAsset: Asset, destMin: I64,
        path: Vector<Asset, 5>,
    }
    struct ManageSellOfferOp { selling: Asset, buying: Asset, amount: I64, price: Price, offerID: I64 }
    struct ManageBuyOfferOp { selling: Asset, buying: Asset, buyAmount: I64, price: Price, offerID: I64 }
    struct CreatePassiveSellOfferOp { selling: Asset, buying: Asset, amount: I64, price: Price }
    struct SetOptionsOp {
        inflationDest: Optional<AccountID>, clearFlags: Optional<U32>, setFlags: Optional<U32>,
        masterWeight: Optional<U32>, lowThreshold: Optional<U32>, medThreshold: Optional<U32>,
        highThreshold: Optional<U32>, homeDomain: Optional<String32>, signer: Optional<Signer>,
    }
    union ChangeTrustAsset { 0 => Void, 1 => AlphaNum4, 2 => AlphaNum12, 3 => LiquidityPoolParameters }
    struct ChangeTrustOp { line: ChangeTrustAsset, limit: I64 }
    struct AllowTrustOp { trustor: AccountID, asset: AssetCode, authorize: U32 }
    struct ManageDataOp { dataName: String64, dataValue: Optional<DataValue> }
    struct BumpSequenceOp { bumpTo: SequenceNumber }
    struct CreateClaimableBalanceOp { asset: Asset, amount: I64, claimants: Vector<Claimant, 10> }
    struct ClaimClaimableBalanceOp { balanceID: ClaimableBalanceID }
    struct BeginSponsoringFutureReservesOp { sponsoredID: AccountID }
    struct RevokeSponsorshipOpSigner { accountID: AccountID, signerKey: SignerKey }
    union RevokeSponsorshipOp { 0 => LedgerKey, 1 => RevokeSponsorshipOpSigner }
    struct ClawbackOp { asset: Asset, from: MuxedAccount, amount: I64 }
    struct ClawbackClaimableBalanceOp { balanceID: ClaimableBalanceID }
    struct SetTrustLineFlagsOp { trustor: AccountID, asset: Asset, clearFlags: U32, setFlags: U32 }
    struct LiquidityPoolDepositOp {
        liquidityPoolID: PoolID, maxAmountA: I64, maxAmountB: I64, minPrice: Price, maxPrice: Price,
    }
    struct LiquidityPoolWithdrawOp { liquidityPoolID: PoolID, amount: I64, minAmountA: I64, minAmountB: I64 }
    struct ContractIDPreimageFromAddress { address: SCAddress, salt: Uint256 }
    union ContractIDPreimage { 0 => ContractIDPreimageFromAddress, 1 => Asset }
    struct CreateContractArgs { contractIDPreimage: ContractIDPreimage, executable: ContractExecutable }
    struct CreateContractArgsV2 {
        contractIDPreimage: ContractIDPreimage, executable: ContractExecutable,
        constructorArgs: Vector<SCVal, ANY>,
    }
    struct InvokeContractArgs { contractAddress: SCAddress, functionName: SCSymbol, args: Vector<SCVal, ANY> }
    union HostFunction {
        0 => InvokeContractArgs, 1 => CreateContractArgs, 2 => Bytes<ANY>, 3 => CreateContractArgsV2,
    }
    union SorobanAuthorizedFunction {
        0 => InvokeContractArgs, 1 => CreateContractArgs, 2 => CreateContractArgsV2,
    }
    struct SorobanAuthorizedInvocation {
        function: SorobanAuthorizedFunction, subInvocations: Vector<SorobanAuthorizedInvocation, ANY>,
    }
    struct SorobanAddressCredentials {
        address: SCAddress, nonce: I64, signatureExpirationLedger: U32, signature: SCVal,
    }
    struct SorobanDelegateSignature {
        address: SCAddress, signature: SCVal, nestedDelegates: Vector<SorobanDelegateSignature, ANY>,
    }
    struct SorobanAddressCredentialsWithDelegates {
        addressCredentials: SorobanAddressCredentials, delegates: Vector<SorobanDelegateSignature, ANY>,
    }
    union SorobanCredentials {
        0 => Void, 1 => SorobanAddressCredentials, 2 => SorobanAddressCredentials,
        3 => SorobanAddressCredentialsWithDelegates,
    }
    struct SorobanAuthorizationEntry {
        credentials: SorobanCredentials, rootInvocation: SorobanAuthorizedInvocation,
    }
    struct InvokeHostFunctionOp { hostFunction: HostFunction, auth: Vector<SorobanAuthorizationEntry, ANY> }
    struct ExtendFootprintTTLOp { ext: ExtensionPoint, extendTo: U32 }
    struct RestoreFootprintOp { ext: ExtensionPoint }
    union OperationBody {
        0 => CreateAccountOp, 1 => PaymentOp, 2 => PathPaymentStrictReceiveOp, 3 => ManageSellOfferOp,
        4 => CreatePassiveSellOfferOp, 5 => SetOptionsOp, 6 => ChangeTrustOp, 7 => AllowTrustOp,
        8 => MuxedAccount, 9 => Void, 10 => ManageDataOp, 11 => BumpSequenceOp, 12 => ManageBuyOfferOp,
        13 => PathPaymentStrictSendOp, 14 => CreateClaimableBalanceOp, 15 => ClaimClaimableBalanceOp,
        16 => BeginSponsoringFutureReservesOp, 17 => Void, 18 => RevokeSponsorshipOp, 19 => ClawbackOp,
        20 => ClawbackClaimableBalanceOp, 21 => SetTrustLineFlagsOp, 22 => LiquidityPoolDepositOp,
        23 => LiquidityPoolWithdrawOp, 24 => InvokeHostFunctionOp, 25 => ExtendFootprintTTLOp,
        26 => RestoreFootprintOp,
    }
    struct Operation { sourceAccount: Optional<MuxedAccount>, body: OperationBody }
    union Memo { 0 => Void, 1 => Bytes<28>, 2 => U64, 3 => Hash, 4 => Hash }
    struct TimeBounds { minTime: TimePoint, maxTime: TimePoint }
    struct LedgerBounds { minLedger: U32, maxLedger: U32 }
    struct PreconditionsV2 {
        timeBounds: Optional<TimeBounds>, ledgerBounds: Optional<LedgerBounds>,
        minSeqNum: Optional<SequenceNumber>, minSeqAge: Duration, minSeqLedgerGap: U32,
        extraSigners: Vector<SignerKey, 2>,
    }
    union Preconditions { 0 => Void, 1 => TimeBounds, 2 => PreconditionsV2 }
    struct LedgerFootprint { readOnly: Vector<LedgerKey, ANY>, readWrite: Vector<LedgerKey, ANY> }
    struct SorobanResources {
        footprint: LedgerFootprint, instructions: U32, diskReadBytes: U32, writeBytes: U32,
    }
    struct SorobanResourcesExtV0 { archivedSorobanEntries: Vector<U32, ANY> }
    union SorobanTransactionDataExt { 0 => Void, 1 => SorobanResourcesExtV0 }
    struct SorobanTransactionData {
        ext: SorobanTransactionDataExt, resources: SorobanResources, resourceFee: I64,
    }
    union TransactionV0Ext { 0 => Void }
    struct TransactionV0 {
        sourceAccountEd25519: Uint256, fee: U32, seqNum: SequenceNumber, timeBounds: Optional<TimeBounds>,
        memo: Memo, operations: Vector<Operation, 100>, ext: TransactionV0Ext,
    }
    struct TransactionV0Envelope { tx: TransactionV0, signatures: Vector<DecoratedSignature, 20> }
    union TransactionExt { 0 => Void, 1 => SorobanTransactionData }
    struct Transaction {
        sourceAccount: MuxedAccount, fee: U32, seqNum: SequenceNumber, cond: Preconditions, memo: Memo,
        operations: Vector<Operation, 100>, ext: TransactionExt,
    }
    struct TransactionV1Envelope { tx: Transaction, signatures: Vector<DecoratedSignature, 20> }
    union FeeBumpTransactionInnerTx { 2 => TransactionV1Envelope }
    union FeeBumpTransactionExt { 0 => Void }
    struct FeeBumpTransaction {
        feeSource: MuxedAccount, fee: I64, innerTx: FeeBumpTransactionInnerTx, ext: FeeBumpTransactionExt,
    }
    struct FeeBumpTransactionEnvelope { tx: FeeBumpTransaction, signatures: Vector<DecoratedSignature, 20> }
    union TransactionEnvelope {
        0 => TransactionV0Envelope, 2 => TransactionV1Envelope, 5 => FeeBumpTransactionEnvelope,
    }
    struct ClaimOfferAtomV0 {
        sellerEd25519: Uint256, offerID: I64, assetSold: Asset, amountSold: I64, assetBought: Asset,
        amountBought: I64,
    }
    struct ClaimOfferAtom {
        sellerID: AccountID, offerID: I64, assetSold: Asset, amountSold: I64, assetBought: Asset,
        amountBought: I64,
    }
    struct ClaimLiquidityAtom {
        liquidityPoolID: PoolID, assetSold: Asset, amountSold: I64, assetBought: Asset, amountBought: I64,
    }
    union ClaimAtom { 0 => ClaimOfferAtomV0, 1 => ClaimOfferAtom, 2 => ClaimLiquidityAtom }
    union CreateAccountResult { 0 => Void, -4..=-1 => Void }
    union PaymentResult { 0 => Void, -9..=-1 => Void }
    struct SimplePaymentResult { destination: AccountID, asset: Asset, amount: I64 }
    struct PathPaymentStrictReceiveResultSuccess { offers: Vector<ClaimAtom, ANY>, last: SimplePaymentResult }
    union PathPaymentStrictReceiveResult {
        0 => PathPaymentStrictReceiveResultSuccess, -8..=-1 => Void, -9 => Asset, -12..=-10 => Void,
    }
    struct PathPaymentStrictSendResultSuccess { offers: Vector<ClaimAtom, ANY>, last: SimplePaymentResult }
    union PathPaymentStrictSendResult {
        0 => PathPaymentStrictSendResultSuccess, -8..=-1 => Void, -9 => Asset, -12..=-10 => Void,
    }
    union ManageOfferSuccessResultOffer { 0 | 1 => OfferEntry, 2 => Void }
    struct ManageOfferSuccessResult {
        offersClaimed: Vector<ClaimAtom, ANY>, offer: ManageOfferSuccessResultOffer,
    }
    union ManageSellOfferResult { 0 => ManageOfferSuccessResult, -12..=-1 => Void }
    union ManageBuyOfferResult { 0 => ManageOfferSuccessResult, -12..=-1 => Void }
    union SetOptionsResult { 0 => Void, -10..=-1 => Void }
    union ChangeTrustResult { 0 => Void, -8..=-1 => Void }
    union AllowTrustResult { 0 => Void, -6..=-1 => Void }
    union AccountMergeResult { 0 => I64, -7..=-1 => Void }
    struct InflationPayout { destination: AccountID, amount: I64 }
    union InflationResult { 0 => Vector<InflationPayout, ANY>, -1 => Void }
    union ManageDataResult { 0 => Void, -4..=-1 => Void }
    union BumpSequenceResult { 0 => Void, -1 => Void }
    union CreateClaimableBalanceResult { 0 => ClaimableBalanceID, -5..=-1 => Void }
    union ClaimClaimableBalanceResult { 0 => Void, -6..=-1 => Void }
    union BeginSponsoringFutureReservesResult { 0 => Void, -3..=-1 => Void }
    union EndSponsoringFutureReservesResult { 0 => Void, -1 => Void }
    union RevokeSponsorshipResult { 0 => Void, -5..=-1 => Void }
    union ClawbackResult { 0 => Void, -4..=-1 => Void }
    union ClawbackClaimableBalanceResult { 0 => Void, -3..=-1 => Void }
    union SetTrustLineFlagsResult { 0 => Void, -5..=-1 => Void }
    union LiquidityPoolDepositResult { 0 => Void, -8..=-1 => Void }
    union LiquidityPoolWithdrawResult { 0 => Void, -6..=-1 => Void }
    union InvokeHostFunctionResult { 0 => Hash, -5..=-1 => Void }
    union ExtendFootprintTTLResult { 0 => Void, -3..=-1 => Void }
    union RestoreFootprintResult { 0 => Void, -3..=-1 => Void }
    union OperationResultTr {
        0 => CreateAccountResult, 1 => PaymentResult, 2 => PathPaymentStrictReceiveResult,
        3 => ManageSellOfferResult, 4 => ManageSellOfferResult, 5 => SetOptionsResult,
        6 => ChangeTrustResult, 7 => AllowTrustResult, 8 => AccountMergeResult, 9 => InflationResult,
        10 => ManageDataResult, 11 => BumpSequenceResult, 12 => ManageBuyOfferResult,
        13 => PathPaymentStrictSendResult, 14 => CreateClaimableBalanceResult,
        15 => ClaimClaimableBalanceResult, 16 => BeginSponsoringFutureReservesResult,
        17 => EndSponsoringFutureReservesResult, 18 => RevokeSponsorshipResult, 19 => ClawbackResult,
        20 => ClawbackClaimableBalanceResult, 21 => SetTrustLineFlagsResult,
        22 => LiquidityPoolDepositResult, 23 => LiquidityPoolWithdrawResult, 24 => InvokeHostFunctionResult,
        25 => ExtendFootprintTTLResult, 26 => RestoreFootprintResult,
    }
    union OperationResult { 0 => OperationResultTr, -6..=-1 => Void }
    union InnerTransactionResultResult {
        -1 | 0 => Vector<OperationResult, ANY>, -18..=-14 | -12..=-2 => Void,
    }
    union InnerTransactionResultExt { 0 => Void }
    struct InnerTransactionResult {
        feeCharged: I64, result: InnerTransactionResultResult, ext: InnerTransactionResultExt,
    }
    struct InnerTransactionResultPair { transactionHash: Hash, result: InnerTransactionResult }
    union TransactionResultResult {
        -13 | 1 => InnerTransactionResultPair, -1 | 0 => Vector<OperationResult, ANY>,
        -18..=-14 | -12..=-2 => Void,
    }
    union TransactionResultExt { 0 => Void }
    struct TransactionResult { feeCharged: I64, result: TransactionResultResult, ext: TransactionResultExt }
}
