//! A dataset on a disk that loses power: files of a real folder, of which only what was written through is there afterwards.
//!
//! After a loss of power a name is there if its folder was written through since, and a file has its bytes if it was
//! written through and that did not fail; otherwise it is empty, as a file system may leave it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use orrery_actors::dataset::{Disk, Put, Retry, Store};
use tempfile::TempDir;

use super::SimError;
use super::fibers::Fibers;
use super::store::short_hash;
use super::world::World;
use crate::history::{Kind, Op};

/// Objects of a run.
const OBJECTS: u32 = 12;

/// A disk that forgets.
struct LossyDisk {
    world: World,
    fails_per_mille: u32,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Files by their inode that were written through, and whether that worked.
    files: BTreeMap<u64, bool>,
    /// Names of a folder when it was written through, with the inodes.
    folders: BTreeMap<PathBuf, BTreeMap<PathBuf, u64>>,
}

impl LossyDisk {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is left after a loss of power, in place of what was there.
    fn lose_power(&self, root: &Path) -> io::Result<()> {
        self.with(|kept| {
            kept.lose(root, true)?;
            // Inodes are used again.
            kept.files.clear();
            kept.note_all(root)
        })
    }
}

impl Kept {
    fn lose(&self, folder: &Path, is_root: bool) -> io::Result<()> {
        let known = self.folders.get(folder);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let inode = fs::metadata(&path)?.ino();
            let is_kept = known.is_some_and(|names| names.get(&path) == Some(&inode));
            match (path.is_dir(), is_kept || is_root) {
                (true, false) => fs::remove_dir_all(&path)?,
                (true, true) => self.lose(&path, false)?,
                (false, false) => fs::remove_file(&path)?,
                (false, true) if self.files.get(&inode) == Some(&true) => {}
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
                false => drop(self.files.insert(fs::metadata(&path)?.ino(), true)),
            }
        }
        Ok(())
    }

    fn note_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            names.insert(entry.path(), entry.metadata()?.ino());
        }
        self.folders.insert(folder.to_owned(), names);
        Ok(())
    }
}

impl Disk for LossyDisk {
    fn sync_file(&self, file: &File) -> io::Result<()> {
        let inode = file.metadata()?.ino();
        let fails = self.world.chance(self.fails_per_mille);
        self.with(|kept| {
            // Once it has failed, the pages count as clean: a later attempt succeeds and writes nothing.
            let is_whole = !fails && kept.files.get(&inode) != Some(&false);
            kept.files.insert(inode, is_whole);
        });
        if fails { Err(io::Error::other("input/output error")) } else { Ok(()) }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if self.world.chance(self.fails_per_mille) {
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
    let disk = Arc::new(LossyDisk { world: world.clone(), fails_per_mille, kept: Mutex::default() });
    let mut fibers = Fibers::new(world)?;
    for life in 0..4 {
        let store = Store::on_disk(&root, Arc::clone(&disk) as Arc<dyn Disk>, Retry::at_once(1));
        let writer = fibers.start(&format!("life {life}"), put_all(world.clone(), store));
        fibers.run_until(world.now() + world.micros(1000, 60_000));
        fibers.kill(writer);
        disk.lose_power(&root)?;
        world.trace(format_args!("the power is lost"));
    }
    let store = Store::on_disk(&root, Arc::clone(&disk) as Arc<dyn Disk>, Retry::at_once(1));
    fibers.start("auditor", look(world.clone(), store));
    fibers.run_until(world.now() + 10_000_000);
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

/// What is there in the end.
async fn look(world: World, store: Store) {
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
