//! URLs as logs and errors may show them. Providers put keys into user names, paths and options: host and port are enough to
//! know which server is meant.

/// Scheme, host and port of a URL, and that there was more.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, authority, rest)) = parts(url) else { return "(not a URL)".to_owned() };
    // A password that is not encoded may have a slash, and what is before it would be taken for a host.
    if rest.contains('@') {
        return "(not a URL)".to_owned();
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let more = if rest.trim_matches('/').is_empty() { "" } else { "/..." };
    format!("{scheme}://{host}{more}")
}

/// What somebody else says of a URL, without what [`shown`] leaves out.
pub(crate) fn hide(text: &str, url: &str) -> String {
    let Some((_, authority, rest)) = parts(url) else { return text.to_owned() };
    let credentials = authority.rsplit_once('@').map_or("", |(credentials, _)| credentials);
    let (path, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let secrets = [credentials, rest.trim_matches('/'), path.trim_matches('/'), query];
    // A part of one letter is no secret, and would be found in every word.
    let secrets = secrets.into_iter().filter(|secret| secret.len() > 1);
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "..."))
}

/// Scheme, authority, and all that follows.
fn parts(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    Some((scheme, authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_shown_and_nothing_else() {
        let check = |url, expect| assert_eq!(shown(url), expect, "{url}");
        check("http://127.0.0.1:4318", "http://127.0.0.1:4318");
        check("http://127.0.0.1:4318/", "http://127.0.0.1:4318");
        check("https://user:s3cret@host/", "https://host");
        check("https://host/s3cret/", "https://host/...");
        check("https://host?key=s3cret", "https://host/...");
        check("s3cret", "(not a URL)");
        check("https://user:s3/cret@host/x", "(not a URL)");
    }

    #[test]
    fn errors_of_others_are_shown_without_secrets() {
        let check = |url, text, expect| assert_eq!(hide(text, url), expect, "{url}");
        let failed = "error sending request for url (http://host:1/s3cret/v1/traces)";
        check("http://host:1/s3cret/", failed, "error sending request for url (http://host:1/.../v1/traces)");
        check("http://a:s3cret@host", "cannot use http://a:s3cret@host", "cannot use http://...@host");
        check("http://host/?key=s3cret", "(http://host/?key=s3cret&x)", "(http://host/...&x)");
        check("http://host", "no route to host", "no route to host");
        check("http://host/v?key=s3cret", "(http://host/v/?key=s3cret)", "(http://host/v/?...)");
    }
}
