//! The machine that the tool runs on.

#![allow(unsafe_code)]

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::files::{Files, reading_of};
use super::{Bmc, Host, MAX_FILE_BYTES, Query, nvml, pci, smbus};
use crate::attest::device::DeviceNonce;
use crate::evidence::{Origin, Reading};

/// A register or sysfs file answers within microseconds; a wedged driver never does.
const READ_DEADLINE: Duration = Duration::from_secs(3);
/// `smartctl` on a drive that has to spin up.
const COMMAND_DEADLINE: Duration = Duration::from_secs(20);
/// How long a program may take to end after its output did, and between two looks at it.
const END_DEADLINE: Duration = Duration::from_secs(2);
const END_PAUSE: Duration = Duration::from_millis(1);
/// A megabyte through a slow bus.
const ROM_DEADLINE: Duration = Duration::from_secs(30);
/// Leaves in a CPUID dump, subleaves included. Real processors have about 100.
const MAX_CPUID_RECORDS: usize = 512;

/// The machine that the tool runs on, read through sysfs, procfs, CPUID, NVML and a few ioctls. Changes nothing, except
/// that it switches option ROMs on while it reads them, and never blocks longer than a deadline: what does not answer in
/// time is `Failed`.
#[derive(Debug, Default)]
pub struct LiveHost {
    worker: Worker,
    files: Files,
    nvml_reader: Option<PathBuf>,
    nvml_begun: Mutex<Option<JoinHandle<Reading<Vec<u8>>>>>,
    nonce: Option<DeviceNonce>,
    without_option_roms: bool,
    bmc: Option<Bmc>,
}

impl LiveHost {
    /// Opens nothing yet. NVML is not asked without [`LiveHost::with_nvml_reader`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads files below a folder instead of the root, as in a container into which the machine's `/sys` and `/proc` are
    /// mounted. Nobody can tell where such a folder came from, so that what is read counts as simulated. CPUID and NVML
    /// stay those of the machine; programs, which could not be kept inside of the folder, are not run.
    pub fn with_root(self, folder: &Path) -> io::Result<Self> {
        Ok(Self { files: Files::below(folder)?, ..self })
    }

    /// Asks NVML through that program, which has to be `yanji` itself: [`nvml::run_reader`] is what it runs.
    pub fn with_nvml_reader(self, program: PathBuf) -> Self {
        Self { nvml_reader: Some(program), ..self }
    }

    /// Asks each GPU for an attestation report over its nonce.
    pub fn with_attestation_nonce(self, nonce: DeviceNonce) -> Self {
        Self { nonce: Some(nonce), ..self }
    }

    /// Asks a management controller too.
    pub fn with_bmc(self, bmc: Bmc) -> Self {
        Self { bmc: Some(bmc), ..self }
    }

    /// Leaves option ROMs alone.
    pub fn without_option_roms(self) -> Self {
        Self { without_option_roms: true, ..self }
    }
}

impl Host for LiveHost {
    fn origin(&self) -> Origin {
        if self.files.are_the_machines() { Origin::Live } else { Origin::Simulated }
    }

    fn read(&self, path: &str) -> Reading<Vec<u8>> {
        let (files, owned) = (self.files.clone(), path.to_owned());
        let reading = self.worker.call(READ_DEADLINE, move || {
            if pci::is_config(&owned) { pci::config(&files, &owned) } else { files.read(&owned) }
        });
        tracing::debug!("read {path:?}: {}", reading.state());
        reading
    }

    fn list(&self, path: &str) -> Reading<Vec<String>> {
        let (files, path) = (self.files.clone(), path.to_owned());
        self.worker.call(READ_DEADLINE, move || files.list(&path))
    }

    fn link(&self, path: &str) -> Reading<String> {
        self.files.link(path)
    }

    fn begin(&self, query: &Query) {
        // Its answers come from another process, which needs no core of this one.
        if *query == Query::Nvml {
            self.nvml_begun().get_or_insert_with(|| {
                let (reader, nonce) = (self.nvml_reader.clone(), self.nonce);
                thread::spawn(move || ask_nvml(reader.as_deref(), nonce))
            });
        }
    }

    fn ask(&self, query: &Query) -> Reading<Vec<u8>> {
        let reading = self.answer(query);
        tracing::debug!("asked {query:?}: {}", reading.state());
        reading
    }
}

fn ask_nvml(reader: Option<&Path>, nonce: Option<DeviceNonce>) -> Reading<Vec<u8>> {
    reader.map_or(Reading::Unsupported, |program| nvml::ask(program, nonce))
}

