//! Where this region keeps what was decided about traffic: `_orrery/traffic/<generation>.json` in its dataset, created once.

use bytes::Bytes;
use orrery_actors::dataset::{Put, Store};
use orrery_actors::region::report::Decision;

/// Folder in the dataset.
const FOLDER: &str = "_orrery/traffic/";

/// A decision has some hundred bytes.
const DECISION_BYTES_MAX: u64 = 4096;

/// The newest decision that is kept, if any is.
///
/// # Errors
///
/// The store does not say.
pub(super) async fn newest(dataset: &Store) -> Result<Option<Decision>, String> {
    let listed = dataset.list(FOLDER).await.map_err(|error| error.to_string())?;
    match listed.iter().filter_map(|object| generation(&object.name)).max() {
        Some(generation) => read(dataset, generation).await,
        None => Ok(None),
    }
}

/// Keeps a decision. Gives what is kept of its generation: another one may have been first.
///
/// # Errors
///
/// It is not known to be kept; to keep it again is safe.
pub(super) async fn keep(dataset: &Store, decision: &Decision) -> Result<Decision, String> {
    let bytes = serde_json::to_vec(decision).map_err(|error| error.to_string())?;
    let put = dataset.put_create(&path(decision.generation), Bytes::from(bytes)).await;
    match put.map_err(|error| error.to_string())? {
        Put::Created => Ok(decision.clone()),
        Put::Exists | Put::Unknown => {
            let kept = read(dataset, decision.generation).await?;
            kept.ok_or_else(|| "the store gives no clear answer".to_owned())
        }
    }
}

async fn read(dataset: &Store, generation: u64) -> Result<Option<Decision>, String> {
    let path = path(generation);
    let bytes = dataset.read(&path, DECISION_BYTES_MAX).await.map_err(|error| error.to_string())?;
    let Some(bytes) = bytes else { return Ok(None) };
    let decision: Decision =
        serde_json::from_slice(&bytes).map_err(|error| format!("{path}: not a decision: {error}"))?;
    match decision.generation == generation {
        true => Ok(Some(decision)),
        false => Err(format!("{path}: it says generation {}", decision.generation)),
    }
}

fn path(generation: u64) -> String {
    format!("{FOLDER}{generation:020}.json")
}

fn generation(name: &str) -> Option<u64> {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use orrery_actors::dataset::{DatasetUrl, Retry};

    use super::*;

    fn decision(generation: u64, by: &str) -> Decision {
        Decision { generation, to: None, forced: false, by: by.to_owned(), reason: String::new() }
    }

    #[tokio::test]
    async fn the_first_decision_of_a_generation_is_kept_and_the_newest_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let url: DatasetUrl = format!("file://{}", folder.path().display()).parse().unwrap();
        let store = Store::connect(&url, &|_| None, Retry::new(1).unwrap()).unwrap();
        assert_eq!(newest(&store).await, Ok(None));
        let kept = async |generation, by| keep(&store, &decision(generation, by)).await.unwrap();
        assert_eq!(kept(1, "a").await, decision(1, "a"));
        assert_eq!(kept(1, "b").await, decision(1, "a"));
        assert_eq!(kept(12, "c").await, decision(12, "c"));
        assert_eq!(kept(3, "d").await, decision(3, "d"));
        assert_eq!(newest(&store).await, Ok(Some(decision(12, "c"))));
    }
}
