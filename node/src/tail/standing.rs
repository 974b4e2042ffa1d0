//! What servers say of themselves to a reader that has several: whether traffic belongs there, and how far they are.

use std::time::Duration;

use futures::future::join_all;
use orrery_schemas::Cursor;
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::endpoints::Standing;
use super::socket::Server;

/// A server that does not answer sooner is left for the others.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Longest answer that is read: a status has some kilobytes.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The path of a feed, below which a node's other addresses stand.
const FEED: &str = "/v1/feed";

impl Server {
    /// Another address of the node; `None` if something else stands before it.
    fn beside(&self, path: &str) -> Option<Url> {
        let mut url = self.url().clone();
        let below = url.path().strip_suffix(FEED)?.to_owned();
        url.set_path(&format!("{below}{path}"));
        Some(url)
    }

    /// Whether traffic belongs there.
    async fn standing(&self, client: &reqwest::Client) -> Standing {
        let Some(url) = self.beside("/healthz/traffic") else { return Standing::Unknown };
        let asked = tokio::time::timeout(ANSWER_WITHIN, client.get(url).send()).await;
        match asked.map(|answer| answer.map(|answer| answer.status())) {
            Ok(Ok(StatusCode::OK)) => Standing::Traffic,
            Ok(Ok(StatusCode::SERVICE_UNAVAILABLE)) => Standing::Elsewhere,
            Ok(Ok(_)) => Standing::Unknown,
            Ok(Err(_)) | Err(_) => Standing::Silent,
        }
    }

    /// Its newest ledger, if it says so.
    async fn tip(&self, client: &reqwest::Client, token: Option<&str>) -> Option<u32> {
        let mut request = client.get(self.beside("/v1/status")?);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let asked = async {
            let mut answer = request.send().await.ok()?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.ok()? {
                body.extend_from_slice(&chunk);
                if body.len() > ANSWER_BYTES_MAX {
                    return None;
                }
            }
            let status: Value = serde_json::from_slice(&body).ok()?;
            u32::try_from(status["tip"].as_u64()?).ok()
        };
        tokio::time::timeout(ANSWER_WITHIN, asked).await.ok().flatten()
    }
}

/// How all servers stand, asked at once.
pub(crate) async fn standings(servers: &[Server], client: &reqwest::Client) -> Vec<Standing> {
    join_all(servers.iter().map(|server| server.standing(client))).await
}

/// Why another server is better than the one at `at`, of which nothing new has come for a while: it has traffic, and ledgers
/// behind `seen`. `None` if none is.
pub(crate) async fn better(
    servers: &[Server],
    at: usize,
    seen: Cursor,
    client: &reqwest::Client,
    token: Option<&str>,
) -> Option<String> {
    let others = servers.iter().enumerate().filter(|(other, _)| *other != at);
    let asked = others.map(|(_, server)| async move {
        let (standing, tip) = tokio::join!(server.standing(client), server.tip(client, token));
        let tip = tip.filter(|tip| standing == Standing::Traffic && *tip > seen.ledger.0)?;
        Some((server.name(), tip))
    });
    let (name, tip) = join_all(asked).await.into_iter().flatten().next()?;
    let behind = servers.get(at).map(Server::name).unwrap_or_default();
    Some(format!("{behind}: it is behind: nothing new comes after {seen}, and {name} has ledger {tip}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_addresses_of_a_node_stand_beside_its_feed() {
        let check = |text: &str, expect: Option<&str>| {
            let found = Server::new(text).unwrap().beside("/healthz/traffic");
            assert_eq!(found.as_ref().map(Url::as_str), expect);
        };
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/healthz/traffic"));
        check("wss://h/orrery/v1/feed", Some("https://h/orrery/healthz/traffic"));
        check("https://h/behind/a/proxy", None);
    }
}