impl LiveHost {
    fn nvml_begun(&self) -> MutexGuard<'_, Option<JoinHandle<Reading<Vec<u8>>>>> {
        self.nvml_begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, query: &Query) -> Reading<Vec<u8>> {
        match query {
            Query::Cpuid { cpu } => {
                let cpu = *cpu;
                self.worker.call(READ_DEADLINE, move || cpuid_dump(cpu))
            }
            Query::NvmeIdentify { controller, cns, namespace } => {
                let (files, cns, namespace) = (self.files.clone(), *cns, *namespace);
                let path = format!("/dev/{controller}");
                self.worker.call(COMMAND_DEADLINE, move || nvme_identify(&files, &path, cns, namespace))
            }
            Query::NvmeLog { controller, page, length } => {
                let (files, page, length) = (self.files.clone(), *page, *length);
                let path = format!("/dev/{controller}");
                self.worker.call(COMMAND_DEADLINE, move || nvme_log(&files, &path, page, length))
            }
            Query::Msr { cpu, register } => {
                let (files, cpu, register) = (self.files.clone(), *cpu, *register);
                self.worker.call(READ_DEADLINE, move || msr(&files, cpu, register))
            }
            Query::Command { .. } if !self.files.are_the_machines() => Reading::Unsupported,
            Query::Command { program, args } => match find_program(program) {
                Some(path) => run(&path, args, COMMAND_DEADLINE),
                None => Reading::Absent,
            },
            Query::Nvml => {
                let begun = self.nvml_begun().take();
                match begun {
                    Some(begun) => begun.join().unwrap_or_else(|_| Reading::Failed("the reading panicked".to_owned())),
                    None => ask_nvml(self.nvml_reader.as_deref(), self.nonce),
                }
            }
            Query::Redfish { path } => match &self.bmc {
                Some(bmc) => bmc.get(path),
                None => Reading::Unsupported,
            },
            Query::PciRegister { address, bar, offset } => {
                let (files, address, bar, offset) = (self.files.clone(), address.clone(), *bar, *offset);
                self.worker.call(READ_DEADLINE, move || pci::register(&files, &address, bar, offset))
            }
            Query::OptionRom { .. } if self.without_option_roms => {
                Reading::Failed("left out at your request".to_owned())
            }
            Query::OptionRom { address } => {
                let (files, address) = (self.files.clone(), address.clone());
                self.worker.call(ROM_DEADLINE, move || pci::option_rom(&files, &address))
            }
            Query::FileAgain { path } => self.read(path),
            Query::SmbusBytes { bus, address, first, count, turn: _ } => {
                let (files, bus, address, first, count) = (self.files.clone(), *bus, *address, *first, *count);
                self.worker.call(READ_DEADLINE, move || smbus::bytes(&files, bus, address, first, count))
            }
            Query::SmbusPage { bus, turn: _ } => {
                let (files, bus) = (self.files.clone(), *bus);
                self.worker.call(READ_DEADLINE, move || smbus::page_status(&files, bus))
            }
            Query::TotalMemory => {
                let Ok(mut system) = sysinfo::System::new() else { return Reading::Unsupported };
                system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
                match system.total_memory() {
                    0 => Reading::Unsupported,
                    bytes => Reading::Known(bytes.to_string().into_bytes()),
                }
            }
            Query::EffectiveUser => Reading::Known(rustix::process::geteuid().as_raw().to_string().into_bytes()),
        }
    }
}

/// Runs a program without a shell, with an empty standard input, and keeps its standard output. The exit status is
/// not judged: `smartctl` sets bits in it for a failing drive.
fn run(path: &Path, args: &[String], deadline: Duration) -> Reading<Vec<u8>> {
    let child = Command::new(path)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return reading_of(&error),
    };
    let Some(stdout) = child.stdout.take() else { return Reading::Failed("no standard output".to_owned()) };
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Vec::new();
        let result = stdout.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut output).map(|_| output);
        // The receiver is gone when the deadline has passed.
        let _ = sender.send(result);
    });
    let reading = match receiver.recv_timeout(deadline) {
        Ok(Ok(output)) if output.len() > MAX_FILE_BYTES => {
            Reading::Failed(format!("printed more than {MAX_FILE_BYTES} bytes"))
        }
        Ok(Ok(output)) => Reading::Known(output),
        Ok(Err(error)) => reading_of(&error),
        Err(_) => Reading::Failed(format!("no answer within {} s", deadline.as_secs())),
    };
    let end = Instant::now() + END_DEADLINE;
    if !matches!(reading, Reading::Known(_)) {
        // Already gone is fine.
        let _ = child.kill();
    }
    // A process that waits in the kernel for a dead drive takes no signal, and is left behind.
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
        thread::sleep(END_PAUSE);
    }
    let _ = child.kill();
    reading
}

