//! Guests that start from the image itself, and what a TPM makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail, ensure};
use serde_json::Value as Json;

use super::report::{
    SHORT_PROFILE, Verified, answers, challenge, copy_out, predicted, quoted, reports_in, trust_policy, verify,
};
use crate::guest::{Bench, Guest, Outcome};
use crate::project;
use crate::tpm::run;

/// A run that nobody watches.
const CERTIFY: &str = "yanji.run=certify yanji.profile=short.toml";
/// A digest that no pack has.
const WRONG_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Digits that a buyer may give.
pub(super) const CHALLENGE: &str = "c4a11e46ec4a11e46ec4a11e46ec4a11e46ec4a11e46ec4a11e46ec4a11e46e0";
/// Debian's test key for Secure Boot and its certificate, which the firmware's test variables know.
const TEST_KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const TEST_CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";

/// Images that start a run by themselves, made when a guest needs one: the initial file system is the one of the bench, and
/// only the command line differs. Each is a folder with yanji.iso and image.json.
pub struct Images {
    folder: tempfile::TempDir,
    build: Vec<String>,
    cache: PathBuf,
    /// A pack that nvidia-pack.sh made of NVIDIA's driver; `None` where one for tests has to do.
    pub real_pack: Option<PathBuf>,
    genuine: OnceLock<Result<PathBuf, String>>,
    changed: OnceLock<Result<PathBuf, String>>,
    signed: OnceLock<Result<PathBuf, String>>,
    test_pack: OnceLock<Result<PathBuf, String>>,
}

impl Images {
    /// Builds nothing yet.
    pub fn new(binary: &Path, initrd: &Path, cache: &Path, real_pack: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let profile = folder.path().join("short.toml");
        fs::write(&profile, SHORT_PROFILE)?;
        let mut build = Vec::new();
        for (option, path) in [("--binary", binary), ("--initrd", initrd), ("--cache", cache), ("--add", &profile)] {
            build.extend([option.to_owned(), path.display().to_string()]);
        }
        let [genuine, changed, signed, test_pack] = [(); 4].map(|()| OnceLock::new());
        Ok(Self { folder, build, cache: cache.to_owned(), real_pack, genuine, changed, signed, test_pack })
    }

    /// The image that a policy allows.
    fn genuine(&self) -> anyhow::Result<&Path> {
        made(&self.genuine, || self.build("genuine", &["--cmdline", CERTIFY]))
    }

    /// The same with another command line: it asks for an NVIDIA pack, and the one on the medium is not that; for an address;
    /// and that a challenge is answered.
    fn changed(&self) -> anyhow::Result<&Path> {
        made(&self.changed, || {
            let pack = self.folder.path().join("nvidia.squashfs");
            fs::write(&pack, [0x5a; 4096])?;
            let words = format!("{CERTIFY} yanji.nvidia={WRONG_DIGEST} yanji.net=dhcp yanji.challenge={CHALLENGE}");
            self.build("changed", &["--cmdline", &words, "--add", &pack.display().to_string()])
        })
    }

    /// The genuine one, signed with Debian's test key, and with an NVIDIA pack whose modules that key signed.
    fn signed(&self) -> anyhow::Result<&Path> {
        made(&self.signed, || {
            let key = self.folder.path().join("test.key").display().to_string();
            // Its passphrase is public.
            run(Command::new("openssl").args(["rsa", "-in", TEST_KEY, "-passin", "pass:snakeoil", "-out", &key]))
                .context("apt-get install ovmf")?;
            let folder = self.folder.path().join("signed-pack");
            let driver = project().join("tests/guest/driver/make.sh");
            run(Command::new(driver).args([&virtual_driver()?, &folder]))?;
            let pack = folder.join("nvidia.squashfs");
            let signed = ["--sign-key", &key, "--sign-cert", TEST_CERTIFICATE];
            let mut command = Command::new(project().join("packaging/image/nvidia-pack.sh"));
            command.args([&folder.join("driver.run"), &pack]).arg("--cache").arg(&self.cache).args(signed);
            run(&mut command)?;
            let words = ["--cmdline", CERTIFY, "--nvidia-pack", &pack.display().to_string()];
            self.build("signed", &[&words[..], &signed].concat())
        })
    }

    /// An NVIDIA pack for tests, of the test driver.
    pub fn test_pack(&self) -> anyhow::Result<&Path> {
        made(&self.test_pack, || {
            let pack = self.folder.path().join("pack");
            let mut command = Command::new(project().join("packaging/image/nvidia_pack_check.sh"));
            run(command.args([&virtual_driver()?, &pack, &self.cache]))?;
            Ok(pack.join("nvidia.squashfs"))
        })
    }

    /// Builds an image, in a folder of that name.
    pub fn build(&self, name: &str, options: &[&str]) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join(name);
        let mut command = Command::new(project().join("packaging/image/build.sh"));
        run(command.args(&self.build).args(options).arg("--out").arg(folder.join("yanji.iso")))?;
        Ok(folder)
    }
}

