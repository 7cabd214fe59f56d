// One thread block: whose turn it is, who waits for whom, and what is wrong when nobody can go on.
//
// A warp runs until all its threads wait at the block's barrier or have ended, then the next warp does. Descending order
// (last warp, last lane first) is the other extreme: data that threads exchange without a barrier between comes out wrong
// in one of the two.
#pragma once

struct dim3 {
    unsigned x, y, z;
};
typedef dim3 uint3;

EMULATED_HIDDEN dim3 threadIdx, blockIdx, blockDim, gridDim;
const int warpSize = 32;

namespace emulation {

const int MAX_THREADS = 1024;
const int MAX_SHARED = 1 << 18;
const int GUARD = 4096;
const unsigned char GUARD_BYTE = 0xA5;

enum Operation { SYNC, SHUFFLE, BALLOT, MATCH, REDUCE };
const char* const OPERATION_NAMES[] = {"__syncwarp", "a shuffle", "a vote", "a match", "a reduction"};

struct Warp {
    unsigned alive, ready, waiting, barrier;  // lanes
    unsigned present;                         // lanes whose value of the last operation is in `seen`
    unsigned long long given[32], seen[32];
    int operation[32], line[32];
    unsigned mask[32];
};

struct Machine {
    Fibre scheduler, fibres[MAX_THREADS];
    Warp warps[MAX_THREADS / 32];
    unsigned char* stacks;
    int prepared;     // fibres that wait at the top of `thread_body`
    Warp* warp;       // of the running thread
    int lane;
    int barrier_line, arrived;
    int votes, counted;  // __syncthreads_count: so far, and of the last barrier
    bool descending, failed;
    void (*invoke)(void* const*);
    void* const* arguments;
    char message[512];
};

EMULATED_HIDDEN Machine machine;

inline void suspend() { change(machine.fibres[threadIdx.x], machine.scheduler); }

// Ends the launch: the running thread is left where it is and nobody runs any more.
__attribute__((format(printf, 1, 2), cold, noinline)) inline void fail(const char* format, ...) {
    if (!machine.failed) {
        va_list list;
        va_start(list, format);
        vsnprintf(machine.message, sizeof machine.message, format, list);
        va_end(list);
    }
    machine.failed = true;
    machine.prepared = 0;
}

__attribute__((cold, noinline)) inline void die() {
    for (;;) suspend();
}

// Let the lanes that wait for this warp operation go on if every living lane of its mask has come.
inline bool complete(Warp& warp, int lane) {
    const unsigned mask = warp.mask[lane], needed = mask & warp.alive;
    if ((warp.waiting & needed) != needed) return false;
    for (unsigned rest = needed; rest; rest &= rest - 1) {
        const int other = __builtin_ctz(rest);
        if (warp.operation[other] != warp.operation[lane] || warp.mask[other] != mask) {
            fail("divergent warp operation: lane %d of warp %d is at %s (line %d, mask %08x), lane %d at %s (line %d, mask %08x)",
                 lane, (int)(&warp - machine.warps), OPERATION_NAMES[warp.operation[lane]], warp.line[lane], mask, other,
                 OPERATION_NAMES[warp.operation[other]], warp.line[other], warp.mask[other]);
            return false;
        }
        warp.seen[other] = warp.given[other];
    }
    warp.present = (warp.present & ~mask) | needed;
    warp.waiting &= ~needed;
    warp.ready |= needed;
    return true;
}

// The running thread comes to a warp operation and waits for the others; their values are then in `seen`.
inline void meet(Operation operation, unsigned mask, unsigned long long value, int line) {
    Warp& warp = *machine.warp;
    const int lane = machine.lane;
    if (!(mask >> lane & 1u)) {
        fail("thread %u calls %s (line %d) with mask %08x, in which it is not itself", threadIdx.x,
             OPERATION_NAMES[operation], line, mask);
        die();
    }
    warp.operation[lane] = operation;
    warp.mask[lane] = mask;
    warp.line[lane] = line;
    warp.given[lane] = value;
    warp.waiting |= 1u << lane;
    warp.ready &= ~(1u << lane);
    if (complete(warp, lane)) return;
    do suspend();
    while (machine.failed);
}

inline void wait_at_barrier(int line, int vote) {
    Warp& warp = *machine.warp;
    if (machine.arrived++ == 0) {
        machine.barrier_line = line;
    } else if (machine.barrier_line != line) {
        fail("divergent barrier: thread %u waits at line %d, an other of its block at line %d", threadIdx.x, line,
             machine.barrier_line);
        die();
    }
    machine.votes += vote;
    warp.line[machine.lane] = line;
    warp.barrier |= 1u << machine.lane;
    warp.ready &= ~(1u << machine.lane);
    do suspend();
    while (machine.failed);
}

// What every fibre runs: the kernel once per block, for ever.
inline void thread_body() {
    for (;;) {
        machine.invoke(machine.arguments);
        Warp& warp = *machine.warp;
        const unsigned bit = 1u << machine.lane;
        warp.alive &= ~bit;
        warp.ready &= ~bit;
        for (unsigned rest = warp.waiting; rest; rest &= rest - 1) {  // who waited for this thread only goes on
            const int lane = __builtin_ctz(rest);
            if (warp.waiting >> lane & 1u) complete(warp, lane);
        }
        suspend();
    }
}

inline void run_warp(int index) {
    Warp& warp = machine.warps[index];
    while (warp.ready && !machine.failed) {
        const int lane = machine.descending ? 31 - __builtin_clz(warp.ready) : __builtin_ctz(warp.ready);
        machine.warp = &warp;
        machine.lane = lane;
        threadIdx.x = index * 32 + lane;
        change(machine.scheduler, machine.fibres[threadIdx.x]);
    }
}

__attribute__((cold, noinline)) inline void report_stuck(int index) {
    const Warp& warp = machine.warps[index];
    const int lane = __builtin_ctz(warp.waiting);
    fail("divergent warp operation: thread %d waits at %s (line %d) for lanes %08x, of which %08x never come", index * 32 + lane,
         OPERATION_NAMES[warp.operation[lane]], warp.line[lane], warp.mask[lane],
         warp.mask[lane] & warp.alive & ~warp.waiting);
}

inline void run_block() {
    const int warps = blockDim.x / 32;
    for (int w = 0; w < warps; ++w) {
        Warp& warp = machine.warps[w];
        warp.alive = warp.ready = ~0u;
        warp.waiting = warp.barrier = warp.present = 0;
    }
    for (;;) {
        machine.arrived = machine.votes = 0;
        for (int w = 0; w < warps && !machine.failed; ++w) run_warp(machine.descending ? warps - 1 - w : w);
        unsigned living = 0;
        for (int w = 0; w < warps && !machine.failed; ++w) {
            if (machine.warps[w].waiting) report_stuck(w);
            living |= machine.warps[w].alive;
        }
        if (machine.failed || !living) return;
        // Neither ready nor at a warp operation: every living thread is at the barrier.
        machine.counted = machine.votes;
        for (int w = 0; w < warps; ++w) {
            machine.warps[w].ready = machine.warps[w].barrier;
            machine.warps[w].barrier = 0;
        }
    }
}

}  // namespace emulation
