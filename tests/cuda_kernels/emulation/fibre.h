// Fibres: a stack each, and a switch from one to another. ucontext's swapcontext makes a system call for the signal mask
// at every switch; the few instructions below take some nanoseconds. Elsewhere, or with EMULATED_UCONTEXT, ucontext it is.
#pragma once

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(EMULATED_UCONTEXT)
#define EMULATED_ASSEMBLY 1
#else
#include <ucontext.h>
#endif

#define EMULATED_HIDDEN __attribute__((visibility("hidden")))

namespace emulation {

const size_t STACK_BYTES = 65536;
// Tops of stacks a multiple of 64 KB apart would all fall into the same few lines of the first-level cache.
const size_t STACK_STEP = STACK_BYTES + 192;

struct Fibre {
#ifdef EMULATED_ASSEMBLY
    void* pointer;
#else
    ucontext_t context;
#endif
};

}  // namespace emulation

#ifdef EMULATED_ASSEMBLY

extern "C" EMULATED_HIDDEN void emulated_switch(void** leave, void* enter);

#ifdef __x86_64__
asm(R"(
    .text
    .hidden emulated_switch
    .globl emulated_switch
    .type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulated_switch, .-emulated_switch
)");
#else
asm(R"(
    .text
    .hidden emulated_switch
    .globl emulated_switch
    .type emulated_switch, %function
emulated_switch:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
    .size emulated_switch, .-emulated_switch
)");
#endif

namespace emulation {

inline void change(Fibre& leave, Fibre& enter) {
    emulated_switch(&leave.pointer, enter.pointer);
    asm volatile("" ::: "memory");
}

// A fibre that starts `body` on its stack when it is first entered; `body` never returns.
inline void prepare(Fibre& fibre, unsigned char* stack, void (*body)()) {
    size_t top = ((size_t)stack + STACK_BYTES) & ~(size_t)15;
#ifdef __x86_64__
    void** frame = (void**)(top - 16);  // the return address into `body`; above it, where a caller's would be, zero
    frame[0] = (void*)body;
    frame[1] = 0;
    for (int saved = 1; saved <= 6; ++saved) frame[-saved] = 0;
    fibre.pointer = frame - 6;
#else
    void** frame = (void**)(top - 160);
    for (int saved = 0; saved < 20; ++saved) frame[saved] = 0;
    frame[11] = (void*)body;  // x30
    fibre.pointer = frame;
#endif
}

}  // namespace emulation

#else

namespace emulation {

inline void change(Fibre& leave, Fibre& enter) { swapcontext(&leave.context, &enter.context); }

inline void prepare(Fibre& fibre, unsigned char* stack, void (*body)()) {
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = stack;
    fibre.context.uc_stack.ss_size = STACK_BYTES;
    fibre.context.uc_link = 0;
    makecontext(&fibre.context, body, 0);
}

}  // namespace emulation

#endif
