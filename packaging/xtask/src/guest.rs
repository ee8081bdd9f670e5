//! One virtual machine: how it is started, and what came out.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value as Json;

use crate::guests::Images;
use crate::tpm::{self, Helper};

/// What the kernel says when the emulated timer stood still while it was tried: the machine below was too busy.
const TIMER_PANIC: &str = "IO-APIC + timer doesn't work";
const TIMER_ATTEMPTS: usize = 3;

/// What every guest needs.
pub struct Bench {
    /// `vmlinuz` and `initrd` of the image.
    pub boot: PathBuf,
    /// The binary inside of the image, run here too.
    pub binary: PathBuf,
    /// Kernel modules and helpers of the test bench.
    pub modules: PathBuf,
    /// Images that start a run by themselves.
    pub images: Images,
    /// Longest time of one guest.
    pub limit: Duration,
}

/// A virtual machine that is being put together. Its folder is removed with it.
pub struct Guest<'a> {
    pub bench: &'a Bench,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    typed: Vec<(&'static str, String)>,
    helpers: Vec<Helper>,
}

/// What a guest left.
pub struct Outcome {
    /// What it printed on its serial console.
    pub console: String,
    /// The exit code that it gave through its exit port; `None` when it ended otherwise.
    pub code: Option<i32>,
}

impl<'a> Guest<'a> {
    /// A machine with 512 MiB and no devices.
    pub fn new(bench: &'a Bench) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("host"))?;
        // No hardware virtualisation: many build machines have none, or one that stops at the kernel's first vector instruction,
        // and the same guests must run everywhere.
        let arguments = "-M q35 -accel tcg -cpu max -m 512 -nodefaults -no-user-config -display none -no-reboot -serial stdio \
                         -device isa-debug-exit,iobase=0xf4,iosize=0x04";
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Ok(Self { bench, folder, arguments, typed: Vec::new(), helpers: Vec::new() })
    }

    /// Folder of this guest.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds arguments of QEMU, separated by blanks.
    pub fn arguments(&mut self, arguments: &str) -> &mut Self {
        self.arguments.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds an argument whose value has blanks.
    pub fn argument(&mut self, argument: &str, value: &str) -> &mut Self {
        self.arguments.extend([argument.to_owned(), value.to_owned()]);
        self
    }

    /// Replaces an argument's value.
    pub fn replace(&mut self, argument: &str, value: &str) -> &mut Self {
        if let Some(at) = self.arguments.iter().position(|it| it == argument)
            && let Some(old) = self.arguments.get_mut(at + 1)
        {
            value.clone_into(old);
        }
        self
    }

    /// Types a line on the serial console once that appears on it, behind everything that was waited for before.
    pub fn types(&mut self, prompt: &'static str, line: &str) -> &mut Self {
        self.typed.push((prompt, format!("{line}\n")));
        self
    }

    /// A file that the guest sees below /host.
    pub fn host_file(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        self.file(&format!("host/{name}"), content)
    }

    /// A file beside the guest.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, content).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Text that the guest wrote below /host.
    pub fn host_text(&self, name: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.path("host").join(name)).with_context(|| format!("the guest left no {name}"))
    }

    /// JSON that the guest wrote below /host.
    pub fn host_json(&self, name: &str) -> anyhow::Result<Json> {
        serde_json::from_str(&self.host_text(name)?).with_context(|| format!("{name} is no JSON"))
    }

    /// A software TPM, attached to the guest. Gives the certificate of the vendor who vouches for its key, PEM.
    pub fn tpm(&mut self) -> anyhow::Result<String> {
        let folder = self.path("tpm");
        fs::create_dir(&folder)?;
        let tpm = tpm::make(&folder)?;
        self.helpers.push(tpm.process);
        self.arguments(&format!(
            "-chardev socket,id=tpm,path={} -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-tis,tpmdev=tpm0",
            tpm.socket.display()
        ));
        Ok(tpm.vendor)
    }

