use std::fs;

use super::*;

fn read(toml: &str, flags: Vec<Flag>) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orrery.toml");
    fs::write(&file, toml).unwrap();
    Layers::read(Some(&file), flags).config().map_err(|error| error.to_string())
}

#[test]
fn later_layers_win() {
    let toml = "[node]\nname = \"a\"\nhttp = \"127.0.0.1:1\"\n[source]\nurls = [\"file:///lake\"]";
    let config = read(toml, vec![("node", "name", Value::from("b"))]).unwrap();
    assert_eq!((config.node.name.as_str(), config.node.http.as_str()), ("b", "127.0.0.1:1"));
    assert_eq!(config.source.urls, ["file:///lake"]);
    assert_eq!(config.pipeline, PipelineConfig::default());
}

#[test]
fn what_is_wrong_names_file_key_and_reason() {
    let check = |toml, expects: &[&str]| {
        let error = read(toml, Vec::new()).unwrap_err();
        for expect in expects {
            assert!(error.contains(expect), "`{toml}` does not say `{expect}`: {error}");
        }
    };
    check("[node]\nnmae = \"a\"", &["orrery.toml", "nmae", "name"]);
    check("[nodes]\nname = \"a\"", &["orrery.toml", "nodes", "node"]);
    check("[node]\nstop_within_seconds = \"soon\"", &["orrery.toml", "node.stop_within_seconds", "soon"]);
    check("[node\n", &["orrery.toml"]);
}

#[test]
fn a_missing_file_is_named() {
    let error = Layers::read(Some(Path::new("no/such/orrery.toml")), Vec::new()).config().unwrap_err();
    assert!(error.to_string().contains("no/such/orrery.toml"), "{error}");
}

#[test]
fn the_example_has_every_key_with_its_default() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops/config/orrery.example.toml");
    let layers = Layers::read(Some(&example), Vec::new());
    assert_eq!(layers.config().unwrap(), Config::default());
    let config = serde_json::to_value(Config::default()).unwrap();
    for (section, keys) in config.as_object().unwrap() {
        for key in keys.as_object().unwrap().keys() {
            let origin = layers.origin(&format!("{section}.{key}"));
            // A list of tables cannot be written down empty and gone on with: the example has one as a comment.
            if (section.as_str(), key.as_str()) == ("region", "peers") {
                continue;
            }
            assert!(
                origin.contains("orrery.example.toml"),
                "{section}.{key} is not in the example: {origin}"
            );
        }
    }
}

#[test]
fn text_may_look_like_a_number_and_a_list_may_be_one() {
    let config =
        read("[source]\nfrom = 3\nurls = \"file:///lake\"\n[pipeline]\nname = 7", Vec::new()).unwrap();
    assert_eq!((config.source.from.as_str(), config.pipeline.name.as_str()), ("3", "7"));
    assert_eq!(config.source.urls, ["file:///lake"]);
}

#[test]
fn a_variable_with_one_underscore_too_few_is_told() {
    let check = |set: &str, expect: Option<&str>| {
        assert_eq!(misspelt(&|name| name == set).map(|(_, meant)| meant).as_deref(), expect, "{set}");
    };
    check("ORRERY_DATASET_URL", Some("ORRERY_DATASET__URL"));
    check("ORRERY_NODE_DATA_DIR", Some("ORRERY_NODE__DATA_DIR"));
    check("ORRERY_DATASET__URL", None);
    check("ORRERY_PYTHON", None);
}
