//! `.config.json` of a data lake (SEP-54): parsing, no I/O.

use std::num::NonZeroU32;

use serde_json::{Map, Value};

use super::LakeLayout;

/// What a lake says about itself. Keys that we do not know are ignored: later versions add some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeConfig {
    /// Network of the ledgers, if stated.
    pub network_passphrase: Option<String>,
    /// Names of its objects.
    pub layout: LakeLayout,
}

impl LakeConfig {
    /// The standard's default.
    pub const LEDGERS_PER_BATCH: NonZeroU32 = NonZeroU32::MIN;
    /// The standard's default.
    pub const BATCHES_PER_PARTITION: NonZeroU32 = NonZeroU32::MIN.saturating_add(63_999);

    /// An error names the key, its value and what is accepted.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(json).map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(keys) = value else {
            return Err("not a JSON object".to_owned());
        };
        match text(&keys, "compression")? {
            None | Some("zstd" | "none") => {}
            Some(other) => return Err(format!("compression is `{other}`; expected `zstd` or `none`")),
        }
        Ok(Self {
            network_passphrase: text(&keys, "networkPassphrase")?.map(str::to_owned),
            layout: LakeLayout::new(
                count(&keys, "ledgersPerBatch")?.unwrap_or(Self::LEDGERS_PER_BATCH),
                count(&keys, "batchesPerPartition")?.unwrap_or(Self::BATCHES_PER_PARTITION),
            ),
        })
    }
}

fn text<'a>(keys: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{key} is {other}; expected text")),
    }
}

fn count(keys: &Map<String, Value>, key: &str) -> Result<Option<NonZeroU32>, String> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number =
                value.as_u64().and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new);
            let expected = || format!("{key} is {value}; expected a whole number from 1 to {}", u32::MAX);
            number.map(Some).ok_or_else(expected)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expect: Result<(Option<&str>, u32, u32), &str>) {
        match (LakeConfig::parse(json.as_bytes()), expect) {
            (Ok(config), Ok((passphrase, ledgers, batches))) => {
                assert_eq!(config.network_passphrase.as_deref(), passphrase, "{json}");
                let [ledgers, batches] = [ledgers, batches].map(|count| NonZeroU32::new(count).unwrap());
                assert_eq!(config.layout, LakeLayout::new(ledgers, batches), "{json}");
            }
            (Err(reason), Err(fragment)) => assert!(reason.contains(fragment), "{json}: {reason}"),
            (parsed, expect) => panic!("{json}: {parsed:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn config_is_read_or_refused_with_the_key_at_fault() {
        check(
            r#"{"networkPassphrase":"Test","version":"1.0","compression":"zstd","ledgersPerBatch":2,"batchesPerPartition":8}"#,
            Ok((Some("Test"), 2, 8)),
        );
        check(r#"{"ledgersPerBatch":3,"later":[1]}"#, Ok((None, 3, 64000)));
        check(r#"{"compression":"none"}"#, Ok((None, 1, 64000)));
        check(r#"{"compression":"gzip"}"#, Err("compression is `gzip`"));
        check(r#"{"compression":1}"#, Err("compression is 1; expected text"));
        check(r#"{"ledgersPerBatch":0}"#, Err("ledgersPerBatch is 0; expected a whole number from 1"));
        check(r#"{"ledgersPerBatch":-1}"#, Err("ledgersPerBatch is -1"));
        check(r#"{"batchesPerPartition":4294967296}"#, Err("batchesPerPartition is 4294967296"));
        check(r#"{"batchesPerPartition":1.5}"#, Err("batchesPerPartition is 1.5"));
        check("[]", Err("not a JSON object"));
        check("", Err("not JSON"));
        check("{\"ledgersPerBatch\":", Err("not JSON"));
    }
}