/// Looks a program up in the system folders only: a `PATH` entry of the person who runs an inspection as root could
/// hold anything.
fn find_program(program: &str) -> Option<std::path::PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// Every CPUID leaf as one logical CPU answers it. Layout: see [`Query::Cpuid`].
#[cfg(target_arch = "x86_64")]
fn cpuid_dump(cpu: u32) -> Reading<Vec<u8>> {
    use std::arch::x86_64::{__cpuid_count, CpuidResult};

    let mut set = rustix::thread::CpuSet::new();
    if cpu as usize >= rustix::thread::CpuSet::MAX_CPU {
        return Reading::Unsupported;
    }
    set.set(cpu as usize);
    let everywhere = rustix::thread::sched_getaffinity(None);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        return reading_of(&error.into());
    }
    let mut dump = Vec::new();
    let mut records = 0;
    let mut record = |leaf: u32, subleaf: u32| -> CpuidResult {
        let result = __cpuid_count(leaf, subleaf);
        if records < MAX_CPUID_RECORDS {
            records += 1;
            for word in [leaf, subleaf, result.eax, result.ebx, result.ecx, result.edx] {
                dump.extend_from_slice(&word.to_le_bytes());
            }
        }
        result
    };
    for base in [0u32, 0x4000_0000, 0x8000_0000, 0xc000_0000] {
        let last = __cpuid_count(base, 0).eax;
        if last < base || last > base + 0xff {
            continue;
        }
        for leaf in base..=last {
            let first = record(leaf, 0);
            let subleaves = match leaf {
                0x4 | 0x8000_001d => 8,
                0xb | 0x1f | 0x8000_0026 => 6,
                0x7 | 0x14 | 0x17 | 0x18 | 0x1d | 0x20 => first.eax.min(16) + 1,
                0xd | 0xf | 0x10 | 0x12 => 16,
                _ => 1,
            };
            for subleaf in 1..subleaves {
                record(leaf, subleaf);
            }
        }
    }
    if let Ok(everywhere) = everywhere {
        // The next job on this thread must not wait for this CPU; where it must, it is only slower.
        let _ = rustix::thread::sched_setaffinity(None, &everywhere);
    }
    Reading::Known(dump)
}

#[cfg(not(target_arch = "x86_64"))]
fn cpuid_dump(_cpu: u32) -> Reading<Vec<u8>> {
    Reading::Unsupported
}

/// `struct nvme_admin_cmd` of `linux/nvme_ioctl.h`.
#[repr(C)]
#[derive(Default)]
struct NvmeAdminCommand {
    opcode: u8,
    flags: u8,
    reserved1: u16,
    namespace: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    address: u64,
    metadata_length: u32,
    data_length: u32,
    cdw10_15: [u32; 6],
    timeout_milliseconds: u32,
    result: u32,
}

/// NVMe Identify (admin opcode 06h): 4,096 bytes.
fn nvme_identify(files: &Files, path: &str, cns: u8, namespace: u32) -> Reading<Vec<u8>> {
    const IDENTIFY: u8 = 0x06;
    const LENGTH: u32 = 4096;
    let mut command = NvmeAdminCommand { opcode: IDENTIFY, namespace, ..NvmeAdminCommand::default() };
    command.cdw10_15[0] = cns.into();
    nvme_admin(files, path, command, LENGTH)
}

/// NVMe Get Log Page (admin opcode 02h) of the whole controller. Bit 15 of dword 10 keeps events that wait to be fetched.
fn nvme_log(files: &Files, path: &str, page: u8, length: u32) -> Reading<Vec<u8>> {
    const GET_LOG_PAGE: u8 = 0x02;
    const ALL_NAMESPACES: u32 = 0xffff_ffff;
    const RETAIN_ASYNCHRONOUS_EVENT: u32 = 1 << 15;
    if length == 0 || length > 4096 || !length.is_multiple_of(4) {
        return Reading::Unsupported;
    }
    let mut command =
        NvmeAdminCommand { opcode: GET_LOG_PAGE, namespace: ALL_NAMESPACES, ..NvmeAdminCommand::default() };
    command.cdw10_15[0] = (length / 4 - 1) << 16 | RETAIN_ASYNCHRONOUS_EVENT | u32::from(page);
    nvme_admin(files, path, command, length)
}

/// Sends an admin command that reads `length` bytes.
fn nvme_admin(files: &Files, path: &str, mut command: NvmeAdminCommand, length: u32) -> Reading<Vec<u8>> {
    let device = match files.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(device) => device,
        Err(error) => return reading_of(&error),
    };
    let mut data = vec![0u8; length as usize];
    command.address = data.as_mut_ptr() as u64;
    command.data_length = length;
    command.timeout_milliseconds = 5_000;
    // SAFETY: the kernel writes at most `data_length` bytes at `address`, which `data` owns until after the call; both
    // commands only read.
    let result = unsafe { rustix::ioctl::ioctl(&device, NvmeAdminIoctl(&mut command)) };
    match result {
        Ok(0) => Reading::Known(data),
        // Invalid field, and invalid log page (NVM Express Base Specification 2.0, figures 94 and 95).
        Ok(status) if matches!(status & 0x7ff, 0x002 | 0x109) => Reading::Unsupported,
        Ok(status) => Reading::Failed(format!("the drive answered with status {:#05x}", status & 0x7ff)),
        Err(error) => reading_of(&error.into()),
    }
}