    /// UEFI firmware with variables of its own. `secure` has Debian's test keys enrolled and Secure Boot on.
    pub fn uefi(&mut self, secure: bool) -> anyhow::Result<()> {
        let folder = Path::new("/usr/share/OVMF");
        let (code, variables) = match secure {
            false => ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
            true => ("OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.snakeoil.fd"),
        };
        let own = self.path("variables.fd");
        fs::copy(folder.join(variables), &own).context("OVMF: apt-get install ovmf")?;
        if secure {
            self.replace("-M", "q35,smm=on");
            self.arguments("-global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1");
        }
        self.arguments(&format!(
            "-drive if=pflash,format=raw,unit=0,readonly=on,file={} -drive if=pflash,format=raw,unit=1,file={}",
            folder.join(code).display(),
            own.display()
        ));
        Ok(())
    }

    /// Starts the image's kernel directly, and in it the script as `/host/run.sh`.
    pub fn run_script(&mut self, script: &str) -> anyhow::Result<Outcome> {
        use std::os::unix::fs::PermissionsExt;
        let script = format!("#!/bin/sh\ncd /host\n{script}");
        let path = self.host_file("run.sh", script)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        let boot = &self.bench.boot;
        let start = format!(
            "-kernel {} -initrd {} -virtfs local,path={},mount_tag=host,security_model=none,id=h",
            boot.join("vmlinuz").display(),
            boot.join("initrd").display(),
            self.path("host").display()
        );
        self.arguments(&start);
        self.argument("-append", "console=ttyS0 quiet panic=-1 yanji.exit-port");
        self.run()
    }

    /// Starts whatever the arguments say.
    pub fn run(&mut self) -> anyhow::Result<Outcome> {
        for _ in 0..TIMER_ATTEMPTS {
            let outcome = self.run_once()?;
            if !outcome.console.contains(TIMER_PANIC) {
                return Ok(outcome);
            }
        }
        bail!("{TIMER_PANIC}, {TIMER_ATTEMPTS} times")
    }

    fn run_once(&mut self) -> anyhow::Result<Outcome> {
        let log = self.path("console.log");
        let console = File::create(&log)?;
        let mut child = Command::new("qemu-system-x86_64")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .context("qemu-system-x86_64: apt-get install qemu-system-x86")?;
        let mut keyboard = child.stdin.take().context("no standard input")?;
        let (mut typed, mut seen) = (self.typed.iter(), 0);
        let mut next = typed.next();
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if let Some((prompt, line)) = next
                && let Some(end) = end_of(&fs::read(&log)?, seen, prompt.as_bytes())
            {
                keyboard.write_all(line.as_bytes())?;
                (next, seen) = (typed.next(), end);
            }
            if started.elapsed() > self.bench.limit {
                _ = child.kill();
                _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let console = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if std::env::var_os("XTASK_CONSOLE").is_some() {
            std::io::stderr().write_all(console.as_bytes())?;
        }
        ensure!(status.is_some(), "not done after {} s: {}", self.bench.limit.as_secs(), last_lines(&console));
        // The exit port gives (value << 1) | 1, and the image adds 16 to its code.
        let code = status.and_then(|status| status.code()).filter(|code| code & 1 == 1).map(|code| (code >> 1) - 16);
        Ok(Outcome { console, code })
    }
}

impl Outcome {
    /// Fails when the console does not say that.
    pub fn says(&self, words: &str) -> anyhow::Result<()> {
        ensure!(self.console.contains(words), "the console does not say {words:?}: {}", self.tail());
        Ok(())
    }

    /// The last lines of the console, for an error.
    pub fn tail(&self) -> String {
        last_lines(&self.console)
    }
}

/// Where a text ends that begins so far into a console or later.
fn end_of(console: &[u8], from: usize, text: &[u8]) -> Option<usize> {
    let at = console.get(from..)?.windows(text.len()).position(|window| window == text)?;
    Some(from + at + text.len())
}

fn last_lines(console: &str) -> String {
    let lines: Vec<&str> = console.lines().filter(|line| !line.contains('█')).collect();
    lines[lines.len().saturating_sub(12)..].join(" | ")
}