/// The library of `tests/vgpu` as Cargo built it with this program.
fn virtual_driver() -> anyhow::Result<PathBuf> {
    const NAME: &str = "libvgpu.so";
    let program = std::env::current_exe()?;
    let folder = program.parent().context("no folder of this program")?;
    // What tests depend on stays in `deps`; a copy one folder up may be an older one.
    let found = [folder.join("deps").join(NAME), folder.join(NAME)].into_iter().find(|path| path.exists());
    found.with_context(|| format!("there is no {NAME} in {}: cargo build -p vgpu", folder.display()))
}

/// Builds on the first call; guests that run beside it wait.
fn made(
    image: &OnceLock<Result<PathBuf, String>>,
    build: impl FnOnce() -> anyhow::Result<PathBuf>,
) -> anyhow::Result<&Path> {
    match image.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder),
        Err(error) => bail!("{error}"),
    }
}

/// The exit code that the image says at the end of a run that nobody watches.
fn result_of(outcome: &Outcome) -> anyhow::Result<&str> {
    let code = outcome.console.split_once("RESULT rc=").and_then(|(_, rest)| rest.split_whitespace().next());
    code.with_context(|| format!("no result: {}", outcome.tail()))
}

pub fn tpm_bios(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    let vendor = guest.tpm()?;
    guest.host_file("short.toml", SHORT_PROFILE)?;
    let outcome = guest.run_script("yanji certify --profile short.toml --out report >certify.log 2>&1")?;
    let report = guest.path("host").join("report");
    ensure!(
        report.join("report.dsse.json").exists(),
        "no report: {}; {}",
        guest.host_text("certify.log").unwrap_or_default(),
        outcome.tail()
    );
    let policy = trust_policy(&guest, &report, &vendor, None)?;
    let verified = verify(&guest, &report, &["--trust".as_ref(), policy.as_os_str()])?;
    verified.is_valid()?;
    verified.does_not_prove("which system ran")?;
    Ok(verified.proves("signed that")?.to_owned())
}

pub fn iso_bios(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.replace("-m", "256");
    guest.arguments(&format!("-cdrom {}", bench.images.changed()?.join("yanji.iso").display()));
    guest.arguments("-nic user,model=virtio-net-pci");
    let outcome = guest.run()?;
    let result = result_of(&outcome)?;
    ensure!(result == "3", "exit code {result}: {}", outcome.tail());
    outcome.says(&format!("REFUSED the NVIDIA pack: its digest is not {WRONG_DIGEST}"))?;
    outcome.says("no hardware root: this machine has no TPM")?;
    outcome.says("in memory only: no file system is labelled YANJI")?;
    outcome.says(" UNDECIDED")?;
    // The first address that QEMU gives out.
    outcome.says(" has 10.0.2.15")?;
    // The code to be photographed: a corner of it, which is the same whatever it says.
    for line in ["█ ▄▄▄▄▄ █", "█ █   █ █", "█ █▄▄▄█ █"] {
        outcome.says(line)?;
    }
    Ok("undecided, in memory, pack refused, no TPM, address, code shown".to_owned())
}

/// Puts a copy of an image into a USB disk from which the guest starts; gives the disk.
fn attach(guest: &mut Guest<'_>, image: &Path) -> anyhow::Result<PathBuf> {
    let disk = guest.path("stick.img");
    fs::copy(image.join("yanji.iso"), &disk)?;
    guest.arguments(&format!(
        "-device qemu-xhci -drive if=none,id=stick,format=raw,file={} -device usb-storage,drive=stick,bootindex=1",
        disk.display()
    ));
    Ok(disk)
}

/// Where the partition for reports begins, in bytes: it is the last one.
fn reports_at(disk: &Path) -> anyhow::Result<u64> {
    let output = Command::new("sfdisk").arg("--json").arg(disk).output().context("sfdisk: apt-get install fdisk")?;
    let table: Json = serde_json::from_slice(&output.stdout).context("sfdisk")?;
    let sector = table["partitiontable"]["partitions"].as_array().and_then(|all| all.last()?["start"].as_u64());
    Ok(sector.context("no partition")? * 512)
}

/// The one report on a disk.
fn report_on(guest: &Guest<'_>, disk: &Path, outcome: &Outcome) -> anyhow::Result<PathBuf> {
    let copied = copy_out(guest, disk, reports_at(disk)?)?;
    let mut reports = reports_in(&copied)?;
    ensure!(reports.len() == 1, "{} reports on the stick: {}", reports.len(), outcome.tail());
    Ok(reports.remove(0))
}

pub fn iso_usb(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    let disk = attach(&mut guest, bench.images.genuine()?)?;
    let challenge = challenge(&guest, "7d")?;
    let partition = format!("{}@@{}", disk.display(), reports_at(&disk)?);
    run(Command::new("mcopy").args(["-i", &partition]).arg(&challenge).arg("::/challenge.json"))?;
    let outcome = guest.run()?;
    let result = result_of(&outcome)?;
    outcome.says("The report is on the stick")?;
    let report = report_on(&guest, &disk, &outcome)?;
    // The key stays on the stick.
    let key = report.with_file_name("yanji-key").join("yanji/key.pem.pub");
    let how = ["--key".as_ref(), key.as_os_str(), "--challenge".as_ref(), challenge.as_os_str()];
    let verified = verify(&guest, &report, &how)?;
    verified.is_valid()?;
    let answered = verified.proves("challenge")?;
    ensure!(verified.proves("image").is_err(), "an image is proven without a TPM");
    Ok(format!("{answered}; exit code {result} inside, {} outside", verified.code))
}

