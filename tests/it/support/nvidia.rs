//! NVIDIA's driver of a recorded machine.

use serde_json::{Value as Json, json};
use yanji::host::{Capture, Query};

/// NVIDIA's driver: NVML, and the kernel module's files.
#[derive(Debug, Clone)]
pub struct NvidiaDriver {
    pub version: String,
    pub nvml_version: String,
    /// As NVML has it: 12040 is 12.4.
    pub cuda_version: u32,
    pub open_kernel_module: bool,
    pub srcversion: String,
    pub library_path: String,
    pub library_sha256: String,
    /// Whether the library says that it is a virtual driver.
    pub simulated: bool,
    pub gpus: Vec<NvidiaGpu>,
    /// Lines after all others, raw.
    pub more_lines: Vec<String>,
}

/// One GPU as NVML and the kernel module show it. Numbers are in NVML's units.
#[derive(Debug, Clone)]
pub struct NvidiaGpu {
    pub address: String,
    pub name: String,
    pub uuid: String,
    /// `None` where NVML says "not supported".
    pub serial: Option<String>,
    pub board_part_number: Option<String>,
    pub vbios_version: String,
    pub inforom_image: Option<String>,
    /// Device id and vendor id.
    pub device_id: (u16, u16),
    /// Subsystem device id and vendor id.
    pub subsystem: (u16, u16),
    pub memory_bytes: u64,
    pub memory_reserved_bytes: u64,
    pub bar1_bytes: u64,
    pub bus_width_bits: u32,
    pub cores: u32,
    /// `nvmlBrandType_t` and `nvmlDeviceArchitecture_t`.
    pub brand: u32,
    pub architecture: u32,
    pub compute_capability: (u32, u32),
    pub max_clocks_mhz: [u32; 4],
    pub min_limit_milliwatts: u32,
    pub max_limit_milliwatts: u32,
    pub default_limit_milliwatts: u32,
    /// Percent of each fan; none on a passive board.
    pub fans: Vec<u32>,
    pub ecc: Option<bool>,
    /// Corrected and uncorrected, since the driver was loaded and over the board's life.
    pub ecc_volatile: (u64, u64),
    pub ecc_aggregate: (u64, u64),
    /// Corrected, uncorrected, pending, failed.
    pub remapped_rows: Option<(u32, u32, bool, bool)>,
    /// States of the NVLinks.
    pub nvlinks: Vec<bool>,
    pub module_id: Option<u32>,
    /// Answers in place of those above: call, arguments, and how the line ends, as `"error":15`.
    pub changed: Vec<(String, Vec<u32>, String)>,
    /// The same for the second reading of what identifies the GPU.
    pub changed_later: Vec<(String, Vec<u32>, String)>,
}

impl NvidiaDriver {
    /// A data-centre driver.
    pub fn new(gpus: Vec<NvidiaGpu>) -> Self {
        Self {
            version: "550.54.15".to_owned(),
            nvml_version: "12.550.54.15".to_owned(),
            cuda_version: 12040,
            open_kernel_module: true,
            srcversion: "1F4A6E28B53C1D0E9A7B6C5".to_owned(),
            library_path: "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15".to_owned(),
            library_sha256: "ab".repeat(32),
            simulated: false,
            gpus,
            more_lines: Vec::new(),
        }
    }

