// As much of the CUDA driver API as the product calls (src/device/cuda/bindings.ts), by the emulator: memory is the machine's own, a module
// is a kernel's shared library, and work submitted to a stream is done before the call returns. A kernel that fails returns 990 from the
// call that ran it, whose text cuGetErrorString has; unlike a GPU's errors it leaves the context alive.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include "block.h"

using namespace fovea;
typedef std::uint64_t u64;
#define API extern "C" __attribute__((visibility("default"))) int

namespace {

enum Result { success = 0, invalidValue = 1, outOfMemory = 2, noDevice = 100, invalidImage = 200, notFound = 500, kernelFailed = 990 };

constexpr u64 totalMemory = 8ull << 30, redZone = 256;
constexpr int redByte = 0xbd;

std::string lastError;
int capability = 80;
/** Size by address. Before and behind each lies a red zone. */
std::map<u64, u64> allocations;
u64 allocated = 0;

int failed(Result result, const std::string &why) {
  lastError = why;
  return result;
}

int checkRange(const char *call, u64 address, u64 bytes) {
  if (isAllocated(address, bytes)) return success;
  return failed(invalidValue, std::string(call) + ": " + std::to_string(bytes) + " bytes that are not of one allocation");
}

struct Function { const KernelEntry *entry; unsigned dynamicBytes; };
struct Module { void *library; Function function; };
struct Node { Function *function; Dim3 grid, block; unsigned shared; std::vector<char> arguments; std::vector<Node *> after; };
struct Graph { std::vector<Node> nodes; };
struct Event { std::chrono::steady_clock::time_point at; };

/** The list `extra` of a launch: keys and values, of which only a buffer and its size are taken. */
int readArguments(const u64 *extra, std::vector<char> &arguments) {
  const char *buffer = nullptr;
  u64 size = 0;
  for (; extra[0] != 0; extra += 2) {
    if (extra[0] == 1) buffer = reinterpret_cast<const char *>(extra[1]);
    else if (extra[0] == 2) size = *reinterpret_cast<const u64 *>(extra[1]);
    else return failed(invalidValue, "a launch with an unknown key in `extra`");
  }
  if (buffer == nullptr) return failed(invalidValue, "a launch without a buffer of arguments");
  arguments.assign(buffer, buffer + size);
  return success;
}

int runNode(const Node &node) {
  const KernelEntry &kernel = *node.function->entry;
  const std::string name = "kernel " + std::string(kernel.name);
  if (node.arguments.size() != kernel.argumentBytes) {
    return failed(kernelFailed, name + " takes " + std::to_string(kernel.argumentBytes) + " bytes of arguments, not " + std::to_string(node.arguments.size()));
  }
  if (node.shared > node.function->dynamicBytes) {
    return failed(invalidValue, name + ": " + std::to_string(node.shared) + " bytes of dynamic shared memory, of which " +
                                  std::to_string(node.function->dynamicBytes) + " are allowed (cuFuncSetAttribute)");
  }
  // As aligned as a kernel's parameters are.
  alignas(64) static char arguments[4096 + 64];
  if (node.arguments.size() > 4096) return failed(invalidValue, name + ": more than 4096 bytes of arguments");
  std::memcpy(arguments, node.arguments.data(), node.arguments.size());
  for (unsigned s = 0; s < kernel.spans; s++) {
    u64 span[2];
    std::memcpy(span, arguments + kernel.spanOffsets[s], 16);
    if (span[1] != 0 && !isAllocated(span[0], span[1])) {
      return failed(kernelFailed, name + ": the " + std::to_string(span[1]) + " bytes of argument " + std::to_string(kernel.spanParameters[s]) +
                                    " are not of one allocation, or freed");
    }
  }
  const std::string error = runLaunch({&kernel, node.grid, node.block, node.shared, arguments});
  return error.empty() ? success : failed(kernelFailed, error);
}

/** The length of an ELF file, which ends with the table of its sections; 0 where it is none. */
u64 elfLength(const void *image) {
  const Elf64_Ehdr *header = static_cast<const Elf64_Ehdr *>(image);
  if (std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64) return 0;
  return header->e_shoff + static_cast<u64>(header->e_shnum) * header->e_shentsize;
}

/** Loads from a file that has a name of its own: the loader knows libraries by their names. */
void *openImage(const void *image, u64 length) {
  const char *folder = std::getenv("TMPDIR");
  std::string name = std::string(folder != nullptr && *folder != 0 ? folder : "/tmp") + "/fovea-kernel-XXXXXX";
  const int file = mkstemp(name.data());
  if (file < 0) return nullptr;
  u64 written = 0;
  while (written < length) {
    const ssize_t now = write(file, static_cast<const char *>(image) + written, length - written);
    if (now <= 0) break;
    written += static_cast<u64>(now);
  }
  close(file);
  void *const library = written == length ? dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  unlink(name.c_str());
  return library;
}

}  // namespace

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
API cuDevicePrimaryCtxRetain(u64 *context, int) { return *context = 1, success; }
API cuDevicePrimaryCtxRelease_v2(int) { return success; }
API cuCtxSetCurrent(u64) { return success; }
API cuMemGetInfo_v2(u64 *free, u64 *total) { return *total = totalMemory, *free = totalMemory - allocated, success; }
API cuDeviceGetDefaultMemPool(u64 *pool, int) { return *pool = 1, success; }
API cuMemPoolSetAttribute(u64, int, void *) { return success; }
API cuMemPoolTrimTo(u64, u64) { return success; }

