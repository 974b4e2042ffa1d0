//! Classic assets, compared by value and written as SEP-11 (`native` or `CODE:ISSUER`).

use std::fmt;

use crate::Address;

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
