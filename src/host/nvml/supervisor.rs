//! The parent's side: starts readers, watches their clock, and joins their lines.

use std::io::{self, Read, Write};
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Assignment, Share};
use crate::attest::device::DeviceNonce;
use crate::evidence::Reading;
use crate::host::MAX_FILE_BYTES;
use crate::parse::nvml::Line;

/// An NVML call answers within milliseconds, and the first one of a machine without persistence mode within seconds.
const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// All readers together.
const TOTAL_DEADLINE: Duration = Duration::from_secs(120);
/// How long a reader may take to end after its last line, or after it was killed.
const END_DEADLINE: Duration = Duration::from_secs(1);
/// Between two looks at a reader's output, and at whether it has ended.
const PIECE_PAUSE: Duration = Duration::from_micros(500);
/// Readers that share the GPUs.
const MAX_AT_A_TIME: usize = 2;
/// Readers after the first one of a share, each without the GPU on which the one before it was lost.
const MAX_RESTARTS: usize = 3;

/// How a reader ended.
enum End {
    /// It wrote its last line.
    Complete,
    /// It stopped in the middle of a call, and why.
    Lost(String),
    /// Nothing more is to be learned.
    GiveUp(String),
}

/// Runs readers until every GPU was read or given up, and gives their lines. `program` is started with the one argument
/// `nvml-reader`.
pub(in crate::host) fn ask(program: &Path, nonce: Option<DeviceNonce>) -> Reading<Vec<u8>> {
    let end = Instant::now() + TOTAL_DEADLINE;
    let of = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_AT_A_TIME);
    let share = |number: usize| Share { number: number as u32, of: of as u32 };
    // A reader ends with the thread that started it, so that each thread has one reader after the other.
    thread::scope(|scope| {
        let others: Vec<_> =
            (1..of).map(|number| scope.spawn(move || ask_share(program, nonce, share(number), end))).collect();
        let mut answer = match ask_share(program, nonce, share(0), end) {
            Ok(answer) => answer,
            Err(why) => return Reading::Failed(why),
        };
        for other in others {
            match other.join().unwrap_or_else(|_| Err("the reading panicked".to_owned())) {
                Ok(lines) => answer.extend(lines),
                Err(why) => _ = note(&mut answer, &[], &why),
            }
        }
        Reading::Known(answer)
    })
}

/// [`ask`], for some of the GPUs.
fn ask_share(program: &Path, nonce: Option<DeviceNonce>, share: Share, end: Instant) -> Result<Vec<u8>, String> {
    let mut assignment =
        Assignment { supervisor: std::process::id(), finished: Vec::new(), given_up: Vec::new(), share, nonce };
    let max_bytes = MAX_FILE_BYTES / share.of as usize - 4096;
    let mut answer = Vec::new();
    for _ in 0..=MAX_RESTARTS {
        let reader = match Reader::start(program, &assignment) {
            Ok(reader) => reader,
            Err(error) if answer.is_empty() => {
                return Err(format!("cannot start {}: {error}", program.display()));
            }
            Err(error) => {
                note(&mut answer, &[], &error.to_string());
                break;
            }
        };
        let start = answer.len();
        let (result, partial) = reader.run(&mut answer, max_bytes, end);
        let why = match result {
            End::Complete => break,
            End::Lost(why) => why,
            End::GiveUp(why) => {
                note(&mut answer, &partial, &why);
                break;
            }
        };
        let lost = note(&mut answer, &partial, &why);
        let lines = answer[start..].split(|&byte| byte == b'\n').filter_map(Line::parse);
        assignment.finished.extend(lines.filter(|line| line.call == "end").filter_map(|line| line.device));
        // Without a GPU there is nothing that the next reader could leave out.
        match lost {
            Some(device) => assignment.given_up.push(device),
            None => break,
        }
    }
    Ok(answer)
}

