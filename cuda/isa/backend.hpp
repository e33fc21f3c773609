// One source, two worlds. Everything in this room that touches a GPU is compiled twice: by nvcc for the
// device, into namespace alder::cuda, and by the host compiler for the emulator, into alder::emulated. A
// program may link both; the two namespaces keep them apart. Sources of the room write `namespace
// alder::ALDER_BACKEND {`.
//
// A file without kernels may be compiled by the host compiler for the device too: define ALDER_BACKEND=cuda.
#pragma once

#ifndef ALDER_BACKEND
#if defined(__CUDACC__)
#define ALDER_BACKEND cuda
#else
#define ALDER_BACKEND emulated
#endif
#endif

#if defined(__CUDACC__)

// ALDER_KERNEL(256, 2) name(...): an entry point for blocks of 256 threads, two of them on a multiprocessor.
#define ALDER_KERNEL(...) __global__ void __launch_bounds__(__VA_ARGS__)
#define ALDER_DEVICE __device__ __forceinline__
#define ALDER_HOST_DEVICE __host__ __device__ __forceinline__
// A parameter that stays where the launch put it, so that its address can be given away (tensor maps).
#define ALDER_PARAMETER const __grid_constant__
#define ALDER_UNROLL _Pragma("unroll")
#define ALDER_NO_UNROLL _Pragma("unroll 1")

#else

#define ALDER_KERNEL(...) void
#define ALDER_DEVICE inline
#define ALDER_HOST_DEVICE inline
#define ALDER_PARAMETER const
#if defined(__clang__)
#define ALDER_UNROLL _Pragma("unroll 8")
#define ALDER_NO_UNROLL _Pragma("unroll 1")
#else
#define ALDER_UNROLL _Pragma("GCC unroll 8")
#define ALDER_NO_UNROLL _Pragma("GCC unroll 1")
#endif

#endif
