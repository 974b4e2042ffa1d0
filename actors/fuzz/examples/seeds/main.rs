//! Writes the inputs that fuzzing starts from: `seeds FOLDER [INPUT ...]`.
//!
//! Without inputs: small ledgers, contents and texts made here, one folder a target. With inputs (anything that is a
//! source of ledgers): their ledgers instead, those that are small enough to fuzz.

mod deep;
mod ledgers;

use std::error::Error;
use std::fs;
use std::path::Path;

use orrery_actors::source::{LedgerRange, SourceUrl, open};
use orrery_schemas::{
    Address, Asset, CloseTime, ContractId, Hash32, JsonEvent, Kind, LedgerSequence, OpType, ToMuxed, Toid,
    TokenTransfer, write_json_line,
};

/// Most bytes of a ledger that is worth fuzzing: larger ones are slow and reach nothing more.
const LEDGER_BYTES_MAX: usize = 64 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("give a folder to write to")?;
    let inputs: Vec<String> = arguments.collect();
    let seeds = Seeds { folder: Path::new(&folder) };
    if inputs.is_empty() { made(&seeds) } else { found(&seeds, "found", &inputs) }
}

struct Seeds<'a> {
    folder: &'a Path,
}

impl Seeds<'_> {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    }
}

fn found(seeds: &Seeds<'_>, name: &str, inputs: &[String]) -> Result<(), Box<dyn Error>> {
    let urls: Vec<SourceUrl> = inputs.iter().map(|input| input.parse()).collect::<Result<_, _>>()?;
    let mut source = open(&urls, LedgerRange::default())?;
    let mut count = 0;
    while let Some(ledger) = source.next_ledger() {
        let xdr = ledger?.xdr;
        if xdr.len() <= LEDGER_BYTES_MAX {
            seeds.write("ledger", &format!("{name}-{count:05}"), &xdr)?;
            count += 1;
        }
    }
    Ok(())
}

