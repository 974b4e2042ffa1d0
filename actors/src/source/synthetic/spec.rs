//! What to generate: `synthetic:?seed=1&ledgers=1000&density=pubnet&protocol=26&events=unified&rate=0.2`.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The scheme of the URL.
const SCHEME: &str = "synthetic:";

/// Oldest protocol that can be generated: the first whose entries and operations the world simulates. What a protocol
/// did not know yet is left out.
pub const PROTOCOL_MIN: u32 = 5;
/// Newest protocol that can be generated.
pub const PROTOCOL_MAX: u32 = 27;
/// Most ledgers of one run: the last sequence must fit the 31 bits that SEP-35 identifiers have for it.
pub const LEDGERS_MAX: u32 = i32::MAX as u32 - 1;
/// Highest pace; ledgers are built at most a few thousand a second.
const RATE_MILLI_MAX: u32 = 10_000_000;

/// How much happens in a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Density {
    /// About 1,000 transactions.
    Dense,
    /// About 311 transactions, 705 operations and 880 token-transfer events, as pubnet had in 2026.
    Pubnet,
    /// Three to seven transactions.
    Sparse,
}

impl Density {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Dense, "dense"), (Self::Pubnet, "pubnet"), (Self::Sparse, "sparse")];
}

/// Which token-transfer events the ledgers' meta carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsMode {
    /// Fee and classic events as stellar-core emits them (CAP-67); before protocol 23 as it backfills them.
    Unified,
    /// Only what contracts emitted themselves.
    None,
}

impl EventsMode {
    const ALL: [(Self, &'static str); 2] = [(Self::Unified, "unified"), (Self::None, "none")];
}

/// Ledgers a second, in thousandths: `rate=0.2` is one ledger every five seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// Ledgers in a thousand seconds; at least 1.
    pub fn ledgers_per_1000_seconds(self) -> u32 {
        self.0
    }
}

/// Everything that a run of synthetic ledgers depends on. Equal specs give equal bytes (`rate` does not change them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticSpec {
    /// Seed of every choice.
    pub seed: u64,
    /// How many ledgers; their sequences are 2 to `ledgers` + 1.
    pub ledgers: u32,
    /// How much happens in each.
    pub density: Density,
    /// Protocol version of each, [`PROTOCOL_MIN`] to [`PROTOCOL_MAX`].
    pub protocol: u32,
    /// Which events their meta carries.
    pub events: EventsMode,
    /// How fast a live run hands them out; `None`: as fast as they are asked for.
    pub rate: Option<Rate>,
}

impl Default for SyntheticSpec {
    fn default() -> Self {
        Self {
            seed: 1,
            ledgers: 1000,
            density: Density::Pubnet,
            protocol: 26,
            events: EventsMode::Unified,
            rate: None,
        }
    }
}

/// Why a URL does not describe synthetic ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// The URL does not begin with the scheme.
    #[error("synthetic ledgers are named `synthetic:?key=value&...`, not `{0}`")]
    Scheme(String),
    /// A key that no spec has.
    #[error("synthetic: unknown key `{0}`; allowed: seed, ledgers, density, protocol, events, rate")]
    UnknownKey(String),
    /// A key without `=value`.
    #[error("synthetic: `{0}` has no value; write `{0}=...`")]
    NoValue(String),
    /// A key given twice.
    #[error("synthetic: `{0}` is given twice; keep one")]
    Repeated(&'static str),
    /// A value that its key does not allow.
    #[error("synthetic: `{key}={value}` is not possible; allowed: {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        allowed: String,
    },
}

impl SyntheticSpec {
    /// Reads the part after `?`. Keys that are absent keep the default of [`SyntheticSpec::default`].
    pub fn from_query(query: &str) -> Result<Self, SpecError> {
        const KEYS: [&str; 6] = ["seed", "ledgers", "density", "protocol", "events", "rate"];
        let mut spec = Self::default();
        let mut seen = [false; KEYS.len()];
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or_else(|| SpecError::NoValue(part.to_string()))?;
            let position =
                KEYS.iter().position(|&k| k == key).ok_or_else(|| SpecError::UnknownKey(key.to_string()))?;
            if std::mem::replace(&mut seen[position], true) {
                return Err(SpecError::Repeated(KEYS[position]));
            }
            spec.set(KEYS[position], value)?;
        }
        Ok(spec)
    }

    fn set(&mut self, key: &'static str, value: &str) -> Result<(), SpecError> {
        match key {
            "seed" => self.seed = number(key, value, 0, u64::MAX)?,
            "ledgers" => self.ledgers = number(key, value, 1, u64::from(LEDGERS_MAX))? as u32,
            "density" => self.density = word(key, value, &Density::ALL)?,
            "protocol" => {
                self.protocol = number(key, value, u64::from(PROTOCOL_MIN), u64::from(PROTOCOL_MAX))? as u32;
            }
            "events" => self.events = word(key, value, &EventsMode::ALL)?,
            _ => self.rate = Some(rate(key, value)?),
        }
        Ok(())
    }
}

impl FromStr for SyntheticSpec {
    type Err = SpecError;

    fn from_str(url: &str) -> Result<Self, SpecError> {
        let query = url.strip_prefix(SCHEME).ok_or_else(|| SpecError::Scheme(url.to_string()))?;
        match query.strip_prefix('?') {
            Some(query) => Self::from_query(query),
            None if query.is_empty() => Ok(Self::default()),
            None => Err(SpecError::Scheme(url.to_string())),
        }
    }
}

