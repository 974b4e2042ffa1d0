//! What must hold for every input, one function a decoder: it takes any bytes and panics if the decoder breaks its
//! contract. The fuzzer looks for such bytes; `actors/tests/corpus.rs` includes this file and replays those it kept.

pub mod asks;
pub mod checkpoint;
pub mod columns;
pub mod lake;
pub mod ledger;
pub mod names;
pub mod reader;
mod repair;
pub mod rows;
pub mod rpc;
pub mod slot;

/// A target: its name and its check.
pub type Decoder = (&'static str, fn(&[u8]));

/// Every decoder by the name of its target and of its folder in the corpus.
pub const DECODERS: [Decoder; 10] = [
    ("asks", asks::check),
    ("checkpoint", checkpoint::check),
    ("columns", columns::check),
    ("lake", lake::check),
    ("ledger", ledger::check),
    ("names", names::check),
    ("reader", reader::check),
    ("rows", rows::check),
    ("rpc", rpc::check),
    ("slot", slot::check),
];
