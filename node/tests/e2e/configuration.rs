//! What holds, where it comes from, and what is wrong with it.

use std::fs;

use crate::process::Home;

#[test]
fn every_value_has_an_origin_and_later_ones_win() {
    let home = Home::new();
    let file = home.path("orrery.toml");
    let toml = "[node]\nname = \"of the file\"\n[source]\nurls = [\"synthetic:\"]\n[pipeline]\nworkers = 3\n";
    fs::write(&file, toml).unwrap();
    let arguments =
        ["config", "print", "-c", file.to_str().unwrap(), "--dataset", "file:///rows", "--workers", "2"];
    let variables =
        [("ORRERY_PIPELINE__WORKERS", "7"), ("ORRERY_TELEMETRY__LOG", "warn"), ("ORRERY_HOME", "x")];
    let printed = home.run_with(&arguments, &variables).expect(0, "");
    let check = |line: &str| assert!(printed.stdout().contains(line), "no `{line}`:\n{}", printed.stdout());
    check(&format!("name = \"of the file\"  # {}", file.display()));
    check("url = \"file:///rows\"  # command line");
    check("workers = 2  # command line");
    check("log = \"warn\"  # ORRERY_TELEMETRY__LOG");
    check("mode = \"auto\"  # default");
    // What is printed is a configuration.
    let again = home.path("printed.toml");
    fs::write(&again, printed.stdout()).unwrap();
    home.run(&["config", "check", "-c", again.to_str().unwrap()]).expect(0, "ok");
    let json = home.run(&["config", "print", "--output", "json"]).expect(0, "").json();
    assert_eq!(json["pipeline"]["name"], "main");
}

#[test]
fn what_is_wrong_with_a_configuration_names_key_value_and_place() {
    let home = Home::new();
    let file = home.path("orrery.toml");
    let check = |toml: &str, variables: &[(&str, &str)], says: &[&str]| {
        fs::write(&file, toml).unwrap();
        for command in [&["config", "check"][..], &["run"], &["backfill"]] {
            let state = home.state();
            let place = ["-c", file.to_str().unwrap(), &state[0], &state[1]];
            let ended = home.run_with(&[command, &place].concat(), variables).expect(78, "");
            for says in says {
                assert!(
                    ended.stderr().contains(says),
                    "{command:?} does not say `{says}`: {}",
                    ended.stderr()
                );
            }
        }
        assert!(!home.path("state").exists(), "nothing is touched");
    };
    let sound = "[source]\nurls = [\"synthetic:\"]\n[dataset]\nurl = \"file:///rows\"\n";
    check("[node]\nnmae = \"x\"\n", &[], &["orrery.toml", "nmae", "name"]);
    check("[nodes]\n", &[], &["orrery.toml", "nodes"]);
    check("[node\n", &[], &["orrery.toml"]);
    check(sound, &[("ORRERY_NODE__NMAE", "x")], &["nmae", "environment"]);
    check(sound, &[("ORRERY_NODE__STOP_WITHIN_SECONDS", "soon")], &["stop_within_seconds", "soon"]);
    check("", &[], &["source.urls", "--source"]);
    check("[source]\nurls = [\"synthetic:\"]\n", &[], &["dataset.url", "--dataset"]);
    check(&sound.replace("synthetic:", "ftp://x"), &[], &["source.urls", "ftp"]);
    check(&format!("{sound}grid = [\"2:0\"]\n"), &[], &["dataset.grid"]);
    check(&format!("{sound}[pipeline]\nmode = \"both\"\n"), &[], &["pipeline.mode", "both"]);
    check(&format!("{sound}[pipeline]\nprefetch_mib = 1\n"), &[], &["pipeline.prefetch_mib", "`1`"]);
    check(&format!("{sound}[node]\nhttp = \"9464\"\n"), &[], &["node.http"]);
    check(&format!("{sound}[telemetry]\nlog = \"a=b=c\"\n"), &[], &["telemetry.log", "a=b=c"]);
    check(&format!("{sound}[telemetry]\nlog_format = \"xml\"\n"), &[], &["telemetry.log_format", "xml"]);
}

#[test]
fn a_dataset_that_was_made_otherwise_is_not_gone_on_with() {
    let home = Home::new();
    let dataset = home.url("dataset");
    let source = "synthetic:?ledgers=20&density=sparse";
    home.backfill(source, &dataset, &["--from", "5", "--to", "20", "--grid", "2:4"]).expect(0, "complete");
    home.backfill(source, &dataset, &["--from", "6", "--to", "21"]).expect(78, "begins with ledger 5");
    home.backfill(source, &dataset, &["--grid", "2:8", "--to", "21"]).expect(78, "grid");
    home.backfill(source, &dataset, &["--network", "pubnet", "--to", "21"]).expect(78, "the source says");
    home.backfill(source, &dataset, &["--to", "90"]).expect(65, "lacks this ledger");
    home.backfill(source, &dataset, &["--to", "21"]).expect(0, "complete");
}
