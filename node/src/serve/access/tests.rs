use std::net::Ipv4Addr;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use warp::http::HeaderValue;

use super::*;
use crate::config::OidcConfig;

const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4711);
const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 4711);

fn gatekeeper(config: &HttpConfig) -> Arc<Gatekeeper> {
    Gatekeeper::new(&AccessSettings::new(config).unwrap(), &Audit::new(Path::new("/dev/null/none")))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

async fn status(keeper: &Gatekeeper, needed: Role, peer: SocketAddr, sent: &[(&'static str, &str)]) -> u16 {
    let admitted = keeper.admit(Access::Of(needed), "/v1/x", &headers(sent), peer).await;
    admitted.map_or_else(|problem| problem.status.as_u16(), |_| 200)
}

fn token(name: &str, role: Role) -> (String, String) {
    new_token(name, role, |bytes| {
        bytes.fill(name.len() as u8 + role as u8);
        Ok(())
    })
    .unwrap()
}

#[tokio::test]
async fn a_role_suffices_for_what_it_includes() {
    let tokens =
        [Role::Viewer, Role::Operator, Role::Admin].map(|role| (role, token(&role.to_string(), role)));
    let hashed = tokens.iter().map(|(_, (_, hashed))| hashed.clone()).collect();
    let keeper =
        gatekeeper(&HttpConfig { tokens: hashed, anonymous: "nobody".to_owned(), ..HttpConfig::default() });
    for (has, (token, hashed)) in &tokens {
        assert!(!hashed.contains(token.as_str()));
        for needed in [Role::Viewer, Role::Operator, Role::Admin] {
            let expect = if *has >= needed { 200 } else { 403 };
            let bearer = format!("Bearer {token}");
            let found = status(&keeper, needed, ELSEWHERE, &[("authorization", &bearer)]).await;
            assert_eq!(found, expect, "{has} where {needed} is needed");
            let protocols = format!("orrery.feed, bearer.{token}");
            let found = status(&keeper, needed, ELSEWHERE, &[("sec-websocket-protocol", &protocols)]).await;
            assert_eq!(found, expect, "{has} over a socket");
        }
    }
}

#[tokio::test]
async fn whoever_says_nothing_may_do_what_is_configured() {
    let check = async |anonymous: &str, peer, needed, expect| {
        let keeper = gatekeeper(&HttpConfig { anonymous: anonymous.to_owned(), ..HttpConfig::default() });
        assert_eq!(status(&keeper, needed, peer, &[]).await, expect, "{anonymous} {peer} {needed}");
        assert!(keeper.admit(Access::Open, "/", &HeaderMap::new(), peer).await.is_ok());
    };
    check("loopback", HERE, Role::Viewer, 200).await;
    check("loopback", ELSEWHERE, Role::Viewer, 401).await;
    check("loopback", HERE, Role::Operator, 401).await;
    check("viewer", ELSEWHERE, Role::Viewer, 200).await;
    check("viewer", ELSEWHERE, Role::Operator, 401).await;
    check("nobody", HERE, Role::Viewer, 401).await;
}

#[tokio::test]
async fn a_token_that_is_none_is_refused_also_where_none_is_needed() {
    let (good, hashed) = token("ci", Role::Viewer);
    let config = HttpConfig { tokens: vec![hashed], anonymous: "viewer".to_owned(), ..HttpConfig::default() };
    let keeper = gatekeeper(&config);
    let basic = format!("Basic {good}");
    let longer = format!("Bearer {good}x");
    for value in
        ["Bearer", "Bearer ", "Bearer x", "bearer orrery_", basic.as_str(), longer.as_str(), good.as_str()]
    {
        assert_eq!(status(&keeper, Role::Viewer, HERE, &[("authorization", value)]).await, 401, "{value}");
    }
    let mut twice = headers(&[("authorization", &format!("Bearer {good}"))]);
    twice.append("authorization", HeaderValue::from_str(&format!("Bearer {good}")).unwrap());
    assert!(keeper.admit(Access::Of(Role::Viewer), "/v1/x", &twice, HERE).await.is_err());
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let config = HttpConfig { origins: vec!["https://app.example".to_owned()], ..HttpConfig::default() };
    let keeper = gatekeeper(&config);
    let check = async |origin: &str, expect| {
        let sent = [("origin", origin), ("host", "127.0.0.1:8080")];
        assert_eq!(status(&keeper, Role::Viewer, HERE, &sent).await, expect, "{origin}");
    };
    check("http://127.0.0.1:8080", 200).await;
    check("https://app.example", 200).await;
    check("https://evil.example", 403).await;
    check("https://app.example.evil.example", 403).await;
    check("http://127.0.0.1:8081", 403).await;
    check("null", 403).await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_go_on_and_nobody_else_waits() {
    let (token, hashed) = token("ci", Role::Viewer);
    let config =
        HttpConfig { requests_per_second: 1, burst: 3, tokens: vec![hashed], ..HttpConfig::default() };
    let keeper = gatekeeper(&config);
    for expect in [200, 200, 200, 429, 429] {
        assert_eq!(status(&keeper, Role::Viewer, HERE, &[]).await, expect);
    }
    let bearer = [("authorization", format!("Bearer {token}"))];
    let bearer = [(bearer[0].0, bearer[0].1.as_str())];
    let other = SocketAddr::from(([127, 0, 0, 2], 1));
    assert_eq!(status(&keeper, Role::Viewer, other, &bearer).await, 200);
    let problem = keeper.admit(Access::Of(Role::Viewer), "/v1/x", &HeaderMap::new(), HERE).await.unwrap_err();
    assert!(problem.detail.starts_with("address 127.0.0.1 asks too often: go on in "), "{}", problem.detail);
}

/// An identity provider, and somebody who would like to be one.
struct Provider {
    rsa: EncodingKey,
    ec: EncodingKey,
    ed: EncodingKey,
}

impl Provider {
    fn new() -> Self {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let ec =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let ed: Pkcs8V1Der<'_> = ed.as_der().unwrap();
        let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        Self {
            rsa: EncodingKey::from_rsa_der(&pkcs1(rsa.as_ref())),
            ec: EncodingKey::from_ec_der(ec.as_ref()),
            ed: EncodingKey::from_ed_der(ed.as_ref()),
        }
    }

    fn keys(&self) -> JwkSet {
        let key = |id: &str, key, algorithm| {
            let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
            jwk.common.key_id = Some(id.to_owned());
            jwk
        };
        JwkSet {
            keys: vec![
                key("rsa", &self.rsa, Algorithm::RS256),
                key("ec", &self.ec, Algorithm::ES256),
                key("ed", &self.ed, Algorithm::EdDSA),
            ],
        }
    }

    fn key(&self, algorithm: Algorithm) -> &EncodingKey {
        match algorithm {
            Algorithm::ES256 => &self.ec,
            Algorithm::EdDSA => &self.ed,
            _ => &self.rsa,
        }
    }
}

/// The RSAPrivateKey inside of a PKCS #8 structure, which the signing library wants bare.
fn pkcs1(pkcs8: &[u8]) -> Vec<u8> {
    let sequence =
        |at: usize| pkcs8[at..].windows(2).position(|two| two == [0x30, 0x82]).map(|found| at + found);
    let inner = sequence(sequence(0).unwrap() + 4).unwrap();
    pkcs8[inner..].to_vec()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// 2001, 2096.
const PAST: u64 = 1_000_000_000;
const FUTURE: u64 = 4_000_000_000;

fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "orrery", "sub": "ann", "exp": FUTURE, "roles": ["x", "orrery-operator"],
    });
    for (name, value) in change.as_object().unwrap() {
        match value.is_null() {
            true => drop(claims.as_object_mut().unwrap().remove(name)),
            false => claims[name] = value.clone(),
        }
    }
    claims
}

fn with_provider(provider: &Provider) -> (Arc<Gatekeeper>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys.json");
    std::fs::write(&file, serde_json::to_vec(&provider.keys()).unwrap()).unwrap();
    let oidc = OidcConfig {
        issuer: "https://id.example".to_owned(),
        audience: "orrery".to_owned(),
        keys: file.display().to_string(),
        ..OidcConfig::default()
    };
    let config = HttpConfig { oidc, requests_per_second: 0, ..HttpConfig::default() };
    (gatekeeper(&config), directory)
}

async fn admitted(keeper: &Gatekeeper, token: &str) -> Admitted {
    let sent = headers(&[("authorization", &format!("Bearer {token}"))]);
    keeper.admit(Access::Of(Role::Viewer), "/v1/x", &sent, ELSEWHERE).await
}

#[tokio::test]
async fn a_signed_token_says_who_somebody_is_and_what_they_may_do() {
    let provider = Provider::new();
    let (keeper, _directory) = with_provider(&provider);
    for (kid, algorithm) in [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)] {
        let header = json!({"alg": format!("{algorithm:?}"), "kid": kid, "typ": "JWT"});
        let check = async |change: Value, expect: Option<Role>| {
            let token = signed(&header, &claims(&change), provider.key(algorithm), algorithm);
            let found = admitted(&keeper, &token).await;
            assert_eq!(
                found.as_ref().ok().and_then(|principal| principal.role),
                expect,
                "{change} {found:?}"
            );
        };
        check(json!({}), Some(Role::Operator)).await;
        check(json!({"aud": ["other", "orrery"]}), Some(Role::Operator)).await;
        check(json!({"roles": "orrery-viewer orrery-admin"}), Some(Role::Admin)).await;
        check(json!({"nbf": PAST}), Some(Role::Operator)).await;
        check(json!({"roles": null}), None).await;
        check(json!({"roles": ["admin", "viewer"]}), None).await;
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (provider, forger) = (Provider::new(), Provider::new());
    let (keeper, _directory) = with_provider(&provider);
    let rs = json!({"alg": "RS256", "kid": "rsa"});
    let (es, ed) = (json!({"alg": "ES256", "kid": "ec"}), json!({"alg": "EdDSA", "kid": "ed"}));
    let of_rsa =
        |header: &Value, change: &Value| signed(header, &claims(change), &provider.rsa, Algorithm::RS256);
    let good = of_rsa(&rs, &json!({}));
    assert!(admitted(&keeper, &good).await.is_ok());
    let unsigned =
        |alg: &str| format!("{}.{}.", part(&json!({"alg": alg, "kid": "rsa"})), part(&claims(&json!({}))));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let modulus = serde_json::to_value(&provider.keys().keys[0]).unwrap()["n"].as_str().unwrap().to_owned();
    let confused = |secret: &[u8]| {
        let header = json!({"alg": "HS256", "kid": "rsa"});
        signed(&header, &claims(&json!({})), &EncodingKey::from_secret(secret), Algorithm::HS256)
    };
    let by_forger = |header: &Value| signed(header, &claims(&json!({})), &forger.rsa, Algorithm::RS256);
    let forged_key = serde_json::to_value(&forger.keys().keys[0]).unwrap();
    let changed = part(&claims(&json!({"roles": "orrery-admin"})));
    let forged = [
        ("no algorithm", unsigned("none")),
        ("no algorithm, in other letters", unsigned("nOnE")),
        ("no algorithm named", format!("{}.{}.", part(&json!({"kid": "rsa"})), part(&claims(&json!({}))))),
        ("public key as a secret", confused(modulus.as_bytes())),
        ("public key's bytes as a secret", confused(&URL_SAFE_NO_PAD.decode(&modulus).unwrap())),
        ("empty secret", confused(b"")),
        ("no signature", format!("{message}.")),
        ("half a signature", format!("{message}.{}", &signature[..signature.len() / 2])),
        ("claims changed", format!("{}.{changed}.{signature}", message.split('.').next().unwrap())),
        ("signed by another", by_forger(&rs)),
        ("unknown key", of_rsa(&json!({"alg": "RS256", "kid": "new"}), &json!({}))),
        ("a path as a key", by_forger(&json!({"alg": "RS256", "kid": "../../../../dev/null"}))),
        ("no key named", of_rsa(&json!({"alg": "RS256"}), &json!({}))),
        ("brings its key", by_forger(&json!({"alg": "RS256", "kid": "rsa", "jwk": forged_key}))),
        (
            "says where its key is",
            by_forger(&json!({"alg": "RS256", "kid": "rsa", "jku": "http://127.0.0.1:9/"})),
        ),
        (
            "says where its certificate is",
            by_forger(&json!({"alg": "RS256", "kid": "rsa", "x5u": "http://127.0.0.1:9/"})),
        ),
        ("asks for extensions", of_rsa(&json!({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}), &json!({}))),
        (
            "another algorithm of the key",
            signed(
                &json!({"alg": "RS512", "kid": "rsa"}),
                &claims(&json!({})),
                &provider.rsa,
                Algorithm::RS512,
            ),
        ),
        ("another kind of key", signed(&es, &claims(&json!({})), &provider.rsa, Algorithm::RS256)),
        ("another curve", signed(&ed, &claims(&json!({})), &provider.ec, Algorithm::ES256)),
        ("expired", of_rsa(&rs, &json!({"exp": PAST}))),
        ("never expires", of_rsa(&rs, &json!({"exp": null}))),
        ("expires in words", of_rsa(&rs, &json!({"exp": "4000000000"}))),
        ("not yet", of_rsa(&rs, &json!({"nbf": FUTURE}))),
        ("not yet, in words", of_rsa(&rs, &json!({"nbf": "4000000000"}))),
        ("another issuer", of_rsa(&rs, &json!({"iss": "https://id.example.evil"}))),
        ("no issuer", of_rsa(&rs, &json!({"iss": null}))),
        ("another audience", of_rsa(&rs, &json!({"aud": "other"}))),
        ("no audience", of_rsa(&rs, &json!({"aud": null}))),
        ("nobody's", of_rsa(&rs, &json!({"sub": null}))),
        ("garbage", "a.b.c".to_owned()),
        ("four parts", format!("{good}.x")),
    ];
    assert!(forged.len() >= 20);
    for (what, token) in forged {
        let found = admitted(&keeper, &token).await;
        let problem = found.expect_err(what);
        assert_eq!(problem.status, StatusCode::UNAUTHORIZED, "{what}: {problem:?}");
        assert!(!problem.detail.contains(&token), "{what}: a refusal does not repeat the token");
    }
}

/// Whatever is changed in a token that holds, it does not hold any more.
#[test]
fn a_damaged_token_is_refused() {
    let provider = Provider::new();
    let (keeper, _directory) = with_provider(&provider);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let good: Vec<String> = [("rsa", Algorithm::RS256), ("ec", Algorithm::ES256), ("ed", Algorithm::EdDSA)]
        .map(|(kid, algorithm)| {
            let header = json!({"alg": format!("{algorithm:?}"), "kid": kid});
            signed(&header, &claims(&json!({})), provider.key(algorithm), algorithm)
        })
        .to_vec();
    let check = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        let is_good = good.contains(&text);
        let found = runtime.block_on(admitted(&keeper, &text));
        match found {
            Ok(_) => assert!(is_good, "{text}"),
            Err(problem) => {
                assert!(!is_good && problem.status == StatusCode::UNAUTHORIZED, "{problem:?}");
                assert!(problem.detail.len() < 1_000, "{problem:?}");
            }
        }
    };
    good.iter().for_each(|token| assert!(runtime.block_on(admitted(&keeper, token)).is_ok()));
    proptest::proptest!(|(bytes in crate::serve::damaged::damaged(good.clone()))| {
        // What no header holds never gets here.
        let bytes = bytes.into_iter().filter(u8::is_ascii_graphic).collect();
        check(bytes);
    });
}

#[test]
fn wrong_settings_are_told() {
    let check = |config: HttpConfig, expect: &str| {
        let error = AccessSettings::new(&config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(
        HttpConfig { anonymous: "all".to_owned(), ..HttpConfig::default() },
        "http.anonymous: `all`: give loopback",
    );
    check(HttpConfig { tokens: vec!["x".to_owned()], ..HttpConfig::default() }, "give NAME:ROLE:SHA256");
    let named = |name: &str| format!("{name}:viewer:{}", "0".repeat(64));
    check(HttpConfig { tokens: vec![named("anonymous")], ..HttpConfig::default() }, "is not anonymous");
    check(HttpConfig { tokens: vec![named("a b")], ..HttpConfig::default() }, "the name has letters");
    check(
        HttpConfig { origins: vec!["*".to_owned()], ..HttpConfig::default() },
        "http.origins: `*`: give SCHEME://HOST",
    );
    let oidc = |issuer: &str, audience: &str, keys: &str| {
        let [issuer, audience, keys] = [issuer, audience, keys].map(str::to_owned);
        HttpConfig {
            oidc: OidcConfig { issuer, audience, keys, ..OidcConfig::default() },
            ..HttpConfig::default()
        }
    };
    check(oidc("", "orrery", ""), "http.oidc.issuer");
    check(oidc("https://id.example", "", "keys.json"), "http.oidc.audience");
    check(oidc("https://id.example", "orrery", ""), "http.oidc.keys");
    check(oidc("https://id.example", "orrery", "http://id.example/keys"), "without TLS are anybody's");
}
