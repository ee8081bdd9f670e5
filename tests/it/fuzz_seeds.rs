//! What the fuzz targets start from: small inputs of every format, made by the builders.
//!
//! `YANJI_FUZZ_SEEDS=FOLDER cargo test --test it fuzz_seeds` writes them there, a folder for each target.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use vgpu::attest::{Authority, Contents, Identity, vbios_field};
use yanji::attest::challenge::{Issued, SignedChallenge, TpmCredential};
use yanji::attest::device::Chain;
use yanji::attest::document::Document;
use yanji::attest::key::Key;
use yanji::attest::policy::{self, TrustPolicy};
use yanji::attest::timestamp::{Request, Token};
use yanji::attest::tpm::certificate;
use yanji::attest::tpm::event_log::EventLog;
use yanji::attest::tpm::quote::Attestation;
use yanji::attest::tpm::{Platform, TpmEvidence};
use yanji::evidence::Reading;
use yanji::host::RecordedHost;
use yanji::parse::{self, smbios, spd, spdm, vbios};
use yanji::{attest, burn, import};

use crate::screen::dump;
use crate::screen::printout::Card;
use crate::support::spd::SpdImage;
use crate::support::tpm::{TestLog, TestTpm};
use crate::support::vbios::VbiosImage;
use crate::support::{Drive, NvidiaDriver, NvidiaGpu, PciFunction, RecordedMachine};

/// A fuzz target.
struct Target {
    /// Its file in `tests/fuzz/fuzz_targets`.
    name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    /// Whether a seed is what the target is about.
    reads: fn(&[u8]) -> bool,
}

const TARGETS: &[Target] = &[
    Target { name: "archive", seeds: archives, reads: |seed| RecordedHost::from_archive(seed).is_ok() },
    Target { name: "burn_records", seeds: || vec![crate::burn::records()], reads: |seed| burn::replay(seed).is_ok() },
    Target { name: "challenge", seeds: challenges, reads: |seed| SignedChallenge::parse(seed).is_ok() },
    Target { name: "custody", seeds: || vec![reports().remove(1)], reads: |seed| Document::read(seed).is_ok() },
    Target { name: "device_chain", seeds: || vec![device().0], reads: |seed| Chain::parse(seed).is_ok() },
    Target {
        name: "envelope",
        seeds: || vec![reports().remove(0)],
        reads: |seed| attest::envelope::Envelope::parse(seed).is_ok(),
    },
    Target { name: "event_log", seeds: || vec![quotes().remove(1)], reads: |seed| EventLog::replay(seed).is_ok() },
    Target {
        name: "evidence_tar",
        seeds: || vec![crate::attest::report().1],
        reads: |seed| attest::evidence_tar::read(seed, seed.len() as u64, |_, _| true).is_ok(),
    },
    Target { name: "import", seeds: printouts, reads: |seed| import::import(seed).is_ok() },
    Target { name: "nvidia_report", seeds: || vec![device().1], reads: |seed| spdm::parse(seed).is_ok() },
    Target { name: "nvml", seeds: nvml, reads: |seed| parse::nvml::parse(seed).device_count().known() == Some(&1) },
    Target { name: "policy", seeds: policies, reads: |seed| TrustPolicy::parse(seed).is_ok() },
    Target { name: "small_parsers", seeds: files, reads: |seed| !seed.is_empty() },
    Target { name: "smbios", seeds: tables, reads: |seed| smbios::parse_file(seed).is_ok() },
    Target { name: "spd", seeds: images, reads: spd::recognise },
    Target { name: "statement", seeds: || vec![reports().remove(1)], reads: |seed| Document::read(seed).is_ok() },
    Target {
        name: "timestamp",
        seeds: || timestamp().into(),
        reads: |seed| Request::from_der(seed).is_ok() || Token::from_response(seed).is_ok(),
    },
    Target {
        name: "tpm",
        seeds: || vec![quotes().remove(0), endorsement_certificate()],
        reads: |seed| Attestation::parse(seed).is_ok() || certificate::serial(seed).is_some(),
    },
    Target { name: "vbios", seeds: roms, reads: |seed| vbios::parse(seed).is_ok() },
];

