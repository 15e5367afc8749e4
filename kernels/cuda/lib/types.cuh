// Names of integers and of the halves, which kernels and the emulator share.
#pragma once

typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef unsigned char u8;
typedef unsigned short u16;

/** IEEE binary16, as stored. */
struct alignas(2) Half { u16 bits; };
/** The upper half of a float, as stored. */
struct alignas(2) Bfloat16 { u16 bits; };
