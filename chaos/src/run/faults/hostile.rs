//! N10: connections that are half open or half closed, and heads that come byte by byte.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::Random;
use crate::experiment::ExperimentError;
use crate::load::AttackReport;
use crate::load::hostile::attack;
use crate::run::fault::Fault;
use crate::run::setup::Setup;
use crate::run::world::World;

/// How long clients attack: as long as a head may take, and some.
const ATTACKS_FOR: Duration = Duration::from_secs(8);

/// Connections that say nothing, and connections that have said that they will say nothing more.
const IDLE: usize = 100;

/// Connections that do harm, beside a reader that does not.
#[derive(Debug, Default)]
pub(in crate::run) struct Dawdlers {
    idle: Vec<TcpStream>,
    /// How many of these there were.
    idled: usize,
    attacks: Option<JoinHandle<Vec<AttackReport>>>,
    reports: Vec<AttackReport>,
}

impl Dawdlers {
    fn collect(&mut self) {
        if let Some(attacks) = self.attacks.take() {
            self.reports = attacks.join().unwrap_or_default();
        }
    }
}

impl Fault for Dawdlers {
    fn prepare(&mut self, setup: &mut Setup) -> Result<(), ExperimentError> {
        setup.holds = ATTACKS_FOR;
        setup.witness_within = Duration::from_secs(1);
        Ok(())
    }

    fn inject(&mut self, world: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        for number in 0..IDLE {
            let Some(mut stream) = world.connect() else { continue };
            if number % 2 == 0 {
                let _ = stream.write_all(b"GET /v1/feed HTTP/1.1\r\nHost: x\r\n");
                let _ = stream.shutdown(Shutdown::Write);
            }
            self.idle.push(stream);
        }
        self.idled = self.idle.len();
        let target: SocketAddr = world.setup.address;
        let attacks =
            Builder::new().name("attacks".to_owned()).spawn(move || attack(target, ATTACKS_FOR / 2));
        self.attacks = Some(attacks.map_err(ExperimentError::io("start", std::path::Path::new("attacks")))?);
        Ok(())
    }

    fn witness(&mut self, _: &mut World) -> Option<String> {
        let tries: u64 = self.reports.iter().map(|report| report.tries).sum();
        (tries > 0 && self.idled > 0).then(|| {
            let (kinds, idle) = (self.reports.len(), self.idled);
            format!(
                "{tries} attacks of {kinds} kinds, beside {idle} connections that say nothing or half a head"
            )
        })
    }

    fn keep_on(&mut self, _: &mut World, _: &mut Random) -> Result<(), ExperimentError> {
        if self.attacks.as_ref().is_some_and(JoinHandle::is_finished) {
            self.collect();
        }
        Ok(())
    }

    fn heal(&mut self, _: &mut World) -> Result<(), ExperimentError> {
        self.collect();
        self.idle.clear();
        Ok(())
    }

    fn problems(&mut self, _: &mut World) -> Vec<String> {
        let wrong = self.reports.iter().filter(|report| !report.is_held());
        let told = wrong.map(|report| {
            let AttackReport { name, tries, as_expected, first_other } = report;
            let other = first_other.as_deref().unwrap_or_default();
            format!("{name}: {as_expected} of {tries} were refused as they should be; one: {other}")
        });
        told.collect()
    }

    fn clean_up(&mut self) {
        self.collect();
    }
}
