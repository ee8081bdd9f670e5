//! Loads, stores, atomics, address spaces, and memory that is faulty.

use std::sync::atomic::AtomicU64;

use super::{HEADER, Memory, Run, check, integer_rows};
use crate::cuda::exec::{MemoryFaults, Trap};

/// A kernel of two pointers, `%in` and `%out`, and the thread's number `%t`.
fn kernel(body: &str) -> String {
    format!(
        "{HEADER}.visible .entry test(.param .u64 in, .param .u64 out)\n{{\n.reg .b64 %in, %out, %x<8>;\n.reg .b32 %t, %r<16>;\n\
         .reg .b16 %h<4>;\n.reg .f32 %f<4>;\n.reg .f64 %g<4>;\n.reg .pred %p<4>;\n\
         ld.param.u64 %in, [in]; ld.param.u64 %out, [out]; cvta.to.global.u64 %in, %in; mov.u32 %t, %tid.x;\n{body}\nret;\n}}\n"
    )
}

fn run(body: &str, threads: u32, input: &[u64], out_bytes: usize) -> Memory {
    let (input, output) = (Memory::of(input), Memory::zeros(out_bytes));
    let source = kernel(body);
    Run::new(&source)
        .threads(1, threads)
        .memory(&input)
        .memory(&output)
        .go()
        .unwrap_or_else(|stop| panic!("{body}: {}", stop.what));
    output
}

#[test]
fn narrow_elements_are_extended() {
    let rows = integer_rows();
    let address = "mad.wide.u32 %in, %i, 0, %in;";
    for (ty, extend) in [
        ("u8", (|it| it & 0xff) as fn(u64) -> u64),
        ("s8", |it| i64::from(it as i8) as u64),
        ("u16", |it| it & 0xffff),
        ("s16", |it| i64::from(it as i16) as u64),
        ("u32", |it| it & 0xffff_ffff),
        ("s32", |it| i64::from(it as i32) as u64),
    ] {
        check(&format!("{address} ld.global.{ty} %d, [%in];"), [64, 0, 0], 64, &rows, |[a, ..]| extend(a));
    }
    check("st.global.u8 [%in], 7; ld.global.u32 %d, [%in];", [32, 0, 0], 32, &rows, |[a, ..]| a & !0xff | 7);
}

#[test]
fn vectors() {
    let words: Vec<u64> = (0..256).map(|it| it * 0x0101_0101_0101).collect();
    let body = "mad.wide.u32 %x0, %t, 16, %in; mad.wide.u32 %x1, %t, 16, %out;
        ld.global.cs.v4.u32 {%r0, %r1, %r2, %r3}, [%x0]; st.global.cs.v4.u32 [%x1], {%r3, %r2, %r1, %r0};";
    let output = run(body, 64, &words, 1024).u32s();
    let input = Memory::of(&words).u32s();
    for (thread, group) in output.chunks(4).enumerate() {
        assert!((0..4).all(|it| group[it] == input[4 * thread + 3 - it]), "thread {thread}");
    }
    let body = "mad.wide.u32 %x0, %t, 16, %in; mad.wide.u32 %x1, %t, 16, %out;
        ld.global.nc.L1::no_allocate.L2::128B.v2.u64 {%x2, _}, [%x0]; ld.volatile.global.v2.u64 {_, %x3}, [%x0];
        st.global.wt.v2.b64 [%x1], {%x3, %x2};";
    let output = run(body, 32, &words, 512);
    assert!(output.words().chunks(2).zip(words.chunks(2)).all(|(out, from)| out == [from[1], from[0]]));
    let body = "mad.wide.u32 %x0, %t, 4, %in; mad.wide.u32 %x1, %t, 4, %out;
        ld.global.v4.u8 {%h0, %h1, %h2, %h3}, [%x0]; st.global.v4.u8 [%x1], {%h1, %h0, %h3, %h2};";
    let output = run(body, 32, &words, 128).u32s();
    let swapped = |it: u32| (it & 0x00ff_00ff) << 8 | (it & 0xff00_ff00) >> 8;
    assert!(output.iter().zip(&input).all(|(&out, &from)| out == swapped(from)));
}