#[test]
fn every_fuzz_target_starts_from_what_it_reads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/fuzz_targets");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files: BTreeSet<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(TARGETS.iter().map(|target| target.name.to_owned()).collect::<BTreeSet<_>>(), files);
    let written = std::env::var_os("YANJI_FUZZ_SEEDS");
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for (index, seed) in seeds.iter().enumerate() {
            assert!((target.reads)(seed), "{} {index}: {}", target.name, String::from_utf8_lossy(seed));
            assert!(seed.len() < 128 << 10, "{} {index} has {} bytes", target.name, seed.len());
            if let Some(folder) = &written {
                let folder = Path::new(folder).join(target.name);
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(index.to_string()), seed).unwrap();
            }
        }
    }
}

/// Not compressed: a changed bit of a compressed one is hardly ever read.
fn archives() -> Vec<Vec<u8>> {
    let archive = |machine: &RecordedMachine| {
        let mut archive = Vec::new();
        machine.capture().write(&mut archive).unwrap();
        zstd::stream::decode_all(&archive[..]).unwrap()
    };
    let small = RecordedMachine::empty().with(|machine| {
        machine.dimms = RecordedMachine::server().dimms[..2].to_vec();
        machine.drives = vec![Drive::exos("sda", "0000:00:17.0")];
        machine.product = "X".to_owned();
    });
    let with_spd = RecordedMachine::empty().images(&[SpdImage::ddr5_rdimm().build()]);
    let nvidia = RecordedMachine::empty().with(|machine| {
        machine.functions = vec![PciFunction::h100("0000:17:00.0", "0000:16:00.0", 1)];
        machine.nvidia = Some(NvidiaDriver::new(vec![NvidiaGpu::h100("0000:17:00.0")]));
    });
    [small, with_spd, nvidia].iter().map(archive).collect()
}

fn reports() -> Vec<Vec<u8>> {
    let (envelope, _) = crate::attest::report();
    let statement = attest::envelope::Envelope::parse(&envelope).unwrap().payload;
    vec![envelope, statement]
}

fn key() -> Key {
    let folder = tempfile::tempdir().unwrap();
    Key::create(&folder.path().join("key.pem"), None).unwrap()
}

pub fn challenges() -> Vec<Vec<u8>> {
    let issued = Issued::new("order 7", Timestamp::now(), SignedDuration::from_hours(24)).unwrap();
    let with_credential = Issued { credential: Some(TpmCredential::new(&tpm()).unwrap()), ..issued.clone() };
    let sign = |issued: Issued| issued.sign(&key()).unwrap().to_json().into_bytes();
    vec![sign(issued), sign(with_credential)]
}

pub fn policies() -> Vec<Vec<u8>> {
    let expires = Timestamp::now() + SignedDuration::from_hours(24);
    vec![policy::template("site", expires, *key().public()).unwrap().into_bytes()]
}

/// The certificate chain of a virtual GPU, and a report that it signed.
pub fn device() -> (Vec<u8>, Vec<u8>) {
    let identity =
        Identity { chip: "GH100".to_owned(), kind: 0x41, pdi: "2921ce551e4eeda3".to_owned(), until_year: 9999 };
    let signer = Authority::new("seeds").unwrap().device(&identity).unwrap();
    let fields = vec![(spdm::VBIOS_VERSION, vbios_field("96.00.A5.00.01").unwrap())];
    let report = signer.report(&[7; 32], &Contents { measurements: 4, fields }).unwrap();
    (signer.chain.into_bytes(), report)
}

/// A request to a time-stamping authority, and its response.
pub fn timestamp() -> [Vec<u8>; 2] {
    let request = Request::new(&[7; 64]).unwrap().to_der();
    let response = crate::support::tsa::Authority::new().answer(&request);
    [request, response]
}

/// A TPM with an endorsement key on P-256.
fn tpm() -> TpmEvidence {
    let mut quoted = TestTpm::new().quoted(&[7; 32]);
    quoted.ek_certificate = Reading::Known(endorsement_certificate());
    Platform::begin(Reading::Known(quoted), Vec::new()).tpm.unwrap()
}