    /// The answer to [`Query::Nvml`].
    pub fn nvml(&self) -> String {
        let mut lines = vec![
            nvml_line(None, "dlopen libnvidia-ml.so.1", &[], 1, "\"value\":true"),
            nvml_line(
                None,
                "library libnvidia-ml.so.1",
                &[],
                1,
                &format!(
                    "\"value\":{}",
                    json!({"path": self.library_path, "sha256": self.library_sha256, "build_id": "c0ffee"})
                ),
            ),
            nvml_line(None, "dlsym yanji_virtual_driver", &[], 1, &format!("\"value\":{}", self.simulated)),
            nvml_line(None, "nvmlInit_v2", &[], 1, "\"value\":true"),
        ];
        for (call, value) in [
            ("nvmlSystemGetDriverVersion", json!(self.version)),
            ("nvmlSystemGetNVMLVersion", json!(self.nvml_version)),
            ("nvmlSystemGetCudaDriverVersion_v2", json!(self.cuda_version)),
            ("nvmlSystemGetConfComputeState", json!({"environment": 0, "ccFeature": 0, "devToolsMode": 0})),
            ("nvmlDeviceGetCount_v2", json!(self.gpus.len())),
        ] {
            lines.push(nvml_line(None, call, &[], 1, &format!("\"value\":{value}")));
        }
        for (index, gpu) in self.gpus.iter().enumerate() {
            lines.extend(gpu.lines(index as u32, self.gpus.len() as u32, 1));
        }
        for (index, gpu) in self.gpus.iter().enumerate() {
            lines.extend(gpu.lines(index as u32, self.gpus.len() as u32, 2));
        }
        let missing = "\"missing\":\"libcuda.so.1: cannot open shared object file: No such file or directory\"";
        lines.push(nvml_line(None, "library libcuda.so.1", &[], 1, missing));
        lines.push(nvml_line(None, "end", &[], 1, "\"value\":true"));
        lines.extend(self.more_lines.iter().cloned());
        lines.join("\n") + "\n"
    }

    pub(super) fn add(&self, capture: &mut Capture) {
        capture.insert(Query::Nvml.path(), self.nvml());
        let flavour = if self.open_kernel_module { "Open Kernel Module for x86_64" } else { "x86_64 Kernel Module" };
        capture.insert(
            "/proc/driver/nvidia/version",
            format!("NVRM version: NVIDIA UNIX {flavour}  {}  Release Build\nGCC version:  gcc 12\n", self.version),
        );
        capture.insert("/sys/module/nvidia/version", format!("{}\n", self.version));
        capture.insert("/sys/module/nvidia/srcversion", format!("{}\n", self.srcversion));
        for (index, gpu) in self.gpus.iter().enumerate() {
            capture.insert(
                format!("/proc/driver/nvidia/gpus/{}/information", gpu.address),
                format!(
                    "Model: \t\t {}\nIRQ:   \t\t 184\nGPU UUID: \t {}\nVideo BIOS: \t {}\nBus Type: \t PCIe\n\
                     Bus Location: \t {}\nDevice Minor: \t {index}\nGPU Firmware: \t {}\nGPU Excluded:\t No\n",
                    gpu.name, gpu.uuid, gpu.vbios_version, gpu.address, self.version
                ),
            );
        }
    }
}

