// CUDA's words for a machine that has no GPU: included by lib/fovea.cuh with FOVEA_HOST. A kernel file compiles as C++ into a shared
// library whose threads the emulator runs in turn, with every access to memory checked: see emulator/block.cpp for what it reports.
//
//   g++ -std=c++20 -shared -fPIC -O1 -DFOVEA_HOST -Ikernels/cuda    over    #define ..., #include "NAME.cu", HOST_ENTRY(NAME)
#pragma once
#include <math.h>
#include "host/machine.h"

namespace fovea {
static const Machine *machine;
}

#define DEVICE inline
#define KERNEL(name, ...)                                      \
  static const unsigned foveaThreads_##name[] = {__VA_ARGS__}; \
  static void name
#define UNROLL
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __constant__ static const
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
#define FOVEA_HERE (fovea::Place{__builtin_FILE(), __builtin_LINE()})

#define threadIdx (fovea::machine->thread)
#define blockIdx (fovea::machine->block)
#define blockDim (fovea::machine->blockSize)
#define gridDim (fovea::machine->gridSize)
static const int warpSize = 32;

#include "host/arithmetic.h"
#include "host/spans.h"
#include "host/warp.h"

namespace fovea {

/** A parameter list as the ABI packs it: each parameter at the next multiple of its alignment. */
template <class... Parameters> struct Packed;
template <class> struct IsSpan { static constexpr bool value = false; };
template <class Type> struct IsSpan<Span<Type>> { static constexpr bool value = true; };

template <> struct Packed<> {
  static constexpr void spans(unsigned, unsigned, unsigned *, unsigned *) {}
  static constexpr unsigned end(unsigned at) { return at; }
  template <class Kernel, class... Given> static void call(Kernel *kernel, const char *, unsigned, const Given &...given) { kernel(given...); }
};
template <class First, class... Rest> struct Packed<First, Rest...> {
  static constexpr unsigned from(unsigned at) { return (at + alignof(First) - 1) / alignof(First) * alignof(First); }
  static constexpr unsigned end(unsigned at) { return Packed<Rest...>::end(from(at) + sizeof(First)); }
  static constexpr void spans(unsigned at, unsigned parameter, unsigned *offset, unsigned *which) {
    if (IsSpan<First>::value) {
      *offset++ = from(at);
      *which++ = parameter;
    }
    Packed<Rest...>::spans(from(at) + sizeof(First), parameter + 1, offset, which);
  }
  template <class Kernel, class... Given>
  static void call(Kernel *kernel, const char *arguments, unsigned at, const Given &...given) {
    const First &own = *reinterpret_cast<const First *>(arguments + from(at));
    Packed<Rest...>::call(kernel, arguments, from(at) + sizeof(First), given..., own);
  }
};

template <class... Parameters> inline KernelEntry describe(const char *name, unsigned threads, void (*)(Parameters...), void (*run)(const void *)) {
  static unsigned offsets[sizeof...(Parameters) + 1], parameters[sizeof...(Parameters) + 1];
  Packed<Parameters...>::spans(0, 0, offsets, parameters);
  return {name, threads, Packed<Parameters...>::end(0), (0u + ... + (IsSpan<Parameters>::value ? 1u : 0u)), offsets, parameters, run};
}
template <class... Parameters> inline void runWith(void (*kernel)(Parameters...), const void *arguments) {
  Packed<Parameters...>::call(kernel, static_cast<const char *>(arguments), 0);
}

}  // namespace fovea

/** Makes the file's kernel the library's. */
#define HOST_ENTRY(name)                                                                                                    \
  extern "C" __attribute__((visibility("default"))) const fovea::KernelEntry *fovea_kernel(const fovea::Machine *machine) { \
    static const fovea::KernelEntry entry =                                                                                 \
      fovea::describe(#name, foveaThreads_##name[0], name, [](const void *arguments) { fovea::runWith(name, arguments); }); \
    fovea::machine = machine;                                                                                               \
    return &entry;                                                                                                          \
  }
