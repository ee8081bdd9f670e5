//! Control flow, calls, barriers, and what lanes do together.

use super::{HEADER, Memory, Run};
use crate::cuda::exec::{Stop, Trap};

/// A kernel that stores `%d` for each thread; `%t` is its number and `%l` its lane.
fn kernel(body: &str) -> String {
    format!(
        "{HEADER}.func (.param .b32 result) triple(.param .b32 value) {{ .reg .b32 %r<4>; .reg .pred %p;
         ld.param.u32 %r0, [value]; mul.lo.u32 %r1, %r0, 3; setp.lt.u32 %p, %r0, 8; @%p bra SMALL;
         add.u32 %r1, %r1, 1000; SMALL: st.param.b32 [result], %r1; ret; }}
         .func empty() {{ ret; }}
         .visible .entry test(.param .u64 out)\n{{\n.reg .b64 %out, %x<8>;\n.reg .b32 %t, %l, %d, %r<16>;\n.reg .pred %p<8>;\n\
         ld.param.u64 %out, [out]; mov.u32 %t, %tid.x; mov.u32 %l, %laneid; mov.u32 %d, 0;\n{body}\n\
         mov.u32 %r15, %ctaid.x; mov.u32 %r14, %ntid.x; mad.lo.u32 %r15, %r15, %r14, %t;
         mad.wide.u32 %out, %r15, 4, %out; st.global.u32 [%out], %d;\nret;\n}}\n"
    )
}

fn try_run(body: &str, blocks: u32, threads: u32) -> Result<Vec<u32>, Stop> {
    let output = Memory::zeros((blocks * threads * 4) as usize);
    Run::new(&kernel(body)).threads(blocks, threads).memory(&output).go()?;
    Ok(output.u32s()[..(blocks * threads) as usize].to_vec())
}

#[track_caller]
fn check(body: &str, threads: u32, expected: impl Fn(u32) -> u32) {
    let results = try_run(body, 1, threads).unwrap_or_else(|stop| panic!("{body}: {}", stop.what));
    for (thread, result) in results.into_iter().enumerate() {
        assert_eq!(result, expected(thread as u32), "{body}: thread {thread}");
    }
}

#[test]
fn lanes_part_and_meet() {
    // Loops of a different length for each lane, with an inner branch.
    let body = "mov.u32 %r0, 0;
        LOOP: setp.ge.u32 %p0, %r0, %l; @%p0 bra DONE; and.b32 %r1, %r0, 1; setp.eq.u32 %p1, %r1, 0; @%p1 bra EVEN;
        add.u32 %d, %d, 100; bra.uni NEXT; EVEN: add.u32 %d, %d, 1; NEXT: add.u32 %r0, %r0, 1; bra LOOP;
        DONE: activemask.b32 %r2; popc.b32 %r2, %r2; mad.lo.u32 %d, %r2, 100000, %d;";
    check(body, 32, |lane| 3_200_000 + lane / 2 * 100 + lane.div_ceil(2));
    // Blocks that are not in the order in which they are run.
    let body = "setp.lt.u32 %p0, %l, 16; @%p0 bra B; A: add.u32 %d, %d, 5; setp.gt.u32 %p1, %l, 24; @%p1 bra C; bra D;
        B: add.u32 %d, %d, 7; bra D; C: add.u32 %d, %d, 11; D: add.u32 %d, %d, 1000;";
    check(body, 32, |lane| match lane {
        0..16 => 1007,
        16..25 => 1005,
        _ => 1016,
    });
    // Lanes that end before the others, and a guard on the end.
    let body = "setp.gt.u32 %p0, %l, 9; @%p0 exit; mov.u32 %d, 4;";
    check(body, 32, |lane| if lane > 9 { 0 } else { 4 });
    let body = "and.b32 %r0, %l, 3; TABLE: .branchtargets W, X, Y, Z; brx.idx %r0, TABLE;
        W: add.u32 %d, %d, 1; X: add.u32 %d, %d, 10; bra E; Y: add.u32 %d, %d, 100; Z: add.u32 %d, %d, 1000; E:";
    check(body, 32, |lane| [11, 10, 1100, 1000][lane as usize % 4]);
}

#[test]
fn calls() {
    let body = "setp.lt.u32 %p0, %l, 20; { .param .b32 in; .param .b32 back; st.param.b32 [in+0], %l;
        @%p0 call.uni (back), triple, (in); @%p0 ld.param.b32 %d, [back+0]; }
        { .param .b32 in; .param .b32 back; st.param.b32 [in+0], %d; call.uni (back), triple, (in); ld.param.b32 %d, [back+0]; }
        call.uni empty, ();";
    let triple = |it: u32| 3 * it + if it < 8 { 0 } else { 1000 };
    check(body, 32, |lane| triple(if lane < 20 { triple(lane) } else { 0 }));
}

