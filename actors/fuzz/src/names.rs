//! Everything that is read from a short text: sources, bounds, addresses, assets, hashes and ids.

use std::fmt::Display;
use std::str::FromStr;

use orrery_actors::source::synthetic::SyntheticSpec;
use orrery_actors::source::{LedgerBound, SourceUrl};
use orrery_schemas::{Address, Asset, CloseTime, ContractId, EventId, Hash32, Kind, OpType, RowDigest};

/// Checks `input` as each kind of text, and as the content of a strkey with the right checksum, which no fuzzer guesses.
pub fn check(input: &[u8]) {
    let strkey = strkey(input);
    exact::<Address>(&strkey);
    exact::<ContractId>(&strkey);
    exact::<Asset>(&format!("USD:{strkey}"));
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(url) = text.parse::<SourceUrl>() {
        // Options may be secrets, and are not printed.
        let printed = url.to_string();
        assert_eq!(printed.parse::<SourceUrl>().expect("parse what was printed").to_string(), printed);
    }
    if let Ok(LedgerBound::Number(sequence)) = text.parse() {
        assert_eq!(sequence.to_string().parse(), Ok(LedgerBound::Number(sequence)));
    }
    same::<SyntheticSpec>(text);
    if let Ok(spec) = SyntheticSpec::from_query(text) {
        assert_eq!(spec.to_string().parse(), Ok(spec));
    }
    exact::<Address>(text);
    exact::<ContractId>(text);
    exact::<Asset>(text);
    exact::<EventId>(text);
    exact::<Kind>(text);
    exact::<OpType>(text);
    same::<CloseTime>(text);
    same::<Hash32>(text);
    same::<RowDigest>(text);
    // An asset with an issuer that is right, so that the code alone is in question.
    exact::<Asset>(&format!("{text}:GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H"));
}

/// A text that is read is the only text of its value.
fn exact<T: FromStr<Err: Display> + Display>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string(), text),
        Err(error) => drop(error.to_string()),
    }
}

/// A value that is read has a text that reads as the same value.
fn same<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert!(value.to_string().parse().is_ok_and(|again: T| again == value), "{text:?}"),
        Err(error) => drop(error.to_string()),
    }
}

/// SEP-23: base32 of version byte, payload and CRC-16/XMODEM of both.
fn strkey(content: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let crc = content.iter().fold(0_u16, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| crc << 1 ^ if crc >> 15 == 1 { 0x1021 } else { 0 })
    });
    let bytes = [content, &crc.to_le_bytes()].concat();
    let group = |chunk: &[u8]| {
        let bits = (0..5).fold(0_u64, |bits, at| bits << 8 | u64::from(*chunk.get(at).unwrap_or(&0)));
        let digits = (chunk.len() * 8).div_ceil(5);
        (0..digits).map(move |digit| char::from(DIGITS[(bits >> (35 - 5 * digit) & 31) as usize]))
    };
    bytes.chunks(5).flat_map(group).collect()
}
