//! Continuous profiling: one profile after the other, sent to a server that takes what Pyroscope takes.

use std::convert::Infallible;
use std::time::Duration;

use super::{Form, HERTZ, Profile};
use crate::shown_url::shown;
use crate::wall_clock;

/// Of one profile.
const SECONDS: u64 = 15;

/// Before another attempt when none could be taken or sent.
const PAUSE: Duration = Duration::from_secs(60);

/// For a profile to be taken by the server.
const SENT_WITHIN: Duration = Duration::from_secs(20);

/// Between the parts of what is sent. A profile in protobuf may hold any bytes, so that it is long.
const BOUNDARY: &str = "orrery-profile-5f1c2a9be07d44d6a3c8";

/// Where profiles go, and as whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pushed {
    pub(crate) server: String,
    pub(crate) node: String,
}

impl Pushed {
    /// Of a profile that began then, in milliseconds since 1970.
    fn url(&self, began: u64, ended: u64) -> String {
        let server = self.server.trim_end_matches('/');
        // Names of nodes have letters, digits and dashes; whatever else is configured must not end the query.
        let node: String =
            self.node.chars().filter(|one| one.is_ascii_alphanumeric() || *one == '-').collect();
        let (from, until) = (began / 1000, ended / 1000);
        format!(
            "{server}/ingest?name=orrery%7Bnode%3D{node}%7D&from={from}&until={until}&format=pprof&sampleRate={HERTZ}"
        )
    }
}

/// The body of a form with one file.
fn form(profile: &[u8]) -> Vec<u8> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    [head.as_bytes(), profile, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat()
}

/// Takes and sends them for ever.
pub(crate) async fn push(pushed: Pushed) -> Infallible {
    let client = reqwest::Client::new();
    let mut is_away = false;
    loop {
        let began = wall_clock::milliseconds();
        let sent = match Profile::take(SECONDS).await {
            Ok(profile) => send(&client, &pushed, began, &profile).await,
            Err(reason) => Err(reason),
        };
        match sent {
            Ok(()) => {
                if std::mem::take(&mut is_away) {
                    tracing::info!(server = shown(&pushed.server), "profiles are sent again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!(
                        error,
                        server = shown(&pushed.server),
                        "profiles are lost; see telemetry.profiles"
                    );
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn send(
    client: &reqwest::Client,
    pushed: &Pushed,
    began: u64,
    profile: &Profile,
) -> Result<(), String> {
    let request = client
        .post(pushed.url(began, wall_clock::milliseconds()))
        .timeout(SENT_WITHIN)
        .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(form(&profile.written(Form::Pprof)));
    let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
    match answer.status().is_success() {
        true => Ok(()),
        false => Err(format!("the server answers {}", answer.status())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_sent_as_a_form_whose_address_says_whose_and_when() {
        let pushed = Pushed { server: "http://p:4040/".to_owned(), node: "a&b=1".to_owned() };
        let expect =
            "http://p:4040/ingest?name=orrery%7Bnode%3Dab1%7D&from=5&until=20&format=pprof&sampleRate=99";
        assert_eq!(pushed.url(5_900, 20_100), expect);
        let body = String::from_utf8(form(b"bytes")).unwrap();
        let (head, rest) = body.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("--{BOUNDARY}\r\n")) && head.contains("name=\"profile\""));
        assert_eq!(rest, format!("bytes\r\n--{BOUNDARY}--\r\n"));
    }
}
