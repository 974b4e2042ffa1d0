//! Lists of objects and deletions of many as S3 says and reads them. Pure: names in, XML out, and the other way round.

use std::collections::BTreeSet;

/// What every answer bears, for nobody's result depends on a clock.
pub(super) const LAST_MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const LISTED_MODIFIED: &str = "2024-01-01T00:00:00.000Z";

/// What `ListObjectsV2` asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Query<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
    pub(super) delimiter: &'a str,
    /// Names after this one.
    pub(super) after: &'a str,
    pub(super) keys_max: usize,
}

/// A page of `keys`, which begin with the prefix and are in order.
pub(super) fn page(query: &Query<'_>, keys: &[(String, u64)]) -> String {
    let (mut contents, mut folders) = (String::new(), BTreeSet::new());
    let (mut count, mut last) = (0, None);
    let mut is_truncated = false;
    for (key, bytes) in keys {
        let rest = key.strip_prefix(query.prefix).unwrap_or(key);
        let at = (!query.delimiter.is_empty()).then(|| rest.find(query.delimiter)).flatten();
        let name = at.map(|at| format!("{}{}", query.prefix, &rest[..at + query.delimiter.len()]));
        let place = name.as_deref().unwrap_or(key);
        if place <= query.after || folders.contains(place) {
            continue;
        }
        if count == query.keys_max {
            is_truncated = true;
            break;
        }
        count += 1;
        last = Some(place.to_owned());
        match name {
            Some(name) => drop(folders.insert(name)),
            None => contents.push_str(&format!(
                "<Contents><Key>{}</Key><LastModified>{LISTED_MODIFIED}</LastModified><ETag>\"listed\"</ETag>\
                 <Size>{bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                escaped(key)
            )),
        }
    }
    let folders: String = folders
        .iter()
        .map(|name| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(name)))
        .collect();
    let token = last.filter(|_| is_truncated);
    let token =
        token.map(|last| format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(&last)));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>{}</Name><Prefix>{}</Prefix>\
         <KeyCount>{count}</KeyCount><MaxKeys>{}</MaxKeys><IsTruncated>{is_truncated}</IsTruncated>{}{contents}{folders}\
         </ListBucketResult>",
        escaped(query.bucket),
        escaped(query.prefix),
        query.keys_max,
        token.unwrap_or_default()
    )
}

/// Names in the body of `DeleteObjects`.
pub(super) fn deleted(body: &str) -> Vec<String> {
    let names = body.split("<Key>").skip(1);
    names.filter_map(|rest| rest.split_once("</Key>")).map(|(name, _)| unescaped(name)).collect()
}

/// That all of them are gone.
pub(super) fn deletion(names: &[String]) -> String {
    let gone: String =
        names.iter().map(|name| format!("<Deleted><Key>{}</Key></Deleted>", escaped(name))).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><DeleteResult>{gone}</DeleteResult>")
}

/// An error as S3 says it.
pub(super) fn error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_so_many_names_and_say_where_the_next_begins() {
        let keys: Vec<_> = ["a", "b/1", "b/2", "c"].iter().map(|key| ((*key).to_owned(), 1)).collect();
        let check = |delimiter: &str, after: &str, keys_max: usize, has: &[&str], lacks: &[&str]| {
            let page = page(&Query { bucket: "x", delimiter, after, keys_max, ..Query::default() }, &keys);
            for text in has {
                assert!(page.contains(text), "no `{text}`: {page}");
            }
            for text in lacks {
                assert!(!page.contains(text), "`{text}`: {page}");
            }
        };
        check("", "", 9, &["<Key>a<", "<Key>b/2<", "<IsTruncated>false"], &["CommonPrefixes"]);
        check("/", "", 9, &["<Key>a<", "<Prefix>b/<", "<Key>c<"], &["b/1"]);
        check("/", "", 2, &["<Prefix>b/<", "<NextContinuationToken>b/<", "<IsTruncated>true"], &["<Key>c<"]);
        check("/", "b/", 2, &["<Key>c<", "<IsTruncated>false"], &["<Prefix>b/<", "<Key>a<"]);
    }

    #[test]
    fn names_survive_xml() {
        let names =
            deleted("<Delete><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key></Object></Delete>");
        assert_eq!(names, ["a&b", "c"]);
        assert!(deletion(&names).contains("<Key>a&amp;b</Key>"));
    }
}