#[test]
fn a_lane_that_holds_a_lock_is_not_starved() {
    // All lanes of a warp take one lock, one after the other.
    let body = ".shared .align 4 .b8 lock[4]; .shared .align 4 .b8 count[4]; setp.eq.u32 %p0, %t, 0;
        @%p0 st.shared.u32 [lock], 0; @%p0 st.shared.u32 [count], 0; bar.sync 0;
        TRY: atom.shared.cas.b32 %r0, [lock], 0, 1; setp.ne.u32 %p1, %r0, 0; @%p1 bra TRY;
        ld.volatile.shared.u32 %d, [count]; add.u32 %r1, %d, 1; st.volatile.shared.u32 [count], %r1; membar.cta;
        atom.shared.exch.b32 %r0, [lock], 0;";
    let mut results = try_run(body, 1, 64).unwrap();
    results.sort_unstable();
    assert_eq!(results, (0..64).collect::<Vec<_>>());
}

#[test]
fn barriers() {
    // A value goes round through shared memory, over several warps.
    let body = ".shared .align 4 .b8 pool[512]; mov.u32 %r0, pool; mad.lo.u32 %r1, %t, 4, %r0; mov.u32 %r2, 0; mov.u32 %d, %t;
        LOOP: st.shared.u32 [%r1], %d; bar.sync 0; add.u32 %r3, %t, 1; and.b32 %r3, %r3, 127; mad.lo.u32 %r3, %r3, 4, %r0;
        ld.shared.u32 %d, [%r3]; barrier.sync.aligned 1, 128; add.u32 %r2, %r2, 1; setp.lt.u32 %p0, %r2, 5; @%p0 bra LOOP;";
    check(body, 128, |thread| (thread + 5) % 128);
    // Half of the block arrives, the other half waits for it.
    let body = ".shared .align 4 .b8 word[4]; setp.lt.u32 %p0, %t, 32; @%p0 bra FIRST; bar.sync 2, 64; ld.shared.u32 %d, [word]; bra END;
        FIRST: st.shared.u32 [word], 77; bar.arrive 2, 64; END:";
    check(body, 64, |thread| if thread < 32 { 0 } else { 77 });
    let body = "setp.lt.u32 %p0, %t, 40; bar.red.popc.u32 %d, 0, %p0; bar.red.or.pred %p1, 0, !%p0; bar.red.and.pred %p2, 0, %p0;
        @%p1 add.u32 %d, %d, 100; @%p2 add.u32 %d, %d, 1000;";
    check(body, 96, |_| 140);
    // Warps of which some lanes are gone.
    let body = "setp.gt.u32 %p0, %t, 70; @%p0 exit; bar.sync 0; mov.u32 %d, 1;";
    check(body, 96, |thread| u32::from(thread <= 70));
}

#[test]
fn threads_that_wait_for_ever_are_told() {
    let body = "setp.lt.u32 %p0, %t, 32; @%p0 bra.uni END; bar.sync 3, 96; END:";
    assert_eq!(try_run(body, 1, 64).unwrap_err().trap, Trap::Deadlock);
}

#[test]
fn shuffles() {
    let shuffle = |mode: &str, b: u32, c: u32| {
        format!("shfl.sync.{mode}.b32 %d|%p0, %t, {b}, {c}, -1; @!%p0 add.u32 %d, %d, 1000;")
    };
    for segment in [32u32, 16, 8] {
        let high = 32 - segment;
        let (up, other) = (high << 8, high << 8 | 0x1f);
        for by in [1, 3, 7, 16] {
            check(&shuffle("bfly", by, other), 32, |lane| {
                let from = lane ^ by;
                if from / segment == lane / segment || from < lane { from } else { lane + 1000 }
            });
            check(&shuffle("up", by, up), 32, |lane| if lane % segment >= by { lane - by } else { lane + 1000 });
            check(
                &shuffle("down", by, other),
                32,
                |lane| if lane % segment + by < segment { lane + by } else { lane + 1000 },
            );
            check(&shuffle("idx", by, other), 32, |lane| lane / segment * segment + by % segment);
        }
    }
}

