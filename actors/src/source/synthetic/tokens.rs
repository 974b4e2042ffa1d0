//! Custom tokens (SEP-41): contracts that may emit anything, so also what a processor must doubt or skip.

use orrery_schemas::{Address, Hash32, Kind, ToMuxed};
use stellar_xdr::{
    ContractDataEntry, ContractEvent, ContractEventType, LedgerKey, ScBytes, ScMap, ScMapEntry, ScString,
    ScVal, TtlEntry,
};

use super::{
    contracts::{Call, address_value, persistent},
    movement::{ContractEmission, Movement, contract_event},
    operation::Executor,
    random::name32,
    store::Ix,
    world::World,
    xdr::{hash_of, i128_value, list, map, string, symbol, text, vector},
};

/// Custom token contracts.
pub(super) const TOKENS: usize = 6;
/// Persistent entries that are archived and restored in turn.
pub(super) const SLEEPERS: usize = 12;
/// Balance entries of each token.
const BALANCES: usize = 12;
/// Ledgers that an entry lives without being extended.
const TTL_LEDGERS: u32 = 500_000;

/// A custom token with a few holders. Its entries do not have the asset contracts' layout.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) id: [u8; 32],
    balances: Vec<Ix<ContractDataEntry>>,
    pub(super) ttl: Ix<TtlEntry>,
}

impl Token {
    pub(super) fn open(world: &mut World, number: usize) -> Self {
        let id = name32(world.seed, "token", number as u64);
        let mut last_key = hash_of(&symbol("none"));
        let balances = (0..BALANCES)
            .map(|holder| {
                let holder = Address::Contract(name32(world.seed, "token holder", holder as u64));
                let key = vector(vec![symbol("Balance"), address_value(holder)]);
                let entry = persistent(id, key, i128_value(i128::MAX / 2));
                last_key = hash_of(&LedgerKey::ContractData(entry.to_key()));
                world.store.create(entry, None)
            })
            .collect();
        let live_until_ledger_seq = TTL_LEDGERS;
        let ttl = world.store.create(TtlEntry { key_hash: last_key, live_until_ledger_seq }, None);
        Self { id, balances, ttl }
    }
}

/// A persistent entry that nobody touches for long: it is archived, evicted and restored.
#[derive(Clone)]
pub(super) struct Sleeper {
    pub(super) data: ContractDataEntry,
    pub(super) ttl: TtlEntry,
    pub(super) live: Option<(Ix<ContractDataEntry>, Ix<TtlEntry>)>,
}

impl Sleeper {
    pub(super) fn open(world: &mut World, number: usize) -> Self {
        let owner = name32(world.seed, "vault", number as u64);
        let data = persistent(owner, symbol("Config"), ScVal::U64(number as u64));
        let key_hash = hash_of(&LedgerKey::ContractData(data.to_key()));
        let ttl = TtlEntry { key_hash, live_until_ledger_seq: TTL_LEDGERS };
        let live = Some((world.store.create(data.clone(), None), world.store.create(ttl.clone(), None)));
        Self { data, ttl, live }
    }
}

/// An event of a custom token in the making.
struct Claim {
    kind: Kind,
    from: Option<Address>,
    to: Option<Address>,
    amount: i128,
    to_muxed: Option<ToMuxed>,
    extra_topics: Vec<ScVal>,
    data: ScVal,
}

