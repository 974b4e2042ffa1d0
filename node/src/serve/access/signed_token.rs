//! Tokens that an identity provider signs: JSON Web Tokens (RFC 7519) as OpenID Connect issues them.
//!
//! What a token says about how it is to be verified counts for nothing: the key is looked up among the provider's own, and the
//! key says the algorithm. Tokens of symmetric algorithms, or none, do not exist here.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use super::Admitted;
use super::role::{Principal, Role};
use super::signing_keys::{KeySource, SigningKeys};
use crate::config::OidcConfig;
use crate::exit::Failure;
use crate::serve::problem::Problem;
use crate::settings::wrong;
use crate::shown_url::shown;

/// Seconds that clocks may differ.
const LEEWAY_SECONDS: u64 = 30;

/// Longest name of a principal.
const NAME_CHARS_MAX: usize = 128;

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oidc {
    issuer: String,
    audience: String,
    keys: KeySource,
    role_claim: String,
    role_prefix: String,
}

impl Oidc {
    /// As configured; `None` without an issuer.
    ///
    /// # Errors
    ///
    /// Names the key that is missing.
    pub(super) fn new(config: &OidcConfig) -> Result<Option<Self>, Failure> {
        let OidcConfig { issuer, audience, keys, role_claim, role_prefix } = config;
        if issuer.is_empty() {
            return match audience.is_empty() && keys.is_empty() {
                true => Ok(None),
                false => {
                    Err(wrong("http.oidc.issuer", "", "say whose tokens are let in: the `iss` of its tokens"))
                }
            };
        }
        if audience.is_empty() {
            let fix = "say whom tokens are meant for: a token for another service must not open this one";
            return Err(wrong("http.oidc.audience", "", fix));
        }
        let keys = keys.parse().map_err(|fix: String| {
            let keys = if keys.is_empty() { String::new() } else { shown(keys) };
            wrong("http.oidc.keys", &keys, &fix)
        })?;
        Ok(Some(Self {
            issuer: issuer.clone(),
            audience: audience.clone(),
            keys,
            role_claim: role_claim.clone(),
            role_prefix: role_prefix.clone(),
        }))
    }
}

/// Verifies tokens of one provider.
#[derive(Debug)]
pub(super) struct SignedTokens {
    oidc: Oidc,
    keys: SigningKeys,
}

/// Whether a token is one of these, and not a word.
pub(super) fn looks_signed(token: &str) -> bool {
    token.split('.').count() == 3
}

/// What a token has to say; the library checks these too, but takes some malformed ones for absent.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(rename = "exp")]
    _exp: u64,
    #[serde(rename = "nbf", default)]
    _nbf: Option<u64>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl SignedTokens {
    /// Reads the identity provider's keys again.
    pub(super) async fn renew(&self) {
        self.keys.renew().await;
    }

    pub(super) fn new(oidc: Oidc) -> Self {
        let keys = SigningKeys::new(oidc.keys.clone());
        Self { oidc, keys }
    }

    /// Who holds a token.
    ///
    /// # Errors
    ///
    /// 401 and why it does not hold; 503 while the provider's keys cannot be had.
    pub(super) async fn verify(&self, token: &str) -> Admitted {
        let refuse = |why: String| Problem::unauthorized(format!("the token does not hold: {why}"));
        let header = decode_header(token).map_err(|error| refuse(error.to_string()))?;
        if header.crit.is_some() {
            return Err(refuse("it asks for extensions that are not known here".to_owned()));
        }
        let (key, algorithm) = self.keys.find(header.kid.as_deref()).await?;
        if header.alg != algorithm {
            return Err(refuse(format!("its key signs with {algorithm:?}, it says {:?}", header.alg)));
        }
        self.principal(token, &key, algorithm).map_err(refuse)
    }

    fn principal(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Principal, String> {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.oidc.issuer]);
        validation.set_audience(&[&self.oidc.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        let claims = decode::<Claims>(token, key, &validation).map_err(|error| error.to_string())?.claims;
        let subject = claims.sub.chars().filter(|char| !char.is_control()).take(NAME_CHARS_MAX);
        let name = format!("oidc:{}", subject.collect::<String>());
        Ok(Principal { name, role: self.role(claims.others.get(&self.oidc.role_claim)) })
    }

    /// The highest role that a claim names, in a list or between spaces.
    fn role(&self, claim: Option<&Value>) -> Option<Role> {
        let words: Vec<&str> = match claim? {
            Value::String(words) => words.split(' ').collect(),
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let roles = words.into_iter().filter_map(|word| word.strip_prefix(self.oidc.role_prefix.as_str()));
        roles.filter_map(|role| role.parse().ok()).max()
    }
}
