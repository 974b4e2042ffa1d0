//! A writer that is killed again and again: this test starts itself as the writer.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use orrery_actors::dataset::{Dataset, TableKind, verify};

use crate::made::{files, fill_table, settings};
use crate::resume::objects;

const FOLDER: &str = "ORRERY_TEST_KILLED_WRITER";
/// More than thirty writers come to before they are killed.
const LAST: u32 = 2400;

/// The writer: one line after every few slots. Does nothing unless it was started by the test below.
#[tokio::test]
async fn writer_to_be_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    write(Path::new(&folder)).await;
}

async fn write(folder: &Path) {
    let mut dataset = Dataset::open(&files(folder), &settings(16, 4)).await.unwrap();
    while dataset.next_ledger().0 <= LAST {
        let to = (dataset.next_ledger().0 / 16 * 16 + 15).min(LAST);
        for kind in TableKind::ALL {
            fill_table(dataset.table_mut(kind), to).await.unwrap();
        }
        println!("at {to}");
    }
}

#[tokio::test]
async fn a_writer_that_is_killed_thirty_times_leaves_what_an_undisturbed_one_does() {
    let (killed, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for round in 0..30 {
        let mut writer = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kill::writer_to_be_killed", "--nocapture", "--test-threads=1"])
            .env(FOLDER, killed.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The writer does not wait for us: it dies somewhere in the slot after the line.
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        // The harness writes two lines first.
        assert!(lines.by_ref().take(3 + round % 3).last().unwrap().unwrap().contains("at "));
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    let reached = Dataset::open(&files(killed.path()), &settings(16, 4)).await.unwrap().next_ledger();
    assert!((100..LAST).contains(&reached.0), "reached {reached}: every writer is to be killed at work");
    write(killed.path()).await;
    write(undisturbed.path()).await;
    let report = verify(&files(killed.path()), &mut |_| {}).await.unwrap();
    assert!(report.is_sound(), "{report:?}");
    let without_hints = |folder: &Path| {
        let mut objects = objects(folder);
        // A checkpoint more or less, and which one is named, depends on where the writer was.
        objects.retain(|(name, _)| !name.contains("checkpoint"));
        objects
    };
    assert!(without_hints(killed.path()) == without_hints(undisturbed.path()));
}