impl Executor<'_> {
    /// A call of a custom token: some movements, true or claimed, between events that are none.
    pub(super) fn call_token(&mut self) -> Call {
        let number = self.random.index(TOKENS);
        let token = self.world.contracts.tokens[number].id;
        let entry = self.random.pick(&self.world.contracts.tokens[number].balances);
        let balance = i128::from(self.random.next()) << self.random.below(62);
        self.world.store.edit(entry).val = i128_value(balance);
        for _ in 0..1 + self.random.below(3) {
            if self.random.chance(1, 3) {
                self.noise(token);
            }
            let claim = self.claim();
            self.emit_claim(token, claim);
        }
        let holder = self.token_holder();
        Call { contract: token, function: "transfer", args: vec![address_value(holder), i128_value(balance)] }
    }

    fn emit_claim(&mut self, token: [u8; 32], claim: Claim) {
        let Claim { kind, from, to, amount, to_muxed, extra_topics, data } = claim;
        let mut topics = vec![symbol(kind.as_str())];
        topics.extend([from, to].into_iter().flatten().map(address_value));
        topics.extend(extra_topics);
        let event = contract_event(token, topics, data);
        let movement = Movement { kind, contract: token, asset: None, from, to, amount, to_muxed };
        self.emit_event(ContractEmission {
            emitted: event.clone(),
            backfilled: event,
            movement: Some(movement),
        });
    }

    /// What a token may rightly emit. Before protocol 23 a mint named its admin and data was a plain number, in ways
    /// that readers of backfilled meta cannot tell apart, so tokens only transfer and burn there.
    fn claim(&mut self) -> Claim {
        let amount = match self.random.below(6) {
            0 => i128::MAX - i128::from(self.random.below(10)),
            1 => i128::from(self.random.next()) << 40,
            2 => 0,
            3 if self.random.chance(1, 4) => -1 - i128::from(self.random.below(1000)),
            _ => i128::from(self.random.amount(i64::MAX)),
        };
        let (from, to) = (self.token_holder(), self.token_holder());
        let plain = |kind, from, to| Claim {
            kind,
            from,
            to,
            amount,
            to_muxed: None,
            extra_topics: Vec::new(),
            data: i128_value(amount),
        };
        let transfer = plain(Kind::Transfer, Some(from), Some(to));
        let modern = self.world.protocol >= 23;
        match self.random.below(16) {
            0 => plain(Kind::Burn, Some(from), None),
            // It says it is lumens, or a credit, but it is not that asset's contract.
            1 => Claim { extra_topics: vec![text("native")], ..transfer },
            2 => {
                let name = self.world.assets.get(super::assets::AssetIx(1)).sep11();
                Claim { extra_topics: vec![text(name)], ..transfer }
            }
            3 => Claim { extra_topics: vec![text("note"), ScVal::U32(7)], ..transfer },
            4 if modern => plain(Kind::Mint, None, Some(to)),
            5 if modern => plain(Kind::Clawback, Some(from), None),
            6..10 if modern => self.labelled_claim(transfer),
            10 if modern => {
                let account = name32(self.world.seed, "token account", 1);
                let id = self.random.next();
                Claim { to: Some(Address::MuxedAccount { account, id }), ..transfer }
            }
            11 if modern => Claim {
                from: Some(Address::LiquidityPool(self.world.markets[0].pool_id)),
                to: Some(Address::ClaimableBalance(name32(self.world.seed, "no balance", 0))),
                ..transfer
            },
            _ => transfer,
        }
    }

    /// Data as a map, with a label of each type; odd lengths of bytes are cut or filled to 32 by readers.
    fn labelled_claim(&mut self, claim: Claim) -> Claim {
        let bytes = self.random.bytes32();
        let length = self.random.pick(&[32, 32, 5, 0]);
        let long: Vec<u8> = bytes.iter().chain(&bytes[..8]).copied().collect();
        let label_bytes = if self.random.chance(1, 6) { long } else { bytes[..length].to_vec() };
        let mut hash = [0; 32];
        let kept = label_bytes.len().min(32);
        hash[..kept].copy_from_slice(&label_bytes[..kept]);
        let (label, to_muxed) = match self.random.below(5) {
            0 => (ScVal::U64(self.tx.close_time), Some(ToMuxed::Id(self.tx.close_time))),
            1 => (ScVal::String(ScString(string(&bytes))), Some(ToMuxed::Text(bytes.to_vec()))),
            2 => (
                ScVal::Bytes(ScBytes(label_bytes.try_into().unwrap_or_default())),
                Some(ToMuxed::Hash(Hash32(hash))),
            ),
            3 => (text("order 17"), Some(ToMuxed::Text(b"order 17".to_vec()))),
            _ => (ScVal::Void, None),
        };
        let amount = ("amount", i128_value(claim.amount));
        let data = match &to_muxed {
            None => map(vec![amount]),
            Some(ToMuxed::Id(_)) => map(vec![amount, ("note", text("ignored")), ("to_muxed_id", label)]),
            Some(_) => map(vec![amount, ("to_muxed_id", label)]),
        };
        Claim { to_muxed, data, ..claim }
    }

    fn token_holder(&mut self) -> Address {
        let holder = self.random.below(20);
        match self.random.below(2) {
            0 => Address::Contract(name32(self.world.seed, "token holder", holder)),
            _ => self.world.address(self.random.pick(&self.world.users)),
        }
    }

    /// Events that look like a movement in part and must be skipped.
    fn noise(&mut self, token: [u8; 32]) {
        let (from, to) = (address_value(self.token_holder()), address_value(self.token_holder()));
        let transfer = || vec![symbol("transfer"), from.clone(), to.clone()];
        let amount = i128_value(5);
        let event = |topics, data| contract_event(token, topics, data);
        let event = match self.random.below(14) {
            0 => event(vec![symbol("approve"), from, to], vector(vec![amount, ScVal::U32(1)])),
            1 => event(vec![symbol("set_admin"), from], ScVal::Address(super::xdr::contract_address(token))),
            2 => event(vec![symbol("fee"), from], amount),
            3 => event(vec![symbol("transfer"), from], amount),
            4 => event(vec![text("transfer"), from, to], amount),
            5 => event(transfer(), ScVal::U64(5)),
            6 => event(transfer(), ScVal::Void),
            7 => event(transfer(), map(vec![("to_muxed_id", ScVal::U64(5))])),
            8 => event(transfer(), map(vec![("amount", amount), ("to_muxed_id", ScVal::I32(5))])),
            9 => event(
                transfer(),
                ScVal::Map(Some(ScMap(list(vec![ScMapEntry { key: ScVal::U32(0), val: amount }])))),
            ),
            10 => event(vec![symbol("transfer"), from, ScVal::U32(1)], amount),
            11 => event(vec![symbol("burn")], amount),
            12 => event(vec![], amount),
            _ => ContractEvent { type_: ContractEventType::System, ..event(transfer(), amount) },
        };
        self.emit_ignored(event);
    }
}
