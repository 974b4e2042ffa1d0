//! The public keys of an identity provider (RFC 7517), from a file or from its server, read again when one is not known.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures::StreamExt;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use orrery_supervisor::{Clock, MonotonicTime, SystemClock};
use tokio::sync::Mutex;
use warp::http::Uri;

use crate::serve::problem::Problem;
use crate::shown_url::shown;

/// Between two readings: an unknown key in a token costs the provider no more.
const READ_EVERY: Duration = Duration::from_secs(30);

/// A key that the provider has withdrawn is believed for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(3600);

/// Time for one reading.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of a set of keys.
const BYTES_MAX: usize = 1 << 20;

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeySource {
    File(PathBuf),
    Url(String),
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // As whoever asks reads it: a longer name, or a user's name that looks like a host, is another host.
        let is_local = text.parse::<Uri>().is_ok_and(|url| {
            url.scheme_str() == Some("http")
                && matches!(url.host(), Some("127.0.0.1" | "[::1]" | "localhost"))
        });
        match text {
            "" => Err("say where the provider's keys are: its jwks_uri, or a file".to_owned()),
            url if url.starts_with("https://") || is_local => Ok(Self::Url(url.to_owned())),
            url if url.starts_with("http://") => {
                Err("keys that come without TLS are anybody's: give an https:// URL or a file".to_owned())
            }
            file => Ok(Self::File(file.into())),
        }
    }
}

/// The keys that tokens are verified with.
#[derive(Debug)]
pub(super) struct SigningKeys {
    source: KeySource,
    clock: SystemClock,
    read: Mutex<Read>,
}

/// What was read last.
#[derive(Debug, Default)]
struct Read {
    keys: Vec<SigningKey>,
    /// When keys were read, and when reading was tried.
    read_at: Option<MonotonicTime>,
    tried_at: Option<MonotonicTime>,
}

/// A key, and what it signs with.
#[derive(Clone, Debug)]
struct SigningKey {
    id: Option<String>,
    key: DecodingKey,
    algorithm: Algorithm,
}

impl SigningKeys {
    pub(super) fn new(source: KeySource) -> Self {
        Self { source, clock: SystemClock::new(), read: Mutex::default() }
    }

    /// The key of this name, or the only one if the token names none.
    ///
    /// # Errors
    ///
    /// 401 if there is no such key; 503 while there are none at all.
    pub(super) async fn find(&self, id: Option<&str>) -> Result<(DecodingKey, Algorithm), Problem> {
        let mut read = self.read.lock().await;
        let now = self.clock.now();
        let is_over = |at: Option<MonotonicTime>, after| at.is_none_or(|at| now.since(at) >= after);
        let is_known = read.find(id).is_some() && !is_over(read.read_at, BELIEVED_FOR);
        if !is_known && is_over(read.tried_at, READ_EVERY) {
            read.tried_at = Some(now);
            match self.source.read().await {
                Ok(keys) => (read.keys, read.read_at) = (keys, Some(now)),
                Err(error) => tracing::warn!(
                    error,
                    "the keys of the identity provider were not read; see http.oidc.keys"
                ),
            }
        }
        if is_over(read.read_at, BELIEVED_FOR) {
            return Err(Problem::unavailable("the identity provider's keys cannot be read now", 30));
        }
        let found = read.find(id).map(|found| (found.key.clone(), found.algorithm));
        found.ok_or_else(|| {
            Problem::unauthorized("the token does not hold: its key is not the identity provider's")
        })
    }
}

impl SigningKeys {
    /// Reads the keys now. What cannot be read stays as it was.
    pub(super) async fn renew(&self) {
        let mut read = self.read.lock().await;
        match self.source.read().await {
            Ok(keys) => (read.keys, read.read_at) = (keys, Some(self.clock.now())),
            Err(error) => {
                tracing::warn!(error, "the keys of the identity provider were not read; see http.oidc.keys")
            }
        }
    }
}

