//! Who a GPU is: names, ids, firmware, place.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_ulonglong};

use super::functions;
use nvml_wrapper_sys::bindings::*;

use super::handle;
use super::out::{fill_field, put, put_supported, put_text, put_versioned, struct_version};
use crate::driver::{CORRUPTED_INFOROM, INVALID_ARGUMENT, NOT_SUPPORTED, VERSION_MISMATCH};
use crate::rig::{Gpu, Text};

/// `NVML_GSP_FIRMWARE_VERSION_BUF_SIZE`: the only string whose buffer has no length beside it.
const FIRMWARE_BYTES: c_uint = 64;

functions! {
    device fn nvmlDeviceGetName(name: *mut c_char, length: c_uint) |gpu| { put_text(name, length, Some(&gpu.name)) }
    device fn nvmlDeviceGetBrand(brand: *mut nvmlBrandType_t) |gpu| { put(brand, gpu.brand as nvmlBrandType_t) }
    system fn nvmlDeviceGetUUID(device: nvmlDevice_t, uuid: *mut c_char, length: c_uint) |driver| {
        let (index, partition) = handle::position(device)?;
        let gpu = driver.gpu("nvmlDeviceGetUUID", index)?;
        let own = gpu.says().uuid.as_ref();
        match own.and_then(Text::plain).filter(|_| partition != 0) {
            None => put_text(uuid, length, own),
            // A partition has one of its own.
            Some(text) => {
                let text = format!("MIG-{partition:08x}{}", text.get(12..).unwrap_or_default());
                put_text(uuid, length, Some(&Text::Plain(text)))
            }
        }
    }
    device fn nvmlDeviceGetSerial(serial: *mut c_char, length: c_uint) |gpu| {
        put_text(serial, length, gpu.serial.as_ref())
    }
    device fn nvmlDeviceGetBoardPartNumber(number: *mut c_char, length: c_uint) |gpu| {
        put_text(number, length, gpu.board_part_number.as_ref())
    }
    device fn nvmlDeviceGetVbiosVersion(version: *mut c_char, length: c_uint) |gpu| {
        put_text(version, length, gpu.vbios_version.as_ref())
    }
    device fn nvmlDeviceGetGspFirmwareVersion(version: *mut c_char) |gpu| {
        put_text(version, FIRMWARE_BYTES, gpu.gsp_firmware.as_ref())
    }
    device fn nvmlDeviceGetGspFirmwareMode(enabled: *mut c_uint, default: *mut c_uint) |gpu| {
        let on = c_uint::from(gpu.gsp_firmware.is_some());
        put(enabled, on)?;
        put(default, on)
    }
    device fn nvmlDeviceGetPdi(pdi: *mut nvmlPdi_t) |gpu| {
        put_versioned(pdi, 1, |version| {
            let digits = gpu.pdi.as_deref().ok_or(NOT_SUPPORTED)?;
            let value = u64::from_str_radix(digits, 16).map_err(|_| INVALID_ARGUMENT)?;
            Ok(nvmlPdi_v1_t { version, value })
        })
    }
    device fn nvmlDeviceGetBoardId(id: *mut c_uint) |gpu| {
        let address = gpu.pci.address;
        put(id, gpu.board_id.unwrap_or(u32::from(address.bus) << 8 | u32::from(address.device)))
    }
    device fn nvmlDeviceGetMultiGpuBoard(multi: *mut c_uint) |gpu| { put(multi, gpu.multi_gpu_board.into()) }
    device fn nvmlDeviceGetModuleId(id: *mut c_uint) |gpu| { put_supported(id, gpu.module_id) }
    device fn nvmlDeviceGetArchitecture(architecture: *mut nvmlDeviceArchitecture_t) |gpu| {
        put(architecture, gpu.architecture as nvmlDeviceArchitecture_t)
    }
    device fn nvmlDeviceGetCudaComputeCapability(major: *mut c_int, minor: *mut c_int) |gpu| {
        put(major, gpu.compute_capability[0])?;
        put(minor, gpu.compute_capability[1])
    }
    device fn nvmlDeviceGetNumGpuCores(cores: *mut c_uint) |gpu| { put_supported(cores, gpu.cores) }
    device fn nvmlDeviceGetMemoryBusWidth(bits: *mut c_uint) |gpu| { put_supported(bits, gpu.bus_width_bits) }
    device fn nvmlDeviceGetIrqNum(irq: *mut c_uint) |gpu| { put(irq, gpu.irq) }
    device fn nvmlDeviceGetBusType(kind: *mut nvmlBusType_t) |_gpu| { put(kind, NVML_BUS_TYPE_PCIE) }
    device fn nvmlDeviceGetNumaNodeId(node: *mut c_uint) |gpu| {
        put_supported(node, gpu.tree.numa_node.and_then(|node| c_uint::try_from(node).ok()))
    }
    device fn nvmlDeviceGetPciInfo_v3(pci: *mut nvmlPciInfo_t) |gpu| { put(pci, pci_info(gpu)) }
    device fn nvmlDeviceGetPciInfoExt(pci: *mut nvmlPciInfoExt_t) |gpu| {
        put_versioned(pci, 1, |version| {
            let info = pci_info(gpu);
            Ok(nvmlPciInfoExt_v1_t {
                version,
                domain: info.domain,
                bus: info.bus,
                device: info.device,
                pciDeviceId: info.pciDeviceId,
                pciSubSystemId: info.pciSubSystemId,
                baseClass: gpu.pci.class >> 16 & 0xff,
                subClass: gpu.pci.class >> 8 & 0xff,
                busId: info.busId,
            })
        })
    }
    device fn nvmlDeviceGetInforomImageVersion(version: *mut c_char, length: c_uint) |gpu| {
        put_text(version, length, gpu.inforom.image.as_ref())
    }
    device fn nvmlDeviceGetInforomVersion(
        object: nvmlInforomObject_t, version: *mut c_char, length: c_uint,
    ) |gpu| {
        let inforom = &gpu.inforom;
        let text = match object {
            nvmlInforomObject_enum_NVML_INFOROM_OEM => inforom.oem.as_ref(),
            nvmlInforomObject_enum_NVML_INFOROM_ECC => inforom.ecc.as_ref(),
            nvmlInforomObject_enum_NVML_INFOROM_POWER => inforom.power.as_ref(),
            nvmlInforomObject_enum_NVML_INFOROM_DEN => None,
            _ => return Err(INVALID_ARGUMENT),
        };
        put_text(version, length, text)
    }
    device fn nvmlDeviceGetInforomConfigurationChecksum(checksum: *mut c_uint) |gpu| {
        put_supported(checksum, gpu.inforom.checksum)
    }
    device fn nvmlDeviceValidateInforom() |gpu| {
        match gpu.inforom.valid {
            Some(true) => Ok(()),
            Some(false) => Err(CORRUPTED_INFOROM),
            None => Err(NOT_SUPPORTED),
        }
    }
    device fn nvmlDeviceGetLastBBXFlushTime(timestamp: *mut c_ulonglong, duration: *mut c_ulong) |gpu| {
        put_supported(timestamp, gpu.bbx.as_ref().map(|it| it.timestamp))?;
        put_supported(duration, gpu.bbx.as_ref().map(|it| it.duration_us))
    }
    device fn nvmlDeviceGetPlatformInfo(info: *mut nvmlPlatformInfo_t) |gpu| {
        if info.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        let version = info.cast::<u32>().read_unaligned();
        let platform = gpu.platform.as_ref().ok_or(NOT_SUPPORTED);
        let serial = |platform: &crate::rig::Platform| {
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(platform.chassis_serial.bytes()).for_each(|(to, from)| *to = from);
            bytes
        };
        if version == struct_version::<nvmlPlatformInfo_v1_t>(1) {
            let it = platform?;
            put(info.cast(), nvmlPlatformInfo_v1_t {
                version,
                ibGuid: [0; 16],
                rackGuid: serial(it),
                chassisPhysicalSlotNumber: it.slot_number,
                computeSlotIndex: it.tray_index,
                nodeIndex: it.host_id,
                peerType: it.peer_type,
                moduleId: it.module_id,
            })
        } else if version == struct_version::<nvmlPlatformInfo_v2_t>(2) {
            let it = platform?;
            put(info, nvmlPlatformInfo_v2_t {
                version,
                ibGuid: [0; 16],
                chassisSerialNumber: serial(it),
                slotNumber: it.slot_number,
                trayIndex: it.tray_index,
                hostId: it.host_id,
                peerType: it.peer_type,
                moduleId: it.module_id,
            })
        } else {
            Err(VERSION_MISMATCH)
        }
    }
    device fn nvmlDeviceGetConfComputeGpuCertificate(certificate: *mut nvmlConfComputeGpuCertificate_t) |gpu| {
        let own = &gpu.confidential_compute;
        let bytes = match &own.signer {
            Some(signer) => signer.chain.as_bytes().into(),
            None => own.certificate.as_ref().ok_or(NOT_SUPPORTED)?.bytes(),
        };
        let mut filled = nvmlConfComputeGpuCertificate_t {
            certChainSize: bytes.len().min(4096) as c_uint,
            attestationCertChainSize: bytes.len().min(5120) as c_uint,
            certChain: [0; 4096],
            attestationCertChain: [0; 5120],
        };
        filled.certChain.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
        filled.attestationCertChain.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
        put(certificate, filled)
    }
    device fn nvmlDeviceGetConfComputeGpuAttestationReport(
        report: *mut nvmlConfComputeGpuAttestationReport_t,
    ) |gpu| {
        if report.is_null() {
            return Err(INVALID_ARGUMENT);
        }
        let own = &gpu.confidential_compute;
        let bytes = match &own.signer {
            Some(_) => gpu.attestation_report((*report).nonce).ok_or(NOT_SUPPORTED)?.into(),
            None => own.report.as_ref().ok_or(NOT_SUPPORTED)?.bytes(),
        };
        let mut filled = nvmlConfComputeGpuAttestationReport_t {
            isCecAttestationReportPresent: 0,
            attestationReportSize: bytes.len().min(8192) as c_uint,
            cecAttestationReportSize: 0,
            nonce: (*report).nonce,
            attestationReport: [0; 8192],
            cecAttestationReport: [0; 4096],
        };
        filled.attestationReport.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
        put(report, filled)
    }
}

fn pci_info(gpu: &Gpu) -> nvmlPciInfo_t {
    let pci = &gpu.pci;
    let at = pci.address;
    let mut info = nvmlPciInfo_t {
        busIdLegacy: [0; 16],
        domain: at.domain.into(),
        bus: at.bus.into(),
        device: at.device.into(),
        pciDeviceId: u32::from(pci.device_id) << 16 | u32::from(pci.vendor_id),
        pciSubSystemId: u32::from(pci.subsystem_device_id) << 16 | u32::from(pci.subsystem_vendor_id),
        busId: [0; 32],
    };
    let [legacy, long] =
        [4, 8].map(|digits| format!("{:0digits$X}:{:02X}:{:02X}.{:X}", at.domain, at.bus, at.device, at.function));
    fill_field(&mut info.busIdLegacy, legacy.as_bytes());
    fill_field(&mut info.busId, long.as_bytes());
    info
}
