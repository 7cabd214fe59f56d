// Keyed shuffle of a block's weights, as bits. A kernel, because no library permutes by key: CuPy would draw random keys
// and sort them, 30 to 200 ms for 4e8 weights where this takes integer arithmetic alone (modelled 7 ms on an H100).
// Twin: kernels/reference/shuffle.py.
#include "feistel.cuh"

// out[slots[pi(items[j])]] = values[j] for every replicate; without items or slots the identity stands for them.
// Grid (any, replicates); values (n_items), out (replicates, out_size).
extern "C" __global__ void scatter(const BITS* __restrict__ values, const int64* __restrict__ items, int64 has_items,
                                   const int64* __restrict__ slots, int64 has_slots, BITS* __restrict__ out,
                                   int64 n_items, int64 out_size, const uint32* __restrict__ rounds,
                                   const int64* __restrict__ swaps, int64 size, int64 left_bits, int64 right_bits) {
    __shared__ Bijection pi;
    int64 member = blockIdx.y;
    load_bijection(pi, rounds + member * ROUNDS, swaps + member * 2, size, left_bits, right_bits);
    BITS* own = out + member * out_size;
    for (int64 j = first_index(); j < n_items; j += index_step()) {
        int64 place = image_of(has_items ? items[j] : j, pi);
        own[has_slots ? slots[place] : place] = values[j];
    }
}

// places[j] = pi(items[j]) for every replicate. Grid (any, replicates); places (replicates, n_items).
extern "C" __global__ void permute_places(const int64* __restrict__ items, int64* __restrict__ places, int64 n_items,
                                          const uint32* __restrict__ rounds, const int64* __restrict__ swaps,
                                          int64 size, int64 left_bits, int64 right_bits) {
    __shared__ Bijection pi;
    int64 member = blockIdx.y;
    load_bijection(pi, rounds + member * ROUNDS, swaps + member * 2, size, left_bits, right_bits);
    for (int64 j = first_index(); j < n_items; j += index_step()) {
        places[member * n_items + j] = image_of(items[j], pi);
    }
}
