//! A dataset on a disk that loses power: files of a real folder, of which only what was written through is there afterwards.
//!
//! After a loss of power a name is there if its folder was written through since, and a file has its bytes if it was
//! written through and that did not fail; otherwise it is empty, as a file system may leave it.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use orrery_actors::dataset::{Disk, Put, Retry, Store};
use tempfile::TempDir;

use super::SimError;
use super::fibers::Fibers;
use super::store::short_hash;
use super::world::World;
use crate::history::{Kind, Op};

/// What is there is looked at within this.
const AUDITED: u64 = 10_000_000;
/// Objects of a run.
const OBJECTS: u32 = 12;

/// A disk that forgets.
struct LossyDisk {
    world: World,
    fails_per_mille: AtomicU32,
    /// Writes through until the power is lost, in the middle of whatever is done then.
    lasts: Mutex<usize>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Files that were written through, and whether that worked.
    files: BTreeMap<FileId, bool>,
    /// Names of a folder when it was written through, with what they name.
    folders: BTreeMap<PathBuf, BTreeMap<PathBuf, FileId>>,
}

/// A file, whatever its name: inodes are used again, at another time.
type FileId = (u64, Option<SystemTime>);

fn id(metadata: &Metadata) -> FileId {
    (metadata.ino(), metadata.created().ok())
}

impl LossyDisk {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this write through is no more, as the power is lost, or fails.
    fn fails(&self) -> bool {
        let mut lasts = self.lasts.lock().unwrap_or_else(PoisonError::into_inner);
        *lasts = lasts.saturating_sub(1);
        *lasts == 0 || self.world.chance(self.fails_per_mille.load(Ordering::Relaxed))
    }

    /// From now on it keeps what it is given.
    fn heal(&self) {
        *self.lasts.lock().unwrap_or_else(PoisonError::into_inner) = usize::MAX;
        self.fails_per_mille.store(0, Ordering::Relaxed);
    }

    /// What is left after a loss of power, in place of what was there.
    fn lose_power(&self, root: &Path) -> io::Result<()> {
        *self.lasts.lock().unwrap_or_else(PoisonError::into_inner) = 1 + self.world.below(80);
        self.with(|kept| {
            kept.lose(root, true)?;
            kept.note_all(root)
        })
    }
}

impl Kept {
    fn lose(&self, folder: &Path, is_root: bool) -> io::Result<()> {
        let known = self.folders.get(folder);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let file = id(&fs::metadata(&path)?);
            let is_kept = known.is_some_and(|names| names.get(&path) == Some(&file));
            match (path.is_dir(), is_kept || is_root) {
                (true, false) => fs::remove_dir_all(&path)?,
                (true, true) => self.lose(&path, false)?,
                (false, false) => fs::remove_file(&path)?,
                (false, true) if self.files.get(&file) == Some(&true) => {}
                (false, true) => {
                    File::create(&path)?;
                }
            }
        }
        Ok(())
    }

    /// What is there now is durable.
    fn note_all(&mut self, folder: &Path) -> io::Result<()> {
        self.note_folder(folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => self.note_all(&path)?,
                false => drop(self.files.insert(id(&fs::metadata(&path)?), true)),
            }
        }
        Ok(())
    }

    fn note_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            names.insert(entry.path(), id(&entry.metadata()?));
        }
        self.folders.insert(folder.to_owned(), names);
        Ok(())
    }
}

impl Disk for LossyDisk {
    fn sync_file(&self, file: &File) -> io::Result<()> {
        let file = id(&file.metadata()?);
        let fails = self.fails();
        self.with(|kept| {
            // Once it has failed, the pages count as clean: a later attempt succeeds and writes nothing. What was written
            // through before stays so, as files are not changed.
            kept.files.entry(file).or_insert(!fails);
        });
        if fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if self.fails() {
            return Err(io::Error::other("input/output error"));
        }
        self.with(|kept| kept.note_folder(folder))
    }
}

