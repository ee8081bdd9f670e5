//! The CUDA driver, as far as the burn uses it. One process, one device, one thread.
//!
//! Nothing is given back: the process has no other task, and its end frees all, also after errors that nothing else ends.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::fmt;

use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute, CUresult};

use super::message::Identity;

/// Functions without which nothing works. The bindings panic on one that is missing, so they are looked for first.
const NEEDED: &[&str] = &[
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetByPCIBusId",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDeviceGetAttribute",
    "cuDevicePrimaryCtxRetain",
    "cuCtxSetCurrent",
    "cuMemGetInfo_v2",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemHostAlloc",
    "cuMemHostGetDevicePointer_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuStreamCreate",
    "cuStreamSynchronize",
    "cuEventCreate",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuEventElapsedTime",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernel",
    "cuGetErrorName",
    "cuGetErrorString",
];

/// What copies between GPUs need besides.
pub(super) const PEER_CALLS: &[&str] = &["cuDeviceCanAccessPeer", "cuCtxEnablePeerAccess", "cuMemcpyPeerAsync"];

/// No virtual card is further from a real one.
pub(super) const MAX_SCALE: u32 = 1 << 20;

/// A call that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    call: &'static str,
    code: u32,
    text: String,
}

impl Failure {
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.code == CUresult::CUDA_ERROR_OUT_OF_MEMORY as u32
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gives {}", self.call, self.text)
    }
}

fn check(call: &'static str, result: CUresult) -> Result<(), Failure> {
    if result == CUresult::CUDA_SUCCESS {
        return Ok(());
    }
    let text = |get: unsafe fn(CUresult, *mut *const std::ffi::c_char) -> CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: it stores one pointer to a text that lives as long as the library.
        let code = unsafe { get(result, &mut text) };
        (code == CUresult::CUDA_SUCCESS && !text.is_null())
            .then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    let code = result as u32;
    let name = text(sys::cuGetErrorName).unwrap_or_else(|| format!("error {code}"));
    let about = text(sys::cuGetErrorString).map_or(String::new(), |about| format!(" ({about})"));
    Err(Failure { call, code, text: format!("{name}{about}") })
}

macro_rules! call {
    ($function:ident($($argument:expr),*)) => {
        // SAFETY: the arguments are what the function wants; the library is known to have it.
        check(stringify!($function), unsafe { sys::$function($($argument),*) })
    };
}

/// A GPU with a context in this process.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) identity: Identity,
    device: sys::CUdevice,
    context: sys::CUcontext,
    stream: [sys::CUstream; 2],
    events: [sys::CUevent; 4],
}

/// A kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(sys::CUfunction);

/// A file of kernels that the driver took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Module(sys::CUmodule);

/// Host memory that the GPU sees as well: 64-bit words.
#[derive(Debug)]
pub(super) struct Pinned {
    host: *mut u64,
    pub(super) device: u64,
    words: usize,
}

impl Pinned {
    pub(super) fn words(&self) -> usize {
        self.words
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        assert!(index < self.words, "beyond the end");
        // SAFETY: within the allocation, which is never freed. The GPU may write at any time.
        unsafe { self.host.add(index).read_volatile() }
    }

    pub(super) fn set(&self, index: usize, value: u64) {
        assert!(index < self.words, "beyond the end");
        // SAFETY: as above.
        unsafe { self.host.add(index).write_volatile(value) }
    }

    pub(super) fn clear(&self, words: usize) {
        (0..words.min(self.words)).for_each(|index| self.set(index, 0));
    }

    fn bytes(&self) -> *mut c_void {
        self.host.cast()
    }
}

