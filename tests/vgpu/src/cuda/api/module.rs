//! Modules, and what is in them.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::device::shared_limit;
use super::{functions, put};
use crate::cuda::card::lock;
use crate::cuda::failure::{Failure, INVALID_PTX, INVALID_VALUE, NOT_FOUND, OUT_OF_MEMORY, UNSUPPORTED_PTX_VERSION};
use crate::cuda::runtime::{Function, LoadedModule, runtime};
use crate::cuda::{image, ptx};

/// `CU_JIT_INFO_LOG_BUFFER` to `CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES`.
const ERROR_LOG: c_uint = 5;
const ERROR_LOG_BYTES: c_uint = 6;

/// Loads an image into the current context. The second of an error is for the log.
unsafe fn load(image: *const u8) -> Result<usize, (Failure, String)> {
    let silent = |failure: Failure| (failure, String::new());
    let runtime = runtime().map_err(silent)?;
    let card = runtime.current().map_err(silent)?;
    // SAFETY: the caller of cuModuleLoadData answers for the image.
    let text = unsafe { image::text(image)? };
    card.may_load().map_err(silent)?;
    let mut taken = Vec::new();
    let mut out_of_memory = false;
    let result = ptx::load(&text, |bytes| match card.take(bytes) {
        Ok(address) => {
            taken.push(address);
            Some(address)
        }
        Err(_) => {
            out_of_memory = true;
            None
        }
    });
    let give_back = || taken.iter().for_each(|&address| _ = card.free(address));
    let module = result.map_err(|bad| {
        give_back();
        (if out_of_memory { OUT_OF_MEMORY } else { INVALID_PTX }, bad.to_string())
    })?;
    let refusal = refused(&module, runtime.rig.driver.cuda_version, card.gpu.compute_capability);
    if let Some(refusal) = refusal {
        give_back();
        return Err(refusal);
    }
    for global in &module.globals {
        // SAFETY: memory of that many bytes was allocated for it.
        unsafe {
            std::ptr::copy_nonoverlapping(global.initial.as_ptr(), global.address as *mut u8, global.initial.len());
        }
    }
    Ok(runtime.modules.add(LoadedModule {
        card: card.clone(),
        programs: module.programs,
        version: module.version,
        globals: module.globals.into_iter().map(|it| (it.name, it.address, it.initial.len() as u64)).collect(),
        functions: Mutex::default(),
    }))
}

/// A driver takes no PTX of a newer major version, and no PTX for a newer chip. Minor versions are not told apart, since
/// PTX stands here for the cubins that a driver of the same major version loads.
fn refused(module: &ptx::Module, cuda_version: i32, [major, minor]: [i32; 2]) -> Option<(Failure, String)> {
    // CUDA 11 has PTX 7, CUDA 12 PTX 8.
    let newest = cuda_version / 1000 - 4;
    if module.version.0 as i32 > newest {
        let (a, b) = module.version;
        return Some((
            UNSUPPORTED_PTX_VERSION,
            format!("PTX {a}.{b} is too new for a driver of CUDA {}", cuda_version / 1000),
        ));
    }
    let target = module.target.strip_prefix("sm_")?;
    let number: i32 = target.trim_end_matches(|it: char| it.is_ascii_alphabetic()).parse().ok()?;
    let exact = target.ends_with(|it: char| it.is_ascii_alphabetic());
    let own = major * 10 + minor;
    if number > own || exact && number != own {
        return Some((INVALID_PTX, format!("the module is for sm_{target}, the GPU is sm_{own}")));
    }
    None
}

/// Writes the log of a load that failed where the options ask for it.
unsafe fn log(message: &str, count: c_uint, options: *const c_uint, values: *const *mut c_void) {
    if options.is_null() || values.is_null() {
        return;
    }
    // SAFETY: the caller gives as many options and values as it says; the buffer has the size that another option says.
    unsafe {
        let find = |wanted: c_uint| (0..count as usize).find(|&at| *options.add(at) == wanted);
        let (Some(buffer), Some(size)) = (find(ERROR_LOG), find(ERROR_LOG_BYTES)) else { return };
        let (buffer, size) = ((*values.add(buffer)).cast::<u8>(), *values.add(size) as usize as u32 as usize);
        if buffer.is_null() || size == 0 {
            return;
        }
        let kept = message.len().min(size - 1);
        std::ptr::copy_nonoverlapping(message.as_ptr(), buffer, kept);
        *buffer.add(kept) = 0;
    }
}