/// A machine with UEFI, a TPM and a stick.
struct Machine<'a> {
    guest: Guest<'a>,
    vendor: String,
    disk: PathBuf,
    /// Digits that the report has to answer.
    challenge: Option<&'static str>,
    /// The image that the policy allows.
    allowed: &'a Path,
}

impl<'a> Machine<'a> {
    fn new(bench: &'a Bench, image: &Path, secure: bool) -> anyhow::Result<Self> {
        let mut guest = Guest::new(bench)?;
        let vendor = guest.tpm()?;
        guest.uefi(secure)?;
        guest.replace("-m", "768");
        let disk = attach(&mut guest, image)?;
        Ok(Self { guest, vendor, disk, challenge: None, allowed: bench.images.genuine()? })
    }

    /// Starts the machine, and verifies its report under a policy that trusts the TPM's vendor and allows one image.
    /// `register_4` is its name in image.json, `image` the one that is started: the TPM has to show what that predicts.
    fn run(mut self, image: &Path, register_4: Option<&str>) -> anyhow::Result<(Verified, Outcome)> {
        let outcome = self.guest.run()?;
        result_of(&outcome)?;
        let report = report_on(&self.guest, &self.disk, &outcome)?;
        if let Some(challenge) = self.challenge {
            answers(&report, challenge)?;
        }
        let expected = [(11, Some(["pcr11", "stub"].as_slice())), (4, register_4.as_ref().map(std::slice::from_ref))];
        for (register, path) in expected.into_iter().filter_map(|(register, path)| Some((register, path?))) {
            let (predicted, quoted) = (predicted(&image.join("image.json"), path)?, quoted(&report, register)?);
            ensure!(
                quoted == [predicted.clone(), predicted.clone()],
                "register {register}: {quoted:?}, not {predicted}"
            );
        }
        let policy = trust_policy(&self.guest, &report, &self.vendor, Some(&self.allowed.join("image.json")))?;
        let verified = verify(&self.guest, &report, &["--trust".as_ref(), policy.as_os_str()])?;
        Ok((verified, outcome))
    }
}

/// What proves that the genuine image ran.
fn genuine(verified: &Verified) -> anyhow::Result<String> {
    verified.is_valid()?;
    Ok(format!("{}, registers as predicted", verified.proves("genuine image")?))
}

/// The failure of a report from an image that is not allowed.
fn unknown(verified: &Verified) -> anyhow::Result<String> {
    let failure = &verified.json["failures"][0];
    let (class, what) =
        (failure["class"].as_str().unwrap_or("no failure"), failure["what"].as_str().unwrap_or_default());
    ensure!(class == "E_IMAGE_UNKNOWN" && verified.code != 0, "{class}, exit code {}", verified.code);
    Ok(format!("{class}: {what}; verify exits {}", verified.code))
}

pub fn iso_uefi(bench: &Bench) -> anyhow::Result<String> {
    let image = bench.images.genuine()?;
    let (verified, _) = Machine::new(bench, image, false)?.run(image, Some("pcr4"))?;
    genuine(&verified)
}

pub fn uefi_cmdline(bench: &Bench) -> anyhow::Result<String> {
    let image = bench.images.changed()?;
    let machine = Machine { challenge: Some(CHALLENGE), ..Machine::new(bench, image, false)? };
    let (verified, outcome) = machine.run(image, Some("pcr4"))?;
    outcome.says("network: no cable leads to an address")?;
    unknown(&verified)
}

pub fn uefi_options(bench: &Bench) -> anyhow::Result<String> {
    let image = bench.images.genuine()?;
    let mut machine = Machine::new(bench, image, false)?;
    // Firmware hands such a command line over as load options, and the stub takes it instead of the image's own.
    let words = format!("console=ttyS0,115200 quiet {CERTIFY} yanji.handed");
    machine.guest.arguments(&format!("-kernel {}", image.join("yanji.efi").display()));
    machine.guest.argument("-append", &words);
    let (verified, outcome) = machine.run(image, None)?;
    outcome.says("RESULT rc=")?;
    unknown(&verified)
}

pub fn secure_boot(bench: &Bench) -> anyhow::Result<String> {
    let image = bench.images.signed()?;
    let machine = Machine { allowed: image, ..Machine::new(bench, image, true)? };
    let (verified, outcome) = machine.run(image, Some("pcr4SecureBoot"))?;
    outcome.says("Secure Boot is on")?;
    // The kernel takes no module that nobody signed.
    outcome.says(": driver 550.1.2 is loaded")?;
    genuine(&verified)
}