#[test]
fn shared_local_constant_and_generic_memory() {
    let body = ".shared .align 8 .b8 pool[512]; .local .align 8 .b8 depot[16];
        .reg .b64 %sp, %lp;
        mov.u64 %sp, pool; mad.wide.u32 %x0, %t, 8, %sp; cvt.u64.u32 %x1, %t; st.shared.u64 [%x0], %x1; bar.sync 0;
        xor.b32 %r0, %t, 33; mad.wide.u32 %x0, %r0, 8, %sp; ld.shared.u64 %x2, [%x0];
        mov.u64 %lp, depot; add.u64 %lp, %lp, 8; st.local.u64 [%lp], %x2; cvta.local.u64 %lp, %lp; ld.u64 %x3, [%lp];
        cvta.shared.u64 %x0, %x0; ld.u64 %x4, [%x0]; add.u64 %x3, %x3, %x4;
        isspacep.shared %p0, %x0; isspacep.local %p1, %lp; isspacep.global %p2, %x0;
        @%p0 add.u64 %x3, %x3, 1000; @%p1 add.u64 %x3, %x3, 10000; @%p2 add.u64 %x3, %x3, 100000;
        ld.const.u32 %r1, [table+4]; cvt.u64.u32 %x5, %r1; add.u64 %x3, %x3, %x5;
        ld.global.u64 %x5, [there]; ld.u64 %x5, [%x5]; add.u64 %x3, %x3, %x5;
        mad.wide.u32 %x1, %t, 8, %out; st.u64 [%x1], %x3;";
    let source = kernel(body).replace(
        ".visible",
        ".const .align 4 .b32 table[3] = {1, 2000000, 3};\n.global .align 8 .u64 value = 30000000;\n\
         .global .align 8 .u64 there = value;\n.visible",
    );
    let (input, output) = (Memory::zeros(8), Memory::zeros(64 * 8));
    Run::new(&source).threads(1, 64).memory(&input).memory(&output).go().unwrap();
    for (thread, &word) in output.words().iter().enumerate() {
        assert_eq!(word, 32_011_000 + 2 * (thread as u64 ^ 33), "thread {thread}");
    }
}

#[test]
fn dynamic_shared_memory_comes_behind_the_static() {
    let source = kernel(
        ".shared .align 4 .b8 own[4]; mov.u32 %r0, own; mov.u32 %r1, more; st.shared.u32 [%r0], 5; st.shared.u32 [%r1+60], 6;
         ld.shared.u32 %r2, [own]; ld.shared.u32 %r3, [more+60]; mad.lo.u32 %r2, %r3, 10, %r2;
         mov.u32 %r4, %dynamic_smem_size; mad.lo.u32 %r2, %r4, 100, %r2; st.global.u32 [%out], %r2;",
    )
    .replace(".visible", ".extern .shared .align 16 .b8 more[];\n.visible");
    let (input, output) = (Memory::zeros(8), Memory::zeros(8));
    let mut launch = Run::new(&source).memory(&input).memory(&output);
    launch.shared = 64;
    launch.go().unwrap();
    assert_eq!(output.words()[0], 6465);
    let mut launch = Run::new(&source).memory(&input).memory(&output);
    launch.shared = 32;
    assert_eq!(launch.go().unwrap_err().trap, Trap::IllegalAddress);
}

#[test]
fn parameters_by_value() {
    let source = format!(
        "{HEADER}.visible .entry test(.param .align 8 .b8 pair[16], .param .u64 out) {{ .reg .b64 %o, %p; .reg .b32 %r<3>;
         ld.param.u64 %o, [out]; ld.param.u32 %r0, [pair+4]; mov.b64 %p, pair; ld.param.v2.u32 {{%r1, %r2}}, [%p+8];
         add.u32 %r0, %r0, %r1; st.global.v2.u32 [%o], {{%r0, %r2}}; }}"
    );
    let output = Memory::zeros(8);
    Run::new(&source).number(7 << 32 | 1).number(11 << 32 | 30).memory(&output).go().unwrap();
    assert_eq!(output.u32s(), [37, 11]);
}

