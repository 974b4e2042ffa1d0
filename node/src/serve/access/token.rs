//! Tokens that an operator hands out. The node knows their hashes alone: whoever reads its configuration has no token.

use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::role::{ANONYMOUS, Principal, Role};

/// What every token begins with, so that scanners for lost secrets know one.
const PREFIX: &str = "orrery_";

/// Random bytes of a token: as many as a guess would need.
const SECRET_BYTES: usize = 32;

/// A token that is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HashedToken {
    name: String,
    role: Role,
    sha256: [u8; 32],
}

impl HashedToken {
    /// As it stands in the configuration.
    fn text(&self) -> String {
        format!("{}:{}:{}", self.name, self.role, hex::encode(self.sha256))
    }
}

impl FromStr for HashedToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fix = "give NAME:ROLE:SHA256, as `orrery token NAME --role viewer` prints it";
        let [name, role, sha256] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(fix.to_owned());
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) || name == ANONYMOUS {
            return Err(format!("the name has letters, digits and -_.@, up to 64, and is not {ANONYMOUS}"));
        }
        let mut hash = [0; 32];
        hex::decode_to_slice(sha256, &mut hash).map_err(|_| fix.to_owned())?;
        Ok(Self { name: name.to_owned(), role: role.parse()?, sha256: hash })
    }
}

/// A new token of this name, and what the configuration has to say of it. `random` fills bytes that nobody can guess.
///
/// # Errors
///
/// The name is none, or there are no random bytes.
pub(crate) fn new_token(
    name: &str,
    role: Role,
    random: impl FnOnce(&mut [u8]) -> Result<(), String>,
) -> Result<(String, String), String> {
    let mut secret = [0; SECRET_BYTES];
    random(&mut secret)?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let text = HashedToken { name: name.to_owned(), role, sha256: hash(&token) }.text();
    text.parse::<HashedToken>()?;
    Ok((token, text))
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Whose token it is. Takes as long whether it is found or not.
pub(super) fn find(tokens: &[HashedToken], token: &str) -> Option<Principal> {
    let hash = hash(token);
    let mut found = None;
    for known in tokens {
        if verify_slices_are_equal(&known.sha256, &hash).is_ok() {
            found = Some(known);
        }
    }
    found.map(|known| Principal { name: known.name.clone(), role: Some(known.role) })
}