#[test]
fn votes_and_reductions() {
    check("setp.lt.u32 %p0, %l, 5; vote.sync.ballot.b32 %d, %p0, -1;", 32, |_| 31);
    check("setp.lt.u32 %p0, %l, 5; vote.sync.any.pred %p1, %p0, -1; selp.u32 %d, 1, 0, %p1;", 32, |_| 1);
    check("setp.lt.u32 %p0, %l, 5; vote.sync.all.pred %p1, %p0, -1; selp.u32 %d, 1, 0, %p1;", 32, |_| 0);
    check("setp.lt.u32 %p0, %l, 5; vote.sync.uni.pred %p1, !%p0, -1; selp.u32 %d, 1, 0, %p1;", 32, |_| 0);
    check("and.b32 %r0, %l, 3; match.any.sync.b32 %d, %r0, -1;", 32, |lane| 0x1111_1111 << (lane % 4));
    check("mov.u64 %x0, 7; match.all.sync.b64 %d|%p0, %x0, -1; @!%p0 mov.u32 %d, 1;", 32, |_| !0);
    check("match.all.sync.b32 %d|%p0, %l, -1; @!%p0 add.u32 %d, %d, 1;", 32, |_| 1);
    check("redux.sync.add.s32 %d, %l, -1;", 32, |_| 496);
    check("sub.u32 %r0, %l, 3; redux.sync.min.s32 %d, %r0, -1;", 32, |_| -3i32 as u32);
    check("sub.u32 %r0, %l, 3; redux.sync.max.u32 %d, %r0, -1;", 32, |_| !0);
    check("redux.sync.xor.b32 %d, %t, -1;", 32, |_| 0);
    check("elect.sync %r0|%p0, -1; selp.u32 %d, 1, 0, %p0;", 32, |lane| u32::from(lane == 0));
}

#[test]
fn collectives_wait_for_their_lanes() {
    // The halves of the warp come to one shuffle by different ways, after work of different length.
    let body = "mov.u32 %r0, 0; setp.lt.u32 %p0, %l, 16; @%p0 bra FAST;
        SLOW: add.u32 %r0, %r0, 1; setp.lt.u32 %p1, %r0, 50; @%p1 bra SLOW;
        FAST: shfl.sync.bfly.b32 %d, %r0, 16, 31, -1;";
    check(body, 32, |lane| if lane < 16 { 50 } else { 0 });
    // Only some take part.
    let body = "setp.ge.u32 %p0, %l, 8; @%p0 bra END; shfl.sync.idx.b32 %d, %l, 3, 31, 255; END:";
    check(body, 32, |lane| if lane < 8 { 3 } else { 0 });
    let body = "setp.ge.u32 %p0, %l, 4; @%p0 bra OTHER; bar.warp.sync 15; mov.u32 %d, 1; bra END; OTHER: bar.warp.sync 0xfffffff0; mov.u32 %d, 2; END:";
    check(body, 32, |lane| if lane < 4 { 1 } else { 2 });
}

#[test]
fn threads_know_themselves() {
    let source = format!(
        "{HEADER}.visible .entry test(.param .u64 out) {{ .reg .b64 %o, %x<3>; .reg .b32 %r<20>;
         ld.param.u64 %o, [out]; mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %tid.z; mov.u32 %r3, %ntid.x; mov.u32 %r4, %ntid.y;
         mov.u32 %r5, %ctaid.x; mov.u32 %r6, %ctaid.y; mov.u32 %r7, %nctaid.x; mov.u32 %r8, %ntid.z;
         mad.lo.u32 %r9, %r2, %r4, %r1; mad.lo.u32 %r9, %r9, %r3, %r0; mad.lo.u32 %r10, %r6, %r7, %r5;
         mul.lo.u32 %r11, %r3, %r4; mul.lo.u32 %r11, %r11, %r8; mad.lo.u32 %r12, %r10, %r11, %r9;
         mov.u32 %r13, %laneid; mov.u32 %r14, %warpid; mad.lo.u32 %r14, %r14, 32, %r13; mov.u32 %r15, %lanemask_lt; popc.b32 %r15, %r15;
         mov.u32 %r16, %smid; mov.u32 %r17, %nsmid;
         mad.wide.u32 %o, %r12, 16, %o; st.global.v4.u32 [%o], {{%r14, %r15, %r16, %r17}}; }}"
    );
    let output = Memory::zeros(6 * 48 * 16);
    let mut launch = Run::new(&source).memory(&output);
    (launch.grid, launch.block) = ([3, 2, 1], [4, 3, 4]);
    launch.go().unwrap();
    for (index, it) in output.u32s().chunks(4).enumerate() {
        let (block, thread) = (index as u32 / 48, index as u32 % 48);
        assert_eq!(it, [thread, thread % 32, block % 4, 4], "block {block} thread {thread}");
    }
}

#[test]
fn clocks_go_on() {
    let body = "mov.u64 %x0, %clock64; mov.u64 %x1, %globaltimer; nanosleep.u32 5000; mov.u64 %x2, %clock64; mov.u64 %x3, %globaltimer;
        sub.u64 %x2, %x2, %x0; sub.u64 %x3, %x3, %x1; cvt.u32.u64 %r0, %x2; cvt.u32.u64 %r1, %x3; mad.lo.u32 %d, %r1, 65536, %r0;";
    // 1000 MHz: cycles are nanoseconds; reading the timer takes a microsecond.
    let result = try_run(body, 1, 32).unwrap()[0];
    let (cycles, nanoseconds) = (result & 0xffff, result >> 16);
    assert!((6000..7000).contains(&cycles) && (6000..7000).contains(&nanoseconds), "{cycles} {nanoseconds}");
}
