//! The node that a command is about: one that runs is asked, the state of one that does not is opened.

use std::path::{Path, PathBuf};

use figment::value::Value as Setting;
use orrery_actors::checkpoint::NodeState;
use serde_json::Value;

use crate::cli::DataDirArgs;
use crate::config::Layers;
use crate::control::{self, Request};
use crate::exit::Failure;
use crate::runner;
use crate::threads;

/// A node, as its configuration and the command line tell of it.
pub(crate) struct Asked {
    data_dir: PathBuf,
    /// Name of its pipeline, and whether somebody said so.
    pipeline: (String, bool),
}

impl Asked {
    /// Reads the configuration; asks nothing yet.
    pub(crate) fn new(args: &DataDirArgs) -> Result<Self, Failure> {
        let data_dir = args.data_dir.as_ref().map(|path| path.to_string_lossy());
        let flags = data_dir.map(|path| ("node", "data_dir", Setting::from(&*path)));
        let layers = Layers::read(args.config.as_deref(), flags.into_iter().collect());
        let config = layers.config()?;
        let is_said = layers.origin("pipeline.name") != "default";
        Ok(Self { data_dir: config.node.data_dir, pipeline: (config.pipeline.name, is_said) })
    }

    /// Where the node keeps its state.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The pipeline that is meant if none is named.
    pub(crate) fn pipeline(&self) -> &str {
        &self.pipeline.0
    }

    /// What the node answers, or what `stopped` does with the state of one that does not run.
    pub(crate) fn answer(
        &self,
        request: &Request,
        stopped: impl FnOnce(&NodeState) -> Result<Value, Failure>,
    ) -> Result<Value, Failure> {
        match self.ask(request)? {
            Some(answer) => Ok(answer),
            None => stopped(&runner::existing_state(&self.data_dir)?),
        }
    }

    /// What the node answers; `None` if none runs.
    pub(crate) fn ask(&self, request: &Request) -> Result<Option<Value>, Failure> {
        threads::runtime()?.block_on(control::ask(&self.data_dir, request))
    }

    /// That a node which does not run has `pipeline`: it had in its last run, or the configuration says that it will.
    pub(crate) fn check_known(&self, state: &NodeState, pipeline: &str) -> Result<(), Failure> {
        let mut known = state.parked.pipelines()?;
        let (name, is_said) = &self.pipeline;
        if (*is_said || known.is_empty()) && !known.contains(name) {
            known.push(name.clone());
        }
        match known.iter().any(|known| known == pipeline) {
            true => Ok(()),
            false => Err(Failure::CheckFailed(format!(
                "no pipeline `{pipeline}` here; this node has `{}`",
                known.join("`, `")
            ))),
        }
    }
}