impl NvidiaGpu {
    /// An H100 PCIe.
    pub fn h100(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            name: "NVIDIA H100 PCIe".to_owned(),
            uuid: "GPU-5e8f1a2b-3c4d-5e6f-7081-92a3b4c5d6e7".to_owned(),
            serial: Some("1654922004412".to_owned()),
            board_part_number: Some("900-21010-0000-000".to_owned()),
            vbios_version: "96.00.5e.00.01".to_owned(),
            inforom_image: Some("1010.0200.00.02".to_owned()),
            device_id: (0x2331, 0x10de),
            subsystem: (0x1626, 0x10de),
            memory_bytes: 81559 << 20,
            memory_reserved_bytes: 551 << 20,
            bar1_bytes: 128 << 30,
            bus_width_bits: 5120,
            cores: 14592,
            brand: 14,
            architecture: 9,
            compute_capability: (9, 0),
            max_clocks_mhz: [1755, 1755, 1593, 1590],
            min_limit_milliwatts: 200_000,
            max_limit_milliwatts: 350_000,
            default_limit_milliwatts: 350_000,
            fans: Vec::new(),
            ecc: Some(true),
            ecc_volatile: (0, 0),
            ecc_aggregate: (0, 0),
            remapped_rows: Some((0, 0, false, false)),
            nvlinks: vec![false; 18],
            module_id: None,
            changed: Vec::new(),
            changed_later: Vec::new(),
        }
    }

    /// A GeForce RTX 4090 with its 24 GB.
    pub fn rtx_4090(address: &str) -> Self {
        Self {
            name: "NVIDIA GeForce RTX 4090".to_owned(),
            uuid: "GPU-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9".to_owned(),
            serial: None,
            board_part_number: None,
            vbios_version: "95.02.3c.00.8c".to_owned(),
            inforom_image: Some("G002.0000.00.03".to_owned()),
            device_id: (0x2684, 0x10de),
            subsystem: (0x167c, 0x10de),
            memory_bytes: 24564 << 20,
            memory_reserved_bytes: 346 << 20,
            bar1_bytes: 32 << 30,
            bus_width_bits: 384,
            cores: 16384,
            brand: 5,
            architecture: 8,
            compute_capability: (8, 9),
            max_clocks_mhz: [3105, 3105, 10501, 2415],
            min_limit_milliwatts: 150_000,
            max_limit_milliwatts: 600_000,
            default_limit_milliwatts: 450_000,
            fans: vec![0, 0],
            ecc: Some(false),
            remapped_rows: None,
            nvlinks: Vec::new(),
            ..Self::h100(address)
        }
    }

    /// Answers a call otherwise: `"error":15`, `"value":7`.
    pub fn answer(mut self, call: &str, args: &[u32], end: &str) -> Self {
        self.changed.push((call.to_owned(), args.to_vec(), end.to_owned()));
        self
    }

    /// Answers the second reading of a call otherwise.
    pub fn answer_later(mut self, call: &str, end: &str) -> Self {
        self.changed_later.push((call.to_owned(), Vec::new(), end.to_owned()));
        self
    }

    fn lines(&self, index: u32, count: u32, reading: u8) -> Vec<String> {
        const NOT_SUPPORTED: u32 = 3;
        let mut answers: Vec<(&str, Vec<u32>, Result<Json, u32>)> = Vec::new();
        let mut put = |call, args: &[u32], value| answers.push((call, args.to_vec(), value));
        let or_not_supported = |value: &Option<String>| value.clone().map(Json::from).ok_or(NOT_SUPPORTED);
        let fields: Vec<u32> =
            self.address.split([':', '.']).map(|field| u32::from_str_radix(field, 16).unwrap()).collect();
        put("nvmlDeviceGetName", &[], Ok(json!(self.name)));
        put("nvmlDeviceGetUUID", &[], Ok(json!(self.uuid)));
        put("nvmlDeviceGetSerial", &[], or_not_supported(&self.serial));
        put("nvmlDeviceGetBoardPartNumber", &[], or_not_supported(&self.board_part_number));
        put("nvmlDeviceGetVbiosVersion", &[], Ok(json!(self.vbios_version)));
        put(
            "nvmlDeviceGetPciInfo_v3",
            &[],
            Ok(json!({
                "domain": fields[0], "bus": fields[1], "device": fields[2], "busId": self.address,
                "pciDeviceId": u32::from(self.device_id.0) << 16 | u32::from(self.device_id.1),
                "pciSubSystemId": u32::from(self.subsystem.0) << 16 | u32::from(self.subsystem.1),
            })),
        );
        let used = 1 << 20;
        put(
            "nvmlDeviceGetMemoryInfo_v2",
            &[],
            Ok(json!({
                "total": self.memory_bytes, "reserved": self.memory_reserved_bytes, "used": used,
                "free": self.memory_bytes - self.memory_reserved_bytes - used,
            })),
        );
        if reading == 1 {
            put("nvmlDeviceGetHandleByIndex_v2", &[], Ok(json!(true)));
            put("nvmlDeviceGetBrand", &[], Ok(json!(self.brand)));
            put("nvmlDeviceGetPdi", &[], Err(NOT_SUPPORTED));
            put("nvmlDeviceGetBoardId", &[], Ok(json!(fields[1] << 8)));
            put("nvmlDeviceGetMultiGpuBoard", &[], Ok(json!(0)));
            put("nvmlDeviceGetArchitecture", &[], Ok(json!(self.architecture)));
            let (major, minor) = self.compute_capability;
            put("nvmlDeviceGetCudaComputeCapability", &[], Ok(json!({"major": major, "minor": minor})));
            put("nvmlDeviceGetNumGpuCores", &[], Ok(json!(self.cores)));
            put("nvmlDeviceGetMemoryBusWidth", &[], Ok(json!(self.bus_width_bits)));
            put("nvmlDeviceGetMinorNumber", &[], Ok(json!(index)));
            put("nvmlDeviceGetModuleId", &[], self.module_id.map(Json::from).ok_or(NOT_SUPPORTED));
            put("nvmlDeviceGetInforomImageVersion", &[], or_not_supported(&self.inforom_image));
            for object in 0..3 {
                put("nvmlDeviceGetInforomVersion", &[object], Err(NOT_SUPPORTED));
            }
            put("nvmlDeviceValidateInforom", &[], Ok(json!(true)));
            put("nvmlDeviceGetInforomConfigurationChecksum", &[], Ok(json!(0x1234_5678)));
            put("nvmlDeviceGetBAR1MemoryInfo", &[], Ok(json!({"total": self.bar1_bytes, "free": 0, "used": 0})));
            for (clock, max) in (0..).zip(self.max_clocks_mhz) {
                put("nvmlDeviceGetClockInfo", &[clock], Ok(json!(210)));
                put("nvmlDeviceGetMaxClockInfo", &[clock], Ok(json!(max)));
            }
            put("nvmlDeviceGetCurrentClocksEventReasons", &[], Ok(json!(1)));
            put("nvmlDeviceGetPerformanceState", &[], Ok(json!(8)));
            put("nvmlDeviceGetPowerUsage", &[], Ok(json!(46_120)));
            put(
                "nvmlDeviceGetPowerManagementLimitConstraints",
                &[],
                Ok(json!({"min": self.min_limit_milliwatts, "max": self.max_limit_milliwatts})),
            );
            for call in [
                "nvmlDeviceGetPowerManagementDefaultLimit",
                "nvmlDeviceGetPowerManagementLimit",
                "nvmlDeviceGetEnforcedPowerLimit",
            ] {
                put(call, &[], Ok(json!(self.default_limit_milliwatts)));
            }
            put("nvmlDeviceGetTotalEnergyConsumption", &[], Ok(json!(123_456_789)));
            put("nvmlDeviceGetTemperature", &[0], Ok(json!(34)));
            put("nvmlDeviceGetFieldValues", &[82], Err(NOT_SUPPORTED));
            for (threshold, celsius) in (0..).zip([92, 89, 95, 87]) {
                put("nvmlDeviceGetTemperatureThreshold", &[threshold], Ok(json!(celsius)));
            }
            if self.fans.is_empty() {
                put("nvmlDeviceGetNumFans", &[], Err(NOT_SUPPORTED));
            } else {
                put("nvmlDeviceGetNumFans", &[], Ok(json!(self.fans.len())));
                put("nvmlDeviceGetMinMaxFanSpeed", &[], Ok(json!({"min": 30, "max": 100})));
            }
            for (fan, percent) in (0..).zip(&self.fans) {
                put("nvmlDeviceGetFanSpeed_v2", &[fan], Ok(json!(percent)));
                put("nvmlDeviceGetFanSpeedRPM", &[fan], Ok(json!(percent * 30)));
            }
            let ecc = self.ecc.map(|on| json!({"current": u8::from(on), "pending": u8::from(on)}));
            put("nvmlDeviceGetEccMode", &[], ecc.ok_or(NOT_SUPPORTED));
            for (counter, (corrected, uncorrected)) in [(0, self.ecc_volatile), (1, self.ecc_aggregate)] {
                for (kind, count) in [(0, corrected), (1, uncorrected)] {
                    let on = self.ecc == Some(true);
                    let answer = |count| if on { Ok(json!(count)) } else { Err(NOT_SUPPORTED) };
                    put("nvmlDeviceGetTotalEccErrors", &[kind, counter], answer(count));
                    for location in 0..8 {
                        let count = if location == 2 { count } else { 0 };
                        put("nvmlDeviceGetMemoryErrorCounter", &[kind, counter, location], answer(count));
                    }
                }
            }
            put("nvmlDeviceGetSramEccErrorStatus", &[], Err(NOT_SUPPORTED));
            for cause in 0..2 {
                put("nvmlDeviceGetRetiredPages", &[cause], Err(NOT_SUPPORTED));
            }
            put("nvmlDeviceGetRetiredPagesPendingStatus", &[], Err(NOT_SUPPORTED));
            let rows = self.remapped_rows.map(|(corrected, uncorrected, pending, failed)| {
                let (pending, failed) = (u8::from(pending), u8::from(failed));
                json!({"corrected": corrected, "uncorrected": uncorrected, "pending": pending, "failed": failed})
            });
            put("nvmlDeviceGetRemappedRows", &[], rows.ok_or(NOT_SUPPORTED));
            let histogram = json!({"max": 2560, "high": 0, "partial": 0, "low": 0, "none": 0});
            put("nvmlDeviceGetRowRemapperHistogram", &[], self.remapped_rows.map(|_| histogram).ok_or(NOT_SUPPORTED));
            put("nvmlDeviceGetRepairStatus", &[], Err(NOT_SUPPORTED));
            put("nvmlDeviceGetLastBBXFlushTime", &[], Err(NOT_SUPPORTED));
            put("nvmlDeviceGetCurrPcieLinkGeneration", &[], Ok(json!(1)));
            put("nvmlDeviceGetCurrPcieLinkWidth", &[], Ok(json!(16)));
            put("nvmlDeviceGetMaxPcieLinkGeneration", &[], Ok(json!(5)));
            put("nvmlDeviceGetMaxPcieLinkWidth", &[], Ok(json!(16)));
            put("nvmlDeviceGetPcieReplayCounter", &[], Ok(json!(0)));
            put("nvmlDeviceGetFieldValues", &[91], Ok(json!(self.nvlinks.len())));
            for (link, up) in (0..).zip(&self.nvlinks) {
                put("nvmlDeviceGetNvLinkState", &[link], Ok(json!(u8::from(*up))));
                put("nvmlDeviceGetNvLinkVersion", &[link], Ok(json!(6)));
                if *up {
                    let remote = json!({"domain": 0, "bus": 0xc0 + link, "device": 0});
                    put("nvmlDeviceGetNvLinkRemotePciInfo_v2", &[link], Ok(remote));
                }
                for counter in 0..4 {
                    put("nvmlDeviceGetNvLinkErrorCounter", &[link, counter], Ok(json!(0)));
                }
            }
            if self.nvlinks.is_empty() {
                put("nvmlDeviceGetNvLinkState", &[0], Err(NOT_SUPPORTED));
            }
            for peer in (0..count).filter(|peer| *peer != index) {
                put("nvmlDeviceGetP2PStatus", &[peer, 0], Ok(json!(0)));
            }
            let fabric = json!({
                "clusterUuid": "0".repeat(32), "status": 0, "cliqueId": 0, "state": 0, "healthMask": 0
            });
            put("nvmlDeviceGetGpuFabricInfoV", &[], Ok(fabric));
            put("nvmlDeviceGetPlatformInfo", &[], Err(NOT_SUPPORTED));
            put("nvmlDeviceGetGspFirmwareVersion", &[], Ok(json!("550.54.15")));
            put("nvmlDeviceGetMigMode", &[], Ok(json!({"current": 0, "pending": 0})));
            put("nvmlDeviceGetMaxMigDeviceCount", &[], Ok(json!(0)));
            put("nvmlDeviceGetVirtualizationMode", &[], Ok(json!(0)));
            put("nvmlDeviceGetPersistenceMode", &[], Ok(json!(1)));
            put("nvmlDeviceGetComputeMode", &[], Ok(json!(0)));
            put("nvmlDeviceGetConfComputeGpuCertificate", &[], Err(NOT_SUPPORTED));
            put("end", &[], Ok(json!(true)));
        }
        let changed = if reading == 1 { &self.changed } else { &self.changed_later };
        let mut lines: Vec<String> =
            changed.iter().map(|(call, args, end)| nvml_line(Some(index), call, args, reading, end)).collect();
        for (call, args, answer) in answers {
            // The reader of the lines keeps the first of two.
            let end = match answer {
                Ok(value) => format!("\"value\":{value}"),
                Err(code) => format!("\"error\":{code}"),
            };
            lines.push(nvml_line(Some(index), call, &args, reading, &end));
        }
        lines
    }
}

/// A line of the NVML reader, whose end is given.
fn nvml_line(device: Option<u32>, call: &str, args: &[u32], reading: u8, end: &str) -> String {
    let mut line = json!({"device": device, "call": call});
    if !args.is_empty() {
        line["args"] = args.into();
    }
    if reading > 1 {
        line["reading"] = reading.into();
    }
    let line = line.to_string();
    format!("{},{end}}}", line.trim_end_matches('}'))
}