fn endorsement_certificate() -> Vec<u8> {
    crate::support::tpm::Authority::new("vendor").endorse("49465800")
}

fn quotes() -> Vec<Vec<u8>> {
    let quoted = TestTpm::new().quoted(&[7; 32]);
    let log = TestLog::new().event(4, 0x8000_0003, [7; 32], b"boot").0;
    vec![quoted.attest, log]
}

fn nvml() -> Vec<Vec<u8>> {
    [NvidiaGpu::h100("0000:17:00.0"), NvidiaGpu::rtx_4090("0000:17:00.0")]
        .map(|gpu| NvidiaDriver::new(vec![gpu]).nvml().into_bytes())
        .into()
}

fn images() -> Vec<Vec<u8>> {
    let stacked = SpdImage { module_type: 4, dies: 4, stack: true, ..SpdImage::ddr4_rdimm() };
    let mrdimm = SpdImage { module_type: 7, ..SpdImage::ddr5_rdimm() };
    [SpdImage::ddr3_rdimm(), SpdImage::ddr4_rdimm(), SpdImage::ddr5_rdimm(), stacked, mrdimm]
        .map(|image| image.build())
        .into()
}

fn roms() -> Vec<Vec<u8>> {
    let old = VbiosImage { ifr_version: None, efi: false, fwsec: false, ..VbiosImage::rtx3080() };
    vec![VbiosImage::rtx3080().build(), old.build()]
}

fn tables() -> Vec<Vec<u8>> {
    let server = RecordedMachine::server();
    vec![dump(&server), DMIDECODE.into()]
}

fn printouts() -> Vec<Vec<u8>> {
    let card = Card::h100();
    let partitioned = Card { mig_slice_mib: Some(9856), ..Card::h100() };
    let smi = [card.text(41), card.xml(), card.csv(), card.table(), partitioned.text(41)].map(String::into_bytes);
    let texts = [DMIDECODE, LSHW, DECODE_DIMMS, DEVICE_QUERY, NVLINK, LSPCI, NVFLASH, INFORMATION, SMARTCTL, CPUINFO];
    let json = [SMARTCTL_JSON, NVME_JSON];
    let binary = [SpdImage::ddr4_rdimm().build(), dump(&RecordedMachine::server())];
    [&smi[..], &texts.map(Vec::from), &json.map(Vec::from), &binary].concat()
}

fn files() -> Vec<Vec<u8>> {
    let server = RecordedMachine::server();
    let config = PciFunction::h100("0000:17:00.0", "0000:16:00.0", 1).config();
    let texts = [SMARTCTL, CPUINFO, INFORMATION, FRU, SMARTCTL_JSON, NVME_JSON, REDFISH, NVRM].map(Vec::from);
    let mut health = vec![0; 512];
    health[1..3].copy_from_slice(&300u16.to_le_bytes());
    let mut identify = vec![b' '; 4096];
    identify[..4].copy_from_slice(&[0x4d, 0x14, 0x4d, 0x14]);
    [&texts[..], &[config, server.cpus[0].cpuid(None), health, identify]].concat()
}

const DMIDECODE: &str = "# dmidecode 3.5\nGetting SMBIOS data from sysfs.\nSMBIOS 3.5.0 present.\n\n\
    Handle 0x0001, DMI type 1, 27 bytes\nSystem Information\n\tManufacturer: Supermicro\n\tProduct Name: SYS-821GE\n\t\
    Serial Number: S1\n\tUUID: 00112233-4455-6677-8899-aabbccddeeff\n\nHandle 0x0040, DMI type 4, 50 bytes\n\
    Processor Information\n\tSocket Designation: CPU1\n\tVersion: Intel(R) Xeon(R) Platinum 8480+\n\tStatus: Populated, Enabled\n\t\
    Core Count: 56\n\nHandle 0x1100, DMI type 17, 92 bytes\nMemory Device\n\tTotal Width: 80 bits\n\tData Width: 64 bits\n\t\
    Size: 64 GB\n\tLocator: P1-DIMMA1\n\tBank Locator: P0_Node0\n\tType: DDR5\n\tSpeed: 4800 MT/s\n\tManufacturer: Samsung\n\t\
    Serial Number: 42B2BF08\n\tPart Number: M321R8GA0BB0-CQKZJ\n\tRank: 2\n\tConfigured Memory Speed: 4400 MT/s\n";
