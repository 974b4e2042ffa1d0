//! Programs that judge what is in `ops/monitoring`, and its files.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Below `ops/`.
pub(crate) fn ops(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").join(path)
}

pub(crate) fn read(path: &str) -> String {
    let path = ops(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files of a folder with this ending, in the order of their names.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(ops(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> =
        names.filter(|name| name.ends_with(ending)).map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

/// A program that a variable names, or that is installed. `None`, said, if it is neither; where a variable names it, it must be there.
pub(crate) fn program(variable: &str, name: &str) -> Option<Command> {
    if let Some(path) = std::env::var_os(variable) {
        assert!(Path::new(&path).is_file(), "{variable}: {path:?} is no file");
        return Some(Command::new(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file()) {
        Some(path) => Some(Command::new(path)),
        None => {
            eprintln!("skipped: no {name}; name it in {variable}");
            None
        }
    }
}

/// Runs it to its end, which is 0; gives what it says.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}
