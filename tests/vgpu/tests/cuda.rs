//! The CUDA library as a program finds it: cudarc, by the loader's path. Each case is a process of its own: the parent lays
//! a machine out and runs this program again, with the one test that plays the program.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::ffi::{CString, c_void};
use std::process::Output;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaContext, result, sys};
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use vgpu::launch::Machine;

/// Adds one to each word, and kernels that wait for the host and tell the time.
const MODULE: &str = "
.version 8.8
.target sm_80
.address_size 64
.global .align 4 .u32 launches = 5;
.visible .entry add_one(.param .u64 data, .param .u32 count) {
  .reg .b64 %d; .reg .b32 %i, %n, %c; .reg .f32 %f; .reg .pred %p;
  ld.param.u64 %d, [data]; ld.param.u32 %c, [count];
  mov.u32 %i, %ctaid.x; mov.u32 %n, %ntid.x; mad.lo.u32 %i, %i, %n, %tid.x;
  setp.ge.u32 %p, %i, %c; @%p bra END;
  mad.wide.u32 %d, %i, 4, %d; ld.global.u32 %n, [%d]; add.u32 %n, %n, 1; st.global.u32 [%d], %n;
END: ret;
}
.visible .entry sums(.param .u64 data) {
  .reg .b64 %d; .reg .b32 %i, %n; .reg .f32 %f;
  ld.param.u64 %d, [data]; mov.u32 %i, %ctaid.x; mov.u32 %n, 0; mov.f32 %f, 0f3F800000;
  .reg .pred %p;
LOOP: fma.rn.f32 %f, %f, 0f3F800000, 0f3F800000; add.u32 %n, %n, 1; setp.lt.u32 %p, %n, 8; @%p bra LOOP;
  mad.wide.u32 %d, %i, 4, %d; st.global.f32 [%d], %f; ret;
}
.visible .entry gate(.param .u64 flag) {
  .reg .b64 %d; .reg .b32 %v; .reg .pred %p;
  ld.param.u64 %d, [flag];
WAIT: ld.volatile.global.u32 %v, [%d]; setp.eq.u32 %p, %v, 0; @%p bra WAIT; ret;
}
.visible .entry timer(.param .u64 out) {
  .reg .b64 %d, %t;
  ld.param.u64 %d, [out]; mov.u64 %t, %globaltimer; st.global.u64 [%d], %t; ret;
}
";

/// Runs one of the programs below on a machine.
fn on(rig: &str, program: &str) -> (Output, Machine) {
    let text = format!("title = \"\"\nabout = \"\"\nexpect.failure = true\n{rig}");
    let machine = Machine::of(&text).unwrap();
    let mut command = machine.command(&std::env::current_exe().unwrap());
    let output = command.args(["--exact", program, "--ignored", "--nocapture"]).output().unwrap();
    (output, machine)
}