/// Runs one seed's disk.
///
/// # Errors
///
/// [`SimError`] if the machine gives no folder or thread.
pub(super) fn run(world: &World) -> Result<(), SimError> {
    let folder = TempDir::new()?;
    let root = folder.path().join("dataset");
    fs::create_dir(&root)?;
    let fails_per_mille = [0, 60, 200][world.below(3)];
    world.trace(format_args!("{fails_per_mille} of a thousand writes fail"));
    let lasts = Mutex::new(1 + world.below(80));
    let disk = Arc::new(LossyDisk {
        world: world.clone(),
        fails_per_mille: AtomicU32::new(fails_per_mille),
        lasts,
        kept: Mutex::default(),
    });
    let mut fibers = Fibers::new(world)?;
    note_parts(world, &root)?;
    for life in 0..4 {
        let store = Store::on_disk(&root, Arc::clone(&disk) as Arc<dyn Disk>, Retry::at_once(1));
        let writer = fibers.start(&format!("life {life}"), put_all(world.clone(), store));
        fibers.run_until(world.now() + world.micros(1000, 60_000));
        fibers.kill(writer);
        disk.lose_power(&root)?;
        leave_part(&root, life)?;
        world.trace(format_args!("the power is lost"));
    }
    let store = Store::on_disk(&root, Arc::clone(&disk) as Arc<dyn Disk>, Retry::at_once(1));
    disk.heal();
    world.saw("nemesis", Op::Healed { within_us: AUDITED });
    fibers.start("auditor", look(world.clone(), store));
    fibers.run_until(world.now() + AUDITED);
    note_parts(world, &root)?;
    Ok(())
}

/// What a process that was killed while it wrote leaves behind.
fn leave_part(root: &Path, life: u32) -> io::Result<()> {
    let parts = root.join("_orrery/parts");
    fs::create_dir_all(&parts)?;
    fs::write(parts.join(format!("life-{life}.part")), "a part of an object")
}

/// Temporary files: what killed lives leave behind, the next one removes.
fn note_parts(world: &World, root: &Path) -> io::Result<()> {
    let value = match fs::read_dir(root.join("_orrery/parts")) {
        Ok(parts) => parts.count() as u64,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    world.saw("disk", Op::Level { name: "temporary files".to_owned(), value, slack: 0 });
    Ok(())
}

fn content(number: u32) -> Bytes {
    Bytes::from(format!("object {number}\n").repeat(40))
}

fn path(number: u32) -> String {
    format!("ledgers/_delta_log/{number:020}.json")
}

/// Puts objects in order, each once the one before is acknowledged.
async fn put_all(world: World, store: Store) {
    for number in 0..OBJECTS {
        let what = Op::Commit { table: "disk/ledgers".to_owned(), first: number, last: number };
        let operation = world.note("writer", Kind::Invoke, None, what.clone());
        loop {
            world.sleep(world.micros(500, 4000)).await;
            let put = store.put_create(&path(number), content(number)).await;
            match put {
                Ok(Put::Created) => break,
                Ok(Put::Exists) => {
                    let found = store.read(&path(number), 1 << 20).await;
                    let hash = found.ok().flatten().map(|bytes| short_hash(&bytes)).unwrap_or_default();
                    world.saw("writer", Op::Saw { object: path(number), hash });
                    break;
                }
                Ok(Put::Unknown) | Err(_) => {}
            }
        }
        world.saw("writer", Op::Saw { object: path(number), hash: short_hash(&content(number)) });
        world.note("writer", Kind::Ok, Some(operation), what);
    }
}

/// What is there in the end, as the next life finds it.
async fn look(world: World, store: Store) {
    while store.self_test().await.is_err() {
        world.sleep(1000).await;
    }
    for number in 0..OBJECTS {
        let Ok(Some(found)) = store.read(&path(number), 1 << 20).await else { break };
        let object = Op::Object {
            region: "disk".to_owned(),
            path: path(number),
            expected: short_hash(&content(number)),
            found: Some(short_hash(&found)),
        };
        world.saw("auditor", object);
        let slot = Op::Slot {
            table: "disk/ledgers".to_owned(),
            slot: u64::from(number),
            ledgers: Some((number, number)),
            hash: String::new(),
            prev: String::new(),
            parent: String::new(),
            last_hash: String::new(),
        };
        world.saw("auditor", slot);
    }
}
