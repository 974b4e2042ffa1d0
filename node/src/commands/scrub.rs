//! `orrery scrub`: every stored object hashed again, and repaired.

use futures::FutureExt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use orrery_actors::dataset::{
    Finding, MakeFile, Pace, Remedy, ScrubProgress, ScrubReport, ScrubSettings, Wrong, scrub,
};
use orrery_actors::pipeline::LedgerFiles;
use serde_json::{Value, json};

use crate::cli::{PaceArgs, ScrubArgs};
use crate::console::Console;
use crate::exit::Failure;
use crate::threads;
use crate::{environment, interrupt, runner};

/// Fails if anything is wrong at the end.
pub(crate) fn run(args: &ScrubArgs, console: &Console) -> Result<(), Failure> {
    let runtime = threads::runtime()?;
    let interrupted = interrupt::wait()?;
    let store = runner::connect(&args.dataset)?;
    let other = args.repair_from.as_ref().map(runner::connect).transpose()?;
    let maker = (!args.sources.is_empty())
        .then(|| LedgerFiles::new(args.sources.clone(), environment::variable, args.workers.count()));
    let settings = ScrubSettings {
        repairs: args.repair || other.is_some() || maker.is_some(),
        other: other.as_ref(),
        maker: maker.as_ref().map(|maker| maker as &dyn MakeFile),
        pace: args.pace.pace(),
    };
    let bar = Bar::new();
    let report = runtime.block_on(async {
        tokio::select! {
            report = scrub(&store, &settings, &bar).boxed() => report.map_err(Failure::from),
            () = interrupted => Err(Failure::Interrupted),
        }
    });
    bar.0.finish_and_clear();
    let report = report?;
    print(&report, console)?;
    if report.objects == 0 {
        return Err(Failure::CheckFailed(format!("{}: no dataset is there: nothing was read", args.dataset)));
    }
    match report.findings.iter().filter(|finding| is_open(finding)).count() {
        0 => Ok(()),
        open => Err(Failure::CheckFailed(format!("{}: {open} problems remain", args.dataset))),
    }
}

fn is_open(finding: &Finding) -> bool {
    matches!(finding.remedy, Remedy::Remains { .. })
}

fn print(report: &ScrubReport, console: &Console) -> Result<(), Failure> {
    let findings: Vec<_> = report.findings.iter().map(finding).collect();
    if !console.is_json() {
        for found in &report.findings {
            console.warn(told(found));
        }
    }
    let mut fields = vec![
        ("objects", json!(report.objects)),
        ("bytes", json!(report.bytes)),
        ("repaired", json!(report.repaired())),
        ("remaining", json!(report.findings.iter().filter(|finding| is_open(finding)).count())),
        ("foreign", json!(report.findings.iter().filter(|finding| finding.wrong == Wrong::Foreign).count())),
    ];
    if console.is_json() {
        fields.push(("findings", Value::Array(findings)));
    }
    console.result(&fields)
}

fn told(found: &Finding) -> String {
    let Finding { path, what, .. } = found;
    let word = word(found.wrong);
    match &found.remedy {
        Remedy::Repaired { from, kept: Some(kept) } => {
            format!("{path}: {word}: {what}: repaired from {from}; the damaged bytes are in {kept}")
        }
        Remedy::Repaired { from, kept: None } => format!("{path}: {word}: {what}: repaired from {from}"),
        Remedy::Remains { fix } => format!("{path}: {word}: {what}: {fix}"),
        Remedy::Harmless => format!("{path}: {word}: {what}"),
    }
}

fn finding(found: &Finding) -> Value {
    let (state, from, kept, fix) = match &found.remedy {
        Remedy::Repaired { from, kept } => ("repaired", Some(*from), kept.as_deref(), None),
        Remedy::Remains { fix } => ("remains", None, None, Some(fix.as_str())),
        Remedy::Harmless => ("harmless", None, None, None),
    };
    json!({
        "path": found.path, "wrong": word(found.wrong), "what": found.what, "state": state, "repaired_from": from,
        "kept": kept, "fix": fix,
    })
}

fn word(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Damaged => "damaged",
        Wrong::Missing => "missing",
        Wrong::Foreign => "foreign",
    }
}

impl PaceArgs {
    /// The limit that was asked for.
    pub(crate) fn pace(&self) -> Pace {
        let clock = std::sync::Arc::new(orrery_supervisor::SystemClock::new());
        self.mib_per_second.map_or_else(Pace::unlimited, |mib| Pace::mib_per_second(mib, clock))
    }
}

/// How far it is, where a person watches.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        bar.set_draw_target(ProgressDrawTarget::stderr());
        let template = "{wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  eta {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl ScrubProgress for Bar {
    fn total(&self, bytes: u64) {
        self.0.set_length(bytes);
    }

    fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}
