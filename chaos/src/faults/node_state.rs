//! Faults of the disk under a node's own state: all of it gone, or some of its files not what was written.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::Random;

/// What happens to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateDamage {
    /// All of it is gone.
    Delete,
    /// Eight bits of a file are others.
    FlipBits,
    /// A file ends early.
    Truncate,
    /// A piece of a file is zeros, as after a lost write.
    Zeros,
}

impl StateDamage {
    /// All.
    pub const ALL: [Self; 4] = [Self::Delete, Self::FlipBits, Self::Truncate, Self::Zeros];
}

/// Bits that are flipped: enough to hit what is read.
const FLIPS: usize = 8;

/// Longest piece that is lost: a page.
const ZEROS_BYTES_MAX: usize = 4096;

/// Does `damage` to the state in `folder`. False if there is nothing to damage.
///
/// # Errors
///
/// The file system refuses.
pub fn damage_state(folder: &Path, damage: StateDamage, random: &mut Random) -> io::Result<bool> {
    if damage == StateDamage::Delete {
        return match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            removed => removed.map(|()| true),
        };
    }
    let mut files = Vec::new();
    files_below(folder, &mut files)?;
    files.sort();
    let Some(file) = files.get(random.below(files.len())) else { return Ok(false) };
    let mut bytes = fs::read(file)?;
    if bytes.is_empty() {
        return Ok(false);
    }
    match damage {
        StateDamage::Delete => {}
        StateDamage::FlipBits => {
            for _ in 0..FLIPS {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        StateDamage::Truncate => bytes.truncate(random.below(bytes.len())),
        StateDamage::Zeros => {
            let start = random.below(bytes.len());
            let end = bytes.len().min(start + 1 + random.below(ZEROS_BYTES_MAX));
            bytes[start..end].fill(0);
        }
    }
    fs::write(file, bytes).map(|()| true)
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damage_changes_something_and_a_missing_state_nothing() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        for damage in StateDamage::ALL {
            let _ = fs::remove_dir_all(&state);
            let mut random = Random::new(7);
            assert!(!damage_state(&state, damage, &mut random).unwrap(), "{damage:?}");
            fs::create_dir_all(state.join("blobs")).unwrap();
            let whole = vec![0xff; 10_000];
            fs::write(state.join("db"), &whole).unwrap();
            assert!(damage_state(&state, damage, &mut random).unwrap(), "{damage:?}");
            assert_ne!(fs::read(state.join("db")).unwrap_or_default(), whole, "{damage:?}");
        }
    }
}
