//! The guests, what each is to find, and the table of what they found.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value as Json;

use crate::fixtures;
use crate::guest::{Bench, Guest, Outcome};
use crate::project;
use crate::spd::SpdImage;

/// Arguments of `cargo xtask guest-test`.
#[derive(clap::Args)]
pub struct GuestTestArgs {
    /// Guests to run; all of them without one
    pub names: Vec<String>,
    /// Folder with yanji.iso, yanji.efi, vmlinuz and initrd of packaging/image/build.sh
    #[arg(long, default_value = "target/image")]
    pub image: PathBuf,
    /// The binary that is in the image
    #[arg(long, default_value = "target/release/yanji")]
    pub binary: PathBuf,
    /// Where packages are kept between runs
    #[arg(long)]
    pub cache: Option<PathBuf>,
    /// Longest time of one guest in seconds
    #[arg(long, default_value_t = 300)]
    pub limit_seconds: u64,
    /// Name the guests, run none
    #[arg(long)]
    pub list: bool,
}

type Test = fn(&Bench) -> anyhow::Result<String>;

/// Name, what it shows, what it must find.
const GUESTS: [(&str, &str, &str, Test); 14] = [
    (
        "smbios-twins",
        "16 modules by SMBIOS, two with one serial number",
        "dimm.serial-duplicate on 2 of 16",
        smbios_twins,
    ),
    ("ddr5", "8 DDR5 modules through spd5118", "8 modules read, none accused", ddr5),
    ("ddr4-clones", "8 DDR4 modules through ee1004, two of them clones", "dimm.id-duplicate on 2 of 8", ddr4_clones),
    ("page-alias", "a bus that cannot turn pages", "dimm.page-alias", page_alias),
    (
        "pci-h100",
        "two H100 functions, one link degraded, one serial number",
        "link reduced, serial duplicate",
        pci_h100,
    ),
    ("nvme-twins", "two NVMe drives with one serial number", "platform.nvme-unbound", nvme_twins),
    ("sata-twins", "two SATA drives with one serial number", "drive.serial-duplicate on 2", sata_twins),
    ("tpm", "a quote made in the guest", "TPM proves the burn-in's time", tpm),
    ("iso-bios", "the image by BIOS from a CD", "report made, unattested", iso_bios),
    ("iso-usb", "the image from a USB disk, report on its partition", "report on the stick", iso_usb),
    ("iso-usb-full", "a stick that is full", "report in memory, nothing on the stick", iso_usb_full),
    ("iso-uefi", "the image by UEFI with a TPM", "the genuine image ran", iso_uefi),
    ("uefi-cmdline", "the image with another command line", "E_IMAGE_UNKNOWN", uefi_cmdline),
    ("secure-boot", "the signed image under Secure Boot", "started, PCR 11 unchanged", secure_boot),
];

/// Runs the guests one after the other and prints a table. `false` when one failed.
pub fn run(args: &GuestTestArgs) -> anyhow::Result<bool> {
    if args.list {
        for (name, what, expected, _) in GUESTS {
            println!("{name:<14} {what}: {expected}");
        }
        return Ok(true);
    }
    if let Some(unknown) = args.names.iter().find(|name| !GUESTS.iter().any(|(known, ..)| known == name)) {
        bail!("there is no guest {unknown:?}: cargo xtask guest-test --list names them");
    }
    let absolute = |path: &PathBuf| project().join(path);
    let image = absolute(&args.image);
    let cache = match &args.cache {
        Some(cache) => cache.clone(),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache/yanji-image"),
    };
    let bench = Bench {
        iso: image.join("yanji.iso"),
        boot: image,
        binary: absolute(&args.binary),
        modules: cache.join("modules"),
        limit: Duration::from_secs(args.limit_seconds),
    };
    for file in [&bench.iso, &bench.boot.join("initrd"), &bench.binary] {
        ensure!(
            file.exists(),
            "{} is missing: run packaging/image/build.sh --out target/image/yanji.iso first",
            file.display()
        );
    }
    let headers = project().join("packaging/image/headers.sh");
    let made = Command::new(&headers).arg(&cache).arg(project().join("tests/guest")).arg(&bench.modules).status();
    ensure!(made.context("headers.sh")?.success(), "the test bench's kernel modules could not be compiled");

    let mut rows = Vec::new();
    for (name, _, expected, test) in GUESTS {
        if !args.names.is_empty() && !args.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("== {name}");
        let started = Instant::now();
        let found = test(&bench);
        rows.push((name, started.elapsed().as_secs_f64(), expected, found));
    }
    println!("{:<14} {:>7}  {:<45} found", "guest", "seconds", "expected");
    for (name, seconds, expected, found) in &rows {
        let found = match found {
            Ok(found) => format!("ok: {found}"),
            Err(error) => format!("FAILED: {error:#}"),
        };
        println!("{name:<14} {seconds:>7.1}  {expected:<45} {found}");
    }
    let total: f64 = rows.iter().map(|(_, seconds, ..)| seconds).sum();
    let failed = rows.iter().filter(|(.., found)| found.is_err()).count();
    println!("{} guests in {total:.0} s, {failed} failed", rows.len());
    Ok(failed == 0)
}

