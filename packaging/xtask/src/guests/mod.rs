//! The guests, what each is to find, and the table of what they found.

mod hardware;
mod image;
mod pack;
mod report;
mod stick;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

pub use self::image::Images;
use crate::guest::Bench;
use crate::project;

/// Arguments of `cargo xtask guest-test`.
#[derive(clap::Args)]
pub struct GuestTestArgs {
    /// Guests to run; all of them without one
    pub names: Vec<String>,
    /// Folder with vmlinuz and initrd of packaging/image/build.sh
    #[arg(long, default_value = "target/image")]
    pub image: PathBuf,
    /// The binary that is in the image
    #[arg(long, default_value = "target/release/yanji")]
    pub binary: PathBuf,
    /// Where packages are kept between runs: the folder that build.sh was given
    #[arg(long)]
    pub cache: Option<PathBuf>,
    /// The NVIDIA pack of the guest "nvidia-pack", as nvidia-pack.sh makes it of a driver; without one it is made of a driver for tests
    #[arg(long)]
    pub nvidia_pack: Option<PathBuf>,
    /// Longest time of one guest in seconds
    #[arg(long, default_value_t = 300)]
    pub limit_seconds: u64,
    /// Guests at a time [default: one for each core]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Name the guests, run none
    #[arg(long)]
    pub list: bool,
}

/// One test.
struct Test {
    name: &'static str,
    what: &'static str,
    expected: &'static str,
    /// Gives what was found; an error when that is something else.
    run: fn(&Bench) -> anyhow::Result<String>,
}

const GUESTS: [Test; 17] = [
    Test {
        name: "smbios-twins",
        what: "16 modules by SMBIOS, two with one serial number",
        expected: "dimm.serial-duplicate on 2 of 16",
        run: hardware::smbios_twins,
    },
    Test {
        name: "ddr5",
        what: "8 DDR5 modules through spd5118",
        expected: "8 modules read, none accused",
        run: hardware::ddr5,
    },
    Test {
        name: "ddr4-clones",
        what: "8 DDR4 modules through ee1004, two of them clones",
        expected: "dimm.id-duplicate on 2 of 8",
        run: hardware::ddr4_clones,
    },
    Test {
        name: "page-alias",
        what: "a bus that cannot turn pages",
        expected: "dimm.page-alias",
        run: hardware::page_alias,
    },
    Test {
        name: "spd-no-driver",
        what: "DDR3, DDR4 and DDR5 on a bus without EEPROM drivers",
        expected: "read as far as it needs no write; 0 writes",
        run: hardware::no_driver,
    },
    Test {
        name: "pci-h100",
        what: "two H100 below root ports, one with a degraded link",
        expected: "2 H100, link reduced on one, the rest open",
        run: hardware::pci_h100,
    },
    Test {
        name: "nvme-twins",
        what: "two NVMe drives with one serial number, the second of which the kernel refuses",
        expected: "platform.nvme-unbound",
        run: hardware::nvme_twins,
    },
    Test {
        name: "sata-twins",
        what: "two SATA drives with one serial number",
        expected: "drive.serial-duplicate on 2",
        run: hardware::sata_twins,
    },
    Test {
        name: "bad-sticks",
        what: "an expired challenge; sticks that are full, read-only, pulled out in mid-write",
        expected: "refused; a report is whole or absent, and said",
        run: stick::bad_sticks,
    },
    Test {
        name: "tpm-bios",
        what: "quotes made in a guest that started by BIOS",
        expected: "the TPM proves the burn-in's time, no image",
        run: image::tpm_bios,
    },
    Test {
        name: "iso-bios",
        what: "from a CD by BIOS: 256 MiB, DHCP, no TPM, no storage, an NVIDIA pack with a wrong digest",
        expected: "undecided, in memory, pack refused, no TPM, address",
        run: image::iso_bios,
    },
    Test {
        name: "nvidia-pack",
        what: "from a CD by BIOS: an NVIDIA pack with the right digest, and the menu on the serial console",
        expected: "pack verified, modules loaded, report on a stick",
        run: pack::nvidia_pack,
    },
    Test {
        name: "iso-usb",
        what: "from a USB disk by BIOS, with a challenge on it",
        expected: "valid, answers the challenge, no image proven",
        run: image::iso_usb,
    },
    Test {
        name: "iso-uefi",
        what: "from a USB disk by UEFI with a TPM",
        expected: "genuine image proven, PCR 4 and 11 predicted",
        run: image::iso_uefi,
    },
    Test {
        name: "uefi-cmdline",
        what: "the same with another command line",
        expected: "E_IMAGE_UNKNOWN",
        run: image::uefi_cmdline,
    },
    Test {
        name: "uefi-options",
        what: "the genuine image, handed another command line by the firmware",
        expected: "E_IMAGE_UNKNOWN, though PCR 11 is the same",
        run: image::uefi_options,
    },
    Test {
        name: "secure-boot",
        what: "the same, signed, under Secure Boot, with an NVIDIA pack of signed modules",
        expected: "genuine image proven, PCR 4 and 11 predicted",
        run: image::secure_boot,
    },
];