#[track_caller]
fn passes(rig: &str, program: &str) {
    let (output, _machine) = on(rig, program);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Whether this is such a program, and not the whole list of ignored tests.
fn is_program() -> bool {
    std::env::var_os("VGPU_STATE").is_some()
}

const CARD: &str = "[[gpu]]\nlike = \"h100-sxm\"\ncuda = { memory_mib = 64 }\n";

unsafe fn module() -> sys::CUmodule {
    let text = CString::new(MODULE).unwrap();
    // SAFETY: text with a null byte.
    unsafe { result::module::load_data(text.as_ptr().cast()) }.unwrap()
}

/// Launches with parameters of eight bytes or less.
unsafe fn launch(
    module: sys::CUmodule,
    name: &str,
    blocks: u32,
    threads: u32,
    stream: sys::CUstream,
    params: &mut [u64],
) -> Result<(), result::DriverError> {
    let mut pointers: Vec<*mut c_void> = params.iter_mut().map(|it| std::ptr::from_mut(it).cast()).collect();
    // SAFETY: a pointer for each parameter, which is copied at once.
    unsafe {
        let function = result::module::get_function(module, CString::new(name).unwrap()).unwrap();
        result::launch_kernel(function, (blocks, 1, 1), (threads, 1, 1), 0, stream, &mut pointers)
    }
}

#[test]
fn memory_launches_events_and_several_gpus() {
    passes("[[gpu]]\nlike = \"h100-sxm\"\ncount = 2\ncuda = { memory_mib = 64 }\n", "program_usual");
}

#[test]
#[ignore = "run by another test"]
fn program_usual() {
    if !is_program() {
        return;
    }
    assert_eq!(CudaContext::device_count().unwrap(), 2);
    let contexts = [CudaContext::new(0).unwrap(), CudaContext::new(1).unwrap()];
    assert_ne!(contexts[0].uuid().unwrap().bytes, contexts[1].uuid().unwrap().bytes);
    for context in &contexts {
        context.bind_to_thread().unwrap();
        assert_eq!(context.name().unwrap(), "NVIDIA H100 80GB HBM3");
        assert_eq!(context.compute_capability().unwrap(), (9, 0));
        assert_eq!(context.attribute(sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT).unwrap(), 132);
        assert_eq!(context.total_mem().unwrap(), 64 << 20);
        let (free, total) = result::mem_get_info().unwrap();
        assert!(total == 64 << 20 && free >= total / 100 * 98, "{free}");

        let stream = context.new_stream().unwrap();
        let words: Vec<u32> = (0..100_000).collect();
        let data = stream.clone_htod(&words).unwrap();
        // SAFETY: kernels of the module above, with their parameters.
        unsafe {
            let module = module();
            let (global, bytes) = result::module::get_global(module, CString::new("launches").unwrap()).unwrap();
            let mut value = [0u32];
            result::memcpy_dtoh_sync(&mut value, global).unwrap();
            assert_eq!((bytes, value), (4, [5]));
            let before = context.new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
            let after = context.new_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT)).unwrap();
            let address = {
                use cudarc::driver::DevicePtr;
                data.device_ptr(&stream).0
            };
            before.record(&stream).unwrap();
            for _ in 0..3 {
                launch(module, "add_one", 391, 256, stream.cu_stream(), &mut [address, 100_000]).unwrap();
            }
            after.record(&stream).unwrap();
            stream.synchronize().unwrap();
            let milliseconds = before.elapsed_ms(&after).unwrap();
            assert!(milliseconds > 0.009 && milliseconds < 0.1, "{milliseconds}");
            result::module::unload(module).unwrap();
        }
        let back: Vec<u32> = stream.clone_dtoh(&data).unwrap();
        assert!(back.iter().zip(&words).all(|(back, word)| *back == word + 3));
    }
    peers_and_the_gate(&contexts);
}

fn peers_and_the_gate(contexts: &[std::sync::Arc<CudaContext>; 2]) {
    // SAFETY: kernels of the module above; pointers to what was just allocated.
    unsafe {
        let mut can = 0;
        assert_eq!(sys::cuDeviceCanAccessPeer(&mut can, 0, 1), sys::CUresult::CUDA_SUCCESS);
        assert_eq!(can, 1);
        contexts[1].bind_to_thread().unwrap();
        let there = result::malloc_sync(4096).unwrap();
        result::memset_d8_sync(there, 7, 4096).unwrap();
        contexts[0].bind_to_thread().unwrap();
        let here = result::malloc_sync(4096).unwrap();
        let (a, b) = (contexts[0].cu_ctx(), contexts[1].cu_ctx());
        assert_eq!(sys::cuMemcpyPeer(here, a, there, b, 4096), sys::CUresult::CUDA_SUCCESS);
        let module = module();
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking).unwrap();
        // The other GPU's memory is out of reach until it is asked for.
        assert_eq!(sys::cuCtxEnablePeerAccess(b, 0), sys::CUresult::CUDA_SUCCESS);
        launch(module, "add_one", 1, 32, stream, &mut [there, 32]).unwrap();
        let flag = result::malloc_host(4096, sys::CU_MEMHOSTALLOC_DEVICEMAP).unwrap().cast::<u32>();
        flag.write_volatile(0);
        let (before, after) = (event(), event());
        launch(module, "gate", 1, 1, stream, &mut [flag as u64]).unwrap();
        result::event::record(before, stream).unwrap();
        launch(module, "add_one", 4, 256, stream, &mut [here, 1024]).unwrap();
        result::event::record(after, stream).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(result::event::query(after).unwrap_err().0, sys::CUresult::CUDA_ERROR_NOT_READY);
        std::sync::atomic::AtomicU32::from_ptr(flag).store(1, std::sync::atomic::Ordering::Release);
        result::event::synchronize(after).unwrap();
        // The gate's own time is not between them.
        assert!(result::event::elapsed(before, after).unwrap() < 0.02);
        let mut word = [0u32; 1];
        result::memcpy_dtoh_sync(&mut word, here).unwrap();
        assert_eq!(word[0], 0x0707_0708);
        result::memcpy_dtoh_sync(&mut word, there).unwrap();
        assert_eq!(word[0], 0x0707_0708);
    }
}