unsafe fn load_into(
    module: *mut usize,
    image: *const u8,
    count: c_uint,
    options: *const c_uint,
    values: *const *mut c_void,
) -> Result<(), Failure> {
    // SAFETY: the caller's.
    unsafe {
        match load(image) {
            Ok(handle) => put(module, handle),
            Err((failure, message)) => {
                if !message.is_empty() && std::env::var_os("VGPU_VERBOSE").is_some() {
                    eprintln!("vgpu: {message}");
                }
                log(&message, count, options, values);
                Err(failure)
            }
        }
    }
}

functions! {
    fn cuModuleLoadData(module: *mut usize, image: *const u8) {
        load_into(module, image, 0, std::ptr::null(), std::ptr::null())
    }
    fn cuModuleLoadFatBinary(module: *mut usize, image: *const u8) {
        load_into(module, image, 0, std::ptr::null(), std::ptr::null())
    }
    fn cuModuleLoadDataEx(
        module: *mut usize, image: *const u8, count: c_uint, options: *const c_uint, values: *const *mut c_void,
    ) {
        load_into(module, image, count, options, values)
    }
    fn cuModuleLoad(module: *mut usize, path: *const c_char) {
        if path.is_null() {
            return Err(INVALID_VALUE);
        }
        let path = CStr::from_ptr(path).to_string_lossy().into_owned();
        let mut bytes = std::fs::read(path).map_err(|_| NOT_FOUND)?;
        bytes.extend_from_slice(&[0; 16]);
        load_into(module, bytes.as_ptr(), 0, std::ptr::null(), std::ptr::null())
    }
    fn cuModuleUnload(module: usize) {
        let runtime = runtime()?;
        let module = runtime.modules.remove(module)?;
        for (_, address, _) in &module.globals {
            module.card.free(*address);
        }
        let functions = std::mem::take(&mut *lock(&module.functions));
        functions.values().for_each(|&it| _ = runtime.functions.remove(it));
        Ok(())
    }
    fn cuModuleGetFunction(function: *mut usize, module: usize, name: *const c_char) {
        let runtime = runtime()?;
        runtime.current()?;
        if name.is_null() {
            return Err(INVALID_VALUE);
        }
        let name = CStr::from_ptr(name).to_string_lossy().into_owned();
        let module = runtime.modules.get(module)?;
        let program = module.programs.iter().find(|it| it.name == name).ok_or(NOT_FOUND)?;
        let mut known: std::sync::MutexGuard<'_, HashMap<String, usize>> = lock(&module.functions);
        let handle = *known.entry(name).or_insert_with(|| {
            runtime.functions.add(Function {
                card: module.card.clone(),
                program: program.clone(),
                version: module.version,
                max_dynamic_shared: AtomicUsize::new((48 << 10) - (program.shared_bytes as usize).min(48 << 10)),
            })
        });
        put(function, handle)
    }
    fn cuModuleGetGlobal_v2(address: *mut u64, bytes: *mut usize, module: usize, name: *const c_char) {
        let runtime = runtime()?;
        runtime.current()?;
        if name.is_null() {
            return Err(INVALID_VALUE);
        }
        let name = CStr::from_ptr(name).to_string_lossy();
        let module = runtime.modules.get(module)?;
        let found = module.globals.iter().find(|(known, ..)| *known == name).ok_or(NOT_FOUND)?;
        if !address.is_null() {
            put(address, found.1)?;
        }
        if bytes.is_null() { Ok(()) } else { put(bytes, found.2 as usize) }
    }
    fn cuFuncGetAttribute(value: *mut c_int, attribute: c_uint, function: usize) {
        let function = runtime()?.functions.get(function)?;
        let program = &function.program;
        let [major, minor] = function.card.gpu.compute_capability;
        put(value, match attribute {
            0 => program.max_threads.min(1024) as c_int,
            1 => program.shared_bytes as c_int,
            2 => 0,
            3 => program.local_bytes as c_int,
            4 => program.registers as c_int,
            5 => (function.version.0 * 10 + function.version.1) as c_int,
            6 => major * 10 + minor,
            8 => function.max_dynamic_shared.load(Ordering::Relaxed) as c_int,
            7 | 9..=16 => 0,
            _ => return Err(INVALID_VALUE),
        })
    }
    fn cuFuncSetAttribute(function: usize, attribute: c_uint, value: c_int) {
        let function = runtime()?.functions.get(function)?;
        let [major, minor] = function.card.gpu.compute_capability;
        match attribute {
            8 if value < 0 || value + function.program.shared_bytes as c_int > shared_limit(major, minor) => Err(INVALID_VALUE),
            8 => {
                function.max_dynamic_shared.store(value as usize, Ordering::Relaxed);
                Ok(())
            }
            9 => Ok(()),
            _ => Err(INVALID_VALUE),
        }
    }
    fn cuFuncSetCacheConfig(function: usize, _config: c_uint) { runtime()?.functions.get(function).map(|_| ()) }
}
