//! The way to a TPM. Every command has a deadline, however slowly the other side answers.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::TpmAddress;
use super::command::{HEADER_BYTES, MAX_RESPONSE_BYTES};
use crate::evidence::Reading;
use crate::host::live::Worker;

/// The kernel's devices: with a resource manager, and without one.
pub(super) const DEVICES: [&str; 2] = ["/dev/tpmrm0", "/dev/tpm0"];

/// TPM_RC_YIELDED, TPM_RC_TESTING and TPM_RC_RETRY: the same command again (Part 2, 6.6.3).
const AGAIN: [u32; 3] = [0x908, 0x90a, 0x922];
const PAUSE: Duration = Duration::from_millis(50);

/// A connection to a TPM.
pub(super) enum Transport {
    /// A character device. It blocks, so that a thread of its own waits for it.
    Device(Arc<File>, Worker),
    /// A socket.
    Tcp(TcpStream),
}

impl Transport {
    /// Opens a connection; `None` where no TPM is to be asked.
    pub(super) fn open(address: &TpmAddress, deadline: Duration) -> io::Result<Option<Self>> {
        match address {
            TpmAddress::None => Ok(None),
            TpmAddress::Tcp(address) => {
                let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, deadline) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Some(Self::Tcp(stream)));
                        }
                        Err(error) => failure = error,
                    }
                }
                // A TPM that was named and is not there is a failure, not an absence.
                Err(io::Error::other(format!("no connection: {failure}")))
            }
            TpmAddress::Device(path) => match Self::device(path, deadline) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::other(error.to_string())),
                opened => opened.map(Some),
            },
            TpmAddress::Default => match Self::device(DEVICES[0], deadline) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Self::device(DEVICES[1], deadline),
                opened => opened,
            }
            .map(Some),
        }
    }

    fn device(path: &str, deadline: Duration) -> io::Result<Self> {
        let (worker, path) = (Worker::default(), path.to_owned());
        let open = move || {
            let open = || {
                let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot open {path}: {error}"));
                let file = OpenOptions::new().read(true).write(true).open(&path).map_err(named)?;
                if file.metadata()?.file_type().is_char_device() {
                    return Ok(file);
                }
                Err(io::Error::other(format!("{path} is no device")))
            };
            Reading::Known(open())
        };
        Ok(Self::Device(Arc::new(answered(worker.call(deadline, open))??), worker))
    }

    /// Sends a command and gives the answer, again as long as the TPM says that it is busy.
    pub(super) fn run(&mut self, command: &[u8], deadline: Duration) -> io::Result<Vec<u8>> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the TPM is busy all the time"));
            }
            let answer = self.exchange(command, left)?;
            let code = answer.get(6..HEADER_BYTES).and_then(|code| code.try_into().ok()).map(u32::from_be_bytes);
            if !code.is_some_and(|code| AGAIN.contains(&code)) {
                return Ok(answer);
            }
            std::thread::sleep(PAUSE.min(left));
        }
    }

    fn exchange(&mut self, command: &[u8], deadline: Duration) -> io::Result<Vec<u8>> {
        match self {
            Self::Device(file, worker) => {
                let (file, command) = (Arc::clone(file), command.to_vec());
                let exchange = move || {
                    // One write is one command, and one read takes all of its answer.
                    let exchange = || {
                        (&*file).write_all(&command)?;
                        let mut answer = vec![0; MAX_RESPONSE_BYTES];
                        let length = (&*file).read(&mut answer)?;
                        answer.truncate(length);
                        Ok(answer)
                    };
                    Reading::Known(exchange())
                };
                answered(worker.call(deadline, exchange))?
            }
            Self::Tcp(stream) => {
                let end = Instant::now() + deadline;
                stream.set_write_timeout(Some(deadline))?;
                stream.write_all(command)?;
                let mut answer = vec![0; HEADER_BYTES];
                read_until(stream, &mut answer, end)?;
                let size = answer[2..6].iter().fold(0usize, |size, byte| size << 8 | usize::from(*byte));
                if !(HEADER_BYTES..=MAX_RESPONSE_BYTES).contains(&size) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an answer of {size} bytes")));
                }
                answer.resize(size, 0);
                read_until(stream, &mut answer[HEADER_BYTES..], end)?;
                Ok(answer)
            }
        }
    }
}

/// Fills a buffer, or fails at that time.
fn read_until(stream: &mut TcpStream, mut buffer: &mut [u8], end: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the TPM does not answer in time"));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the TPM hung up")),
            Ok(length) => buffer = &mut buffer[length..],
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the waiting thread brought, or that it brought nothing in time.
fn answered<T>(reading: Reading<T>) -> io::Result<T> {
    match reading {
        Reading::Known(answer) => Ok(answer),
        Reading::Failed(why) => Err(io::Error::new(io::ErrorKind::TimedOut, why)),
        _ => Err(io::Error::other("no answer")),
    }
}