/// `NVME_IOCTL_ADMIN_CMD`. Its return value is the drive's status: a refused command leaves the buffer as it was.
struct NvmeAdminIoctl<'a>(&'a mut NvmeAdminCommand);

// SAFETY: the argument of the opcode is `struct nvme_admin_cmd`, which the kernel may change.
unsafe impl rustix::ioctl::Ioctl for NvmeAdminIoctl<'_> {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> rustix::ioctl::Opcode {
        rustix::ioctl::opcode::read_write::<NvmeAdminCommand>(b'N', 0x41)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::from_mut(self.0).cast()
    }

    // SAFETY: neither argument is dereferenced.
    unsafe fn output_from_ptr(
        output: rustix::ioctl::IoctlOutput,
        _argument: *mut std::ffi::c_void,
    ) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// A model-specific register. The processor refuses those that it does not have with an error of input and output.
fn msr(files: &Files, cpu: u32, register: u32) -> Reading<Vec<u8>> {
    let device = match files.open(&format!("/dev/cpu/{cpu}/msr"), OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(device) => device,
        Err(error) => return reading_of(&error),
    };
    let mut value = [0; 8];
    match rustix::io::pread(&device, &mut value, register.into()) {
        Ok(8) => Reading::Known(value.to_vec()),
        Ok(_) => Reading::Failed("a register of less than 8 bytes".to_owned()),
        Err(rustix::io::Errno::IO) => Reading::Unsupported,
        Err(error) => reading_of(&error.into()),
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on a thread of its own and stops waiting at a deadline. A thread that is stuck in the kernel is left
/// behind, and the next job gets a new one.
#[derive(Debug, Default)]
pub(super) struct Worker {
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Worker {
    pub(super) fn call<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> Reading<T> + Send + 'static,
    ) -> Reading<T> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            // The receiver is gone when the deadline has passed.
            let _ = answer.send(job());
        });
        let mut jobs = match self.jobs.lock() {
            Ok(jobs) => jobs,
            Err(poisoned) => poisoned.into_inner(),
        };
        let sender = jobs.get_or_insert_with(spawn_worker);
        if sender.send(job).is_err() {
            *jobs = None;
            return Reading::Failed("the reading thread ended".to_owned());
        }
        let started = Instant::now();
        match answered.recv_timeout(deadline) {
            Ok(reading) => reading,
            Err(RecvTimeoutError::Timeout) => {
                *jobs = None;
                Reading::Failed(format!("no answer within {:.0} s", started.elapsed().as_secs_f64()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                *jobs = None;
                Reading::Failed("the read panicked".to_owned())
            }
        }
    }
}

fn spawn_worker() -> Sender<Job> {
    let (sender, receiver) = mpsc::channel::<Job>();
    thread::spawn(move || {
        for job in receiver {
            job();
        }
    });
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_or_outlives_its_output_holds_nobody_up() {
        let shell = |script: &str, deadline| run(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], deadline);
        let begun = Instant::now();
        let hung = shell("echo begun; exec sleep 600", Duration::from_secs(1));
        assert_eq!(hung, Reading::Failed("no answer within 1 s".to_owned()));
        assert_eq!(shell("echo done; exec sleep 600 >&-", READ_DEADLINE), Reading::Known(b"done\n".to_vec()));
        assert_eq!(shell("echo bad; exit 4", READ_DEADLINE), Reading::Known(b"bad\n".to_vec()));
        assert!(begun.elapsed() < Duration::from_secs(300));
    }

    #[test]
    fn a_stuck_or_panicking_read_is_given_up_and_the_next_one_works() {
        let worker = Worker::default();
        let stuck: Reading<u64> = worker.call(Duration::from_millis(50), || {
            thread::sleep(Duration::from_secs(5));
            Reading::Known(1)
        });
        assert!(matches!(stuck, Reading::Failed(why) if why.contains("no answer")));
        let panicked: Reading<u64> = worker.call(READ_DEADLINE, || panic!("in a read"));
        assert!(matches!(panicked, Reading::Failed(why) if why.contains("panicked")));
        assert_eq!(worker.call(READ_DEADLINE, || Reading::Known(2u64)), Reading::Known(2));
    }
}
