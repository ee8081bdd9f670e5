//! Bars on a terminal; otherwise one short line for every event that matters. Always on standard error.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};
use yanji::burn::gpu::{self, GpuProgress};
use yanji::burn::{Counters, Event, Load, Outcome, Record};
use yanji::report::for_terminal;

use super::output;

/// Counts through a list of files, on a terminal only: what is printed of each file is enough elsewhere.
pub struct Counter {
    bar: Option<ProgressBar>,
}

impl Counter {
    /// A bar of so many steps, when they are many.
    pub fn new(steps: usize) -> Self {
        // Where the results go to the same terminal, they are the progress.
        let wanted = steps > 20 && io::stderr().is_terminal() && !io::stdout().is_terminal();
        Self { bar: wanted.then(|| ProgressBar::new(steps as u64).with_style(style("{bar:30} {pos}/{len} files"))) }
    }

    /// One more is done.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Prints while the bar is away.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    // Serial consoles draw ASCII only.
    if output::style().unicode { style } else { style.progress_chars("=> ") }
}

/// Shows a burn to a person.
pub struct Reporter {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Reporter {
    /// `quiet`: somebody else reads the events, so that without a terminal nothing is printed.
    pub fn new(quiet: bool) -> Self {
        let bar =
            io::stderr().is_terminal().then(|| ProgressBar::new(1).with_style(style("{bar:30} {percent:>3}%  {msg}")));
        Self { bar, quiet }
    }

