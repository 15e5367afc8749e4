// As much of the CUDA driver API as the product calls (src/device/cuda/bindings.ts), by the emulator: memory is the machine's own, a module
// is a kernel's shared library, and work submitted to a stream is done before the call returns. A kernel that fails returns 990 from the
// call that ran it, whose text cuGetErrorString has; unlike a GPU's errors it leaves the context alive.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include "libcuda.h"

namespace {

constexpr u64 totalMemory = 8ull << 30, redZone = 256;
constexpr int redByte = 0xbd;

int capability = 80;
/** Size by address. Before and behind each lies a red zone. */
std::map<u64, u64> allocations;
u64 allocated = 0;

int checkRange(const char *call, u64 address, u64 bytes) {
  if (isAllocated(address, bytes)) return success;
  return failed(invalidValue, std::string(call) + ": " + std::to_string(bytes) + " bytes that are not of one allocation");
}

struct Event { std::chrono::steady_clock::time_point at; };

}  // namespace

static std::string lastError;

int fovea::failed(Result result, const std::string &why) {
  lastError = why;
  return result;
}

bool fovea::isAllocated(u64 address, u64 bytes) {
  auto next = allocations.upper_bound(address);
  if (next == allocations.begin()) return false;
  const auto &[start, size] = *--next;
  return address + bytes <= start + size;
}

/** Of compute capability 8.0 unless told otherwise: 90 for 9.0. */
extern "C" __attribute__((visibility("default"))) void fovea_host_capability(int value) { capability = value; }

API cuInit(unsigned) { return success; }
API cuDriverGetVersion(int *version) { return *version = 13000, success; }
API cuDeviceGetCount(int *count) { return *count = 1, success; }
API cuDeviceGet(int *device, int index) { return *device = index, index == 0 ? success : noDevice; }
API cuDeviceGetName(char *name, int length, int) { return std::snprintf(name, length, "host"), success; }
API cuDeviceTotalMem_v2(u64 *bytes, int) { return *bytes = totalMemory, success; }
API cuDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
    case 75: return *value = capability / 10, success;
    case 76: return *value = capability % 10, success;
    case 16: return *value = 132, success;
    case 97: case 81: return *value = maxShared, success;
    case 1: return *value = maxThreads, success;
    case 2: case 3: return *value = 1024, success;
    case 4: return *value = 64, success;
    case 5: return *value = 0x7fffffff, success;
    case 6: case 7: return *value = 65535, success;
    case 10: return *value = 32, success;
    case 115: return *value = 1, success;
    default: return failed(invalidValue, "attribute " + std::to_string(attribute) + " of the device");
  }
}
API cuDevicePrimaryCtxRetain(u64 *context, int) { return beginOrders(), *context = 1, success; }
API cuDevicePrimaryCtxRelease_v2(int) { return success; }
API cuCtxSetCurrent(u64) { return success; }
API cuMemGetInfo_v2(u64 *free, u64 *total) { return *total = totalMemory, *free = totalMemory - allocated, success; }
API cuDeviceGetDefaultMemPool(u64 *pool, int) { return *pool = 1, success; }
API cuMemPoolGetAttribute(u64, int, u64 *value) { return *value = 0, success; }
API cuMemPoolSetAttribute(u64, int, void *) { return success; }
API cuMemPoolTrimTo(u64, u64) { return success; }

API cuStreamCreate(u64 *stream, unsigned) { return *stream = 1, success; }
API cuStreamDestroy_v2(u64) { return success; }
API cuStreamSynchronize(u64) { return success; }
API cuEventCreate(Event **event, unsigned) { return *event = new Event{}, success; }
API cuEventDestroy_v2(Event *event) { return delete event, success; }
int fovea::recordEvent(void *event) { return static_cast<Event *>(event)->at = std::chrono::steady_clock::now(), success; }
API cuEventRecord(Event *event, u64) { return recordEvent(event); }
API cuEventQuery(Event *) { return success; }
API cuEventSynchronize(Event *) { return success; }
API cuEventElapsedTime(float *ms, const Event *from, const Event *to) {
  return *ms = std::chrono::duration<float, std::milli>(to->at - from->at).count(), success;
}