impl Read {
    fn find(&self, id: Option<&str>) -> Option<&SigningKey> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (id, keys) => keys.iter().find(|key| key.id.as_deref() == id),
        }
    }
}

impl KeySource {
    async fn read(&self) -> Result<Vec<SigningKey>, String> {
        let bytes = match self {
            Self::File(path) => {
                let file = path.clone();
                let read = tokio::task::spawn_blocking(move || std::fs::read(file)).await;
                let read = read.map_err(|error| error.to_string())?;
                read.map_err(|error| format!("{}: {error}", path.display()))?
            }
            Self::Url(url) => fetch(url).await.map_err(|error| format!("{}: {error}", shown(url)))?,
        };
        signing_keys(&bytes)
    }
}

/// The keys of a set that are let verify signatures.
fn signing_keys(bytes: &[u8]) -> Result<Vec<SigningKey>, String> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|error| format!("not a set of keys: {error}"))?;
    let keys: Vec<SigningKey> = set.keys.iter().filter_map(signing_key).collect();
    if keys.is_empty() { Err("no key in it signs with RS256, ES256 or EdDSA".to_owned()) } else { Ok(keys) }
}

async fn fetch(url: &str) -> Result<Vec<u8>, String> {
    let text = |error: reqwest::Error| error.without_url().to_string();
    let client = reqwest::Client::builder().timeout(READ_WITHIN).redirect(reqwest::redirect::Policy::none());
    let response = client.build().map_err(text)?.get(url).send().await.map_err(text)?;
    let mut parts = response.error_for_status().map_err(text)?.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part.map_err(text)?);
        if bytes.len() > BYTES_MAX {
            return Err(format!("over {BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}

/// A key that is let verify signatures; its kind says the algorithm.
fn signing_key(key: &Jwk) -> Option<SigningKey> {
    let is_for_signing = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let (algorithm, said) = match &key.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    let is_of_it = key.common.key_algorithm.is_none_or(|found| found == said);
    let decoding = DecodingKey::from_jwk(key).ok()?;
    (is_for_signing && is_of_it).then(|| SigningKey {
        id: key.common.key_id.clone(),
        key: decoding,
        algorithm,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::serve::damaged::damaged;

    /// One key of each kind that is let verify, and two that are not.
    const SET: &str = r#"{"keys":[
        {"kty":"RSA","kid":"rsa","use":"sig","alg":"RS256","n":"u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nLVkjRo9z-40RQzuVaE8AkAFmxZzow3x-VJYKdjykkJ0iT9wCS0DRTXu269V264Vf_3jvredZiKRkgwlL9xNAwxXFg0x_XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC-9aGVd-Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmw","e":"AQAB"},
        {"kty":"EC","kid":"ec","crv":"P-256","x":"EVs_o5-uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf84","y":"kGe5DgSIycKp8w9aJmoHhB1sB3QTugfnRWm5nU_TzsY"},
        {"kty":"OKP","kid":"ed","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"oct","kid":"secret","k":"c2VjcmV0"},
        {"kty":"RSA","kid":"for encryption","use":"enc","n":"AQAB","e":"AQAB"}
    ]}"#;

    fn named(keys: &[SigningKey]) -> Vec<(&str, Algorithm)> {
        keys.iter().map(|key| (key.id.as_deref().unwrap_or_default(), key.algorithm)).collect()
    }

    #[test]
    fn only_keys_that_sign_with_what_is_allowed_are_taken() {
        let keys = signing_keys(SET.as_bytes()).unwrap();
        let expect = [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)];
        assert_eq!(named(&keys), expect);
        assert!(signing_keys(br#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_set_of_keys_is_read_or_refused(bytes in damaged(vec![SET])) {
            match signing_keys(&bytes) {
                Ok(keys) => {
                    let allowed = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
                    prop_assert!(named(&keys).iter().all(|(_, algorithm)| allowed.contains(algorithm)));
                }
                Err(problem) => prop_assert!(!problem.is_empty() && problem.len() < 1_000),
            }
        }
    }
}
