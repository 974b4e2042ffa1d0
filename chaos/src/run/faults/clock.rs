//! Faults of clocks. The node's wall clock is another one's: libfaketime, loaded before libc, reads it from a file, which is
//! changed while the node runs. What shows it is the date in the node's own answers.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::process::Ended;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// Where distributions put it.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Ten years, and some days: longer than any certificate holds that is not asked to.
const TEN_YEARS: &str = "317000000";

/// How long a clock stands as it was put.
const JUMPS_EVERY: Duration = Duration::from_millis(1500);

/// What differs by more than this is another clock: an hour, less what the test takes.
const JUMP_SECONDS_MIN: i64 = 1800;

/// For how long a clock that runs at another speed is watched.
const WATCHED: Duration = Duration::from_secs(6);

/// A clock is right that differs by no more than this, and so it must be within this after the fault.
const RIGHT_SECONDS: i64 = 5;
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

/// And one that was watched for so long goes at the right speed: at half or double of it, it would be 3 s behind or 6 s ahead.
const SPEED_SECONDS: i64 = 1;

/// What the clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// From one offset to the next.
    Jumps(&'static [&'static str]),
    /// At another speed, with what that is at least and at most, in percent.
    Runs { speed: &'static str, percent: (i64, i64) },
}

/// C1, C2 and C3.
#[derive(Debug)]
pub(in crate::run) struct WallClock {
    course: Course,
    file: PathBuf,
    /// Step of the course, and when it began.
    step: usize,
    stepped: Duration,
    /// The node's clock and ours when it began.
    began: Option<(i64, Duration)>,
    /// The same before the fault.
    before: Option<(i64, Duration)>,
    problems: Vec<String>,
}

impl WallClock {
    const fn new(course: Course) -> Self {
        let file = PathBuf::new();
        Self {
            course,
            file,
            step: 0,
            stepped: Duration::ZERO,
            began: None,
            before: None,
            problems: Vec::new(),
        }
    }

    /// C1: by a second, an hour and ten years, forth and back.
    pub(in crate::run) const fn jumps() -> Self {
        Self::new(Course::Jumps(&["+1", "-1", "+3600", "-3600", "+315360000", "-315360000", "+7200"]))
    }

    /// C2.
    pub(in crate::run) const fn is_fast() -> Self {
        Self::new(Course::Runs { speed: "+0 x2.0", percent: (150, 260) })
    }

    /// C2.
    pub(in crate::run) const fn is_slow() -> Self {
        Self::new(Course::Runs { speed: "+0 x0.5", percent: (10, 75) })
    }

    /// C3: to and fro, again and again.
    pub(in crate::run) const fn strobes() -> Self {
        Self::new(Course::Jumps(&["+86400", "-86400"]))
    }

    fn put(&self, text: &str) -> Result<(), ExperimentError> {
        put(&self.file, text)
    }
}

impl Fault for WallClock {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        fake_time(setup, "+0", &mut self.file)?;
        self.put("+0")?;
        setup.holds = Duration::from_secs(8);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.stepped = world.now();
        self.before = date(world).map(|date| (date, world.now()));
        match self.course {
            Course::Jumps(steps) => self.put(steps.first().copied().unwrap_or("+0")),
            Course::Runs { speed, .. } => {
                self.put(speed)?;
                world.pass(JUMPS_EVERY)?;
                self.began = date(world).map(|date| (date, world.now()));
                Ok(())
            }
        }
    }

    fn keep_on(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        let Course::Jumps(steps) = self.course else { return Ok(()) };
        if world.now() < self.stepped + JUMPS_EVERY {
            return Ok(());
        }
        self.stepped = world.now();
        self.step += 1;
        self.put(steps.get(self.step % steps.len().max(1)).copied().unwrap_or("+0"))
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let date = date(world)?;
        let (before, at) = *self.began.get_or_insert((date, world.now()));
        let (moved, passed) = (date - before, (world.now() - at).as_secs_f64());
        match self.course {
            Course::Jumps(_) => {
                let jump = moved - passed as i64;
                (jump.abs() > JUMP_SECONDS_MIN).then(|| format!("the node's clock went {jump} s astray"))
            }
            Course::Runs { percent: (least, most), .. } => {
                let percent = (moved as f64 / passed.max(0.1) * 100.0) as i64;
                let is_so = world.now() - at > WATCHED && (least..=most).contains(&percent);
                is_so.then(|| format!("the node's clock went {moved} s in {passed:.1} s"))
            }
        }
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        let is_of_speed = matches!(self.course, Course::Runs { .. });
        // A speed that is not said stays as it was; the clock goes on from where it is, and what is right is its speed.
        self.put(if is_of_speed { "+0 x1.0" } else { "+0" })?;
        if is_of_speed {
            world.pass(JUMPS_EVERY)?;
            self.before = date(world).map(|date| (date, world.now()));
            world.pass(WATCHED)?;
        }
        let Some((before, at)) = self.before else {
            self.problems
                .push("the node did not say what time it is: nothing shows that it goes right".to_owned());
            return Ok(());
        };
        let most = if is_of_speed { SPEED_SECONDS } else { RIGHT_SECONDS };
        let is_right = |world: &mut World| {
            let astray = date(world)? - before - (world.now() - at).as_secs() as i64;
            (astray.abs() <= most).then_some(())
        };
        if world.until(RIGHT_WITHIN, is_right)?.is_none() {
            self.problems.push("when its clock was right again, the node went by another".to_owned());
        }
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// C4: the machine sleeps, as far as one process can tell: it does not run, and time goes on.
#[derive(Debug, Default)]
pub(in crate::run) struct Sleeps;

impl Fault for Sleeps {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        setup.holds = Duration::from_secs(15);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        world.signal(Signal::SIGSTOP);
        Ok(())
    }

    fn witness(&mut self, world: &mut World) -> Option<String> {
        let id = world.node_id()?.to_string();
        let stat = fs::read_to_string(Path::new("/proc").join(id).join("stat")).ok()?;
        let is_stopped = stat.rsplit_once(')')?.1.trim_start().starts_with('T');
        is_stopped.then(|| "the node is stopped while clocks go on".to_owned())
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        world.signal(Signal::SIGCONT);
        Ok(())
    }
}