#[test]
fn atomics_of_many_blocks() {
    // Each thread adds, and takes the extremes of, numbers that differ; exchanges take part in a sum that stays.
    let body = "mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mad.lo.u32 %r2, %r0, %r1, %t;
        atom.global.add.u32 %r3, [%out], 1; red.global.add.u64 [%out+8], 2; atom.global.max.u32 %r4, [%out+16], %r2;
        atom.add.f32 %f0, [%out+20], 0f3F800000; red.relaxed.gpu.global.add.f64 [%out+24], 0d3FE0000000000000;
        atom.global.or.b32 %r4, [%out+32], %r2; atom.global.min.s32 %r4, [%out+36], %r2; atom.global.xor.b64 %x1, [%out+40], 1;
        atom.global.inc.u32 %r4, [%out+48], 99; atom.global.and.b32 %r4, [%out+52], -2; atom.global.dec.u32 %r4, [%out+56], 9;
        mov.u64 %x2, 0;
    TRY: ld.volatile.global.u32 %r5, [%out+60]; add.u32 %r6, %r5, 3; atom.global.cas.b32 %r7, [%out+60], %r5, %r6;
        setp.ne.u32 %p0, %r7, %r5; @%p0 bra TRY;";
    let source = kernel(body);
    let (input, output) = (Memory::zeros(8), Memory::zeros(64));
    let outcome = Run::new(&source).threads(20, 64).memory(&input).memory(&output).go().unwrap();
    let words = output.u32s();
    assert_eq!(words[0], 1280);
    assert_eq!(output.words()[1], 2560);
    assert_eq!(words[4], 1279);
    assert_eq!(f32::from_bits(words[5]), 1280.0);
    assert_eq!(f64::from_bits(output.words()[3]), 640.0);
    assert_eq!((words[8], words[9], words[10]), (2047, 0, 0));
    assert_eq!((words[12], words[13], words[14]), (80, 0, 0));
    assert_eq!(words[15], 3840);
    assert!(outcome.device_bytes > 1280 * 50);
}

#[test]
fn shared_atomics_return_what_was_there() {
    let body = ".shared .align 4 .b8 counter[4]; setp.eq.u32 %p0, %t, 0; @%p0 st.shared.u32 [counter], 0; bar.sync 0;
        atom.shared.add.u32 %r0, [counter], 1; mad.wide.u32 %x0, %r0, 4, %out; st.global.u32 [%x0], 1;";
    assert_eq!(run(body, 128, &[0], 512).u32s(), vec![1; 128]);
}

#[test]
fn copies_into_shared_memory_and_matrices_from_it() {
    let body = ".shared .align 16 .b8 tile[512]; .reg .b64 %s; mov.u64 %s, tile; shl.b32 %r0, %t, 4; cvt.u64.u32 %x0, %r0;
        add.u64 %x1, %in, %x0; add.u64 %x2, %s, %x0; cp.async.cg.shared.global [%x2], [%x1], 16; cp.async.commit_group;
        cp.async.wait_group 0; bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1, %r2}, [%x2]; ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r3}, [%x2];
        mad.wide.u32 %x3, %t, 12, %out; st.global.u32 [%x3], %r1; st.global.u32 [%x3+4], %r2; st.global.u32 [%x3+8], %r3;";
    let halves: Vec<u16> = (0..256).collect();
    let words: Vec<u64> =
        halves.chunks(4).map(|it| it.iter().rev().fold(0, |sum, &half| sum << 16 | u64::from(half))).collect();
    let output = run(body, 32, &words, 384).u32s();
    for lane in 0..32 {
        let (row, column) = (lane / 4, lane % 4 * 2);
        let pair = |a: usize, b: usize| u32::from(halves[a]) | u32::from(halves[b]) << 16;
        assert_eq!(output[3 * lane], pair(8 * row + column, 8 * row + column + 1));
        assert_eq!(output[3 * lane + 1], pair(64 + 8 * row + column, 64 + 8 * row + column + 1));
        assert_eq!(output[3 * lane + 2], pair(8 * column + row, 8 * (column + 1) + row));
    }
}

