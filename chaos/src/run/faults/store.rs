//! Faults of the object store that the dataset is in: a server of our own ([`S3Stub`]) that misbehaves while the node works.

use std::fs;
use std::time::Duration;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::run::fault::Fault;
use crate::run::setup::{Ending, Setup};
use crate::run::world::World;
use crate::stubs::s3::{S3Stub, StoreFault};

/// Who may write.
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// Requests that a fault befalls before it counts as done.
const BEFALLEN_MIN: u64 = 3;

/// How long a request is met with silence, and how late one is done: long enough for several commits between.
const SILENCE: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(4);

/// Time for a node that is refused to end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Puts the dataset on a server in the world's folder.
pub(super) fn on_server(setup: &mut Setup) -> Result<S3Stub, ExperimentError> {
    let folder = setup.folder.join("store");
    let stub = S3Stub::start(&folder, "orrery").map_err(ExperimentError::io("serve", &folder))?;
    setup.dataset_url = Some(stub.url("set"));
    setup.dataset = stub.files("set");
    for (name, value) in KEYS {
        setup.set(name, value);
    }
    Ok(stub)
}

/// O1 to O7 and O10: requests go wrong, and the node gets along.
#[derive(Debug)]
pub(in crate::run) struct Misbehaves {
    fault: StoreFault,
    /// Every so many-th request that it can befall.
    every: u64,
    stub: Option<S3Stub>,
}

impl Misbehaves {
    const fn new(fault: StoreFault, every: u64) -> Self {
        Self { fault, every, stub: None }
    }

    /// O1.
    pub(in crate::run) const fn throttles() -> Self {
        Self::new(StoreFault::Throttles, 2)
    }

    /// O1, all the time.
    pub(in crate::run) const fn is_down() -> Self {
        Self::new(StoreFault::Throttles, 1)
    }

    /// O2.
    pub(in crate::run) const fn times_out() -> Self {
        Self::new(StoreFault::SilentBefore(SILENCE), 3)
    }

    /// O3.
    pub(in crate::run) const fn loses_answers() -> Self {
        Self::new(StoreFault::AnswerLost, 1)
    }

    /// O4.
    pub(in crate::run) const fn conflicts() -> Self {
        Self::new(StoreFault::Conflicts, 2)
    }

    /// O5.
    pub(in crate::run) const fn applies_late() -> Self {
        Self::new(StoreFault::AppliesLate(LATE), 2)
    }

    /// O7.
    pub(in crate::run) const fn gives_bad_bodies() -> Self {
        Self::new(StoreFault::BadBodies, 2)
    }

    /// O10.
    pub(in crate::run) const fn denies() -> Self {
        Self::new(StoreFault::Denies, 1)
    }
}

impl Fault for Misbehaves {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        self.stub = Some(on_server(setup)?);
        Ok(())
    }

    fn inject(&mut self, _: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.stub.iter().for_each(|stub| stub.set(self.fault, self.every));
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let counts = self.stub.as_ref()?.counts();
        let is_late = matches!(self.fault, StoreFault::AppliesLate(_));
        let (count, what) = match is_late {
            true => (counts.late, "puts were done after their sender had given up"),
            false => (counts.befallen, "requests went wrong at the store"),
        };
        (count >= BEFALLEN_MIN).then(|| format!("{count} {what}"))
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.stub.iter().for_each(S3Stub::heal);
        Ok(())
    }

    fn clean_up(&mut self) {
        self.stub = None;
    }
}

/// O6: lists are stale and incomplete from before the node starts again, since it lists where it looks for its end.
#[derive(Debug, Default)]
pub(in crate::run) struct ListsTooLittle {
    stub: Option<S3Stub>,
}

impl Fault for ListsTooLittle {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        self.stub = Some(on_server(setup)?);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.stub.iter().for_each(|stub| stub.set(StoreFault::StaleLists, 1));
        world.pass(SILENCE)?;
        world.kill()?;
        world.start()
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let stub = self.stub.as_ref()?;
        let counts = stub.counts();
        if counts.befallen > 0 {
            return Some(format!("{} lists lacked objects", counts.befallen));
        }
        // A node that asks for no list cannot be misled by one; that the server would mislead is shown by asking it.
        let is_started = world.status("/readyz") == Some(200);
        if is_started && stub.ask("GET", "/orrery?list-type=2&prefix=set/", b"").is_some() {
            let befallen = stub.counts().befallen;
            return (befallen > 0)
                .then(|| "a list lacked objects; the node, started again, asked for none".to_owned());
        }
        None
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.stub.iter().for_each(S3Stub::heal);
        Ok(())
    }

    fn clean_up(&mut self) {
        self.stub = None;
    }
}

