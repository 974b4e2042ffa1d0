//! Who may do what. A request says who it is by a token; what the token does not allow is refused, and the refusal noted.
//!
//! A token stands in the header `Authorization: Bearer TOKEN`, or, where a browser cannot set headers, among the protocols of
//! a WebSocket as `bearer.TOKEN`; never in a URL, which ends in logs.

mod origin;
mod quota;
mod role;
mod signed_token;
mod signing_keys;
mod token;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use warp::http::header::{AUTHORIZATION, ORIGIN, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use warp::http::{HeaderMap, StatusCode};

pub(crate) use role::{Access, Principal, Role};
pub(crate) use signed_token::Oidc;
pub(crate) use token::{HashedToken, new_token};

use super::problem::Problem;
use crate::audit::Audit;
use crate::audit::chain::Note;
use crate::config::HttpConfig;
use crate::exit::Failure;
use crate::settings::wrong;
use origin::Origins;
use quota::Quota;
use signed_token::SignedTokens;

/// Of WebSocket protocols, the one that carries a token.
const PROTOCOL_PREFIX: &str = "bearer.";

/// What is configured.
#[derive(Clone, Debug)]
pub(crate) struct AccessSettings {
    anonymous: Anonymous,
    tokens: Vec<HashedToken>,
    oidc: Option<Oidc>,
    origins: Origins,
    requests_per_second: u32,
    burst: u32,
}

/// What those may do who do not say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anonymous {
    /// Read, from this machine.
    Loopback,
    /// Read.
    Viewer,
    /// Nothing.
    Nobody,
}

impl AccessSettings {
    /// Checks what is configured.
    ///
    /// # Errors
    ///
    /// Names the key, the value and the way out.
    pub(crate) fn new(config: &HttpConfig) -> Result<Self, Failure> {
        let anonymous = match config.anonymous.as_str() {
            "loopback" => Anonymous::Loopback,
            "viewer" => Anonymous::Viewer,
            "nobody" => Anonymous::Nobody,
            other => return Err(wrong("http.anonymous", other, "give loopback, viewer or nobody")),
        };
        // Whoever has put the token itself there is not to find it in a log.
        let name =
            |text: &str| text.split_once(':').map_or("...".to_owned(), |(name, _)| format!("{name}:..."));
        let token = |text: &String| {
            text.parse().map_err(|problem: String| wrong("http.tokens", &name(text), &problem))
        };
        Ok(Self {
            anonymous,
            tokens: config.tokens.iter().map(token).collect::<Result<_, _>>()?,
            oidc: Oidc::new(&config.oidc)?,
            origins: Origins::new(&config.origins)?,
            requests_per_second: config.requests_per_second,
            burst: config.burst,
        })
    }
}

impl AccessSettings {
    /// Whose tokens are let in.
    pub(crate) fn tokens(&self) -> Arc<[HashedToken]> {
        self.tokens.as_slice().into()
    }
}

/// Decides of each request whether it is answered.
pub(crate) struct Gatekeeper {
    settings: AccessSettings,
    /// Those of now, which an operator may change while the node runs.
    tokens: RwLock<Arc<[HashedToken]>>,
    signed: Option<SignedTokens>,
    quota: Option<Quota>,
    audit: Arc<Audit>,
}

/// Says who made a request that was let in.
pub(crate) type Admitted = Result<Principal, Problem>;

impl Gatekeeper {
    /// Of these settings.
    pub(crate) fn new(settings: &AccessSettings, audit: &Arc<Audit>) -> Arc<Self> {
        let signed = settings.oidc.clone().map(SignedTokens::new);
        let quota = Quota::new(settings.requests_per_second, settings.burst);
        let tokens = RwLock::new(settings.tokens());
        Arc::new(Self { settings: settings.clone(), tokens, signed, quota, audit: audit.clone() })
    }

    /// Lets these tokens in from now on, and no others, and reads the keys of the identity provider again.
    pub(super) async fn renew(&self, tokens: Arc<[HashedToken]>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
        if let Some(signed) = &self.signed {
            signed.renew().await;
        }
    }