#[test]
fn bad_addresses_stop_the_launch() {
    for (body, trap) in [
        ("ld.global.u32 %r0, [%out+64];", Trap::IllegalAddress),
        ("ld.global.u32 %r0, [%out+2];", Trap::Misaligned),
        ("ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%out+4];", Trap::Misaligned),
        ("st.global.u64 [0], %x0;", Trap::IllegalAddress),
        ("ld.shared.u32 %r0, [4];", Trap::IllegalAddress),
        ("atom.global.add.u32 %r0, [%out+-4], 1;", Trap::IllegalAddress),
        ("trap;", Trap::Trapped),
    ] {
        let (input, output) = (Memory::zeros(64), Memory::zeros(64));
        let stop = Run::new(&kernel(body)).memory(&input).memory(&output).go().expect_err(body);
        assert_eq!(stop.trap, trap, "{body}: {}", stop.what);
    }
}

#[test]
fn faults_of_the_memory() {
    let body = "mad.wide.u32 %x0, %t, 4, %in; ld.global.u32 %r0, [%x0]; mad.wide.u32 %x1, %t, 4, %out; st.global.u32 [%x1], %r0;";
    let source = kernel(body);
    let launch = |faults: &dyn Fn(u64) -> MemoryFaults| {
        let (input, output) = (Memory::zeros(1024), Memory::zeros(1024));
        let mut launch = Run::new(&source).threads(1, 256).memory(&input).memory(&output);
        launch.faults = faults(input.address());
        launch.go().unwrap();
        output.u32s()
    };
    let stuck = launch(&|base| MemoryFaults { stuck: vec![(base + 41, 3, true)], ..MemoryFaults::default() });
    assert!(stuck.iter().enumerate().all(|(at, &word)| word == if at == 10 { 1 << 11 } else { 0 }));
    let flips =
        launch(&|base| MemoryFaults { flips: vec![(base + 8, 0, 1, AtomicU64::new(0))], ..MemoryFaults::default() });
    assert_eq!(flips.iter().map(|it| it.count_ones()).sum::<u32>(), 1);
    let rate = launch(&|_| MemoryFaults { rate: Some((64, AtomicU64::new(0))), ..MemoryFaults::default() });
    assert_eq!(rate.iter().map(|it| it.count_ones()).sum::<u32>(), 4);
}

#[test]
fn a_single_thread_sees_the_caches() {
    // A chase through a ring of one element each 128 bytes.
    let chase = |bytes: usize| {
        let lines = bytes / 128;
        let mut words = vec![0u64; bytes / 8];
        for line in 0..lines {
            words[line * 16] = ((line + 1) % lines * 128) as u64;
        }
        let body = format!(
            "mov.u32 %r0, 0; mov.u64 %x0, 0; mov.u32 %r1, {};
             LOOP: add.u64 %x1, %in, %x0; ld.global.u64 %x0, [%x1]; add.u32 %r0, %r0, 1; setp.eq.u32 %p0, %r0, {lines};
             @%p0 mov.u64 %x2, %clock64; setp.lt.u32 %p1, %r0, %r1; @%p1 bra LOOP;
             mov.u64 %x3, %clock64; sub.u64 %x3, %x3, %x2; st.global.u64 [%out], %x3;",
            3 * lines
        );
        let output = run(&body, 1, &words, 8);
        output.words()[0] / (2 * lines as u64)
    };
    let (near, middle, far) = (chase(64 << 10), chase(1 << 20), chase(16 << 20));
    assert!(near < 60 && (200..400).contains(&middle) && far > 500, "{near} {middle} {far}");
}