    /// Shows one event.
    pub fn report(&mut self, event: &Event<'_>) {
        match event {
            Event::Progress(progress) => {
                let Some(bar) = &self.bar else { return };
                let rate = match progress.load {
                    Some(Load::Memory) => format!("{:.1} GB/s", progress.rate as f64 / 1e9),
                    Some(Load::Cpu) => format!("{} blocks/s", progress.rate),
                    None => String::new(),
                };
                let temperature = match progress.hottest_millicelsius {
                    Some(millidegrees) => format!("{} C", millidegrees / 1000),
                    None => "no temperature".to_owned(),
                };
                bar.set_length(progress.planned_seconds);
                bar.set_position(progress.elapsed_seconds);
                let mut message = format!(
                    "{} ({})  {rate}  {} left  {temperature}  {} errors",
                    progress.load.map_or("host idle", Load::as_str),
                    progress.stage,
                    duration(progress.eta_seconds),
                    progress.errors,
                );
                for gpu in &progress.gpus {
                    message += &format!("\n  {}", gpu_line(gpu));
                }
                bar.set_message(message);
            }
            Event::Record(line) => {
                if let Some(text) = text(&line.record) {
                    self.print(&format!(
                        "[{}] {}",
                        duration(line.elapsed_ms / 1000),
                        for_terminal(&text, output::style())
                    ));
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn print(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None if self.quiet => {}
            None => eprintln!("{line}"),
        }
    }
}

/// What a record tells a person; `None` for the routine ones.
fn text(record: &Record) -> Option<String> {
    Some(match record {
        Record::Start { profile, .. } => {
            format!("burn {} for {}", profile.name, duration(profile.duration_seconds))
        }
        Record::Resume { dropped_bytes: 0, .. } => "going on".to_owned(),
        Record::Resume { dropped_bytes, .. } => format!("going on; dropped {dropped_bytes} bytes of a torn record"),
        Record::PhaseStart { load, seconds, bytes: Some(bytes), .. } => {
            format!("{}: up to {:.1} GB for {}", load.as_str(), *bytes as f64 / 1e9, duration(*seconds))
        }
        Record::PhaseStart { load, seconds, .. } => format!("{}: for {}", load.as_str(), duration(*seconds)),
        Record::WorkerStarted { lock_error: Some(error), .. } => {
            format!("memory could not be locked and may be swapped out: {error}")
        }
        Record::MemoryError { error, .. } => format!(
            "MEMORY ERROR at {} (physical {}): xor {}, {:?}, pass {}, cpu{}",
            error.virtual_address,
            error.physical_address.known().map_or("unknown", String::as_str),
            error.xor,
            error.persistence,
            error.pass,
            error.cpu,
        ),
        Record::CpuError { error, .. } => format!(
            "CPU ERROR on cpu{}: {:?} loop gave {} instead of {}",
            error.cpu, error.arithmetic, error.found, error.expected
        ),
        Record::PhaseEnd { outcome, counters, .. } => phase_end(outcome, counters.as_ref()),
        Record::ClockJump { seconds } => format!("the wall clock jumped by {seconds} s"),
        Record::Interrupted => "interrupted".to_owned(),
        Record::Finish { completed: true } => "finished".to_owned(),
        Record::Finish { completed: false } => "gave up".to_owned(),
        Record::Sensors { .. } | Record::Sample(_) | Record::WorkerStarted { .. } | Record::Checkpoint { .. } => {
            return None;
        }
        record => return gpu_text(record),
    })
}

/// One GPU in a line: what runs, how fast, how hot, at which power.
fn gpu_line(gpu: &GpuProgress) -> String {
    let step = gpu.step.map_or("start", gpu::Step::as_str);
    if gpu.ended {
        return format!("gpu {}  ended in {step}  {} errors", gpu.gpu, gpu.errors);
    }
    let rate = match gpu.unit.as_str() {
        "" => String::new(),
        unit => format!("  {:.1} {unit}", gpu.rate as f64 / 1000.0),
    };
    let celsius = gpu.celsius.map_or(String::new(), |celsius| format!("  {celsius} C"));
    let watts = gpu.milliwatts.map_or(String::new(), |milliwatts| format!("  {} W", milliwatts / 1000));
    let left = duration(gpu.eta_seconds);
    format!("gpu {}  {step} ({}){rate}{celsius}{watts}  {} errors  {left} left", gpu.gpu, gpu.what, gpu.errors)
}

/// What a record of a GPU tells a person; `None` for the routine ones.
fn gpu_text(record: &Record) -> Option<String> {
    Some(match record {
        Record::Gpus { addresses } if addresses.is_empty() => return None,
        Record::Gpus { addresses } => format!("{} GPUs beside the host: {}", addresses.len(), addresses.join(", ")),
        Record::GpuPeers { copies, missing, failure } => {
            let slowest = copies.iter().map(|pair| pair.mb_per_second.median).min().unwrap_or(0);
            let mut lines = vec![format!("{} pairs of GPUs, the slowest with {slowest} MB/s", copies.len())];
            for pair in copies {
                let wrong = pair.wrong_bytes.filter(|bytes| *bytes > 0);
                lines
                    .extend(wrong.map(|bytes| {
                        format!("PEER COPY ERROR from {} to {}: {bytes} wrong bytes", pair.from, pair.to)
                    }));
            }
            lines.extend(
                missing.iter().map(|it| format!("copies from {} to {} not measured: {}", it.from, it.to, it.reason)),
            );
            lines.extend(failure.iter().map(|why| format!("copies between GPUs not measured: {why}")));
            lines.join("\n")
        }
        Record::GpuIdentity { gpu, identity } => format!(
            "gpu {gpu}: {}, {} SMs, {:.1} GB",
            identity.name,
            identity.sm_count,
            identity.memory_bytes as f64 / 1e9
        ),
        Record::GpuKernel { gpu, test } => {
            format!("gpu {gpu}: kernel {} not validated on this driver: {}", test.kernel, test.failure.as_ref()?)
        }
        Record::GpuMeasurement { gpu, measurement } => format!(
            "gpu {gpu}: {} {} {}",
            measurement.quantity.as_str(),
            measurement.distribution.median,
            measurement.unit.as_str()
        ),
        Record::GpuMissing { gpu, missing } => {
            format!("gpu {gpu}: {} not measured: {}", missing.quantity.as_str(), missing.reason.as_ref()?)
        }
        Record::GpuMemoryError { gpu, error } => format!(
            "GPU MEMORY ERROR on {gpu} at {}{}: expected {}, found {}, {}, {}",
            error.offset,
            error.content_of.as_ref().map_or(String::new(), |of| format!(" (content of {of})")),
            error.expected,
            error.found,
            error.fault,
            error.pattern
        ),
        Record::GpuComputeError { gpu, error } => format!(
            "GPU COMPUTE ERROR on {gpu}, SM {}: {} gave {} instead of {}",
            error.sm, error.kernel, error.found, error.expected
        ),
        Record::GpuEnd { gpu, outcome, counters, .. } => {
            let errors = counters.as_ref().map_or(0, |counters| counters.memory_errors + counters.compute_errors);
            let step = |step: &Option<gpu::Step>| step.map_or("start", gpu::Step::as_str);
            match outcome {
                gpu::Outcome::Finished => format!("gpu {gpu}: finished, {errors} errors"),
                gpu::Outcome::Stopped => format!("gpu {gpu}: stopped, {errors} errors"),
                gpu::Outcome::NotMeasured { reason } => format!("GPU {gpu} NOT MEASURED: {reason}"),
                gpu::Outcome::Lost { step, reason } => format!("GPU {gpu} LOST in {}: {reason}", step.as_str()),
                gpu::Outcome::WorkerCrashed { step: at, signal, status, stderr } => {
                    format!("GPU {gpu}: WORKER CRASHED in {} (signal {signal:?}, status {status:?}) {stderr}", step(at))
                }
                gpu::Outcome::WorkerHung { step: at, seconds } => {
                    format!("GPU {gpu}: HUNG in {}, no word for {seconds} s", step(at))
                }
            }
        }
        _ => return None,
    })
}

fn phase_end(outcome: &Outcome, counters: Option<&Counters>) -> String {
    let counters = match counters {
        Some(Counters::Memory(memory)) => format!(
            "{:.1} GB tested, {:.1} GB verified in {} passes, {} errors",
            memory.tested_bytes as f64 / 1e9,
            memory.verified_bytes as f64 / 1e9,
            memory.passes,
            memory.errors
        ),
        Some(Counters::Cpu(cpu)) => format!(
            "{} blocks checked on {} of {} CPUs, {} errors",
            cpu.checked_blocks, cpu.cpus_checked, cpu.cpus, cpu.errors
        ),
        None => "nothing checked".to_owned(),
    };
    match outcome {
        Outcome::Finished => counters,
        Outcome::Stopped => format!("stopped: {counters}"),
        Outcome::Failed { reason } => format!("COULD NOT RUN: {reason}"),
        Outcome::WorkerCrashed { signal, status, stderr } => {
            let how = match (signal, status) {
                (Some(signal), _) => format!("signal {signal}"),
                (None, Some(status)) => format!("status {status}"),
                (None, None) => "unknown".to_owned(),
            };
            format!("WORKER CRASHED ({how}): {counters} {stderr}")
        }
        Outcome::WorkerHung { seconds, cpu } => {
            let cpu = cpu.map_or(String::new(), |cpu| format!(" on cpu{cpu}"));
            format!("WORKER HUNG{cpu}, no progress for {seconds} s: {counters}")
        }
    }
}

fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}h{minutes:02}m") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_has_phase_rate_heat_power_errors_and_the_time_that_is_left_in_one_line() {
        let progress = GpuProgress {
            gpu: "0000:17:00.0".to_owned(),
            step: Some(gpu::Step::Load),
            what: "wgmma_f16".to_owned(),
            rate: 612_345,
            unit: "TFLOPS".to_owned(),
            celsius: Some(71),
            milliwatts: Some(698_500),
            errors: 2,
            eta_seconds: 3720,
            ended: false,
        };
        let line = "gpu 0000:17:00.0  load (wgmma_f16)  612.3 TFLOPS  71 C  698 W  2 errors  1h02m left";
        assert_eq!(gpu_line(&progress), line);
    }
}
