//! Ledgers that nest as deep as a reader follows, in each type that can contain itself.

use stellar_xdr::*;

/// What stands for the nested value until it is known.
const MARK: u64 = 0xFEED_F00D_DEAD_BEEF;

/// A type that can contain itself: the XDR around one level, and what a value without it begins with.
#[derive(Clone, Copy)]
pub(crate) struct Nest {
    pub(crate) name: &'static str,
    /// Before the inner value.
    before: &'static [u32],
    /// Behind it.
    behind: &'static [u32],
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// The value of a contract's entry.
    Entry,
    /// The data of an event.
    Event,
    /// The argument of a contract call.
    Argument,
    /// What a contract call is authorised to call.
    Authorization,
    /// When a claimable balance can be claimed.
    Predicate,
}

/// Every type that can contain itself and that a transaction or its meta can hold.
pub(crate) const NESTS: [Nest; 8] = [
    Nest { name: "vector", before: &[16, 1, 1], behind: &[], place: Place::Entry },
    Nest { name: "map-key", before: &[17, 1, 1], behind: &[1], place: Place::Entry },
    Nest { name: "map-value", before: &[17, 1, 1, 1], behind: &[], place: Place::Entry },
    Nest { name: "event", before: &[16, 1, 1], behind: &[], place: Place::Event },
    Nest { name: "argument", before: &[16, 1, 1], behind: &[], place: Place::Argument },
    // A call of contract 0 with an empty name and no arguments, then one call below it.
    Nest {
        name: "authorization",
        before: &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        behind: &[],
        place: Place::Authorization,
    },
    Nest { name: "predicate-and", before: &[1, 1], behind: &[], place: Place::Predicate },
    Nest { name: "predicate-not", before: &[3, 1], behind: &[], place: Place::Predicate },
];

impl Nest {
    /// A ledger with `levels` of them. `shell` puts a body and an entry into a ledger.
    pub(crate) fn ledger(
        &self,
        levels: usize,
        shell: &dyn Fn(OperationBody, ScVal, ScVal) -> LedgerCloseMeta,
    ) -> Vec<u8> {
        let mark = ScVal::U64(MARK);
        let (mut body, mut data, mut entry) = (OperationBody::Inflation, ScVal::Void, ScVal::Void);
        match self.place {
            Place::Entry => entry = mark,
            Place::Event => data = mark,
            Place::Argument => body = call(mark),
            Place::Authorization => body = authorized(),
            Place::Predicate => body = claimable(),
        }
        let xdr = shell(body, data, entry).to_xdr(Limits::none()).expect("encode a ledger");
        // The innermost value is the mark as it stands; around it come the levels.
        let mark = self.mark();
        let at = xdr.windows(mark.len()).position(|window| window == mark).expect("find the mark");
        let end = at + mark.len();
        [
            &xdr[..at],
            &words(self.before).repeat(levels),
            &xdr[at..end],
            &words(self.behind).repeat(levels),
            &xdr[end..],
        ]
        .concat()
    }

    fn mark(&self) -> Vec<u8> {
        let (high, low) = ((MARK >> 32) as u32, MARK as u32);
        match self.place {
            Place::Entry | Place::Event | Place::Argument => words(&[5, high, low]),
            Place::Authorization => words(&[0, 1, high, low, high, low, high, low, high, low, 0, 0, 0]),
            Place::Predicate => words(&[5, high, low]),
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn call(argument: ScVal) -> OperationBody {
    let args = vec![argument].try_into().expect("one argument");
    let host_function = HostFunction::InvokeContract(InvokeContractArgs { args, ..Default::default() });
    OperationBody::InvokeHostFunction(InvokeHostFunctionOp { host_function, ..Default::default() })
}

fn authorized() -> OperationBody {
    let contract =
        ScAddress::Contract(ContractId(Hash(MARK.to_be_bytes().repeat(4).try_into().expect("32 bytes"))));
    let function = SorobanAuthorizedFunction::ContractFn(InvokeContractArgs {
        contract_address: contract,
        ..Default::default()
    });
    let root_invocation = SorobanAuthorizedInvocation { function, ..Default::default() };
    let entry = SorobanAuthorizationEntry { root_invocation, ..Default::default() };
    OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        auth: vec![entry].try_into().expect("one entry"),
        ..Default::default()
    })
}

fn claimable() -> OperationBody {
    let predicate = ClaimPredicate::BeforeRelativeTime(MARK as i64);
    let claimant = ClaimantV0 { destination: Default::default(), predicate };
    OperationBody::CreateClaimableBalance(CreateClaimableBalanceOp {
        claimants: vec![Claimant::ClaimantTypeV0(claimant)].try_into().expect("one claimant"),
        ..Default::default()
    })
}
