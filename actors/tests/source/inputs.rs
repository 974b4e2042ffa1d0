//! Files, directories, patterns and streams, alone and one after the other.

use std::fs;
use std::path::Path;

use orrery_actors::source::{
    LedgerRange, LedgerSource, ProgressUnit, SourceError, SourceErrorClass, SourceErrorKind, SourceUrl, open,
};
use orrery_schemas::LedgerSequence;

use super::made;

fn write(path: &Path, first: u32, last: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, made::framed(&made::ledgers(first, last))).unwrap();
}

/// (file, chain, sequence) of every ledger.
fn read(source: &mut dyn LedgerSource) -> Vec<(String, u32, u32)> {
    std::iter::from_fn(|| source.next_ledger())
        .map(|ledger| ledger.unwrap())
        .map(|ledger| (ledger.file.to_string(), ledger.chain, ledger.sequence.0))
        .collect()
}

fn open_all(urls: &[&str], from: &str, to: &str) -> Result<Box<dyn LedgerSource>, SourceError> {
    let bound = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let urls: Vec<SourceUrl> = urls.iter().map(|url| url.parse().unwrap()).collect();
    open(&urls, LedgerRange { from: bound(from), to: bound(to) })
}

#[test]
fn inputs_are_read_in_order_with_their_names_and_chains() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_str().unwrap();
    write(&directory.path().join("b.xdr"), 30, 31);
    write(&directory.path().join("a/z.xdr"), 20, 20);
    write(&directory.path().join("a/deeper/y.bin"), 10, 10);
    write(&directory.path().join("a/.hidden"), 90, 90);
    write(&directory.path().join("c[1].xdr"), 40, 40);
    let row = |name: &str, chain, sequence| (name.to_owned(), chain, sequence);

    let mut source = open_all(&[root], "", "").unwrap();
    assert_eq!(
        read(&mut *source),
        [
            row("a/deeper/y.bin", 0, 10),
            row("a/z.xdr", 1, 20),
            row("b.xdr", 2, 30),
            row("b.xdr", 2, 31),
            row("c[1].xdr", 3, 40),
        ]
    );

    let file = format!("{root}/b.xdr");
    let stream = format!("stream:{file}");
    let pattern = format!("{root}/*/z.*");
    let bracketed = format!("{root}/c[1].xdr");
    let mut source = open_all(&[&file, &pattern, &stream, &bracketed], "", "").unwrap();
    let matched = format!("{root}/a/z.xdr");
    assert_eq!(
        read(&mut *source),
        [
            row(&file, 0, 30),
            row(&file, 0, 31),
            row(&matched, 1, 20),
            row(&file, 2, 30),
            row(&file, 2, 31),
            row(&bracketed, 3, 40),
        ]
    );
    let bytes = |name: &str| fs::metadata(name).unwrap().len();
    let total = 2 * bytes(&file) + bytes(&matched) + bytes(&bracketed);
    let progress = source.progress();
    assert_eq!(
        (progress.unit(), progress.total(), progress.done()),
        (ProgressUnit::InputBytes, Some(total), total)
    );
    assert_eq!(source.network_passphrase(), None);
}

#[test]
fn range_leaves_out_ledgers_of_files() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("a"), 10, 20);
    write(&directory.path().join("b"), 15, 25);
    let root = directory.path().to_str().unwrap();
    let sequences = |from, to| -> Vec<u32> {
        read(&mut *open_all(&[root], from, to).unwrap()).into_iter().map(|row| row.2).collect()
    };
    assert_eq!(sequences("19", "21"), [19, 20, 19, 20, 21]);
    assert_eq!(sequences("24", "latest"), [24, 25]);
    let refused = open_all(&[root], "latest", "").err().unwrap();
    assert_eq!(refused.class(), SourceErrorClass::Usage);
}

#[test]
fn source_goes_on_with_the_next_input_after_an_error() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a"), "no ledgers at all").unwrap();
    write(&directory.path().join("b"), 15, 15);
    let mut source = open_all(&[directory.path().to_str().unwrap()], "", "").unwrap();
    let error = source.next_ledger().unwrap().unwrap_err();
    assert_eq!(&*error.file, "a");
    assert!(matches!(error.kind, SourceErrorKind::Unrecognised { .. }), "{error}");
    assert_eq!(source.next_ledger().unwrap().unwrap().sequence, LedgerSequence(15));
    assert!(source.next_ledger().is_none());
}

#[test]
fn input_that_is_not_there_is_refused_when_opened() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_str().unwrap();
    for (url, class, fragment) in [
        (format!("{root}/none.xdr"), SourceErrorClass::Unavailable, "no such file"),
        (format!("stream:{root}/none"), SourceErrorClass::Unavailable, "no such file"),
        (format!("{root}/*.xdr"), SourceErrorClass::Unavailable, "no file matches"),
        (format!("{root}/a***b"), SourceErrorClass::Usage, "not a valid pattern"),
        (root.to_owned(), SourceErrorClass::Data, "empty"),
    ] {
        let error = open_all(&[&url], "", "").err().unwrap();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(fragment), "{error}");
    }
}

#[test]
fn lakes_of_two_networks_are_not_mixed() {
    let lakes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for (lake, network) in lakes.iter().zip(["one", "two"]) {
        let config = format!(r#"{{"networkPassphrase":"{network}"}}"#);
        fs::write(lake.path().join(".config.json"), config).unwrap();
        let path = lake.path().join("FFFFFFFF--0-63999/FFFFFFFD--2.xdr.zst");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, made::batch(2, 2, 1, &made::ledgers(2, 2))).unwrap();
    }
    let [one, two] = lakes.each_ref().map(|lake| lake.path().to_str().unwrap());
    assert_eq!(open_all(&[one, one], "", "").unwrap().network_passphrase(), Some("one"));
    let error = open_all(&[one, two], "", "").err().unwrap();
    assert!(error.to_string().contains("it holds `two` and an earlier input `one`"), "{error}");
}

#[cfg(target_family = "unix")]
#[test]
fn link_that_leads_back_up_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("a/b.xdr"), 15, 15);
    std::os::unix::fs::symlink(directory.path(), directory.path().join("a/loop")).unwrap();
    std::os::unix::fs::symlink(directory.path().join("a/b.xdr"), directory.path().join("a/c.xdr")).unwrap();
    let mut source = open_all(&[directory.path().to_str().unwrap()], "", "").unwrap();
    let names: Vec<String> = read(&mut *source).into_iter().map(|row| row.0).collect();
    assert_eq!(names, ["a/b.xdr", "a/c.xdr"]);
}
