//! The calls on one GPU.

#![allow(unsafe_code)]
#![allow(non_upper_case_globals, reason = "the bindings keep the names of NVIDIA's header")]

use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint, c_ulong, c_ulonglong};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use nvml_wrapper_sys::bindings::*;
use serde_json::{Value as Json, json};

use super::reader::{Caller, TEXT_BYTES, Trouble, check, room, text, version};
use crate::parse::nvml::MAX_P2P_DEVICES;
use crate::parse::nvml_attestation::pci_address;
use crate::parse::spdm::NONCE_BYTES;

/// The most NVLinks of any GPU; `NVML_NVLINK_MAX_LINKS` is 18 so far.
const MAX_LINKS: c_uint = 36;
const MAX_FANS: c_uint = 16;
const MAX_MIG_DEVICES: c_uint = 16;

impl Caller<'_> {
    /// Everything about a GPU beside its identity. A report is asked for over that nonce.
    pub(super) fn all(&mut self, handles: &BTreeMap<u32, nvmlDevice_t>, nonce: Option<[u8; NONCE_BYTES]>) {
        self.board();
        self.clocks_and_power();
        self.cooling();
        self.errors();
        self.links();
        self.peers(handles);
        self.platform();
        self.partitions();
        self.confidential(nonce);
    }

    /// What says which card it is. Made twice a run: an answer that changes is forged or broken. Gives its address.
    pub(super) fn identity(&mut self) -> Option<String> {
        let lib = self.lib;
        self.text("nvmlDeviceGetName", &lib.nvmlDeviceGetName);
        self.text("nvmlDeviceGetUUID", &lib.nvmlDeviceGetUUID);
        self.text("nvmlDeviceGetSerial", &lib.nvmlDeviceGetSerial);
        self.text("nvmlDeviceGetBoardPartNumber", &lib.nvmlDeviceGetBoardPartNumber);
        self.text("nvmlDeviceGetVbiosVersion", &lib.nvmlDeviceGetVbiosVersion);
        let pci = self.structure("nvmlDeviceGetPciInfo_v3", &lib.nvmlDeviceGetPciInfo_v3, |_| {}, pci_info);
        let memory = self.structure(
            "nvmlDeviceGetMemoryInfo_v2",
            &lib.nvmlDeviceGetMemoryInfo_v2,
            |it| it.version = version::<nvmlMemory_v2_t>(2),
            |it| json!({"total": it.total, "reserved": it.reserved, "free": it.free, "used": it.used}),
        );
        if memory.is_err() {
            let show = |it: &nvmlMemory_t| json!({"total": it.total, "free": it.free, "used": it.used});
            let _ = self.structure("nvmlDeviceGetMemoryInfo", &lib.nvmlDeviceGetMemoryInfo, |_| {}, show);
        }
        pci_address(&pci.ok()?).into_known()
    }

    fn board(&mut self) {
        let lib = self.lib;
        let _ = self.get("nvmlDeviceGetBrand", &lib.nvmlDeviceGetBrand);
        let _ = self.structure(
            "nvmlDeviceGetPdi",
            &lib.nvmlDeviceGetPdi,
            |it| it.version = version::<nvmlPdi_t>(1),
            |it| json!(it.value),
        );
        let _ = self.get("nvmlDeviceGetBoardId", &lib.nvmlDeviceGetBoardId);
        let _ = self.get("nvmlDeviceGetMultiGpuBoard", &lib.nvmlDeviceGetMultiGpuBoard);
        let _ = self.get("nvmlDeviceGetArchitecture", &lib.nvmlDeviceGetArchitecture);
        let _ = self.call(
            "nvmlDeviceGetCudaComputeCapability",
            &[],
            &lib.nvmlDeviceGetCudaComputeCapability,
            |get, handle| {
                let (mut major, mut minor) = (0, 0);
                // SAFETY: the handle is the library's own; it stores two integers.
                check(unsafe { get(handle, &mut major, &mut minor) })?;
                Ok(json!({"major": major, "minor": minor}))
            },
        );
        let _ = self.get("nvmlDeviceGetNumGpuCores", &lib.nvmlDeviceGetNumGpuCores);
        let _ = self.get("nvmlDeviceGetMemoryBusWidth", &lib.nvmlDeviceGetMemoryBusWidth);
        let _ = self.get("nvmlDeviceGetMinorNumber", &lib.nvmlDeviceGetMinorNumber);
        let _ = self.get("nvmlDeviceGetModuleId", &lib.nvmlDeviceGetModuleId);
        self.text("nvmlDeviceGetInforomImageVersion", &lib.nvmlDeviceGetInforomImageVersion);
        for object in [
            nvmlInforomObject_enum_NVML_INFOROM_OEM,
            nvmlInforomObject_enum_NVML_INFOROM_ECC,
            nvmlInforomObject_enum_NVML_INFOROM_POWER,
        ] {
            let _ =
                self.call("nvmlDeviceGetInforomVersion", &[object], &lib.nvmlDeviceGetInforomVersion, |get, handle| {
                    let mut buffer = vec![0u8; 2 * TEXT_BYTES];
                    // SAFETY: as in `text`.
                    check(unsafe { get(handle, object, buffer.as_mut_ptr().cast(), TEXT_BYTES as c_uint) })?;
                    Ok(json!(text(&buffer)))
                });
        }
        let _ = self.call("nvmlDeviceValidateInforom", &[], &lib.nvmlDeviceValidateInforom, |validate, handle| {
            // SAFETY: the handle is the library's own.
            check(unsafe { validate(handle) })?;
            Ok(json!(true))
        });
        let _ = self.get("nvmlDeviceGetInforomConfigurationChecksum", &lib.nvmlDeviceGetInforomConfigurationChecksum);
        let _ = self.structure(
            "nvmlDeviceGetBAR1MemoryInfo",
            &lib.nvmlDeviceGetBAR1MemoryInfo,
            |_| {},
            |it| json!({"total": it.bar1Total, "free": it.bar1Free, "used": it.bar1Used}),
        );
    }

    fn clocks_and_power(&mut self) {
        let lib = self.lib;
        for clock in 0..4 {
            let _ = self.get_of("nvmlDeviceGetClockInfo", clock, &lib.nvmlDeviceGetClockInfo);
            let _ = self.get_of("nvmlDeviceGetMaxClockInfo", clock, &lib.nvmlDeviceGetMaxClockInfo);
        }
        let reasons = self.get("nvmlDeviceGetCurrentClocksEventReasons", &lib.nvmlDeviceGetCurrentClocksEventReasons);
        if reasons.is_err() {
            // The name before driver 535.
            let _ =
                self.get("nvmlDeviceGetCurrentClocksThrottleReasons", &lib.nvmlDeviceGetCurrentClocksThrottleReasons);
        }
        let _ = self.get("nvmlDeviceGetPerformanceState", &lib.nvmlDeviceGetPerformanceState);
        let _ = self.get("nvmlDeviceGetPowerUsage", &lib.nvmlDeviceGetPowerUsage);
        self.pair(
            "nvmlDeviceGetPowerManagementLimitConstraints",
            ["min", "max"],
            &lib.nvmlDeviceGetPowerManagementLimitConstraints,
        );
        let _ = self.get("nvmlDeviceGetPowerManagementDefaultLimit", &lib.nvmlDeviceGetPowerManagementDefaultLimit);
        let _ = self.get("nvmlDeviceGetPowerManagementLimit", &lib.nvmlDeviceGetPowerManagementLimit);
        let _ = self.get("nvmlDeviceGetEnforcedPowerLimit", &lib.nvmlDeviceGetEnforcedPowerLimit);
        let _ = self.get("nvmlDeviceGetTotalEnergyConsumption", &lib.nvmlDeviceGetTotalEnergyConsumption);
    }

    fn cooling(&mut self) {
        let lib = self.lib;
        let _ = self.get_of("nvmlDeviceGetTemperature", 0, &lib.nvmlDeviceGetTemperature);
        self.field(field_id::NVML_FI_DEV_MEMORY_TEMP);
        for threshold in 0..4 {
            let _ = self.get_of("nvmlDeviceGetTemperatureThreshold", threshold, &lib.nvmlDeviceGetTemperatureThreshold);
        }
        let fans = self.get("nvmlDeviceGetNumFans", &lib.nvmlDeviceGetNumFans);
        let fans = fans.ok().and_then(|fans| fans.as_u64()).unwrap_or(0).min(MAX_FANS.into()) as c_uint;
        for fan in 0..fans {
            let _ = self.get_of("nvmlDeviceGetFanSpeed_v2", fan, &lib.nvmlDeviceGetFanSpeed_v2);
            let _ = self.call("nvmlDeviceGetFanSpeedRPM", &[fan], &lib.nvmlDeviceGetFanSpeedRPM, |get, handle| {
                // SAFETY: a plain C structure.
                let mut room = unsafe { room::<nvmlFanSpeedInfo_t>() };
                room.value.version = version::<nvmlFanSpeedInfo_t>(1);
                room.value.fan = fan;
                // SAFETY: the handle is the library's own; the structure is as large as its version says.
                check(unsafe { get(handle, &mut room.value) })?;
                Ok(json!(room.value.speed))
            });
        }
        if fans > 0 {
            self.pair("nvmlDeviceGetMinMaxFanSpeed", ["min", "max"], &lib.nvmlDeviceGetMinMaxFanSpeed);
        }
    }

    fn errors(&mut self) {
        let lib = self.lib;
        self.pair("nvmlDeviceGetEccMode", ["current", "pending"], &lib.nvmlDeviceGetEccMode);
        for (kind, counter) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let args = [kind, counter];
            let _ = self.call("nvmlDeviceGetTotalEccErrors", &args, &lib.nvmlDeviceGetTotalEccErrors, |get, handle| {
                let mut count = 0;
                // SAFETY: the handle is the library's own; it stores one integer.
                check(unsafe { get(handle, kind, counter, &mut count) })?;
                Ok(json!(count))
            });
            for location in 0..nvmlMemoryLocation_enum_NVML_MEMORY_LOCATION_COUNT {
                let args = [kind, counter, location];
                let symbol = &lib.nvmlDeviceGetMemoryErrorCounter;
                let _ = self.call("nvmlDeviceGetMemoryErrorCounter", &args, symbol, |get, handle| {
                    let mut count = 0;
                    // SAFETY: the handle is the library's own; it stores one integer.
                    check(unsafe { get(handle, kind, counter, location, &mut count) })?;
                    Ok(json!(count))
                });
            }
        }
        let _ = self.structure(
            "nvmlDeviceGetSramEccErrorStatus",
            &lib.nvmlDeviceGetSramEccErrorStatus,
            |it| it.version = version::<nvmlEccSramErrorStatus_t>(1),
            |it| {
                json!({
                    "aggregateUncParity": it.aggregateUncParity,
                    "aggregateUncSecDed": it.aggregateUncSecDed,
                    "aggregateCor": it.aggregateCor,
                    "volatileUncParity": it.volatileUncParity,
                    "volatileUncSecDed": it.volatileUncSecDed,
                    "volatileCor": it.volatileCor,
                    "aggregateUncBucketL2": it.aggregateUncBucketL2,
                    "aggregateUncBucketSm": it.aggregateUncBucketSm,
                    "aggregateUncBucketPcie": it.aggregateUncBucketPcie,
                    "aggregateUncBucketMcu": it.aggregateUncBucketMcu,
                    "aggregateUncBucketOther": it.aggregateUncBucketOther,
                    "bThresholdExceeded": it.bThresholdExceeded,
                })
            },
        );
        for cause in 0..2 {
            let symbol = &lib.nvmlDeviceGetRetiredPages;
            let _ = self.call("nvmlDeviceGetRetiredPages", &[cause], symbol, |get, handle| {
                let mut count = 0;
                // SAFETY: the handle is the library's own; with a count of 0 it stores the number of pages only.
                match unsafe { get(handle, cause, &mut count, std::ptr::null_mut()) } {
                    nvmlReturn_enum_NVML_SUCCESS | nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE => Ok(json!(count)),
                    code => Err(code.into()),
                }
            });
        }
        let _ = self.get("nvmlDeviceGetRetiredPagesPendingStatus", &lib.nvmlDeviceGetRetiredPagesPendingStatus);
        let _ = self.call("nvmlDeviceGetRemappedRows", &[], &lib.nvmlDeviceGetRemappedRows, |get, handle| {
            let (mut corrected, mut uncorrected, mut pending, mut failed) = (0, 0, 0, 0);
            // SAFETY: the handle is the library's own; it stores four integers.
            check(unsafe { get(handle, &mut corrected, &mut uncorrected, &mut pending, &mut failed) })?;
            Ok(json!({"corrected": corrected, "uncorrected": uncorrected, "pending": pending, "failed": failed}))
        });
        let _ = self.structure(
            "nvmlDeviceGetRowRemapperHistogram",
            &lib.nvmlDeviceGetRowRemapperHistogram,
            |_| {},
            |it| json!({"max": it.max, "high": it.high, "partial": it.partial, "low": it.low, "none": it.none}),
        );
        let _ = self.structure(
            "nvmlDeviceGetRepairStatus",
            &lib.nvmlDeviceGetRepairStatus,
            |it| it.version = version::<nvmlRepairStatus_t>(1),
            |it| json!({"channel": it.bChannelRepairPending, "tpc": it.bTpcRepairPending}),
        );
        let symbol = &lib.nvmlDeviceGetLastBBXFlushTime;
        let _ = self.call("nvmlDeviceGetLastBBXFlushTime", &[], symbol, |get, handle| {
            let (mut timestamp, mut duration): (c_ulonglong, c_ulong) = (0, 0);
            // SAFETY: the handle is the library's own; it stores two integers.
            check(unsafe { get(handle, &mut timestamp, &mut duration) })?;
            Ok(json!({"timestamp": timestamp, "duration": duration}))
        });
    }

    fn links(&mut self) {
        let lib = self.lib;
        let _ = self.get("nvmlDeviceGetCurrPcieLinkGeneration", &lib.nvmlDeviceGetCurrPcieLinkGeneration);
        let _ = self.get("nvmlDeviceGetCurrPcieLinkWidth", &lib.nvmlDeviceGetCurrPcieLinkWidth);
        let _ = self.get("nvmlDeviceGetMaxPcieLinkGeneration", &lib.nvmlDeviceGetMaxPcieLinkGeneration);
        let _ = self.get("nvmlDeviceGetMaxPcieLinkWidth", &lib.nvmlDeviceGetMaxPcieLinkWidth);
        let _ = self.get("nvmlDeviceGetPcieReplayCounter", &lib.nvmlDeviceGetPcieReplayCounter);
        self.field(field_id::NVML_FI_DEV_NVLINK_LINK_COUNT);
        for link in 0..MAX_LINKS {
            match self.get_of("nvmlDeviceGetNvLinkState", link, &lib.nvmlDeviceGetNvLinkState) {
                Ok(_) => {}
                // No link of that number, on this GPU or on any.
                Err(Trouble::Code(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)) if link > 0 && link < 18 => continue,
                Err(_) => break,
            }
            let _ = self.get_of("nvmlDeviceGetNvLinkVersion", link, &lib.nvmlDeviceGetNvLinkVersion);
            let symbol = &lib.nvmlDeviceGetNvLinkRemotePciInfo_v2;
            let _ = self.call("nvmlDeviceGetNvLinkRemotePciInfo_v2", &[link], symbol, |get, handle| {
                // SAFETY: a plain C structure.
                let mut room = unsafe { room::<nvmlPciInfo_t>() };
                // SAFETY: the handle is the library's own.
                check(unsafe { get(handle, link, &mut room.value) })?;
                Ok(pci_info(&room.value))
            });
            for counter in 0..4 {
                let symbol = &lib.nvmlDeviceGetNvLinkErrorCounter;
                let _ = self.call("nvmlDeviceGetNvLinkErrorCounter", &[link, counter], symbol, |get, handle| {
                    let mut count = 0;
                    // SAFETY: the handle is the library's own; it stores one integer.
                    check(unsafe { get(handle, link, counter, &mut count) })?;
                    Ok(json!(count))
                });
            }
        }
    }

    fn peers(&mut self, handles: &BTreeMap<u32, nvmlDevice_t>) {
        let lib = self.lib;
        if handles.len() > MAX_P2P_DEVICES {
            return;
        }
        let own = self.device;
        for (&peer, &peer_handle) in handles.iter().filter(|(peer, _)| Some(**peer) != own) {
            let _ = self.call("nvmlDeviceGetP2PStatus", &[peer, 0], &lib.nvmlDeviceGetP2PStatus, |get, handle| {
                let mut status = 0;
                // SAFETY: both handles are the library's own; it stores one integer.
                check(unsafe { get(handle, peer_handle, 0, &mut status) })?;
                Ok(json!(status))
            });
        }
    }

    fn platform(&mut self) {
        let lib = self.lib;
        let show = |it: &nvmlGpuFabricInfoV_t| {
            json!({
                "clusterUuid": hex::encode(it.clusterUuid),
                "status": it.status,
                "cliqueId": it.cliqueId,
                "state": it.state,
                "healthMask": it.healthMask,
            })
        };
        let symbol = &lib.nvmlDeviceGetGpuFabricInfoV;
        let newest = self.structure(
            "nvmlDeviceGetGpuFabricInfoV",
            symbol,
            |it| it.version = version::<nvmlGpuFabricInfo_v3_t>(3),
            show,
        );
        // Drivers differ in what they say to a version that they do not know.
        if let Err(Trouble::Code(
            nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH | nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
        )) = newest
        {
            // The second version is the beginning of the third.
            let prepare = |it: &mut nvmlGpuFabricInfoV_t| it.version = version::<nvmlGpuFabricInfo_v2_t>(2);
            let _ = self.structure("nvmlDeviceGetGpuFabricInfoV 2", symbol, prepare, show);
        }
        let _ = self.structure(
            "nvmlDeviceGetPlatformInfo",
            &lib.nvmlDeviceGetPlatformInfo,
            |it| it.version = version::<nvmlPlatformInfo_t>(2),
            |it| {
                json!({
                    "ibGuid": hex::encode(it.ibGuid),
                    "chassisSerialNumber": text(&it.chassisSerialNumber),
                    "slotNumber": it.slotNumber,
                    "trayIndex": it.trayIndex,
                    "hostId": it.hostId,
                    "peerType": it.peerType,
                    "moduleId": it.moduleId,
                })
            },
        );
        let _ =
            self.call("nvmlDeviceGetGspFirmwareVersion", &[], &lib.nvmlDeviceGetGspFirmwareVersion, |get, handle| {
                let mut buffer = vec![0u8; TEXT_BYTES];
                // SAFETY: the handle is the library's own; NVML_GSP_FIRMWARE_VERSION_BUF_SIZE is 64 bytes.
                check(unsafe { get(handle, buffer.as_mut_ptr().cast()) })?;
                Ok(json!(text(&buffer)))
            });
    }

    fn partitions(&mut self) {
        let lib = self.lib;
        self.pair("nvmlDeviceGetMigMode", ["current", "pending"], &lib.nvmlDeviceGetMigMode);
        let most = self.get("nvmlDeviceGetMaxMigDeviceCount", &lib.nvmlDeviceGetMaxMigDeviceCount);
        let most = most.ok().and_then(|most| most.as_u64()).unwrap_or(0).min(MAX_MIG_DEVICES.into()) as c_uint;
        for index in 0..most {
            let symbol = &lib.nvmlDeviceGetMigDeviceHandleByIndex;
            let _ = self.call("nvmlDeviceGetMigDeviceHandleByIndex", &[index], symbol, |get, handle| {
                let mut partition = std::ptr::null_mut();
                // SAFETY: the handle is the library's own; it stores one pointer, which is not used.
                check(unsafe { get(handle, index, &mut partition) })?;
                Ok(json!(true))
            });
        }
        let _ = self.get("nvmlDeviceGetVirtualizationMode", &lib.nvmlDeviceGetVirtualizationMode);
        let _ = self.get("nvmlDeviceGetPersistenceMode", &lib.nvmlDeviceGetPersistenceMode);
        let _ = self.get("nvmlDeviceGetComputeMode", &lib.nvmlDeviceGetComputeMode);
    }

    fn confidential(&mut self, nonce: Option<[u8; NONCE_BYTES]>) {
        let lib = self.lib;
        let raw = |bytes: &[u8], length: c_uint| BASE64_STANDARD.encode(&bytes[..bytes.len().min(length as usize)]);
        let _ = self.structure(
            "nvmlDeviceGetConfComputeGpuCertificate",
            &lib.nvmlDeviceGetConfComputeGpuCertificate,
            |_| {},
            |it| {
                json!({
                    "certChain": raw(&it.certChain, it.certChainSize),
                    "attestationCertChain": raw(&it.attestationCertChain, it.attestationCertChainSize),
                })
            },
        );
        let Some(nonce) = nonce else { return };
        let _ = self.structure(
            "nvmlDeviceGetConfComputeGpuAttestationReport",
            &lib.nvmlDeviceGetConfComputeGpuAttestationReport,
            |it| it.nonce = nonce,
            |it| {
                let cec = it.isCecAttestationReportPresent != 0;
                json!({
                    "nonce": hex::encode(nonce),
                    "attestationReport": raw(&it.attestationReport, it.attestationReportSize),
                    "cecAttestationReport": cec.then(|| raw(&it.cecAttestationReport, it.cecAttestationReportSize)),
                })
            },
        );
    }

    /// One value of `nvmlDeviceGetFieldValues`.
    fn field(&mut self, field: c_uint) {
        let lib = self.lib;
        let _ = self.call("nvmlDeviceGetFieldValues", &[field], &lib.nvmlDeviceGetFieldValues, |get, handle| {
            // SAFETY: a plain C structure.
            let mut room = unsafe { room::<nvmlFieldValue_t>() };
            room.value.fieldId = field;
            // SAFETY: the handle is the library's own; one structure is there.
            check(unsafe { get(handle, 1, &mut room.value) })?;
            let value = &room.value;
            check(value.nvmlReturn)?;
            // SAFETY: the memory was all zeros, so that every member of the union is initialised.
            let number = unsafe {
                match value.valueType {
                    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT => u64::from(value.value.uiVal),
                    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG
                    | nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG => value.value.ullVal,
                    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT => return Ok(json!(value.value.siVal)),
                    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG => return Ok(json!(value.value.sllVal)),
                    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT => u64::from(value.value.usVal),
                    other => return Err(Trouble::Failed(format!("value of type {other}"))),
                }
            };
            Ok(json!(number))
        });
    }
}

fn pci_info(it: &nvmlPciInfo_t) -> Json {
    json!({
        "domain": it.domain,
        "bus": it.bus,
        "device": it.device,
        "pciDeviceId": it.pciDeviceId,
        "pciSubSystemId": it.pciSubSystemId,
        "busId": chars(&it.busId),
    })
}

fn chars(field: &[c_char]) -> String {
    text(&field.iter().map(|&char| char as u8).collect::<Vec<_>>())
}