/// C5: certificates expire under a running node, which says so and goes on; started again it is refused, as it is ten years
/// before they were issued. With a clock that is right it works as before.
#[derive(Debug, Default)]
pub(in crate::run) struct Expired {
    file: PathBuf,
    said: Vec<String>,
    problems: Vec<String>,
}

/// A running node looks at its certificates every ten seconds; one that may not start says so at once.
const SAYS_WITHIN: Duration = Duration::from_secs(30);

/// What a node ends with that cannot run with what it was given.
const CONFIGURATION: i32 = 78;

impl Expired {
    fn put(&self, offset: &str) -> Result<(), ExperimentError> {
        put(&self.file, offset)
    }

    /// With a clock that is so wrong, a start is refused in these words.
    fn refused(&mut self, world: &mut World, offset: &str, says: &str) -> Result<(), ExperimentError> {
        self.put(offset)?;
        world.start()?;
        let ended = world.end(SAYS_WITHIN)?;
        let is_refused =
            |ended: &Ended| ended.status.code() == Some(CONFIGURATION) && ended.output.contains(says);
        match ended {
            Some(ended) if is_refused(&ended) => self.said.push(format!("refused: {says}")),
            ended => {
                self.problems.push(format!("started {offset} s astray, it did not say `{says}`: {ended:?}"))
            }
        }
        Ok(())
    }
}

impl Fault for Expired {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        setup.certify("node", &[])?;
        fake_time(setup, "+0", &mut self.file)
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        self.put(&format!("+{TEN_YEARS}"))?;
        match world.until(SAYS_WITHIN, |world| world.said(&["certificate has run out"]))? {
            Some(_) => self.said.push("said: certificate has run out".to_owned()),
            None => {
                self.problems.push("a node whose certificate expires under it does not say so".to_owned())
            }
        }
        if !world.runs() {
            self.problems.push("a node ended whose certificate expired under it".to_owned());
        }
        world.stop(Duration::from_secs(75))?;
        self.refused(world, &format!("+{TEN_YEARS}"), "ran out on")?;
        self.refused(world, &format!("-{TEN_YEARS}"), "check this machine's clock")
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        (!self.said.is_empty()).then(|| self.said.join("; "))
    }

    fn heal(&mut self, world: &mut World) -> Result<(), ExperimentError> {
        self.put("+0")?;
        world.start()
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// Read in the middle of a write, the clock would be none: the file changes at once.
fn put(file: &Path, text: &str) -> Result<(), ExperimentError> {
    let next = file.with_extension("next");
    fs::write(&next, text).map_err(ExperimentError::io("write", &next))?;
    fs::rename(&next, file).map_err(ExperimentError::io("rename", &next))
}

/// Has the node's wall clock read from a file, which says `text` at first.
fn fake_time(setup: &mut Setup, text: &str, file: &mut PathBuf) -> Result<(), ExperimentError> {
    let library = LIBRARIES.iter().find(|library| Path::new(library).is_file());
    let Some(library) = library else {
        return Err(ExperimentError::Skipped("skipped: libfaketimeMT.so.1 is not installed".to_owned()));
    };
    *file = setup.folder.join("clock");
    fs::create_dir_all(&setup.folder).map_err(ExperimentError::io("create", &setup.folder))?;
    fs::write(&*file, text).map_err(ExperimentError::io("write", file))?;
    setup.set("LD_PRELOAD", *library);
    setup.set("FAKETIME_TIMESTAMP_FILE", file.as_path());
    setup.set("FAKETIME_CACHE_DURATION", "1");
    // Timers are of the other clock, which no change of the wall clock moves.
    setup.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    setup.set("DONT_FAKE_MONOTONIC", "1");
    Ok(())
}

/// The date in an answer of the node, in seconds of an era of our own.
fn date(world: &World) -> Option<i64> {
    let mut stream = world.connect()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let host = world.setup.address;
    write!(stream, "GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    stream.take(1 << 16).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let line = answer.lines().find_map(|line| line.strip_prefix("date: "))?;
    seconds(line)
}

/// Of `tue, 23 nov 2026 21:30:00 gmt`; months of 31 days do for what is compared here.
fn seconds(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let words: Vec<_> = date.split_whitespace().collect();
    let [_, day, month, year, time, _] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let parts: Vec<i64> = time.split(':').filter_map(|part| part.parse().ok()).collect();
    let [hour, minute, second] = parts[..] else { return None };
    let days = (year.parse::<i64>().ok()? * 12 + month as i64) * 31 + day.parse::<i64>().ok()?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_compared_by_the_second() {
        let at = |text: &str| seconds(text).unwrap();
        assert_eq!(at("tue, 23 nov 2026 21:30:01 gmt") - at("tue, 23 nov 2026 20:30:00 gmt"), 3601);
        assert!(at("tue, 23 nov 2036 21:30:01 gmt") - at("tue, 23 nov 2026 20:30:00 gmt") > 300_000_000);
        assert_eq!(seconds("yesterday"), None);
    }
}