/// Parts on which a rule fires.
fn parts_of(inspection: &Json, rule: &str) -> Vec<String> {
    let findings = inspection["findings"].as_array().map_or(&[][..], Vec::as_slice);
    let of_rule = findings.iter().filter(|finding| finding["rule"] == rule);
    of_rule.filter_map(|finding| Some(finding["part"].as_str()?.to_owned())).collect()
}

/// The last lines of a console, for an error.
fn tail(outcome: &Outcome) -> String {
    let lines: Vec<&str> = outcome.console.lines().collect();
    lines[lines.len().saturating_sub(12)..].join(" | ")
}

/// Runs `yanji inspect` after a script, and gives its JSON.
fn inspect(guest: &mut Guest<'_>, script: &str) -> anyhow::Result<Json> {
    let outcome = guest.run_script(&format!(
        "mkdir -p /lib/firmware; cp /host/*.bin /lib/firmware/ 2>/dev/null\n{script}\nyanji inspect --format json >/host/inspect.json 2>/host/inspect.log"
    ))?;
    guest
        .host_json("inspect.json")
        .with_context(|| format!("exit code {:?}, console: {}", outcome.code, tail(&outcome)))
}

fn smbios_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    for (index, structure) in fixtures::memory_structures(16, &[3, 7]).iter().enumerate() {
        let path = guest.file(&format!("smbios-{index}.bin"), structure)?;
        guest.arguments(&format!("-smbios file={}", path.display()));
    }
    let inspection = inspect(&mut guest, "")?;
    let modules = inspection["dimms"].as_array().map_or(0, Vec::len);
    let twins = parts_of(&inspection, "dimm.serial-duplicate");
    ensure!(modules == 16 && twins.len() == 2, "{modules} modules, dimm.serial-duplicate on {twins:?}");
    Ok(format!("dimm.serial-duplicate on {}", twins.join(", ")))
}

/// Writes the images as firmware files `spd-N.bin`.
fn write_modules(guest: &Guest<'_>, images: &[SpdImage]) -> anyhow::Result<()> {
    for (index, image) in images.iter().enumerate() {
        guest.host_file(&format!("spd-{index}.bin"), image.build())?;
    }
    Ok(())
}

/// Puts an executable of the test bench into the guest's folder.
fn bring(guest: &Guest<'_>, name: &str) -> anyhow::Result<()> {
    fs::copy(guest.bench.modules.join(name), guest.path("host").join(name)).with_context(|| name.to_owned())?;
    Ok(())
}

fn read_modules(inspection: &Json) -> usize {
    let modules = inspection["dimms"].as_array().map_or(&[][..], Vec::as_slice);
    modules.iter().filter(|module| module["module_id"].is_string()).count()
}

fn ddr5(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr5_rdimm(), 8, &[]))?;
    bring(&guest, "spdfill")?;
    let addresses = "0x50,0x51,0x52,0x53,0x54,0x55,0x56,0x57";
    let each = |value: &str| [value; 8].join(",");
    // functionality: SMBus quick, byte, byte data, word data, block.
    let script = format!(
        "modprobe -r i2c-stub 2>/dev/null; modprobe i2c-stub functionality=0x7f0000 chip_addr={addresses} bank_reg={} bank_mask={} bank_start={} bank_end={}\n\
         bus=$(grep -l 'SMBus stub' /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')\n\
         for n in 0 1 2 3 4 5 6 7; do /host/spdfill /dev/i2c-$bus 0x5$n /host/spd-$n.bin; echo spd5118 0x5$n >/sys/bus/i2c/devices/i2c-$bus/new_device; done",
        each("0x0b"),
        each("7"),
        each("0x80"),
        each("0xff")
    );
    let inspection = inspect(&mut guest, &script)?;
    let read = read_modules(&inspection);
    let accused = parts_of(&inspection, "dimm.spd-crc").len() + parts_of(&inspection, "dimm.id-duplicate").len();
    ensure!(read == 8 && accused == 0, "{read} modules read, {accused} accused");
    Ok("8 modules read, none accused".to_owned())
}