API cuMemAllocAsync(u64 *address, u64 bytes, u64) {
  if (bytes == 0) return failed(invalidValue, "an allocation of no bytes");
  if (bytes > totalMemory - allocated) return failed(outOfMemory, "out of memory");
  const u64 all = redZone + (bytes + redZone - 1) / redZone * redZone + redZone;
  char *memory = static_cast<char *>(std::aligned_alloc(redZone, all));
  if (memory == nullptr) return failed(outOfMemory, "out of memory");
  std::memset(memory, redByte, redZone);
  std::memset(memory + redZone, 0xff, bytes);
  std::memset(memory + redZone + bytes, redByte, all - redZone - bytes);
  *address = reinterpret_cast<u64>(memory) + redZone;
  allocations[*address] = bytes;
  allocated += bytes;
  return success;
}
API cuMemFreeAsync(u64 address, u64) {
  const auto found = allocations.find(address);
  if (found == allocations.end()) return failed(invalidValue, "memory that was not allocated, or is freed already");
  const u64 bytes = found->second, behind = redZone + (redZone - bytes % redZone) % redZone;
  const unsigned char *memory = reinterpret_cast<const unsigned char *>(address);
  bool whole = true;
  for (u64 i = 1; i <= redZone; i++) whole = whole && memory[-static_cast<std::int64_t>(i)] == redByte;
  for (u64 i = 0; i < behind; i++) whole = whole && memory[bytes + i] == redByte;
  std::free(reinterpret_cast<void *>(address - redZone));
  allocations.erase(found);
  allocated -= bytes;
  if (whole) return success;
  // Only a kernel that evades Span can do this; nothing may be said of what else it has overwritten.
  std::fprintf(stderr, "the red zone of %llu bytes of memory was overwritten\n", static_cast<unsigned long long>(bytes));
  std::abort();
}
API cuMemsetD8Async(u64 address, unsigned char value, u64 bytes, u64) {
  if (const int bad = checkRange("cuMemsetD8Async", address, bytes)) return bad;
  return std::memset(reinterpret_cast<void *>(address), value, bytes), success;
}
API cuMemHostAlloc(u64 *address, u64 bytes, unsigned) {
  return *address = reinterpret_cast<u64>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)), success;
}
API cuMemFreeHost(void *address) { return std::free(address), success; }
API cuMemcpyHtoDAsync_v2(u64 to, const void *from, u64 bytes, u64) {
  if (const int bad = checkRange("cuMemcpyHtoDAsync", to, bytes)) return bad;
  return std::memcpy(reinterpret_cast<void *>(to), from, bytes), success;
}
API cuMemcpyDtoHAsync_v2(void *to, u64 from, u64 bytes, u64) {
  if (const int bad = checkRange("cuMemcpyDtoHAsync", from, bytes)) return bad;
  return std::memcpy(to, reinterpret_cast<void *>(from), bytes), success;
}
API cuMemcpyDtoDAsync_v2(u64 to, u64 from, u64 bytes, u64) {
  if (const int bad = checkRange("cuMemcpyDtoDAsync", to, bytes)) return bad;
  if (const int bad = checkRange("cuMemcpyDtoDAsync", from, bytes)) return bad;
  if (to < from + bytes && from < to + bytes) return failed(invalidValue, "a copy between places that overlap");
  return std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes), success;
}

API cuTensorMapEncodeTiled(void *map, int type, unsigned rank, u64 address, const u64 *lengths, const u64 *strides, const unsigned *box,
                           const unsigned *elementStrides, int interleave, int swizzle, int, int) {
  const std::string wrong =
    encodeMap(map, {type, rank, address, lengths, strides, box, nullptr, nullptr, 0, 0, elementStrides, interleave, swizzle});
  return wrong.empty() ? success : failed(invalidValue, wrong);
}
API cuTensorMapEncodeIm2col(void *map, int type, unsigned rank, u64 address, const u64 *lengths, const u64 *strides, const int *lower,
                            const int *upper, unsigned channels, unsigned pixels, const unsigned *elementStrides, int interleave, int swizzle,
                            int, int) {
  const std::string wrong =
    encodeMap(map, {type, rank, address, lengths, strides, nullptr, lower, upper, channels, pixels, elementStrides, interleave, swizzle});
  return wrong.empty() ? success : failed(invalidValue, wrong);
}

API cuGetErrorName(int result, const char **name) {
  switch (result) {
    case success: *name = "CUDA_SUCCESS"; break;
    case invalidValue: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case outOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case noDevice: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case invalidImage: *name = "CUDA_ERROR_INVALID_IMAGE"; break;
    case notFound: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case kernelFailed: *name = "FOVEA_HOST_KERNEL_FAILED"; break;
    default: return invalidValue;
  }
  return success;
}
/** Of the last call that failed. */
API cuGetErrorString(int, const char **text) { return *text = lastError.c_str(), success; }