const LSHW: &str = r#"{"id":"srv","class":"system","claimed":true,"handle":"DMI:0001","product":"R640","vendor":"Dell","serial":"A",
    "children":[{"id":"core","class":"bus","children":[{"id":"cpu:0","class":"processor","product":"Xeon","version":"6.85.7"},
    {"id":"memory","class":"memory","handle":"DMI:1000","children":[{"id":"bank:0","class":"memory","handle":"DMI:1100",
    "description":"DIMM DDR4 3200 MHz","product":"9ASF1G72PZ-3G2E2","serial":"2A9B8C7D","slot":"A1","size":8589934592}]},
    {"id":"disk","class":"disk","product":"ST16000NM001G","serial":"ZL2","logicalname":["/dev/sda"],"size":16000900661248}]}]}"#;
const DECODE_DIMMS: &str = "Decoding EEPROM              /sys/bus/0-0050  /sys/bus/0-0051\n\
    EEPROM CRC of bytes 0-125    OK (0xA3FD)      Bad\n                             (found 1)\n\
    Fundamental Memory type      DDR4 SDRAM\nMinimum CAS Latency Time (tAA)  13.750 ns\n\
    Primary Bus Width            64 bits\nAssembly Serial Number       0x1949395D       0x536618E6\n\
    Part Number                  A B              A B   \nDRAM Manufacturer            Samsung          N/A\n";
const DEVICE_QUERY: &str = "Detected 1 CUDA Capable device(s)\n\nDevice 0: \"GTX 680\"\n\
    \x20 CUDA Capability Major/Minor version number:    3.0\n\
    \x20 ( 8) Multiprocessors, (192) CUDA Cores/MP:     1536 CUDA Cores\n  GPU Clock rate: 1137 MHz (1.14 GHz)\n\
    \x20 Device PCI Domain ID / Bus ID / location ID:   0 / 8 / 0\n";
const NVLINK: &str = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-34bf77d1-c686-6821-79a8-32d326c5039c)\n\
    \t Link 0: 26.562 GB/s\n\t Link 1: <inactive>\n";
const LSPCI: &str = "17:00.0 3D controller [0302]: NVIDIA Corporation GH100 [10de:2331] (rev a1)\n\
    \tSubsystem: NVIDIA Corporation Device [10de:1626]\n\tRegion 1: Memory at 0 (64-bit, prefetchable) [size=128G]\n\
    \tCapabilities: [60] Express (v2) Endpoint, MSI 00\n\t\tLnkCap:\tPort #0, Speed 32GT/s, Width x16\n\
    \t\tLnkSta:\tSpeed 16GT/s (downgraded), Width x8 (downgraded)\n\tKernel driver in use: nvidia\n\
    00: de 10 31 23 06 04 10 00 a1 00 02 03 00 00 00 00\n";
const NVFLASH: &str = "NVIDIA Firmware Update Utility (Version 5.670.0)\n\
    <0> GeForce RTX 3090 (10DE,2204,1458,403B) H:--:NRM  S:00,B:01,PCI,D:00,F:00\n\
    Adapter: GeForce RTX 3090 (10DE,2204,1458,403B) S:00,B:01,D:00,F:00\n\
    Build GUID            : 00112233445566778899aabbccddeeff\nVersion               : 94.02.26.48.b3\n\
    UEFI Version          : 0x60009 ( x64 )\nIFR Subsystem ID      : N/A\n";
const INFORMATION: &str = "Model: \t\t NVIDIA H100 PCIe\nIRQ:   \t\t 120\nGPU UUID: \t GPU-34bf77d1-c686-6821-79a8-32d326c5039c\n\
    Video BIOS: \t 96.00.74.00.01\nBus Type: \t PCIe\nDMA Size: \t 52 bits\nBus Location: \t 0000:17:00.0\nDevice Minor: \t 0\n\
    GPU Firmware: \t 535.54.03\nGPU Excluded:\t No\n";