/// Closes a line that has only its beginning, and gives the GPU that it is about.
fn note(answer: &mut Vec<u8>, partial: &[u8], why: &str) -> Option<u32> {
    let why = serde_json::Value::from(why);
    let closed = [partial, format!(",\"gave_up\":{why}}}").as_bytes()].concat();
    let (line, device) = match Line::parse(&closed) {
        Some(line) => (closed, line.device),
        None => (format!(r#"{{"device":null,"call":"nvml-reader","gave_up":{why}}}"#).into_bytes(), None),
    };
    answer.extend(line);
    answer.push(b'\n');
    device
}

/// A reader process and the pieces of its output.
struct Reader {
    child: Child,
    pieces: Receiver<Vec<u8>>,
}

impl Reader {
    fn start(program: &Path, assignment: &Assignment) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("nvml-reader")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = serde_json::to_vec(assignment)?;
        line.push(b'\n');
        if let Some(mut stdin) = child.stdin.take() {
            // A reader that has died already is noticed by its closed output.
            let _ = stdin.write_all(&line);
        }
        let pieces = child.stdout.take().map(pieces).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, pieces })
    }

    /// Adds whole lines to the answer, up to `max_bytes` in all. Gives what came of the last line as well.
    fn run(mut self, answer: &mut Vec<u8>, max_bytes: usize, end: Instant) -> (End, Vec<u8>) {
        let mut partial = Vec::new();
        let mut complete = false;
        let result = loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(CALL_DEADLINE.min(left)) {
                Ok(piece) => {
                    partial.extend(piece);
                    if let Some(last) = partial.iter().rposition(|&byte| byte == b'\n') {
                        let rest = partial.split_off(last + 1);
                        complete |= partial.split(|&byte| byte == b'\n').any(is_end);
                        answer.append(&mut partial);
                        partial = rest;
                    }
                    if complete {
                        break End::Complete;
                    }
                    if answer.len() + partial.len() > max_bytes {
                        answer.truncate(whole_lines(answer, max_bytes));
                        partial.clear();
                        break End::GiveUp(format!("the answers are larger than {max_bytes} bytes"));
                    }
                }
                Err(RecvTimeoutError::Timeout) if left < CALL_DEADLINE => {
                    break End::GiveUp(format!("not done within {} s", TOTAL_DEADLINE.as_secs()));
                }
                Err(RecvTimeoutError::Timeout) => {
                    break End::Lost(format!("no answer within {} s", CALL_DEADLINE.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => break End::Lost(self.cause_of_death()),
            }
        };
        if !matches!(result, End::Complete) || self.wait().is_none() {
            // Already gone is fine. A process that is stuck in the kernel stays, and is left behind.
            let _ = self.child.kill();
            let _ = self.wait();
        }
        (result, partial)
    }

    /// `None` where it goes on for longer than is worth waiting.
    fn wait(&mut self) -> Option<std::process::ExitStatus> {
        let end = Instant::now() + END_DEADLINE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => thread::sleep(PIECE_PAUSE),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn cause_of_death(&mut self) -> String {
        let Some(status) = self.wait() else { return "its output ended".to_owned() };
        match (status.signal(), status.code()) {
            (Some(signal), _) => format!("the reader died of signal {signal}"),
            (None, code) => format!("the reader ended with code {}", code.unwrap_or_default()),
        }
    }
}

fn is_end(line: &[u8]) -> bool {
    line.starts_with(b"{\"call\":\"end\"")
        && Line::parse(line).is_some_and(|line| line.device.is_none() && line.call == "end")
}

/// Length of the whole lines within the first `limit` bytes.
fn whole_lines(answer: &[u8], limit: usize) -> usize {
    answer[..limit.min(answer.len())].iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1)
}

/// Reads on a thread of its own, which ends with the output. A pause after each piece lets the next one grow: to wake up for
/// each of a thousand calls takes longer than the calls.
fn pieces(mut output: ChildStdout) -> Receiver<Vec<u8>> {
    // A few pieces ahead are enough; a library that prints without end is not to fill the memory.
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = output.read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                break;
            }
            thread::sleep(PIECE_PAUSE);
        }
    });
    receiver
}