/// O9: somebody begins an upload in parts under the name of the next slot and abandons it, and completes one of a data file
/// twice.
#[derive(Debug, Default)]
pub(in crate::run) struct Uploads {
    stub: Option<S3Stub>,
    completed: Vec<u16>,
}

impl Uploads {
    fn upload(&self, key: &str, bytes: &[u8]) -> Option<String> {
        let stub = self.stub.as_ref()?;
        let (_, body) = stub.ask("POST", &format!("/orrery/set/{key}?uploads"), b"")?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let upload = text.split_once("<UploadId>")?.1.split_once('<')?.0.to_owned();
        let part = format!("/orrery/set/{key}?partNumber=1&uploadId={upload}");
        stub.ask("PUT", &part, bytes)?;
        Some(format!("/orrery/set/{key}?uploadId={upload}"))
    }
}

impl Fault for Uploads {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        self.stub = Some(on_server(setup)?);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, random: &mut Random) -> Result<(), ExperimentError> {
        for table in crate::judges::dataset::TABLES {
            let slots = world.committed() / world.setup.slot_ledgers;
            for slot in slots + 1..slots + 20 {
                self.upload(&format!("{table}/_delta_log/{slot:020}.json"), b"{\"abandoned\":true}");
            }
        }
        let Some((name, bytes)) = super::stored::some_data_file(&world.setup.dataset, random) else {
            return Ok(());
        };
        let (Some(path), Some(stub)) = (self.upload(&name, &bytes), &self.stub) else { return Ok(()) };
        for _ in 0..2 {
            let answer = stub.ask("POST", &path, b"<CompleteMultipartUpload/>");
            self.completed.extend(answer.map(|(status, _)| status));
        }
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let uploads = self.stub.as_ref()?.uploads();
        (uploads > 0 && self.completed == [200, 404])
            .then(|| format!("{uploads} uploads are abandoned, and one was completed twice"))
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        Ok(())
    }

    fn clean_up(&mut self) {
        self.stub = None;
    }
}

/// O11: a store that ignores put-if-absent is refused with exit code 78 before anything is written; when it is mended, the
/// node starts.
#[derive(Debug, Default)]
pub(in crate::run) struct IgnoresConditions {
    stub: Option<S3Stub>,
    problems: Vec<String>,
}

impl Fault for IgnoresConditions {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        let stub = on_server(setup)?;
        stub.set(StoreFault::IgnoresConditions, 1);
        self.stub = Some(stub);
        setup.ending = Ending::AsFaultSays;
        setup.holds = Duration::ZERO;
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        world.start()?;
        match world.end(ENDS_WITHIN)? {
            Some(ended) if ended.status.code() == Some(78) => {}
            ended => self.problems.push(format!("not refused with exit code 78: {ended:?}")),
        }
        if world.said(&["does not honour put-if-absent"]).is_none() {
            self.problems.push("it does not say that the store ignores put-if-absent".to_owned());
        }
        let written = fs::read_dir(&world.setup.dataset).into_iter().flatten().flatten();
        let others: Vec<_> = written
            .map(|entry| entry.file_name())
            .filter(|name| name.as_encoded_bytes() != b"_orrery")
            .collect();
        if !others.is_empty() {
            self.problems.push(format!("written all the same: {others:?}"));
        }
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let replaced = self.stub.as_ref()?.counts().replaced;
        (replaced > 0).then(|| format!("{replaced} objects were replaced against their condition"))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        self.stub.iter().for_each(S3Stub::heal);
        world.start()?;
        let history = world.setup.history;
        if world.until(ENDS_WITHIN, |world| (world.committed() >= history).then_some(()))?.is_none() {
            self.problems.push("when the store was mended, the node did not write".to_owned());
        }
        world.stop(ENDS_WITHIN)?;
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    fn clean_up(&mut self) {
        self.stub = None;
    }
}
