// CUDA C++ on the host: what stands in front of a .cu source when g++ compiles it instead of NVRTC.
//
// One fibre per CUDA thread (fibre.h); the threads of a block take turns on one OS thread and blocks run one after the
// other (block.h), so a run is a deterministic interleaving. Device functions are in device.h. What a GPU would answer
// with garbage or a hang is an error here: a barrier or a warp operation that some threads never reach, a write past the
// dynamic shared memory. A shuffle from an absent lane and memory not yet written give 0xFF bytes, a NaN.
//
// A kernel becomes callable by EMULATED_KERNEL(name, launch bounds), see entry.h; host_compiler.py appends one
// for each.
#pragma once
#define NETSPECTRA_EMULATION 1

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <type_traits>
#include <utility>

#include "fibre.h"
#include "block.h"
#include "device.h"
#include "entry.h"
