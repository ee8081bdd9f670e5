//! How a GPU is connected: PCI Express, NVLink, fabric.

use std::ffi::{c_uint, c_ulonglong};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::out::{fill_field, put, put_supported, put_versioned, struct_version};
use crate::driver::{INVALID_ARGUMENT, NOT_SUPPORTED, Refusal, VERSION_MISMATCH};
use crate::rig::{Gpu, NvLink};

functions! {
    device fn nvmlDeviceGetCurrPcieLinkGeneration(generation: *mut c_uint) |gpu| {
        put(generation, gpu.pcie.current_generation.into())
    }
    device fn nvmlDeviceGetCurrPcieLinkWidth(width: *mut c_uint) |gpu| { put(width, gpu.pcie.current_width.into()) }
    device fn nvmlDeviceGetMaxPcieLinkGeneration(generation: *mut c_uint) |gpu| {
        put(generation, gpu.pcie.max_generation.into())
    }
    device fn nvmlDeviceGetGpuMaxPcieLinkGeneration(generation: *mut c_uint) |gpu| {
        put(generation, gpu.pcie.max_generation.into())
    }
    device fn nvmlDeviceGetMaxPcieLinkWidth(width: *mut c_uint) |gpu| { put(width, gpu.pcie.max_width.into()) }
    device fn nvmlDeviceGetPcieReplayCounter(replays: *mut c_uint) |gpu| { put(replays, gpu.pcie.replays) }
    device fn nvmlDeviceGetPcieSpeed(speed: *mut c_uint) |gpu| { put(speed, megatransfers(gpu.pcie.current_generation)) }
    device fn nvmlDeviceGetPcieLinkMaxSpeed(speed: *mut c_uint) |gpu| {
        // An enumeration: 1 is 2500 MB/s, each further one a generation more.
        put(speed, gpu.pcie.max_generation.into())
    }
    device fn nvmlDeviceGetNvLinkState(link: c_uint, active: *mut nvmlEnableState_t) |gpu| {
        let links = links(gpu, link)?;
        put(active, c_uint::from(!links.inactive.contains(&link)))
    }
    device fn nvmlDeviceGetNvLinkVersion(link: c_uint, version: *mut c_uint) |gpu| {
        put(version, active(gpu, link)?.version)
    }
    device fn nvmlDeviceGetNvLinkCapability(
        link: c_uint, capability: nvmlNvLinkCapability_t, result: *mut c_uint,
    ) |gpu| {
        links(gpu, link)?;
        if capability > 5 {
            return Err(INVALID_ARGUMENT);
        }
        put(result, 1)
    }
    device fn nvmlDeviceGetNvLinkRemoteDeviceType(link: c_uint, kind: *mut nvmlIntNvLinkDeviceType_t) |gpu| {
        put(kind, active(gpu, link)?.remote as nvmlIntNvLinkDeviceType_t)
    }
    device fn nvmlDeviceGetNvLinkRemotePciInfo_v2(link: c_uint, pci: *mut nvmlPciInfo_t) |gpu| {
        let links = active(gpu, link)?;
        if links.remotes.is_empty() {
            return Err(NOT_SUPPORTED);
        }
        let at = links.remotes[link as usize % links.remotes.len()];
        let mut info = nvmlPciInfo_t {
            busIdLegacy: [0; 16],
            domain: at.domain.into(),
            bus: at.bus.into(),
            device: at.device.into(),
            // As the driver does for a switch.
            pciDeviceId: u32::MAX,
            pciSubSystemId: u32::MAX,
            busId: [0; 32],
        };
        let text = format!("{:08X}:{:02X}:{:02X}.{:X}", at.domain, at.bus, at.device, at.function);
        fill_field(&mut info.busId, text.as_bytes());
        fill_field(&mut info.busIdLegacy, &text.as_bytes()[4..]);
        put(pci, info)
    }
    device fn nvmlDeviceGetNvLinkErrorCounter(
        link: c_uint, counter: nvmlNvLinkErrorCounter_t, value: *mut c_ulonglong,
    ) |gpu| {
        let links = links(gpu, link)?;
        let count = links.errors.get(counter as usize).ok_or(INVALID_ARGUMENT)?;
        put(value, if link == links.erring { *count } else { 0 })
    }
    device fn nvmlDeviceGetNvLinkInfo(info: *mut nvmlNvLinkInfo_t) |gpu| {
        if info.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        let version = info.cast::<u32>().read_unaligned();
        let is_v1 = version == struct_version::<nvmlNvLinkInfo_v1_t>(1);
        if !is_v1 && version != struct_version::<nvmlNvLinkInfo_v2_t>(2) {
            return Err(VERSION_MISMATCH);
        }
        gpu.nvlink.as_ref().ok_or(NOT_SUPPORTED)?;
        // Encryption is off, and the firmware of the second version is left as the caller had it.
        put(info.cast(), nvmlNvLinkInfo_v1_t { version, isNvleEnabled: 0 })
    }
    device fn nvmlDeviceGetGpuFabricInfo(info: *mut nvmlGpuFabricInfo_t) |gpu| {
        put_supported(info, gpu.fabric.as_ref().map(|it| nvmlGpuFabricInfo_t {
            clusterUuid: it.cluster_uuid,
            status: it.status,
            cliqueId: it.clique_id,
            state: it.state,
        }))
    }
    device fn nvmlDeviceGetGpuFabricInfoV(info: *mut nvmlGpuFabricInfoV_t) |gpu| {
        if info.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        let version = info.cast::<u32>().read_unaligned();
        let fabric = gpu.fabric.as_ref().ok_or(NOT_SUPPORTED);
        if version == struct_version::<nvmlGpuFabricInfo_v2_t>(2) {
            let it = fabric?;
            put(info.cast(), nvmlGpuFabricInfo_v2_t {
                version,
                clusterUuid: it.cluster_uuid,
                status: it.status,
                cliqueId: it.clique_id,
                state: it.state,
                healthMask: 0,
            })
        } else {
            put_versioned(info, 3, |version| {
                let it = fabric?;
                Ok(nvmlGpuFabricInfo_v3_t {
                    version,
                    clusterUuid: it.cluster_uuid,
                    status: it.status,
                    cliqueId: it.clique_id,
                    state: it.state,
                    healthMask: 0,
                    healthSummary: 0,
                })
            })
        }
    }
    device fn nvmlDeviceGetC2cModeInfoV(info: *mut nvmlC2cModeInfo_v1_t) |gpu| {
        put_supported(info, gpu.c2c.map(|on| nvmlC2cModeInfo_v1_t { isC2cEnabled: on.into() }))
    }
}

/// The links, if that one exists.
pub(super) fn links(gpu: &Gpu, link: c_uint) -> Result<&NvLink, Refusal> {
    let links = gpu.nvlink.as_ref().ok_or(NOT_SUPPORTED)?;
    if link < links.links {
        Ok(links)
    } else if link < NVML_NVLINK_MAX_LINKS {
        Err(NOT_SUPPORTED)
    } else {
        Err(INVALID_ARGUMENT)
    }
}

/// The links, if that one is up.
pub(super) fn active(gpu: &Gpu, link: c_uint) -> Result<&NvLink, Refusal> {
    links(gpu, link).and_then(|links| if links.inactive.contains(&link) { Err(NOT_SUPPORTED) } else { Ok(links) })
}

fn megatransfers(generation: u8) -> c_uint {
    match generation {
        1 => 2_500,
        2 => 5_000,
        generation => 1_000 << generation.min(6),
    }
}
