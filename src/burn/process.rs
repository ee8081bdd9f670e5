//! A worker as its supervisor sees it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::worker::{Assignment, MAX_LINE_BYTES, Message};

/// What a worker writes to standard error is kept up to here.
const MAX_STDERR_BYTES: u64 = 2048;

/// What arrives from a worker.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A line that it should write.
    Message(Message),
    /// A line that it should not.
    Garbage,
    /// Nothing within the time.
    Nothing,
    /// Its output is closed.
    Closed,
}

/// A worker process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Closed to ask the worker to stop.
    stdin: Option<ChildStdin>,
    arrivals: Receiver<Arrival>,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts a worker with its assignment. Dies with the calling thread.
    pub(super) fn start(program: &Path, assignment: &Assignment) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on a terminal goes to the whole foreground group, and stopping workers is the supervisor's task.
            .process_group(0)
            .spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (sender, arrivals) = mpsc::channel();
        each_line(stdout, move |line| {
            let arrival = serde_json::from_slice(line).map_or(Arrival::Garbage, Arrival::Message);
            sender.send(arrival).is_ok()
        });
        let mut process = Self { child, stdin, arrivals, stderr: Some(start_of(stderr)) };
        assign(&mut process.stdin, assignment)?;
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line.
    pub(super) fn next(&self, timeout: Duration) -> Arrival {
        match self.arrivals.recv_timeout(timeout) {
            Ok(arrival) => arrival,
            Err(RecvTimeoutError::Timeout) => Arrival::Nothing,
            Err(RecvTimeoutError::Disconnected) => Arrival::Closed,
        }
    }

    /// Asks the worker to stop.
    pub(super) fn stop(&mut self) {
        self.stdin = None;
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; giving a large memory back takes a while. `None` when it does not end.
    pub(super) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        wait(&mut self.child, timeout)
    }

    /// The start of its standard error, after its end.
    pub(super) fn stderr(&mut self) -> String {
        self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Gives each line to `take`, on a thread of its own, until that says `false` or the output ends. A longer line than
/// [`MAX_LINE_BYTES`] comes in pieces.
pub(super) fn each_line(stdout: Option<ChildStdout>, mut take: impl FnMut(&[u8]) -> bool + Send + 'static) {
    thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if !take(&line) {
                break;
            }
        }
    });
}

/// The start of what a process writes to standard error; the thread ends with the process.
pub(super) fn start_of(stderr: Option<ChildStderr>) -> JoinHandle<String> {
    thread::spawn(move || {
        let Some(mut stderr) = stderr else { return String::new() };
        let mut text = Vec::new();
        // What can't be read is not worth a failure, and the rest has to be drained.
        let _ = stderr.by_ref().take(MAX_STDERR_BYTES).read_to_end(&mut text);
        let _ = io::copy(&mut stderr, &mut io::sink());
        String::from_utf8_lossy(&text).trim().to_owned()
    })
}

/// Sends a worker its assignment. One that has died already is noticed by its closed output.
pub(super) fn assign(stdin: &mut Option<ChildStdin>, assignment: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(assignment)?;
    line.push(b'\n');
    if let Some(stdin) = stdin {
        let _ = stdin.write_all(&line);
    }
    Ok(())
}

/// The host's monotonic clock in nanoseconds, which is the same in all processes.
pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.unsigned_abs())
}

/// Waits for the end of a process. `None` when it does not end in that time.
pub(super) fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Number of the signal that ended a process.
pub(super) fn signal(status: ExitStatus) -> Option<i32> {
    status.signal()
}