fn made(seeds: &Seeds<'_>) -> Result<(), Box<dyn Error>> {
    let synthetic = [5, 9, 13, 18, 20, 22, 23, 27].map(|protocol| {
        ["unified", "none"]
            .map(|events| format!("synthetic:?ledgers=3&density=sparse&protocol={protocol}&events={events}"))
    });
    for url in synthetic.as_flattened() {
        found(seeds, &url.replace([':', '?', '&', '='], "-"), std::slice::from_ref(url))?;
    }
    let ledgers = ledgers::all();
    for (name, xdr) in &ledgers {
        seeds.write("ledger", name, xdr)?;
    }
    let pair: Vec<&[u8]> = ledgers.iter().rev().take(2).map(|(_, xdr)| &xdr[..]).collect();
    for (name, content) in contents(&pair)? {
        seeds.write("reader", name, &content)?;
    }
    seeds.write("lake", "config", CONFIG.as_bytes())?;
    seeds.write("lake", "key", [CONFIG, "\0FFFFFFEF--16-31/FFFFFFED--18-19.xdr.zst"].concat().as_bytes())?;
    seeds.write("lake", "key-1", b"\0FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zstd")?;
    for (index, name) in NAMES.iter().enumerate() {
        seeds.write("names", &format!("name-{index}"), name.as_bytes())?;
    }
    for (index, ask) in ASKS.iter().enumerate() {
        seeds.write("asks", &format!("ask-{index}"), ask.as_bytes())?;
    }
    for (version, length) in [(6 << 3, 33), (2 << 3, 33), (12 << 3, 41), (8 << 3, 34), (11 << 3, 33)] {
        let mut strkey = vec![7; length];
        strkey[0] = version;
        seeds.write("names", &format!("strkey-{version}"), &strkey)?;
    }
    for (index, row) in rows().iter().enumerate() {
        let mut line = Vec::new();
        write_json_line(&mut line, JsonEvent { file: None, event: row })?;
        seeds.write("rows", &format!("row-{index}"), &line)?;
    }
    // What a byte means there depends on all before it; any will do.
    let bytes: Vec<u8> = (0..1500_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    seeds.write("columns", "bytes", &bytes)
}

const CONFIG: &str = r#"{"networkPassphrase":"Test","version":"1.0","compression":"zstd","ledgersPerBatch":2,"batchesPerPartition":8}"#;

const NAMES: [&str; 22] = [
    "synthetic:?seed=1&ledgers=9&density=dense&protocol=26&events=none&rate=0.25",
    "density=sparse&protocol=5&events=unified&rate=12",
    "file:///data/lake",
    "ledger.xdr",
    "dir/*.xdr",
    "stream:-",
    "stream:meta.xdr",
    "synthetic:?seed=1&ledgers=9",
    "s3://bucket/x",
    "latest",
    "genesis",
    "53312000",
    "GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H",
    "native",
    "USD:GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H",
    r"a\x00\\b",
    "0000000030064775170-0000000003",
    "2024-09-02T10:50:19Z",
    "2024-09-02T10:50:19+02:00",
    "00000000000000000000000000000000000000000000000000000000000000ab",
    "clawback",
    "invoke_host_function",
];

const ASKS: [&str; 8] = [
    "{}",
    r#"{"kind":["transfer","mint"],"op_type":["payment"],"asset":["native"],"min_amount":"-10000000"}"#,
    r#"{"account":["GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H"],"contract":[]}"#,
    r#"{"asset":["USD:GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H"],"min_amount":5}"#,
    "kind=burn,fee\nmin_amount=170141183460469231731687303715884105727",
    "asset=native\naccount=GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H\nop_type=path_payment_strict_send",
    "53312000",
    "4294967295:4294967295",
];

/// One ledger after another in each form, plain and compressed.
fn contents(ledgers: &[&[u8]]) -> Result<Vec<(&'static str, Vec<u8>)>, Box<dyn Error>> {
    let header = |length: usize, last: u32| (length as u32 | last << 31).to_be_bytes();
    let batch = [&[26_u32, 26, 1].map(u32::to_be_bytes).concat(), ledgers[0]].concat();
    let framed: Vec<u8> = ledgers.iter().flat_map(|xdr| [&header(xdr.len(), 1)[..], xdr].concat()).collect();
    let (start, end) = ledgers[0].split_at(100);
    let fragmented = [&header(start.len(), 0)[..], start, &header(end.len(), 1), end].concat();
    let skippable = [&0x184D_2A53_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), &[9; 4]].concat();
    let frame = zstd::encode_all(&ledgers.concat()[..], 1)?;
    Ok(vec![
        ("batches", [&batch[..], &batch].concat()),
        ("batch-zstd", zstd::encode_all(&batch[..], 1)?),
        ("whole-batch", batch),
        ("framed", framed),
        ("fragmented", fragmented),
        ("frames", [&skippable[..], &frame, &skippable, &frame].concat()),
        ("raw", ledgers.concat()),
    ])
}

fn rows() -> Vec<TokenTransfer> {
    let ledger_sequence = LedgerSequence(7);
    let row = |op_index, to_muxed| {
        Some(TokenTransfer {
            ledger_sequence,
            closed_at: CloseTime::from_unix_seconds(1_725_274_219)?,
            tx_hash: Hash32([1; 32]),
            tx_index: 1,
            op_index,
            event_index: 3,
            ledger_event_index: 4,
            toid: Toid::new(ledger_sequence, 1, op_index)?,
            kind: Kind::Transfer,
            op_type: op_index.map(|_| OpType::Payment),
            contract_id: ContractId([2; 32]),
            asset: op_index.map(|_| Asset::Credit4 { code: *b"US\\\0", issuer: [3; 32] }),
            from: Some(Address::MuxedAccount { account: [4; 32], id: 5 }),
            to: op_index.map(|_| Address::ClaimableBalance([5; 32])),
            amount: i128::MIN,
            to_muxed,
            tx_successful: true,
        })
    };
    let muxed = [ToMuxed::Id(9), ToMuxed::Text(vec![0, 255]), ToMuxed::Hash(Hash32([6; 32]))];
    [row(None, None)].into_iter().chain(muxed.map(|muxed| row(Some(2), Some(muxed)))).flatten().collect()
}