/// Whether the library is there and has everything; in words if not, with what would help.
pub(super) fn preflight(more: &[&'static str]) -> Result<(), String> {
    // SAFETY: loads the library, whose initialisers run in this process, which may die of it.
    if !unsafe { sys::is_culib_present() } {
        return Err("there is no CUDA driver (libcuda.so.1): install NVIDIA's driver, then burn again".to_owned());
    }
    // SAFETY: it is there.
    let library = unsafe { sys::culib() };
    let missing: Vec<&str> = NEEDED
        .iter()
        .chain(more)
        .copied()
        // SAFETY: the symbol's address is not used.
        .filter(|name| unsafe { library.get::<*const c_void>(name.as_bytes()) }.is_err())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(", ");
    Err(format!("the CUDA driver has no {names}: install NVIDIA's driver R525 or later, then burn again"))
}

fn has(name: &str) -> bool {
    // SAFETY: the library was loaded; the symbol's address is not used.
    unsafe { sys::culib().get::<*const c_void>(name.as_bytes()) }.is_ok()
}

/// How many bytes each byte of the memory stands for, which only a virtual driver says: a simulator that moves 100 MB in a
/// second cannot fill a real card's memory. `None` with every real driver. Whatever was measured with it is simulated.
fn simulated() -> Option<u32> {
    // SAFETY: the library was loaded. The type is that of the one library that has the symbol.
    let found = unsafe { sys::culib().get::<unsafe extern "C" fn() -> u32>(b"yanji_virtual_driver") };
    // SAFETY: as above; it takes nothing.
    found.ok().map(|scale| unsafe { scale() }.clamp(1, MAX_SCALE))
}

/// Starts the driver.
pub(super) fn init() -> Result<(), Failure> {
    call!(cuInit(0))
}

impl Device {
    /// Looks for the GPU at a PCI address and says what the driver tells of it.
    pub(super) fn find(address: &str) -> Result<(sys::CUdevice, Identity), Failure> {
        let mut device = 0;
        let name = CString::new(address).unwrap_or_default();
        call!(cuDeviceGetByPCIBusId(&mut device, name.as_ptr()))?;
        let mut version = 0;
        call!(cuDriverGetVersion(&mut version))?;
        let mut text = [0u8; 512];
        call!(cuDeviceGetName(text.as_mut_ptr().cast(), 256, device))?;
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let mut bytes = 0;
        call!(cuDeviceTotalMem_v2(&mut bytes, device))?;
        let get = |attribute: Attribute| -> Option<u64> {
            let mut value = 0;
            call!(cuDeviceGetAttribute(&mut value, attribute, device)).ok()?;
            u64::try_from(value).ok()
        };
        let uuid = has("cuDeviceGetUuid_v2").then(|| {
            let mut uuid = sys::CUuuid { bytes: [0; 16] };
            call!(cuDeviceGetUuid_v2(&mut uuid, device)).ok()?;
            let hex = hex::encode(uuid.bytes.map(|byte| byte as u8));
            Some(format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
        });
        let number = |attribute| get(attribute).unwrap_or(0) as u32;
        let simulated = simulated();
        let identity = Identity {
            simulated,
            name: String::from_utf8_lossy(&text[..end]).into_owned(),
            uuid: uuid.flatten(),
            address: address.to_owned(),
            compute_capability: [
                number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            ],
            sm_count: number(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            memory_bytes: bytes as u64 * u64::from(simulated.unwrap_or(1)),
            l2_bytes: get(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE),
            clock_khz: get(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
            memory_clock_khz: get(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
            bus_width_bits: get(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
            compute_mode: match get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) {
                Some(0) => "default".to_owned(),
                Some(2) => "prohibited".to_owned(),
                Some(3) => "exclusive-process".to_owned(),
                other => format!("unknown ({other:?})"),
            },
            ecc: get(Attribute::CU_DEVICE_ATTRIBUTE_ECC_ENABLED).map(|on| on == 1),
            driver_version: u32::try_from(version).unwrap_or(0),
        };
        Ok((device, identity))
    }

    /// Makes the context. Waiting calls sleep: the host's own test needs its processors.
    pub(super) fn open(device: sys::CUdevice, identity: Identity) -> Result<Self, Failure> {
        if has("cuDevicePrimaryCtxSetFlags_v2") {
            // Blocking synchronisation only saves processor time: a driver that refuses is fine.
            let _ =
                call!(cuDevicePrimaryCtxSetFlags_v2(device, sys::CUctx_flags_enum::CU_CTX_SCHED_BLOCKING_SYNC as u32));
        }
        let mut context = std::ptr::null_mut();
        call!(cuDevicePrimaryCtxRetain(&mut context, device))?;
        call!(cuCtxSetCurrent(context))?;
        let mut stream = [std::ptr::null_mut(); 2];
        for stream in &mut stream {
            call!(cuStreamCreate(stream, sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as u32))?;
        }
        let mut events = [std::ptr::null_mut(); 4];
        for event in &mut events {
            call!(cuEventCreate(event, sys::CUevent_flags_enum::CU_EVENT_BLOCKING_SYNC as u32))?;
        }
        Ok(Self { identity, device, context, stream, events })
    }

    /// Makes this GPU the one that calls are about, where a process has several.
    pub(super) fn enter(&self) -> Result<(), Failure> {
        call!(cuCtxSetCurrent(self.context))
    }

    /// Free and total memory, in bytes.
    pub(super) fn memory(&self) -> Result<(u64, u64), Failure> {
        let (mut free, mut total) = (0, 0);
        call!(cuMemGetInfo_v2(&mut free, &mut total))?;
        Ok((free as u64, total as u64))
    }

    /// Memory of the card.
    pub(super) fn allocate(&self, bytes: u64) -> Result<u64, Failure> {
        let mut address = 0;
        call!(cuMemAlloc_v2(&mut address, bytes as usize))?;
        Ok(address)
    }

    /// Gives memory of [`Device::allocate`] back.
    pub(super) fn free(&self, address: u64) -> Result<(), Failure> {
        call!(cuMemFree_v2(address))
    }

    /// Host memory that the card sees.
    pub(super) fn pinned(&self, words: usize) -> Result<Pinned, Failure> {
        let mut host = std::ptr::null_mut();
        call!(cuMemHostAlloc(&mut host, words * 8, sys::CU_MEMHOSTALLOC_DEVICEMAP))?;
        let mut device = 0;
        call!(cuMemHostGetDevicePointer_v2(&mut device, host, 0))?;
        let pinned = Pinned { host: host.cast(), device, words };
        pinned.clear(words);
        Ok(pinned)
    }

    pub(super) fn load(&self, image: &[u8]) -> Result<Module, Failure> {
        let mut module = std::ptr::null_mut();
        call!(cuModuleLoadData(&mut module, image.as_ptr().cast()))?;
        Ok(Module(module))
    }

    /// A kernel, with as much dynamic shared memory as it is to have.
    pub(super) fn function(&self, module: Module, name: &str, shared_bytes: u32) -> Result<Function, Failure> {
        let mut function = std::ptr::null_mut();
        let name = CString::new(name).unwrap_or_default();
        call!(cuModuleGetFunction(&mut function, module.0, name.as_ptr()))?;
        if shared_bytes > 0 {
            let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            call!(cuFuncSetAttribute(function, attribute, shared_bytes as i32))?;
        }
        Ok(Function(function))
    }

    /// Enqueues a kernel. Every parameter is 64 bits here; one of 32 bits takes the lower half.
    pub(super) fn launch(&self, function: Function, shape: [u32; 3], parameters: &[u64]) -> Result<(), Failure> {
        self.launch_on(0, function, shape, parameters)
    }

    /// The same on one of two streams.
    pub(super) fn launch_on(
        &self,
        stream: usize,
        function: Function,
        [blocks, threads, shared_bytes]: [u32; 3],
        parameters: &[u64],
    ) -> Result<(), Failure> {
        let mut pointers: Vec<*mut c_void> =
            parameters.iter().map(|it| std::ptr::from_ref(it).cast_mut().cast()).collect();
        let list = pointers.as_mut_ptr();
        let stream = self.stream[stream];
        let none = std::ptr::null_mut();
        call!(cuLaunchKernel(function.0, blocks, 1, 1, threads, 1, 1, shared_bytes, stream, list, none))
    }

    /// Copies from pinned memory to the card, on one of two streams.
    pub(super) fn upload(&self, to: u64, from: &Pinned, bytes: usize, stream: usize) -> Result<(), Failure> {
        assert!(bytes <= from.words * 8, "beyond the end");
        call!(cuMemcpyHtoDAsync_v2(to, from.bytes(), bytes, self.stream[stream]))
    }

    /// Copies from the card to pinned memory, on one of two streams.
    pub(super) fn download(&self, to: &Pinned, from: u64, bytes: usize, stream: usize) -> Result<(), Failure> {
        assert!(bytes <= to.words * 8, "beyond the end");
        call!(cuMemcpyDtoHAsync_v2(to.bytes(), from, bytes, self.stream[stream]))
    }

    /// Makes this GPU the one that calls are about, and lets it touch the other one's memory. `false` where it has no way
    /// there but through the host.
    pub(super) fn reaches(&self, other: &Self) -> Result<bool, Failure> {
        self.enter()?;
        let mut can = 0;
        call!(cuDeviceCanAccessPeer(&mut can, self.device, other.device))?;
        if can == 0 {
            return Ok(false);
        }
        match call!(cuCtxEnablePeerAccess(other.context, 0)) {
            Err(failure) if failure.code != CUresult::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED as u32 => Err(failure),
            _ => Ok(true),
        }
    }

    /// Copies from this GPU, whose turn it is, to another one, on the first stream.
    pub(super) fn send(&self, from: u64, other: &Self, to: u64, bytes: usize) -> Result<(), Failure> {
        call!(cuMemcpyPeerAsync(to, other.context, from, self.context, bytes, self.stream[0]))
    }

    /// Marks a moment of a stream.
    pub(super) fn mark(&self, event: usize, stream: usize) -> Result<(), Failure> {
        call!(cuEventRecord(self.events[event], self.stream[stream]))
    }

    /// Waits for both streams.
    pub(super) fn wait(&self) -> Result<(), Failure> {
        for stream in self.stream {
            call!(cuStreamSynchronize(stream))?;
        }
        Ok(())
    }

    /// Seconds between two marks that were waited for.
    pub(super) fn seconds(&self, from: usize, to: usize) -> Result<f64, Failure> {
        call!(cuEventSynchronize(self.events[to]))?;
        let mut milliseconds = 0.0;
        call!(cuEventElapsedTime(&mut milliseconds, self.events[from], self.events[to]))?;
        Ok(f64::from(milliseconds).max(0.0) / 1000.0)
    }
}