const SMARTCTL: &str = "smartctl 7.3 2022-02-28 r5338 [x86_64-linux] (local build)\n\
    === START OF INFORMATION SECTION ===\nVendor:               SEAGATE\nProduct:              ST3600057SS\n\
    User Capacity:        600,127,266,816 bytes [600 GB]\nLogical Unit id:      0x5000c50068d15045\n\
    Serial number:        6SL6Q3F2\nTransport protocol:   SAS (SPL-4)\n=== START OF READ SMART DATA SECTION ===\n\
    SMART Health Status: OK\nManufactured in week 51 of year 2013\nAccumulated start-stop cycles:  66\n\
    Error counter log:\nwrite:         0        0         0         0          0     806827.5           0\n\
    \x20 number of hours powered up = 43549.93\n\nSMART Self-test log\n\
    # 1  Background short  Completed                   -   43000                 - [-   -    -]\n\
    Seagate Field Access Reliability Metrics log (FARM) (GP Log 0xa6)\n\tFARM Log Page 1: Drive Information\n\
    \t\tSerial Number: ZL2A1B2C\n\t\tPower on Hours: 14450\n\t\tWrite Power On (hours) by Head:\n\t\t\tHead 0: 700\n";
const CPUINFO: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n\
    model name\t: Intel(R) Xeon(R) Platinum 8480+\nstepping\t: 8\nmicrocode\t: 0x2b0004b1\nphysical id\t: 0\n\
    siblings\t: 112\ncore id\t\t: 0\ncpu cores\t: 56\nflags\t\t: fpu hypervisor\n\n";
const SMARTCTL_JSON: &str = r#"{"smartctl":{"version":[7,4],"exit_status":0},"device":{"name":"/dev/sda","type":"sat","protocol":"ATA"},
    "model_name":"ST16000NM001G-2KK103","serial_number":"ZL2A1B2C","wwn":{"naa":5,"oui":3152,"id":3248},
    "user_capacity":{"bytes":16000900661248},"power_on_time":{"hours":12},"power_cycle_count":11,
    "ata_smart_attributes":{"table":[{"id":240,"name":"Head_Flying_Hours","raw":{"value":14450,"string":"14450 (1 2 0)"}}]},
    "ata_smart_self_test_log":{"extended":{"table":[{"lifetime_hours":3}]}},
    "seagate_farm_log":{"page_1_drive_information":{"serial_number":"ZL2A1B2C","poh":14454,"number_of_heads":2},
    "page_5_reliability_statistics":{"head_00":{"write_power_on":{"seconds":2520000}}}}}"#;
const NVME_JSON: &str = r#"{"critical_warning":0,"temperature":310,"avail_spare":100,"spare_thresh":10,"percent_used":3,
    "data_units_read":1,"data_units_written":"639454618","power_cycles":22,"power_on_hours":4369,"unsafe_shutdowns":5,"media_errors":0}"#;
const FRU: &str = "FRU Device Description : Builtin FRU Device (ID 0)\n Product Serial : S1\n\n\
    FRU Device Description : CPU1_DIMM_A1 (ID 10)\n Product Manufacturer  : Samsung\n \
    Product Part Number   : M393A8G40AB2-CWE\n Product Serial        : 42B2BF08\n";
const REDFISH: &str = r#"{"DeviceLocator":"A1","SerialNumber":"42B2BF08","CapacityMiB":65536,"MemoryDeviceType":"DDR5",
    "OperatingSpeedMhz":4400,"Manufacturer":"Samsung","PartNumber":"M321R8GA0BB0-CQKZJ","RankCount":2,"Status":{"State":"Enabled"},
    "Members":[{"@odata.id":"/redfish/v1/Systems/1"}],"Members@odata.nextLink":"/redfish/v1/Systems?$skip=1"}"#;
const NVRM: &str = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.54.03  Release Build  (root@x)  Thu Mar 28\n\
    GCC version:  gcc version 12.2.0\n";