fn event() -> sys::CUevent {
    result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT).unwrap()
}

#[test]
fn nvml_in_another_process_sees_the_load() {
    let (output, machine) =
        on(&format!("{CARD}[[cuda_fault]]\neffect = {{ ecc-errors = {{ corrected = 3 }} }}\n"), "program_load");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // This process stands for the supervisor: the same state file, another library.
    // SAFETY: no other test of this program reads the environment of the library in its own process.
    unsafe {
        std::env::set_var("VGPU_RIG", machine.rig_file());
        std::env::set_var("VGPU_STATE", machine.state_file());
    }
    let nvml = Nvml::builder().lib_path(machine.library().as_os_str()).init().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, MemoryLocation};
    let corrected = device.memory_error_counter(MemoryError::Corrected, EccCounter::Volatile, MemoryLocation::Device);
    assert_eq!(corrected.unwrap(), 3 * 4);
    assert!(device.temperature(TemperatureSensor::Gpu).unwrap() >= 30);
    // The last launch was a moment ago.
    let rates = device.utilization_rates().unwrap();
    let reasons = device.current_throttle_reasons().unwrap();
    assert!(rates.gpu == 100 || reasons.bits() == 1, "{rates:?} {reasons:?}");
}

#[test]
#[ignore = "run by another test"]
fn program_load() {
    if !is_program() {
        return;
    }
    let _context = CudaContext::new(0).unwrap();
    // SAFETY: kernels of the module above.
    unsafe {
        let module = module();
        let data = result::malloc_sync(4096).unwrap();
        for _ in 0..4 {
            launch(module, "add_one", 4, 256, std::ptr::null_mut(), &mut [data, 1024]).unwrap();
        }
        result::ctx::synchronize().unwrap();
    }
}

