//! An event as a line for a person.

use orrery_schemas::{Address, Asset, TokenTransfer};

/// Digits behind the point of what an asset contract counts (SEP-41 of classic assets: 7).
const ASSET_DECIMALS: usize = 7;

/// `53312000:17  2024-09-02T10:50:19Z  transfer  12.5 native  GABCDE..WXYZ -> GFEDCB..ZYXW`.
pub(crate) fn human(event: &TokenTransfer) -> String {
    let place = format!("{}:{}", event.ledger_sequence, event.ledger_event_index);
    let (amount, asset) = match &event.asset {
        Some(asset) => (scaled(event.amount), name(asset)),
        None => (event.amount.to_string(), short(&event.contract_id.to_string())),
    };
    let from = event.from.as_ref().map(address);
    let to = event.to.as_ref().map(address);
    let way = match (from, to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("to {to}"),
        (None, None) => String::new(),
    };
    let kind = event.kind.as_str();
    format!("{place:<14}  {}  {kind:<8}  {amount} {asset}  {way}", event.closed_at).trim_end().to_owned()
}

fn name(asset: &Asset) -> String {
    let text = asset.to_string();
    match text.split_once(':') {
        Some((code, issuer)) => format!("{code}:{}", short(issuer)),
        None => text,
    }
}

fn address(address: &Address) -> String {
    short(&address.to_string())
}

/// Enough of a key to know it again.
fn short(key: &str) -> String {
    match (key.get(..6), key.len().checked_sub(4).and_then(|start| key.get(start..))) {
        (Some(start), Some(end)) if key.len() > 12 => format!("{start}..{end}"),
        _ => key.to_owned(),
    }
}

/// A whole number of the smallest unit, with a point and without zeros behind it.
fn scaled(amount: i128) -> String {
    let digits = format!("{:0width$}", amount.unsigned_abs(), width = ASSET_DECIMALS + 1);
    let (whole, part) = digits.split_at(digits.len() - ASSET_DECIMALS);
    let part = part.trim_end_matches('0');
    let sign = if amount < 0 { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        let check = |amount: i128, text: &str| assert_eq!(scaled(amount), text);
        check(0, "0");
        check(1, "0.0000001");
        check(125_000_000, "12.5");
        check(-10_000_000, "-1");
        check(i128::MIN, "-17014118346046923173168730371588.4105728");
    }

    #[test]
    fn keys_are_shortened_and_names_are_not() {
        assert_eq!(short("GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"), "GA7QYN..VSGZ");
        assert_eq!(short("native"), "native");
    }
}