    /// Lets a request pass, or says why not; that somebody was not let is noted. `what` is the endpoint.
    ///
    /// # Errors
    ///
    /// 401 without a token that holds, 403 if it does not suffice or the page is a stranger's, 429 for too many requests.
    pub(crate) async fn admit(
        &self,
        access: Access,
        what: &str,
        headers: &HeaderMap,
        peer: SocketAddr,
    ) -> Admitted {
        // Probes come from few addresses, and tell their askers what to do: they are never held up.
        let Access::Of(needed) = access else { return Ok(Principal::anonymous(None)) };
        // Before what is said is looked at, which costs more than to count.
        self.within_quota(&format!("address {}", network_of(peer.ip())))?;
        let (who, refused) = match self.principal(headers, peer.ip()).await {
            Ok(principal) => match self.let_in(&principal, needed, headers) {
                Ok(()) => return Ok(principal),
                Err(problem) => (principal.name, problem),
            },
            Err(problem) => (String::new(), problem),
        };
        if matches!(refused.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let (via, action) = (format!("http {peer}"), "refused".to_owned());
            let (target, outcome) = (what.to_owned(), refused.detail.clone());
            self.audit.note(Note { who, via, action, target, outcome, is_refusal: true }).await;
        }
        Err(refused)
    }

    /// Whether somebody may do what needs a role, and from the page that they came from.
    fn let_in(&self, principal: &Principal, needed: Role, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(origin) = headers.get(ORIGIN)
            && !self.settings.origins.allow(origin, headers)
        {
            let detail = "pages of this origin may not ask here: add it to http.origins";
            return Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail));
        }
        if principal.role < Some(needed) {
            // Who said nothing of themselves may yet be who may.
            if principal.is_anonymous() {
                let fix = format!(
                    "needs the role {needed}: give a token, Authorization: Bearer TOKEN; `orrery token` makes one"
                );
                return Err(Problem::unauthorized(fix));
            }
            let has = principal.role.map_or_else(|| "has none".to_owned(), |role| format!("is {role}"));
            let detail = format!("needs the role {needed}; {} {has}", principal.name);
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        match principal.is_anonymous() {
            true => Ok(()),
            false => self.within_quota(&principal.name),
        }
    }

    async fn principal(&self, headers: &HeaderMap, peer: IpAddr) -> Admitted {
        let Some(token) = presented(headers)? else {
            let role = match self.settings.anonymous {
                Anonymous::Viewer => Some(Role::Viewer),
                Anonymous::Loopback => {
                    (peer.is_loopback() && origin::names_this_machine(headers)).then_some(Role::Viewer)
                }
                Anonymous::Nobody => None,
            };
            return Ok(Principal::anonymous(role));
        };
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(principal) = token::find(&tokens, token) {
            return Ok(principal);
        }
        match &self.signed {
            Some(signed) if signed_token::looks_signed(token) => signed.verify(token).await,
            _ => Err(Problem::unauthorized("the token is not known here, or not any more")),
        }
    }

    fn within_quota(&self, who: &str) -> Result<(), Problem> {
        let Some(after) = self.quota.as_ref().and_then(|quota| quota.take(who)) else { return Ok(()) };
        let seconds = after.as_secs().max(1);
        let detail = format!("{who} asks too often: go on in {seconds} s");
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .with(RETRY_AFTER, &seconds.to_string()))
    }
}

/// The token of a request.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let malformed = || Problem::unauthorized("give the token once, as Authorization: Bearer TOKEN");
    let mut given = headers.get_all(AUTHORIZATION).iter();
    if let Some(value) = given.next() {
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        return match (token, given.next()) {
            (Some(token), None) if !token.is_empty() => Ok(Some(token)),
            _ => Err(malformed()),
        };
    }
    let protocols = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut tokens = protocols
        .flat_map(|value| value.split(','))
        .filter_map(|one| one.trim().strip_prefix(PROTOCOL_PREFIX));
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        _ => Err(malformed()),
    }
}

/// Whose quota an address draws on: of IPv6, a subscriber has a /64.
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
