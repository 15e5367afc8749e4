// What the two halves of the host's libcuda share.
#pragma once
#include "block.h"

typedef std::uint64_t u64;
#define API extern "C" __attribute__((visibility("default"))) int

namespace fovea {

/** CUresult values, and one of our own: a kernel that failed. */
enum Result { success = 0, invalidValue = 1, outOfMemory = 2, noDevice = 100, invalidImage = 200, notFound = 500, kernelFailed = 990 };

/** Keeps why a call fails, for cuGetErrorString. */
int failed(Result result, const std::string &why);
/** Notes the time in an event of cuEventCreate. */
int recordEvent(void *event);

}  // namespace fovea

using namespace fovea;
