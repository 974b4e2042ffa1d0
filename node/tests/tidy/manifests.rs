//! Which crate may depend on which: read from `cargo metadata`, so that renamed and target-specific dependencies count.

use std::process::Command;

use serde_json::Value;

use crate::workspace::{files, root};

/// Members, and which of the others each may depend on, in any way.
const MEMBERS: [(&str, &[&str]); 5] = [
    ("orrery-schemas", &[]),
    ("orrery-supervisor", &[]),
    ("orrery-actors", &["orrery-schemas", "orrery-supervisor"]),
    ("orrery-node", &["orrery-schemas", "orrery-supervisor", "orrery-actors"]),
    ("orrery-chaos", &["orrery-schemas", "orrery-supervisor", "orrery-actors", "orrery-node"]),
];

/// Crates that only some members may link; their tests may use them all the same.
const OWNED: [(&str, &[&str]); 7] = [
    ("stellar-xdr", &["orrery-actors"]),
    ("parquet", &["orrery-actors"]),
    ("sled", &["orrery-actors"]),
    ("warp", &["orrery-node"]),
    ("clap", &["orrery-node", "orrery-chaos"]),
    ("arrow", &["orrery-schemas", "orrery-actors", "orrery-node"]),
    ("ractor", &["orrery-supervisor", "orrery-actors", "orrery-node"]),
];

struct Dependency {
    of: String,
    on: String,
    /// Not for tests or the build alone.
    is_linked: bool,
}

fn complaint(dependency: &Dependency) -> Option<String> {
    let Dependency { of, on, is_linked } = dependency;
    let Some((_, allowed)) = MEMBERS.iter().find(|(member, _)| member == of) else {
        return Some(format!("{of} is not in the table of members"));
    };
    if on.starts_with("orrery-") && !allowed.contains(&on.as_str()) {
        return Some(format!("{of} may not depend on {on}"));
    }
    let (_, owners) = OWNED.iter().find(|(owned, _)| owned == on)?;
    (*is_linked && !owners.contains(&of.as_str()))
        .then(|| format!("{of} may not link {on}, which belongs to {}", owners.join(", ")))
}

fn dependencies() -> Vec<Dependency> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut dependencies = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let (of, on) = (text(&package["name"]), text(&dependency["name"]));
            dependencies.push(Dependency { of, on, is_linked: dependency["kind"].is_null() });
        }
    }
    dependencies
}

/// Versions, editions and lints come from the root, so that there is one of each.
fn manifest_complaints(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if section.ends_with("dependencies")
            && line.contains('=')
            && !line.contains("workspace = true")
        {
            complaints
                .push(format!("{path}:{}: `{line}`: give the version in the root's Cargo.toml", index + 1));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        complaints.push(format!("{path}: takes no lints from the workspace"));
    }
    complaints
}

#[test]
fn members_depend_on_each_other_as_the_table_says() {
    let dependencies = dependencies();
    assert!(dependencies.len() > 20, "cargo metadata lists the members' dependencies");
    crate::none(dependencies.iter().filter_map(complaint).collect());
}

#[test]
fn manifests_take_versions_and_lints_from_the_root() {
    let members = MEMBERS.map(|(name, _)| format!("{}/Cargo.toml", name.trim_start_matches("orrery-")));
    let manifests: Vec<_> = files().into_iter().filter(|file| members.contains(&file.path)).collect();
    assert_eq!(manifests.len(), members.len());
    crate::none(manifests.iter().flat_map(|file| manifest_complaints(&file.path, &file.text)).collect());
}

#[test]
fn dependency_rules_find_what_breaks_them() {
    let check = |of: &str, on: &str, is_linked: bool, expect: &str| {
        let found =
            complaint(&Dependency { of: of.to_owned(), on: on.to_owned(), is_linked }).unwrap_or_default();
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{of}, {on}: `{found}`"
        );
    };
    check("orrery-schemas", "orrery-supervisor", true, "may not depend on");
    check("orrery-supervisor", "orrery-schemas", false, "may not depend on");
    check("orrery-actors", "orrery-node", false, "may not depend on");
    check("orrery-node", "orrery-chaos", false, "may not depend on");
    check("orrery-actors", "orrery-schemas", true, "");
    check("orrery-sixth", "serde", true, "not in the table");
    check("orrery-schemas", "stellar-xdr", true, "may not link");
    check("orrery-node", "sled", true, "may not link");
    check("orrery-actors", "warp", true, "may not link");
    check("orrery-actors", "clap", true, "may not link");
    check("orrery-node", "parquet", false, "");
    check("orrery-schemas", "serde", true, "");

    let check = |text: &str, expect: &str| {
        let found = manifest_complaints("x/Cargo.toml", text).join("\n");
        assert!(
            if expect.is_empty() { found.is_empty() } else { found.contains(expect) },
            "{text}: `{found}`"
        );
    };
    check("[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n", "");
    check("[lints]\nworkspace = true\n[dev-dependencies]\nserde = \"1\"\n", "x/Cargo.toml:4");
    check("[dependencies]\nserde.workspace = true\n", "takes no lints");
}
