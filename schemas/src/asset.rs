//! Classic assets, compared by value and written as SEP-11 (`native` or `CODE:ISSUER`).

use std::fmt;
use std::str::FromStr;

use crate::{Address, ParseError};

/// A classic asset. Two assets are equal when kind, code and issuer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// Lumens.
    Native,
    /// A credit with a code of 1 to 4 characters.
    Credit4 {
        /// The code, padded with zeros.
        code: [u8; 4],
        /// The issuing account.
        issuer: [u8; 32],
    },
    /// A credit with a code of 5 to 12 characters.
    Credit12 {
        /// The code, padded with zeros.
        code: [u8; 12],
        /// The issuing account.
        issuer: [u8; 32],
    },
}

impl Asset {
    /// The code without its padding; `None` for lumens.
    pub fn code(&self) -> Option<AssetCode<'_>> {
        match self {
            Self::Native => None,
            Self::Credit4 { code, .. } => Some(AssetCode(code)),
            Self::Credit12 { code, .. } => Some(AssetCode(code)),
        }
    }

    /// The issuing account; `None` for lumens.
    pub fn issuer(&self) -> Option<Address> {
        match self {
            Self::Native => None,
            Self::Credit4 { issuer, .. } | Self::Credit12 { issuer, .. } => Some(Address::Account(*issuer)),
        }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code(), self.issuer()) {
            (Some(code), Some(issuer)) => write!(f, "{code}:{issuer}"),
            _ => f.write_str("native"),
        }
    }
}

/// SEP-11: `native`, or code, colon and issuer. A code of up to 4 bytes is the short kind, as the network requires.
impl FromStr for Asset {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: &str = "an asset: `native` or CODE:ISSUER with 1 to 12 characters and a G... address";
        if text == "native" {
            return Ok(Self::Native);
        }
        let parsed = text.rsplit_once(':').and_then(|(code, issuer)| {
            let Ok(Address::Account(issuer)) = issuer.parse() else { return None };
            let (code, length) = unescape_code(code)?;
            Some(match code {
                [a, b, c, d, ..] if length <= 4 => Self::Credit4 { code: [a, b, c, d], issuer },
                _ => Self::Credit12 { code, issuer },
            })
        });
        parsed.ok_or_else(|| ParseError::new(text, EXPECTED))
    }
}

/// The code's bytes, padded with zeros, and how many the text names; `None` unless these are 1 to 12 and the last is
/// not zero (a code would have two texts otherwise).
fn unescape_code(text: &str) -> Option<([u8; 12], usize)> {
    let mut code = [0; 12];
    let mut length = 0;
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let byte;
        (byte, rest) = match (first, after) {
            (b'\\', [b'\\', after @ ..]) => (b'\\', after),
            (b'\\', [b'x', high, low, after @ ..]) => (escaped_byte([*high, *low])?, after),
            (b'\\', _) => return None,
            (b' '..=b'~', _) => (*first, after),
            _ => return None,
        };
        *code.get_mut(length)? = byte;
        length += 1;
    }
    (length > 0 && code[length - 1] != 0).then_some((code, length))
}

/// Two lower-case hexadecimal digits; `None` for a byte that has a shorter form.
fn escaped_byte(digits: [u8; 2]) -> Option<u8> {
    let mut byte = [0];
    hex::decode_to_slice(digits, &mut byte).ok()?;
    let canonical = digits.iter().all(|digit| !digit.is_ascii_uppercase()) && !matches!(byte[0], b' '..=b'~');
    canonical.then_some(byte[0])
}

/// An asset code as the ledger stores it. The network allows letters and digits only; any other byte is
/// written `\xNN` (SEP-11), so that text and bytes stay one to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetCode<'a>(&'a [u8]);

impl fmt::Display for AssetCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for &byte in &self.0[..end] {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => fmt::Write::write_char(f, char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}