/// A program that launches until something is wrong, and prints it.
#[test]
#[ignore = "run by another test"]
fn program_faults() {
    if !is_program() {
        return;
    }
    let context = match CudaContext::new(0) {
        Ok(context) => context,
        Err(error) => return println!("\nseen: context {:?}", error.0),
    };
    println!("\nseen: {} {:?}", context.name().unwrap(), result::mem_get_info().unwrap());
    // SAFETY: kernels of the module above.
    unsafe {
        let mut allocations = Vec::new();
        for _ in 0..3 {
            match result::malloc_sync(1 << 20) {
                Ok(address) => allocations.push(address),
                Err(error) => println!("seen: allocation {} {:?}", allocations.len() + 1, error.0),
            }
        }
        let text = CString::new(MODULE).unwrap();
        let module = match result::module::load_data(text.as_ptr().cast()) {
            Ok(module) => module,
            Err(error) => return println!("seen: module {:?}", error.0),
        };
        let data = allocations[0];
        result::memset_d8_sync(data, 0, 1 << 20).unwrap();
        for number in 1..=4 {
            launch(module, "add_one", 1024, 256, std::ptr::null_mut(), &mut [data, 1 << 18]).unwrap();
            let done = event();
            result::event::record(done, std::ptr::null_mut()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            let error = loop {
                match result::event::query(done) {
                    Ok(()) => break None,
                    Err(error) if error.0 != sys::CUresult::CUDA_ERROR_NOT_READY => break Some(error),
                    Err(_) if number == 3 && Instant::now() > deadline - Duration::from_secs(19) => {
                        return println!("seen: launch {number} hangs");
                    }
                    Err(_) => assert!(Instant::now() < deadline),
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            if let Some(error) = error {
                println!("seen: launch {number} {:?}", error.0);
                return println!("seen: then {:?}", result::malloc_sync(64).unwrap_err().0);
            }
        }
        let mut words = vec![0u32; 1 << 18];
        result::memcpy_dtoh_sync(&mut words, data).unwrap();
        let wrong: Vec<_> = words.iter().enumerate().filter(|(_, word)| **word != 4).take(2).collect();
        println!("seen: words {wrong:?}");
        // Blocks that compute the same thing.
        launch(module, "sums", 264, 1, std::ptr::null_mut(), &mut [data]).unwrap();
        let mut sums = vec![0f32; 264];
        result::memcpy_dtoh_sync(&mut sums, data).unwrap();
        let wrong: Vec<_> = (0..264).filter(|&it| sums[it] != 9.0).collect();
        println!("seen: blocks {wrong:?}");
        // Each word of the card has its own number, then all are read.
        let (free, total) = result::mem_get_info().unwrap();
        let all = result::malloc_sync(free).unwrap();
        let step = 1 << 20;
        for at in (0..free).step_by(step) {
            result::memcpy_htod_sync(all + at as u64, &[at as u64]).unwrap();
        }
        let mut aliased = Vec::new();
        for at in (0..free).step_by(step) {
            let mut word = [0u64];
            result::memcpy_dtoh_sync(&mut word, all + at as u64).unwrap();
            if word[0] != at as u64 {
                aliased.push(at / step);
            }
        }
        println!("seen: aliased {:?} of {}", aliased.first(), total / step);
    }
}

/// What the program above sees with a fault.
#[track_caller]
fn sees(rig: &str, expected: &[&str]) {
    let (output, _machine) = on(rig, "program_faults");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for line in expected {
        assert!(out.contains(&format!("seen: {line}")), "{rig}\n{line:?} is not in\n{out}\n{err}");
    }
}

#[test]
fn faults_of_the_card() {
    let fault = |effect: &str| format!("{CARD}[[cuda_fault]]\nafter_launches = 2\neffect = {effect}\n");
    sees(CARD, &["words []", "blocks []", "aliased None of 64"]);
    sees(&fault("{ stuck-bit = { address = 4096, bit = 5, value = true } }"), &["words [(1024, 36)]"]);
    sees(
        &fault("{ xid = { xid = 48, error = 214 } }"),
        &["launch 3 CUDA_ERROR_ECC_UNCORRECTABLE", "then CUDA_ERROR_ECC_UNCORRECTABLE"],
    );
    sees(&fault("\"lost\""), &["launch 3 CUDA_ERROR_LAUNCH_FAILED", "then CUDA_ERROR_LAUNCH_FAILED"]);
    sees(&fault("\"hang\""), &["launch 3 hangs"]);
    sees(&fault("{ out-of-memory = { allocation = 2 } }"), &["allocation 2 CUDA_ERROR_OUT_OF_MEMORY"]);
    sees(&fault("{ bad-multiprocessor = { multiprocessor = 7, one_in = 1 } }"), &["words []", "blocks [7, 139]"]);
    let aliased = "[[gpu]]\nlike = \"rtx-4090\"\ncuda = { memory_mib = 64, real_mib = 24 }\n";
    sees(aliased, &["NVIDIA GeForce RTX 4090", "aliased Some(0) of 64"]);
}

#[test]
fn refusals_of_the_driver() {
    sees(&format!("{CARD}compute_mode = 2\n"), &["context CUDA_ERROR_DEVICE_UNAVAILABLE"]);
    let other = "processes = [{ pid = 77, used_mib = 32 }]\n";
    sees(&format!("{CARD}compute_mode = 3\n{other}"), &["context CUDA_ERROR_DEVICE_UNAVAILABLE"]);
    sees(&format!("{CARD}{other}"), &["NVIDIA H100 80GB HBM3 (32505856, 67108864)"]);
    sees(&format!("{CARD}mig = {{ enabled = true, max_devices = 7 }}\n"), &["context CUDA_ERROR_NO_DEVICE"]);
    sees(
        &format!("{CARD}mig = {{ enabled = true, max_devices = 7, devices = 1 }}\n"),
        &["NVIDIA H100 80GB HBM3 MIG 1g"],
    );
    sees(&format!("driver = {{ cuda_version = 11080 }}\n{CARD}"), &["module CUDA_ERROR_UNSUPPORTED_PTX_VERSION"]);
    let old = "[[gpu]]\nlike = \"v100-sxm\"\ncuda = { memory_mib = 64 }\n";
    sees(old, &["module CUDA_ERROR_INVALID_PTX"]);
}

#[test]
fn a_missing_symbol_is_really_missing() {
    passes(&format!("driver = {{ missing = [\"cuMemcpyPeer\"] }}\n{CARD}"), "program_missing");
}

#[test]
#[ignore = "run by another test"]
fn program_missing() {
    if !is_program() {
        return;
    }
    // SAFETY: the library is only asked for names.
    unsafe {
        assert!(sys::is_culib_present());
        assert!(sys::culib().get::<unsafe extern "C" fn()>(b"cuMemcpyPeerAsync\0").is_ok());
        assert!(sys::culib().get::<unsafe extern "C" fn()>(b"cuMemcpyPeer\0").is_err());
    }
}

/// Milliseconds of: a pass of the memory's first and second half by a kernel, and 16 MiB to the card.
#[test]
#[ignore = "run by another test"]
fn program_rates() {
    if !is_program() {
        return;
    }
    let _context = CudaContext::new(0).unwrap();
    // SAFETY: kernels of the module above; pointers to what was just allocated.
    unsafe {
        let module = module();
        let half = 16 << 20;
        let data = result::malloc_sync(2 * half).unwrap();
        let stream = std::ptr::null_mut();
        let timed = |work: &mut dyn FnMut()| {
            let (before, after) = (event(), event());
            result::event::record(before, stream).unwrap();
            work();
            result::event::record(after, stream).unwrap();
            result::event::synchronize(after).unwrap();
            result::event::elapsed(before, after).unwrap()
        };
        let words = (half / 4) as u32;
        let pass = |at: u64| {
            timed(&mut || launch(module, "add_one", words / 256, 256, stream, &mut [data + at, words.into()]).unwrap())
        };
        let (first, second) = (pass(0), pass(half as u64));
        let host = vec![0u8; half];
        let copy = timed(&mut || result::memcpy_htod_sync(data, &host).unwrap());
        println!("\nseen: rates {first} {second} {copy}");
    }
}

fn rates(rig: &str) -> [f64; 3] {
    let (output, _machine) = on(rig, "program_rates");
    let out = String::from_utf8_lossy(&output.stdout);
    let line = out.lines().find_map(|it| it.strip_prefix("seen: rates ")).unwrap_or_else(|| panic!("{out}"));
    let numbers: Vec<f64> = line.split(' ').map(|it| it.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn slow_memory_and_a_narrow_link_take_longer() {
    let card = |cuda: &str| format!("[[gpu]]\nlike = \"h100-sxm\"\ncuda = {{ memory_mib = 64{cuda} }}\n");
    let [first, second, copy] = rates(&card(""));
    // 32 MiB at 3.1 TB/s; 16 MiB at 53 GB/s.
    assert!((0.012..0.016).contains(&first) && (first - second).abs() < 1e-4, "{first} {second}");
    assert!((0.3..0.33).contains(&copy), "{copy}");
    let slow = "[[cuda_fault]]\neffect = { slow-region = { from = 0x1000000, to = 0x2000000, factor = 3.0 } }\n";
    let [usual, slow, _] = rates(&format!("{}{slow}", card("")));
    assert!((usual - first).abs() < 1e-4 && slow > 2.0 * usual, "{usual} {slow}");
    let [.., narrow] = rates(&card(", link = [1, 4]"));
    assert!(narrow > 50.0 * copy, "{narrow}");
}

#[test]
fn timers_go_on_while_nothing_runs_and_a_fault_is_that_of_one_kernel() {
    passes(
        "[[gpu]]\nlike = \"h100-sxm\"\ncount = 2\ncuda = { memory_mib = 64 }\n\
         [[cuda_fault]]\nkernel = \"timer\"\neffect = { slow = { milliseconds = 40 } }\n\
         [[cuda_fault]]\nkernel = \"gate\"\neffect = \"lost\"\n",
        "program_timers",
    );
}

#[test]
#[ignore = "run by another test"]
fn program_timers() {
    if !is_program() {
        return;
    }
    for gpu in 0..2 {
        let context = CudaContext::new(gpu).unwrap();
        context.bind_to_thread().unwrap();
        let stream = context.new_stream().unwrap();
        let data = stream.clone_htod(&[0u64]).unwrap();
        let address = {
            use cudarc::driver::DevicePtr;
            data.device_ptr(&stream).0
        };
        // SAFETY: a kernel of the module above, with its parameter.
        let module = unsafe { module() };
        let since_1970 =
            || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let mut last = 0;
        for _ in 0..3 {
            let before = since_1970();
            // SAFETY: as above.
            unsafe { launch(module, "timer", 1, 1, stream.cu_stream(), &mut [address]) }.unwrap();
            let told: Vec<u64> = stream.clone_dtoh(&data).unwrap();
            let ahead = (gpu as u64 + 1) * vgpu::TIMER_SKEW_NANOSECONDS;
            let (least, most) = (before + 40_000_000 + ahead, since_1970() + ahead + 1_000_000);
            assert!((least..=most).contains(&told[0]) && told[0] > last, "{least} {told:?} {most}");
            last = told[0];
        }
        // SAFETY: as above, and memory of the kernel's own.
        unsafe {
            let flag = result::malloc_sync(4096).unwrap();
            launch(module, "gate", 1, 1, stream.cu_stream(), &mut [flag]).unwrap();
        }
        assert_eq!(stream.synchronize().unwrap_err().0, sys::CUresult::CUDA_ERROR_LAUNCH_FAILED);
    }
}