/// What came of one test.
struct Row {
    seconds: f64,
    found: anyhow::Result<String>,
}

/// Runs the guests and prints a table. `false` when one failed.
pub fn run(args: &GuestTestArgs) -> anyhow::Result<bool> {
    if args.list {
        for test in &GUESTS {
            println!("{:<14} {}: {}", test.name, test.what, test.expected);
        }
        return Ok(true);
    }
    if let Some(unknown) = args.names.iter().find(|name| !GUESTS.iter().any(|test| test.name == **name)) {
        bail!("there is no guest {unknown:?}: cargo xtask guest-test --list names them");
    }
    let tests: Vec<&Test> =
        GUESTS.iter().filter(|test| args.names.is_empty() || args.names.iter().any(|name| name == test.name)).collect();
    let bench = bench(args)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(cores).clamp(1, tests.len());
    let begun = Instant::now();
    let rows = run_all(&tests, &bench, jobs);
    println!("{:<14} {:>7}  {:<46} found", "guest", "seconds", "expected");
    for (test, Row { seconds, found }) in tests.iter().zip(&rows) {
        println!("{:<14} {seconds:>7.1}  {:<46} {}", test.name, test.expected, said(found));
    }
    let failed = rows.iter().filter(|row| row.found.is_err()).count();
    println!("{} guests in {:.0} s, {jobs} at a time: {failed} failed", rows.len(), begun.elapsed().as_secs_f64());
    Ok(failed == 0)
}

fn bench(args: &GuestTestArgs) -> anyhow::Result<Bench> {
    let absolute = |path: &PathBuf| project().join(path);
    let cache = match &args.cache {
        Some(cache) => absolute(cache),
        None => {
            let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
            let folder = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
            folder.context("HOME is not set")?.join("yanji-image")
        }
    };
    let (boot, binary, modules) = (absolute(&args.image), absolute(&args.binary), cache.join("modules"));
    for file in [&boot.join("initrd"), &boot.join("vmlinuz"), &binary, &cache.join("root")] {
        ensure!(
            file.exists(),
            "{} is missing: run packaging/image/build.sh --out target/image/yanji.iso first",
            file.display()
        );
    }
    let headers = project().join("packaging/image/headers.sh");
    let made = Command::new(&headers).arg(&cache).arg(project().join("tests/guest")).arg(&modules).status();
    ensure!(made.context("headers.sh")?.success(), "the test bench's kernel modules could not be compiled");
    let real_pack = args.nvidia_pack.as_ref().map(absolute);
    let images = Images::new(&binary, &boot.join("initrd"), &cache, real_pack)?;
    Ok(Bench { boot, binary, modules, images, limit: Duration::from_secs(args.limit_seconds) })
}

/// Runs so many tests at a time, the last ones first: they take longest. Results are in the order of the tests.
fn run_all(tests: &[&Test], bench: &Bench, jobs: usize) -> Vec<Row> {
    let left = AtomicUsize::new(tests.len());
    let rows: Vec<Mutex<Option<Row>>> = tests.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Ok(before) = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                {
                    let (test, row) = (tests[before - 1], &rows[before - 1]);
                    let started = Instant::now();
                    let found = (test.run)(bench);
                    let seconds = started.elapsed().as_secs_f64();
                    eprintln!("{} {seconds:.0} s, {}", test.name, said(&found));
                    if let Ok(mut row) = row.lock() {
                        *row = Some(Row { seconds, found });
                    }
                }
            });
        }
    });
    let done = rows.into_iter().map(|row| row.into_inner().ok().flatten());
    done.map(|row| row.unwrap_or_else(|| Row { seconds: 0.0, found: Err(anyhow::anyhow!("was not run")) })).collect()
}

fn said(found: &anyhow::Result<String>) -> String {
    match found {
        Ok(found) => format!("ok: {found}"),
        Err(error) => format!("FAILED: {error:#}"),
    }
}
