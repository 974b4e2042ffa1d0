//! What is served over TLS by a private authority's certificate, to whom it trusts.

use crate::process::{Home, Node};

const LEDGERS: u32 = 60;

/// A node whose feed is served over TLS to who has a token; its URL, a token, and the authority's certificate.
fn served(home: &Home) -> (Node, String, String, String) {
    let made = home.run(&["token", "reader", "--role", "viewer", "--output", "json"]).expect(0, "").json();
    let tokens = format!("[{}]", made["configuration"]);
    let authority = home.path("ca").display().to_string();
    home.run(&["certs", "init", "--dir", &authority, "--cluster", "test"]).expect(0, "");
    home.run(&["certs", "issue", "localhost", "--dir", &authority]).expect(0, "");
    let of = |name: &str| home.path("ca").join("localhost").join(name).display().to_string();
    let (chain, key) = (of("node.pem"), of("node.key"));
    let variables = [
        ("ORRERY_HTTP__ANONYMOUS", "nobody"),
        ("ORRERY_HTTP__TOKENS", &*tokens),
        ("ORRERY_HTTP__TLS_CERTIFICATE", &*chain),
        ("ORRERY_HTTP__TLS_KEY", &*key),
    ];
    let source = format!("synthetic:?ledgers={LEDGERS}&density=sparse");
    let more = ["--from", "genesis", "--grid", "2:8"];
    let mut node = home.follow(&source, &home.url("dataset"), &more, &variables);
    let http = node.http();
    let port = http.rsplit(':').next().unwrap();
    // A certificate is for the name that it is issued for.
    let url = format!("https://localhost:{port}");
    (node, url, made["token"].as_str().unwrap().to_owned(), of("ca.pem"))
}

#[test]
fn tail_reads_over_tls_whom_it_is_told_to_trust_and_nobody_else() {
    let home = Home::new();
    let (_node, url, token, authority) = served(&home);
    let last = (LEDGERS + 1).to_string();
    let reads = ["--output", "json", "tail", "--url", &url, "--from", "oldest", "--to", &last];
    let trusting = [&reads[..], &["--ca", &authority, "--patience-seconds", "120"]].concat();
    let ended = home.run_with(&trusting, &[("ORRERY_TOKEN", &token)]).expect(0, "");
    let source = format!("synthetic:?ledgers={LEDGERS}&density=sparse");
    let expected = home.run(&["events", &source, "--format", "jsonl"]).expect(0, "");
    assert!(ended.stdout() == expected.stdout(), "{}", ended.stderr());

    // Who trusts only the system's authorities, who says nothing of itself, who names no certificates.
    let patience = ["--patience-seconds", "1"];
    let strange = [&reads[..], &patience].concat();
    home.run_with(&strange, &[("ORRERY_TOKEN", &token)]).expect(69, "certificate");
    home.run(&trusting).expect(2, "401");
    let other = home.path("nothing.pem").display().to_string();
    home.run(&[&reads[..], &["--ca", &other]].concat()).expect(2, "nothing.pem");
    // Nor is it read in clear where TLS is spoken.
    let clear = url.replace("https", "http");
    let arguments = ["tail", "--url", &clear, "--ca", &authority, "--patience-seconds", "1"];
    assert_eq!(home.run_with(&arguments, &[("ORRERY_TOKEN", &token)]).expect(69, "").stdout(), "");
}
