//! The contract operations: invoke, extend, restore; and the resources that their transactions declare.

use stellar_xdr::{
    ContractEvent, ExtendFootprintTtlOp, ExtendFootprintTtlResult, ExtensionPoint, HostFunction,
    InvokeContractArgs, InvokeHostFunctionOp, InvokeHostFunctionResult, InvokeHostFunctionSuccessPreImage,
    LedgerEntryChange, LedgerEntryChanges, LedgerFootprint, LedgerKey, LedgerKeyContractData, OperationBody,
    OperationResultTr, RestoreFootprintOp, RestoreFootprintResult, ScSymbol, ScVal,
    SorobanAuthorizationEntry, SorobanAuthorizedFunction, SorobanAuthorizedInvocation, SorobanCredentials,
    SorobanResources, SorobanTransactionData, SorobanTransactionDataExt,
};

use super::{
    contracts::Call,
    movement::Emission,
    operation::{Executor, Performed},
    tokens::Sleeper,
    world::World,
    xdr::{contract_address, hash_of, list, string},
};

/// Ledgers by which a footprint is extended.
const EXTENSION_LEDGERS: u32 = 500_000;
/// One ledger in so many lets a sleeping entry be evicted.
const EVICTION_PERIOD: u64 = 8;

impl Executor<'_> {
    /// A call that succeeds. Its result is the hash of its return value and of its events as they were emitted:
    /// the form to which core rewrites old events when it backfills them is not what was hashed.
    pub(super) fn invoke(&mut self) -> Performed {
        let call = if self.random.chance(1, 4) { self.call_token() } else { self.call_asset() };
        let emitted = |emission: &Emission| match emission {
            Emission::Contract(event) => Some(event.emitted.clone()),
            _ => None,
        };
        let events: Vec<ContractEvent> = self.emitted.iter().filter_map(emitted).collect();
        let preimage = InvokeHostFunctionSuccessPreImage { return_value: ScVal::Void, events: list(events) };
        self.invocation(call, InvokeHostFunctionResult::Success(hash_of(&preimage)))
    }

    /// A call that changes nothing and emits nothing.
    pub(super) fn invoke_failing(&mut self) -> Performed {
        let contract = self.world.contracts.tokens[0].id;
        let result = match self.random.below(3) {
            0 => InvokeHostFunctionResult::ResourceLimitExceeded,
            1 => InvokeHostFunctionResult::InsufficientRefundableFee,
            _ => InvokeHostFunctionResult::Trapped,
        };
        self.invocation(Call { contract, function: "transfer", args: vec![ScVal::U32(1)] }, result)
    }

    fn invocation(&self, call: Call, result: InvokeHostFunctionResult) -> Performed {
        let args = InvokeContractArgs {
            contract_address: contract_address(call.contract),
            function_name: ScSymbol(string(call.function.as_bytes())),
            args: list(call.args),
        };
        let auth = SorobanAuthorizationEntry {
            credentials: SorobanCredentials::SourceAccount,
            root_invocation: SorobanAuthorizedInvocation {
                function: SorobanAuthorizedFunction::ContractFn(args.clone()),
                sub_invocations: list(Vec::new()),
            },
        };
        Performed {
            source: None,
            body: OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
                host_function: HostFunction::InvokeContract(args),
                auth: list(vec![auth]),
            }),
            result: OperationResultTr::InvokeHostFunction(result),
        }
    }

    pub(super) fn extend_footprint(&mut self) -> Performed {
        let number = self.random.index(self.world.contracts.tokens.len());
        let ttl = self.world.contracts.tokens[number].ttl;
        let live_until = self.world.store.sequence.saturating_add(EXTENSION_LEDGERS);
        self.world.store.edit(ttl).live_until_ledger_seq = live_until;
        let operation = ExtendFootprintTtlOp { ext: ExtensionPoint::V0, extend_to: EXTENSION_LEDGERS };
        Performed {
            source: None,
            body: OperationBody::ExtendFootprintTtl(operation),
            result: OperationResultTr::ExtendFootprintTtl(ExtendFootprintTtlResult::Success),
        }
    }

    /// Restores an archived entry; before protocol 23 entries stayed in the ledger and only their time to live changed.
    pub(super) fn restore_footprint(&mut self) -> Performed {
        let live_until = self.world.store.sequence.saturating_add(EXTENSION_LEDGERS);
        let sleepers = &mut self.world.contracts.sleepers;
        let archived = sleepers.iter().position(|sleeper| sleeper.live.is_none());
        let number = archived.unwrap_or(self.random.index(sleepers.len()));
        let Sleeper { data, ttl, live } = &mut sleepers[number];
        ttl.live_until_ledger_seq = live_until;
        match *live {
            Some((_, ttl_ix)) => self.world.store.edit(ttl_ix).live_until_ledger_seq = live_until,
            None => {
                let data = self.world.store.restore(data.clone());
                *live = Some((data, self.world.store.restore(ttl.clone())));
            }
        }
        Performed {
            source: None,
            body: OperationBody::RestoreFootprint(RestoreFootprintOp { ext: ExtensionPoint::V0 }),
            result: OperationResultTr::RestoreFootprint(RestoreFootprintResult::Success),
        }
    }
}

impl World {
    /// Since protocol 23, entries whose time is over leave the ledger for the archive; called between ledgers.
    pub(super) fn evict_sleeper(&mut self, random: &mut super::random::Random) -> Vec<LedgerKey> {
        if self.protocol < 23 || !random.chance(1, EVICTION_PERIOD) {
            return Vec::new();
        }
        let number = random.index(self.contracts.sleepers.len());
        match self.contracts.sleepers[number].live.take() {
            Some((data, ttl)) => vec![self.store.evict(data), self.store.evict(ttl)],
            None => Vec::new(),
        }
    }
}

/// What a contract transaction declares: it writes what its operation changed and reads the contract it calls.
pub(super) fn resources(
    body: &OperationBody,
    changes: &LedgerEntryChanges,
    fee: i64,
) -> SorobanTransactionData {
    let mut read_only = Vec::new();
    if let OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::InvokeContract(args),
        ..
    }) = body
    {
        read_only.push(LedgerKey::ContractData(LedgerKeyContractData {
            contract: args.contract_address.clone(),
            key: ScVal::LedgerKeyContractInstance,
            durability: stellar_xdr::ContractDataDurability::Persistent,
        }));
    }
    let touched = changes.0.iter().filter_map(|change| match change {
        LedgerEntryChange::Created(entry)
        | LedgerEntryChange::State(entry)
        | LedgerEntryChange::Restored(entry) => Some(entry.to_key()),
        LedgerEntryChange::Updated(_) | LedgerEntryChange::Removed(_) => None,
    });
    // Time-to-live entries are implied by the entries they belong to.
    let read_write: Vec<_> = touched.filter(|key| !matches!(key, LedgerKey::Ttl(_))).collect();
    SorobanTransactionData {
        ext: SorobanTransactionDataExt::V0,
        resources: SorobanResources {
            footprint: LedgerFootprint { read_only: list(read_only), read_write: list(read_write) },
            instructions: 4_000_000,
            disk_read_bytes: 2_000,
            write_bytes: 1_200,
        },
        resource_fee: fee,
    }
}

/// What the network charges for one kilobyte written; a constant of the synthetic network.
pub(super) const WRITE_FEE: i64 = 1000;