fn ddr4_clones(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr4_rdimm(), 8, &[2, 5]))?;
    bring(&guest, "spdsim.ko")?;
    let names: Vec<String> = (0..8).map(|index| format!("spd-{index}.bin")).collect();
    let script = format!(
        "insmod /host/spdsim.ko spd={}\n\
         bus=$(grep -l 'SPD simulator' /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')\n\
         for n in 0 1 2 3 4 5 6 7; do echo ee1004 0x5$n >/sys/bus/i2c/devices/i2c-$bus/new_device; done",
        names.join(",")
    );
    let inspection = inspect(&mut guest, &script)?;
    let (read, twins) = (read_modules(&inspection), parts_of(&inspection, "dimm.id-duplicate"));
    ensure!(read == 8 && twins.len() == 2, "{read} modules read, dimm.id-duplicate on {twins:?}");
    Ok(format!("dimm.id-duplicate on {}", twins.join(", ")))
}

fn page_alias(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    write_modules(&guest, &fixtures::modules(&SpdImage::ddr4_rdimm(), 1, &[]))?;
    bring(&guest, "spdfill")?;
    let script = "modprobe -r i2c-stub 2>/dev/null; modprobe i2c-stub chip_addr=0x36,0x37,0x50\n\
                  bus=$(grep -l 'SMBus stub' /sys/bus/i2c/devices/i2c-*/name | sed 's/.*i2c-\\([0-9]*\\).*/\\1/')\n\
                  /host/spdfill /dev/i2c-$bus 0x50 /host/spd-0.bin; echo ee1004 0x50 >/sys/bus/i2c/devices/i2c-$bus/new_device";
    let inspection = inspect(&mut guest, script)?;
    let aliased = parts_of(&inspection, "dimm.page-alias");
    ensure!(aliased.len() == 1, "dimm.page-alias on {aliased:?}");
    Ok("dimm.page-alias".to_owned())
}

fn pci_h100(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.host_file("gpu-0.bin", fixtures::h100_config(0x48b0_2d00_0000_17b3, 5, 16))?;
    guest.host_file("gpu-1.bin", fixtures::h100_config(0x48b0_2d00_0000_17b3, 3, 8))?;
    bring(&guest, "fakepci.ko")?;
    let inspection = inspect(&mut guest, "insmod /host/fakepci.ko config=gpu-0.bin,gpu-1.bin")?;
    let gpus = inspection["gpus"].as_array().map_or(0, Vec::len);
    let width = parts_of(&inspection, "gpu.link-width-reduced");
    let speed = parts_of(&inspection, "gpu.link-speed-reduced");
    let twins =
        parts_of(&inspection, "part.serial-duplicate").len() + parts_of(&inspection, "gpu.duplicate-serial").len();
    ensure!(
        gpus == 2 && width.len() + speed.len() >= 1 && twins >= 2,
        "{gpus} GPUs, width {width:?}, speed {speed:?}, twins {twins}"
    );
    Ok(format!("link width {}, speed {}, twins {twins}", width.len(), speed.len()))
}

fn nvme_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    for name in ["a", "b"] {
        let path = guest.file(&format!("{name}.img"), vec![0; 16 << 20])?;
        guest.arguments(&format!(
            "-drive if=none,id={name},format=raw,file={} -device nvme,drive={name},serial=S64FNE0R602879",
            path.display()
        ));
    }
    let inspection = inspect(&mut guest, "")?;
    let unbound = parts_of(&inspection, "platform.nvme-unbound");
    let drives = inspection["drives"].as_array().map_or(0, Vec::len);
    ensure!(!unbound.is_empty(), "platform.nvme-unbound nowhere, {drives} drives");
    Ok(format!("platform.nvme-unbound, {drives} drive"))
}

fn sata_twins(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.arguments("-device ahci,id=ahci");
    for (index, name) in ["a", "b"].into_iter().enumerate() {
        let path = guest.file(&format!("{name}.img"), vec![0; 16 << 20])?;
        guest.arguments(&format!(
            "-drive if=none,id={name},format=raw,file={} -device ide-hd,drive={name},bus=ahci.{index},serial=ZL2AB7KQ,model=ST16000NM001G",
            path.display()
        ));
    }
    let inspection = inspect(&mut guest, "")?;
    let twins = parts_of(&inspection, "drive.serial-duplicate");
    ensure!(twins.len() == 2, "drive.serial-duplicate on {twins:?}");
    Ok(format!("drive.serial-duplicate on {}", twins.join(", ")))
}