/// The URL with every key, so that what a run depends on is written in its logs; it reads back to an equal spec.
impl fmt::Display for SyntheticSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME}?seed={}&ledgers={}&density={}&protocol={}&events={}",
            self.seed,
            self.ledgers,
            name(self.density, &Density::ALL),
            self.protocol,
            name(self.events, &EventsMode::ALL),
        )?;
        match self.rate {
            Some(Rate(milli)) if milli % 1000 == 0 => write!(f, "&rate={}", milli / 1000),
            Some(Rate(milli)) => {
                let fraction = format!("{:03}", milli % 1000);
                write!(f, "&rate={}.{}", milli / 1000, fraction.trim_end_matches('0'))
            }
            None => Ok(()),
        }
    }
}

fn number(key: &'static str, value: &str, min: u64, max: u64) -> Result<u64, SpecError> {
    match value.parse::<u64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(SpecError::Value { key, value: value.to_string(), allowed: format!("{min} to {max}") }),
    }
}

fn word<T: Copy>(key: &'static str, value: &str, words: &[(T, &str)]) -> Result<T, SpecError> {
    let found = words.iter().find(|(_, word)| *word == value).map(|&(item, _)| item);
    found.ok_or_else(|| {
        let allowed = words.iter().map(|&(_, word)| word).collect::<Vec<_>>().join(", ");
        SpecError::Value { key, value: value.to_string(), allowed }
    })
}

fn name<T: Copy + PartialEq>(item: T, words: &[(T, &'static str)]) -> &'static str {
    words.iter().find(|(candidate, _)| *candidate == item).map_or("", |&(_, word)| word)
}

/// Decimal with at most three digits after the point; no floating point, so that it reads back exactly.
fn rate(key: &'static str, value: &str) -> Result<Rate, SpecError> {
    let refused = || SpecError::Value {
        key,
        value: value.to_string(),
        allowed: format!("0.001 to {} ledgers a second", RATE_MILLI_MAX / 1000),
    };
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 || whole.len() > 8 {
        return Err(refused());
    }
    let milli: u32 = format!("{whole}{fraction:0<3}").parse().map_err(|_| refused())?;
    if milli == 0 || milli > RATE_MILLI_MAX { Err(refused()) } else { Ok(Rate(milli)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expect: Result<&str, &str>) {
        let spec = url.parse::<SyntheticSpec>();
        match (spec, expect) {
            (Ok(spec), Ok(text)) => {
                assert_eq!(spec.to_string(), text, "{url}");
                assert_eq!(text.parse(), Ok(spec), "{url}");
            }
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text, "{url}"),
            (spec, expect) => panic!("{url}: {spec:?}, not {expect:?}"),
        }
    }

    #[test]
    fn specs_read_back_from_their_text() {
        let default = "synthetic:?seed=1&ledgers=1000&density=pubnet&protocol=26&events=unified";
        check("synthetic:", Ok(default));
        check("synthetic:?", Ok(default));
        check(
            "synthetic:?events=none&protocol=5&density=dense&ledgers=1&seed=18446744073709551615",
            Ok("synthetic:?seed=18446744073709551615&ledgers=1&density=dense&protocol=5&events=none"),
        );
        for (rate, text) in [("0.2", "0.2"), ("5", "5"), ("12.050", "12.05"), ("10000", "10000")] {
            check(&format!("synthetic:?rate={rate}"), Ok(&format!("{default}&rate={text}")));
        }
    }

    #[test]
    fn wrong_specs_name_key_value_and_what_is_allowed() {
        let rate = "0.001 to 10000 ledgers a second";
        let cases = [
            (
                "synth:?seed=1",
                "synthetic ledgers are named `synthetic:?key=value&...`, not `synth:?seed=1`".into(),
            ),
            (
                "synthetic:?sed=1",
                "synthetic: unknown key `sed`; allowed: seed, ledgers, density, protocol, events, rate"
                    .to_string(),
            ),
            ("synthetic:?seed", "synthetic: `seed` has no value; write `seed=...`".into()),
            ("synthetic:?seed=1&seed=1", "synthetic: `seed` is given twice; keep one".into()),
            (
                "synthetic:?seed=-1",
                format!("synthetic: `seed=-1` is not possible; allowed: 0 to {}", u64::MAX),
            ),
            (
                "synthetic:?ledgers=0",
                format!("synthetic: `ledgers=0` is not possible; allowed: 1 to {LEDGERS_MAX}"),
            ),
            ("synthetic:?protocol=28", "synthetic: `protocol=28` is not possible; allowed: 5 to 27".into()),
            (
                "synthetic:?density=thick",
                "synthetic: `density=thick` is not possible; allowed: dense, pubnet, sparse".into(),
            ),
            (
                "synthetic:?events=some",
                "synthetic: `events=some` is not possible; allowed: unified, none".into(),
            ),
            ("synthetic:?rate=0", format!("synthetic: `rate=0` is not possible; allowed: {rate}")),
            ("synthetic:?rate=1.2345", format!("synthetic: `rate=1.2345` is not possible; allowed: {rate}")),
            ("synthetic:?rate=1e3", format!("synthetic: `rate=1e3` is not possible; allowed: {rate}")),
        ];
        for (url, message) in cases {
            check(url, Err(&message));
        }
    }
}
