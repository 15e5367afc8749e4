// Modules, launches and graphs of the host's libcuda.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>
#include <cstdlib>
#include <cstring>
#include "libcuda.h"

namespace {

struct Function { const KernelEntry *entry; unsigned dynamicBytes; };
struct Module { void *library; Function function; };
/** A launch, or the recording of an event. */
struct Node { Function *function; Dim3 grid, block; unsigned shared; std::vector<char> arguments; std::vector<Node *> after; void *event; };
struct Graph { std::vector<Node> nodes; };

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
  if (node.event != nullptr) return recordEvent(node.event);
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
  Node made{p->function, {p->grid[0], p->grid[1], p->grid[2]}, {p->block[0], p->block[1], p->block[2]}, p->shared, {}, {}, nullptr};
  if (const int bad = readArguments(p->extra, made.arguments)) return bad;
  made.after.assign(after, after + count);
  graph->nodes.push_back(std::move(made));
  return *node = &graph->nodes.back(), success;
}
API cuGraphAddEventRecordNode(Node **node, Graph *graph, Node *const *after, u64 count, void *event) {
  if (graph->nodes.size() == graph->nodes.capacity()) return failed(invalidValue, "a graph of more nodes than are foreseen");
  Node made{nullptr, {}, {}, 0, {}, {}, event};
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