API cuStreamCreate(u64 *stream, unsigned) { return *stream = 1, success; }
API cuStreamDestroy_v2(u64) { return success; }
API cuStreamSynchronize(u64) { return success; }
API cuEventCreate(Event **event, unsigned) { return *event = new Event{}, success; }
API cuEventDestroy_v2(Event *event) { return delete event, success; }
API cuEventRecord(Event *event, u64) { return event->at = std::chrono::steady_clock::now(), success; }
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

API cuModuleLoadData(Module **module, const void *image) {
  const u64 length = elfLength(image);
  void *const library = length == 0 ? nullptr : openImage(image, length);
  if (library == nullptr) return failed(invalidImage, length == 0 ? "not an ELF file of 64 bits" : "a library that does not load");
  KernelSymbol *const symbol = reinterpret_cast<KernelSymbol *>(dlsym(library, "fovea_kernel"));
  if (symbol == nullptr) return dlclose(library), failed(invalidImage, "a library without HOST_ENTRY");
  beginMachine();
  *module = new Module{library, {symbol(&running.machine), 48u << 10}};
  return success;
}
API cuModuleUnload(Module *module) {
  dlclose(module->library);
  return delete module, success;
}
API cuModuleGetFunction(Function **function, Module *module, const char *name) {
  if (std::strcmp(module->function.entry->name, name) != 0) return failed(notFound, std::string("no kernel ") + name);
  return *function = &module->function, success;
}
API cuFuncGetAttribute(int *value, int attribute, const Function *function) {
  // Static shared memory is known only when a kernel has run; the emulator checks it then.
  return *value = attribute == 0 ? static_cast<int>(function->entry->maxThreads) : 0, success;
}
API cuFuncSetAttribute(Function *function, int attribute, int value) {
  if (attribute == 8) function->dynamicBytes = static_cast<unsigned>(value);
  return attribute == 8 && value >= 0 && static_cast<unsigned>(value) <= maxShared ? success : failed(invalidValue, "cuFuncSetAttribute");
}
API cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, u64,
                   void **parameters, const u64 *extra) {
  if (parameters != nullptr || extra == nullptr) return failed(invalidValue, "arguments are taken in one buffer");
  Node node{function, {gx, gy, gz}, {bx, by, bz}, shared, {}, {}};
  if (const int bad = readArguments(extra, node.arguments)) return bad;
  return runNode(node);
}

struct NodeParameters { Function *function; unsigned grid[3], block[3], shared; void **parameters; const u64 *extra; u64 kernel, context; };

API cuGraphCreate(Graph **graph, unsigned) {
  *graph = new Graph;
  // Nodes are told by their addresses.
  return (*graph)->nodes.reserve(1 << 16), success;
}
API cuGraphAddKernelNode_v2(Node **node, Graph *graph, Node *const *after, u64 count, const NodeParameters *p) {
  if (p->parameters != nullptr || p->extra == nullptr) return failed(invalidValue, "arguments are taken in one buffer");
  if (graph->nodes.size() == graph->nodes.capacity()) return failed(invalidValue, "a graph of more nodes than are foreseen");
  Node made{p->function, {p->grid[0], p->grid[1], p->grid[2]}, {p->block[0], p->block[1], p->block[2]}, p->shared, {}, {}};
  if (const int bad = readArguments(p->extra, made.arguments)) return bad;
  made.after.assign(after, after + count);
  graph->nodes.push_back(std::move(made));
  return *node = &graph->nodes.back(), success;
}
API cuGraphInstantiateWithFlags(Graph **made, const Graph *graph, u64) {
  Graph *const copy = new Graph{graph->nodes};
  for (Node &node : copy->nodes) for (Node *&before : node.after) before = &copy->nodes[before - graph->nodes.data()];
  return *made = copy, success;
}
API cuGraphLaunch(Graph *graph, u64) {
  // Of the nodes that may run, the latest runs first: an order that is not asked for is not kept.
  std::vector<std::vector<std::size_t>> followers(graph->nodes.size());
  std::vector<std::size_t> waitsFor(graph->nodes.size()), may;
  for (std::size_t i = 0; i < graph->nodes.size(); i++) {
    waitsFor[i] = graph->nodes[i].after.size();
    for (const Node *before : graph->nodes[i].after) followers[before - graph->nodes.data()].push_back(i);
    if (waitsFor[i] == 0) may.push_back(i);
  }
  while (!may.empty()) {
    const std::size_t i = may.back();
    may.pop_back();
    if (const int bad = runNode(graph->nodes[i])) return bad;
    for (const std::size_t next : followers[i]) if (--waitsFor[next] == 0) may.push_back(next);
  }
  return success;
}
API cuGraphExecDestroy(Graph *graph) { return delete graph, success; }
API cuGraphDestroy(Graph *graph) { return delete graph, success; }

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
