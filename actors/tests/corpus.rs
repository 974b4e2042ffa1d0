//! Every input that fuzzing kept, through the very functions that the fuzzer runs: what was once found stays found, on
//! stable and without the fuzzer.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test says why it fails")]

#[path = "../fuzz/src/lib.rs"]
#[allow(missing_docs, unreachable_pub, dead_code, reason = "a library of its own, of which a part is used")]
mod decoders;

use std::path::{Path, PathBuf};

use orrery_actors::source::WORKER_STACK_BYTES;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("list the corpus").path()).collect();
    paths.sort();
    paths
}

/// On the stack of the threads that read ledgers, as in production.
fn replay(target: &str, check: fn(&[u8])) {
    let inputs = corpus(target);
    assert!(inputs.len() >= 10, "the corpus of {target} has {} inputs", inputs.len());
    let builder = std::thread::Builder::new().stack_size(WORKER_STACK_BYTES);
    let replay = move || {
        for input in inputs {
            let bytes = std::fs::read(&input).expect("read the input");
            println!("{}", input.display()); // shown if the check panics
            check(&bytes);
        }
    };
    let thread = builder.spawn(replay).expect("start a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn what_fuzzing_kept_breaks_no_decoder() {
    for (target, check) in decoders::DECODERS {
        replay(target, check);
    }
}

#[test]
fn the_corpus_is_small_and_of_known_targets_alone() {
    const BYTES_MAX: u64 = 1 << 20;
    let known = decoders::DECODERS.map(|(target, _)| target);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).expect("list the corpus") {
        let target = entry.expect("list the corpus").file_name().into_string().expect("an ASCII name");
        assert!(known.contains(&&*target), "{target} is no target");
        let sizes = corpus(&target).into_iter().map(|path| path.metadata().expect("ask for a size").len());
        bytes += sizes.sum::<u64>();
    }
    assert!(bytes < BYTES_MAX, "the corpus has {bytes} bytes: run cmin");
}