/// A burn-in of a few seconds: the guests show that it runs and is signed, not that the host has good memory.
const SHORT_PROFILE: &str = "name = \"guest\"\nduration_seconds = 20\n[memory]\nshare_percent = 10\nphase_seconds = 10\n[cpu]\nphase_seconds = 6\n";

/// Verifies a report outside of the guest.
fn verify(bench: &Bench, report: &Path, guest: &Guest<'_>, trust: &[&OsStr]) -> anyhow::Result<(Json, i32)> {
    let mut command = Command::new(&bench.binary);
    command.args(["verify", "--format", "json"]).args(trust);
    if trust.is_empty() {
        command.arg("--key").arg(report.join("signer.pub"));
    }
    let output = as_verifier(&mut command, guest).arg(report).output()?;
    let json: Json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("yanji verify: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((json["reports"][0].clone(), output.status.code().unwrap_or(-1)))
}

fn sentences(report: &Json, list: &str) -> String {
    let lines = report[list].as_array().map_or(&[][..], Vec::as_slice);
    lines.iter().filter_map(Json::as_str).collect::<Vec<_>>().join("; ")
}

fn tpm(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    guest.tpm()?;
    guest.host_file("short.toml", SHORT_PROFILE)?;
    let outcome = guest.run_script(
        "HOME=/run/yanji yanji certify --profile /host/short.toml --out /host/report >/host/certify.log 2>&1",
    )?;
    let report = guest.path("host").join("report");
    ensure!(report.join("report.dsse.json").exists(), "no report: {}", tail(&outcome));
    let (verified, _) = verify(bench, &report, &guest, &[])?;
    ensure!(verified["valid"] == true, "not valid: {}", verified["failures"]);
    let proven = sentences(&verified, "proven");
    ensure!(proven.contains("TPM"), "nothing proven by the TPM: {proven}");
    Ok(proven.split("; ").find(|line| line.contains("TPM")).unwrap_or_default().to_owned())
}

/// The result line that the image prints at the end of an unattended run.
fn result_of(outcome: &Outcome) -> anyhow::Result<String> {
    let line = outcome.console.lines().find(|line| line.contains("RESULT rc="));
    Ok(line.with_context(|| tail(outcome))?.trim().to_owned())
}

/// An image with these words behind its command line, in a folder of the guest. The initial file system is the one of the bench.
fn build_image(
    bench: &Bench,
    guest: &Guest<'_>,
    name: &str,
    words: &str,
    signature: Option<&(PathBuf, PathBuf)>,
) -> anyhow::Result<PathBuf> {
    let folder = guest.path(name);
    let mut command = Command::new(project().join("packaging/image/build.sh"));
    let cache = bench.modules.parent().unwrap_or(&bench.modules);
    command.arg("--binary").arg(&bench.binary).arg("--cmdline").arg(words).arg("--out").arg(folder.join("yanji.iso"));
    command.arg("--initrd").arg(bench.boot.join("initrd")).arg("--cache").arg(cache);
    command.arg("--add").arg(guest.file("short.toml", SHORT_PROFILE)?);
    if let Some((key, certificate)) = signature {
        command.arg("--sign-key").arg(key).arg("--sign-cert").arg(certificate);
    }
    let made = command.output()?;
    ensure!(made.status.success(), "build.sh: {}", String::from_utf8_lossy(&made.stderr));
    Ok(folder)
}

const CERTIFY: &str = "yanji.run=certify yanji.profile=short.toml";

fn iso_bios(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    let folder = build_image(bench, &guest, "running", CERTIFY, None)?;
    guest.arguments(&format!("-cdrom {}", folder.join("yanji.iso").display()));
    let outcome = guest.run()?;
    let result = result_of(&outcome)?;
    ensure!(outcome.console.contains("report ") && outcome.console.contains("in memory only"), "{}", tail(&outcome));
    Ok(result)
}

/// The image as a USB disk; gives the disk.
fn usb_disk(bench: &Bench, guest: &mut Guest<'_>) -> anyhow::Result<PathBuf> {
    let folder = build_image(bench, guest, "running", CERTIFY, None)?;
    attach(guest, &folder.join("yanji.iso"))
}

/// A copy of an image as a USB disk from which the guest starts; gives the disk.
fn attach(guest: &mut Guest<'_>, iso: &Path) -> anyhow::Result<PathBuf> {
    let disk = guest.path("stick.img");
    fs::copy(iso, &disk)?;
    guest.arguments(&format!(
        "-device qemu-xhci -drive if=none,id=stick,format=raw,file={} -device usb-storage,drive=stick,bootindex=1",
        disk.display()
    ));
    Ok(disk)
}

/// The partition for reports: offset and length in bytes, from the partition table.
fn reports_partition(disk: &Path) -> anyhow::Result<(u64, u64)> {
    let output = Command::new("sfdisk").args(["--json"]).arg(disk).output().context("sfdisk: apt-get install fdisk")?;
    let table: Json = serde_json::from_slice(&output.stdout)?;
    let partition =
        table["partitiontable"]["partitions"].as_array().and_then(|all| all.last()).context("no partition")?;
    let sectors = |name: &str| partition[name].as_u64().context("no partition");
    Ok((sectors("start")? * 512, sectors("size")? * 512))
}

/// Copies the folders with reports off the stick.
fn reports_on(guest: &Guest<'_>, disk: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (offset, _) = reports_partition(disk)?;
    let out = guest.path("copied");
    fs::create_dir_all(&out)?;
    let status = Command::new("mcopy")
        .args(["-s", "-n", "-i", &format!("{}@@{offset}", disk.display()), "::/"])
        .arg(&out)
        .output()
        .context("mcopy: apt-get install mtools")?;
    ensure!(status.status.success(), "mcopy: {}", String::from_utf8_lossy(&status.stderr));
    let mut reports = Vec::new();
    for entry in fs::read_dir(&out)? {
        let path = entry?.path();
        if path.join("report.dsse.json").exists() {
            reports.push(path);
        }
    }
    Ok(reports)
}

fn iso_usb(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    let disk = usb_disk(bench, &mut guest)?;
    let outcome = guest.run()?;
    let result = result_of(&outcome)?;
    let reports = reports_on(&guest, &disk)?;
    ensure!(reports.len() == 1, "{} reports on the stick, {result}: {}", reports.len(), tail(&outcome));
    let (verified, code) = verify(bench, &reports[0], &guest, &[])?;
    ensure!(verified["valid"] == true, "not valid: {}", verified["failures"]);
    Ok(format!("one report on the stick, valid, verify exits {code}"))
}

fn iso_usb_full(bench: &Bench) -> anyhow::Result<String> {
    let mut guest = Guest::new(bench)?;
    let disk = usb_disk(bench, &mut guest)?;
    let (offset, length) = reports_partition(&disk)?;
    // All but the last 100 kB.
    let filler = guest.file("filler", vec![0x5a; usize::try_from(length)?.saturating_sub(200_000)])?;
    let image = format!("{}@@{offset}", disk.display());
    let status = Command::new("mcopy").args(["-i", &image]).arg(&filler).arg("::/filler").status()?;
    ensure!(status.success(), "mcopy could not fill the stick");
    let outcome = guest.run()?;
    result_of(&outcome)?;
    let reports = reports_on(&guest, &disk)?;
    ensure!(reports.is_empty(), "a report on a full stick");
    ensure!(outcome.console.contains("could NOT be written"), "{}", tail(&outcome));
    Ok("nothing on the stick, said so".to_owned())
}

/// What came of a start by UEFI with a TPM and a stick.
struct Measured {
    verified: Json,
    code: i32,
    console: String,
}

/// Starts the image that `words` make by UEFI with a TPM, and verifies its report under a policy that pins the TPM's authority and
/// allows the image that [`CERTIFY`] makes. `secure` signs the image with Debian's test key and switches Secure Boot on.
fn measured(bench: &Bench, words: &str, secure: bool) -> anyhow::Result<Measured> {
    let mut guest = Guest::new(bench)?;
    let signature = if secure { Some(test_key(&guest)?) } else { None };
    let genuine = build_image(bench, &guest, "genuine", CERTIFY, None)?;
    let running = match (words, &signature) {
        (CERTIFY, None) => genuine.clone(),
        _ => build_image(bench, &guest, "running", words, signature.as_ref())?,
    };
    let roots = guest.tpm()?;
    guest.uefi(secure)?;
    guest.replace("-m", "768");
    let disk = attach(&mut guest, &running.join("yanji.iso"))?;
    let outcome = guest.run()?;
    result_of(&outcome)?;
    let reports = reports_on(&guest, &disk)?;
    ensure!(reports.len() == 1, "{} reports on the stick: {}", reports.len(), tail(&outcome));
    let policy = trust_policy(bench, &guest, &reports[0], &roots, &genuine.join("image.json"))?;
    let (verified, code) = verify(bench, &reports[0], &guest, &["--trust".as_ref(), policy.as_os_str()])?;
    Ok(Measured { verified, code, console: outcome.console })
}

/// Debian's test key, which the firmware's test variables know; its passphrase is public.
fn test_key(guest: &Guest<'_>) -> anyhow::Result<(PathBuf, PathBuf)> {
    let key = guest.path("snakeoil.key");
    let made = Command::new("openssl")
        .args(["rsa", "-in", "/usr/share/ovmf/PkKek-1-snakeoil.key", "-passin", "pass:snakeoil", "-out"])
        .arg(&key)
        .output()?;
    ensure!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    Ok((key, PathBuf::from("/usr/share/ovmf/PkKek-1-snakeoil.pem")))
}

/// A trust policy of the verifier: the signer, the authority of the guest's TPM, and the image that may run.
fn trust_policy(bench: &Bench, guest: &Guest<'_>, report: &Path, roots: &str, image: &Path) -> anyhow::Result<PathBuf> {
    let policy = guest.path("trust.toml");
    let yanji = |arguments: &[&OsStr]| -> anyhow::Result<()> {
        let mut command = Command::new(&bench.binary);
        command.arg("trust").arg("--file").arg(&policy).args(arguments);
        let output = as_verifier(&mut command, guest).output()?;
        ensure!(output.status.success(), "yanji trust: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    yanji(&["init".as_ref(), "--name".as_ref(), "guests".as_ref()])?;
    let signer = report.join("signer.pub");
    yanji(&[
        "add".as_ref(),
        "seller".as_ref(),
        "--public".as_ref(),
        signer.as_os_str(),
        "--role".as_ref(),
        "seller".as_ref(),
    ])?;
    let image: Json = serde_json::from_slice(&fs::read(image)?)?;
    let pcr11 = image["measured"]["pcr11"]["stub"].as_str().context("image.json has no PCR 11")?;
    let mut text = fs::read_to_string(&policy)?;
    for certificate in roots.split_inclusive("-----END CERTIFICATE-----") {
        if certificate.contains("BEGIN") {
            text += &format!("\n[[root]]\nkind = \"tpm\"\npem = \"\"\"\n{}\n\"\"\"\n", certificate.trim());
        }
    }
    text += &format!("\n[[image]]\nname = \"yanji\"\nversion = \"test\"\npcr11 = \"{pcr11}\"\n");
    fs::write(&policy, text)?;
    yanji(&["sign".as_ref()])?;
    Ok(policy)
}

/// The verifier has keys and a memory of its own, and leaves the user's alone.
fn as_verifier<'a>(command: &'a mut Command, guest: &Guest<'_>) -> &'a mut Command {
    command.env("XDG_CONFIG_HOME", guest.path("verifier")).env("XDG_STATE_HOME", guest.path("verifier-state"))
}

fn iso_uefi(bench: &Bench) -> anyhow::Result<String> {
    let Measured { verified, code, .. } = measured(bench, CERTIFY, false)?;
    ensure!(verified["valid"] == true, "not valid: {}", verified["failures"]);
    let proven = sentences(&verified, "proven");
    let image = proven.split("; ").find(|line| line.contains("image")).context(proven.clone())?;
    Ok(format!("{image}; verify exits {code}"))
}

fn uefi_cmdline(bench: &Bench) -> anyhow::Result<String> {
    let Measured { verified, code, .. } = measured(bench, &format!("{CERTIFY} yanji.changed"), false)?;
    let class = verified["failures"][0]["class"].as_str().unwrap_or("no failure");
    ensure!(class == "E_IMAGE_UNKNOWN", "{class}, exit {code}");
    Ok(format!("{class}, verify exits {code}"))
}

fn secure_boot(bench: &Bench) -> anyhow::Result<String> {
    let Measured { verified, code, console } = measured(bench, CERTIFY, true)?;
    ensure!(verified["valid"] == true, "not valid: {}", verified["failures"]);
    ensure!(console.contains("Secure Boot is on"), "Secure Boot was off");
    Ok(format!("started under Secure Boot, PCR 11 as predicted, verify exits {code}"))
}
