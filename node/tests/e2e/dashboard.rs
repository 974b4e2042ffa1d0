//! The page in a browser: against answers that are made up, and against a node whose actors are killed.
//!
//! The tests themselves are in `node/tests/dashboard`, in Python, because that is what drives a browser. They need Chromium
//! (`ORRERY_CHROMIUM`, else one in the path) and, in the interpreter of `ORRERY_PYTHON`, playwright, pytest and websockets.
//! Without them they are skipped, unless `ORRERY_REQUIRE_BROWSER` is set.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::process::Home;

const MODULES: &str = "playwright, pytest, websockets";
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// What the tests are run with.
struct Browser {
    python: String,
    program: PathBuf,
}

impl Browser {
    /// `None`, after saying so, where something is missing and need not be there.
    fn find() -> Option<Self> {
        let python = env::var("ORRERY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let imports = Command::new(&python).args(["-c", &format!("import {MODULES}")]).output();
        let has_modules = imports.as_ref().is_ok_and(|output| output.status.success());
        match chromium() {
            Some(program) if has_modules => Some(Self { python, program }),
            program => {
                let required = env::var("ORRERY_REQUIRE_BROWSER").unwrap_or_default();
                assert_eq!(required, "", "no browser to try the page in: {program:?}, {python}: {imports:?}");
                eprintln!("skipped: needs Chromium, and {MODULES} in {python} (set ORRERY_PYTHON)");
                None
            }
        }
    }

    /// Runs the tests of a file, or with `""` of all files, and checks that some ran and all passed.
    fn pass(&self, file: &str, variables: &[(&str, &OsStr)]) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard").join(file);
        let mut command = Command::new(&self.python);
        command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).arg(folder);
        command.env("ORRERY_CHROMIUM", &self.program).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let closing = said.lines().last().unwrap_or_default();
        assert!(closing.contains(" passed"), "{said}");
        eprintln!("{closing}");
    }
}

/// A Chromium of this machine.
fn chromium() -> Option<PathBuf> {
    let named = env::var_os("ORRERY_CHROMIUM").map(PathBuf::from);
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let mut found = folders.iter().flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
    named.or_else(|| found.find(|program| program.is_file()))
}

#[test]
fn the_page_does_what_it_should_with_whatever_a_node_answers() {
    let Some(browser) = Browser::find() else { return };
    browser.pass("", &[]);
}

#[test]
fn the_page_follows_a_node_that_asks_for_a_token() {
    let Some(browser) = Browser::find() else { return };
    let home = Home::new();
    let made = home.run(&["token", "page", "--role", "viewer", "--output", "json"]).expect(0, "").json();
    let tokens = format!("[{}]", made["configuration"]);
    let settings = [("ORRERY_HTTP__TOKENS", &*tokens), ("ORRERY_HTTP__ANONYMOUS", "nobody")];
    let more = ["--from", "2", "--grid", "2:4"];
    let mut node = home.follow("synthetic:?rate=2&density=sparse", &home.url("dataset"), &more, &settings);
    let (url, token) = (format!("http://{}/", node.http()), made["token"].as_str().unwrap());
    browser.pass("signed_in.py", &[("ORRERY_URL", OsStr::new(&url)), ("ORRERY_TOKEN", OsStr::new(token))]);
}

#[test]
fn the_page_shows_a_node_as_it_is_while_its_actors_are_killed() {
    let Some(browser) = Browser::find() else { return };
    let home = Home::new();
    let dataset = home.url("dataset");
    let more = ["--name", "demo", "--from", "2", "--grid", "2:4"];
    let mut node = home.follow("synthetic:?rate=2&density=sparse", &dataset, &more, &[]);
    let url = format!("http://{}/", node.http());
    let state = home.path("state");
    browser.pass("live.py", &[("ORRERY_URL", OsStr::new(&url)), ("ORRERY_STATE", state.as_os_str())]);
}
