/*
 * A CUDA driver without a GPU, for tests of the driver layer. It lays "device" memory in the host's, does copies and fills when the
 * stream is waited for or asked about, counts what is made and given back, keeps a log of calls and launches, and fails where it is told to.
 *
 *   fake_reset()                     everything as at the start; returns how much was still held
 *   fake_fail(call, nth, code)       the nth call of that name (1: the next) returns `code` and does nothing
 *   fake_fail_kernel(name, code)     launches of that kernel make every later look at the stream return `code`
 *   fake_time(name, blocks, ms)      launches of that kernel with so many blocks along x take so long, by events; others, and copies, 1 ms
 *   fake_set(key, value)             "version", "count", "major", "minor", "pools", "total", "hold" (1: work waits for fake_set("hold", 0))
 *                                    The variable FAKE_CUDA_MAJOR says "major" to a process that loads this as its driver
 *   fake_log()                       names of the calls made, one a line
 *   fake_launches()                  launches done: "kernel gx gy gz block shared hex-of-arguments", one a line
 *   fake_live()                      "memory N modules N ..." of what is held
 *   fake_threshold()                 bytes that the pool keeps when the stream was waited for; 4096 at the start
 *
 * A kernel does nothing, but for one called "copy" with the 52 bytes of arguments of kernels/cuda/copy.cu, which is carried out for
 * WORD = u32 so that a round trip through a launch is real.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
typedef uint64_t u64;
typedef int (*Step)(u64 *);

enum { CONTEXTS, STREAMS, EVENTS, MEMORY, PINNED, MODULES, GRAPHS, EXECS, KINDS };
static const char *kinds[KINDS] = {"contexts", "streams", "events", "memory", "pinned", "modules", "graphs", "execs"};

static int live[KINDS];
static int version = 13000, deviceCount = 1, major = 9, minor = 0, pools = 1, hold, sticky;
static u64 total = (u64)1 << 30, used, threshold;
static char failCall[64], failKernel[64];
static int failNth, failCode, failKernelCode;
static struct { char kernel[64]; unsigned blocks; int ms; } times[64];
static int timed;
static char *text, *launchText;
static size_t textSize, textRoom, launchSize, launchRoom;

static void append(char **to, size_t *size, size_t *room, const char *what) {
  size_t n = strlen(what);
  if (*size + n + 2 > *room) {
    *room = (*size + n + 2) * 2;
    *to = realloc(*to, *room);
  }
  memcpy(*to + *size, what, n);
  *size += n;
  (*to)[(*size)++] = '\n';
  (*to)[*size] = 0;
}

/* ---- what is held: memory with its size ---- */
typedef struct Memory { struct Memory *next; unsigned char *data; size_t size; int pinned; } Memory;
static Memory *memories;

static Memory *memoryAt(u64 address) {
  for (Memory *m = memories; m; m = m->next) {
    if (address >= (u64)m->data && address < (u64)m->data + m->size) return m;
  }
  return NULL;
}

static int inside(u64 address, u64 bytes, int pinned) {
  Memory *m = memoryAt(address);
  return m && m->pinned == pinned && address + bytes <= (u64)m->data + m->size;
}

/* ---- modules, kernels and graphs ---- */
typedef struct Kernel { struct Kernel *next; char name[64]; int dynamicShared; struct Module *module; } Kernel;
typedef struct Module { struct Module *next; int broken; } Module;
static Module *modules;
static Kernel *kernels;

/* Or the recording of an event, in a graph. */
typedef struct Launch { Kernel *kernel; unsigned grid[3], block, shared; size_t size; unsigned char *arguments; struct Event *event; } Launch;
typedef struct Graph { Launch *launches; int count; } Graph;

/* ---- the stream: work is put into a queue and carried out when somebody looks ---- */
enum { SET, COPY, LAUNCH, RECORD, FREE };
typedef struct Work { struct Work *next; int kind; u64 to, from, bytes; int value; Launch launch; struct Event *event; } Work;
typedef struct Event { int pending; u64 time; } Event;
static Work *first, **last = &first;
static u64 now;

static Work *put(int kind) {
  Work *w = calloc(1, sizeof(Work));
  w->kind = kind;
  *last = w;
  last = &w->next;
  return w;
}

static void freeMemory(u64 address) {
  for (Memory **at = &memories; *at; at = &(*at)->next) {
    Memory *m = *at;
    if ((u64)m->data != address) continue;
    *at = m->next;
    if (!m->pinned) used -= m->size;
    live[m->pinned ? PINNED : MEMORY]--;
    free(m->data);
    free(m);
    return;
  }
}

typedef struct { unsigned char *data; u64 bytes; } Span;

static void carryOut(const Launch *l) {
  char line[2048];
  int n = snprintf(line, sizeof line, "%s %u %u %u %u %u ", l->kernel->name, l->grid[0], l->grid[1], l->grid[2], l->block, l->shared);
  for (size_t i = 0; i < l->size && n + 3 < (int)sizeof line; i++) n += snprintf(line + n, sizeof line - n, "%02x", l->arguments[i]);
  append(&launchText, &launchSize, &launchRoom, line);
  if (failKernelCode && !strcmp(failKernel, l->kernel->name)) {
    sticky = failKernelCode;
    return;
  }
  if (strcmp(l->kernel->name, "copy") || l->size != 52) return;
  Span from, to;
  int words[5];
  memcpy(&from, l->arguments, 16);
  memcpy(&to, l->arguments + 16, 16);
  memcpy(words, l->arguments + 32, 20);
  for (int i = 0; i < words[0]; i++) {
    u64 source = 4 * ((u64)(i / words[1]) * words[2] + i % words[1]), target = 4 * ((u64)(i / words[3]) * words[4] + i % words[3]);
    if (source + 4 > from.bytes || target + 4 > to.bytes || !inside((u64)from.data + source, 4, 0) || !inside((u64)to.data + target, 4, 0)) {
      sticky = 700;
      return;
    }
    memcpy(to.data + target, from.data + source, 4);
  }
}

static int timeOf(const Launch *l) {
  for (int i = 0; i < timed; i++) {
    if (l->grid[0] == times[i].blocks && !strcmp(l->kernel->name, times[i].kernel)) return times[i].ms;
  }
  return 1;
}

static int drain(void) {
  if (hold) return sticky;
  while (first) {
    Work *w = first;
    first = w->next;
    if (!first) last = &first;
    now += w->kind == LAUNCH ? timeOf(&w->launch) : 1;
    if (w->kind == FREE) freeMemory(w->to);
    else if (w->kind == RECORD) { w->event->pending--; w->event->time = now; }
    else if (!sticky) {
      if (w->kind == SET) memset((void *)w->to, w->value, w->bytes);
      if (w->kind == COPY) memcpy((void *)w->to, (void *)w->from, w->bytes);
      if (w->kind == LAUNCH) carryOut(&w->launch);
    }
    if (w->kind == LAUNCH) free(w->launch.arguments);
    free(w);
  }
  return sticky;
}

/* ---- failing on demand ---- */
static int enter(const char *call) {
  append(&text, &textSize, &textRoom, call);
  if (failNth > 0 && !strcmp(call, failCall) && --failNth == 0) return failCode;
  return 0;
}
/* Calls in a context fail after a sticky error; those that give things back, or say what a code means, do it all the same. */
#define ENTER do { int e = enter(__func__); if (e) return e; if (sticky) return sticky; } while (0)
#define ENTER_FREE do { int e = enter(__func__); if (e) return e; } while (0)

API int fake_reset(void) {
  int held = 0;
  hold = 0;
  for (int i = 0; i < KINDS; i++) held += live[i];
  drain();
  while (memories) freeMemory((u64)memories->data);
  memset(live, 0, sizeof live);
  version = 13000, deviceCount = 1, major = 9, minor = 0, pools = 1, sticky = 0;
  total = (u64)1 << 30, used = 0, threshold = 4096;
  failNth = failKernelCode = timed = 0;
  textSize = launchSize = 0;
  if (text) *text = 0;
  if (launchText) *launchText = 0;
  return held;
}
API void fake_fail(const char *call, int nth, int code) {
  snprintf(failCall, sizeof failCall, "%s", call);
  failNth = nth, failCode = code;
}
API void fake_fail_kernel(const char *name, int code) {
  snprintf(failKernel, sizeof failKernel, "%s", name);
  failKernelCode = code;
}
API void fake_time(const char *name, unsigned blocks, int ms) {
  snprintf(times[timed].kernel, sizeof times[timed].kernel, "%s", name);
  times[timed].blocks = blocks, times[timed++].ms = ms;
}
API void fake_set(const char *key, u64 value) {
  if (!strcmp(key, "version")) version = value;
  if (!strcmp(key, "count")) deviceCount = value;
  if (!strcmp(key, "major")) major = value;
  if (!strcmp(key, "minor")) minor = value;
  if (!strcmp(key, "pools")) pools = value;
  if (!strcmp(key, "total")) total = value;
  if (!strcmp(key, "hold")) hold = value;
}

__attribute__((constructor)) static void fake_begin(void) {
  if (getenv("FAKE_CUDA_MAJOR")) major = atoi(getenv("FAKE_CUDA_MAJOR"));
}
API const char *fake_log(void) { return text ? text : ""; }
API const char *fake_launches(void) { return launchText ? launchText : ""; }
API u64 fake_threshold(void) { return threshold; }
API const char *fake_live(void) {
  static char out[256];
  int n = 0;
  for (int i = 0; i < KINDS; i++) n += snprintf(out + n, sizeof out - n, "%s%s %d", i ? " " : "", kinds[i], live[i]);
  return out;
}

/* ---- the driver API ---- */
API int cuInit(unsigned flags) { ENTER; return flags ? 1 : deviceCount < 0 ? 100 : 0; }
API int cuDriverGetVersion(int *v) { ENTER; *v = version; return 0; }
API int cuDeviceGetCount(int *n) { ENTER; *n = deviceCount; return 0; }
API int cuDeviceGet(int *device, int i) { ENTER; *device = i; return i < deviceCount ? 0 : 101; }
API int cuDeviceGetName(char *name, int n, int device) { ENTER; snprintf(name, n, "Fake GPU %d", device); return 0; }
API int cuDeviceTotalMem_v2(size_t *bytes, int device) { ENTER; (void)device; *bytes = total; return 0; }
API int cuDeviceGetAttribute(int *value, int which, int device) {
  ENTER;
  (void)device;
  *value = which == 75 ? major : which == 76 ? minor : which == 16 ? 132 : which == 97 ? 232448 : which == 115 ? pools : 0;
  return 0;
}
API int cuDevicePrimaryCtxRetain(u64 *context, int device) { ENTER; *context = 4096 + device; live[CONTEXTS]++; return 0; }
API int cuDevicePrimaryCtxRelease_v2(int device) { ENTER_FREE; (void)device; live[CONTEXTS]--; drain(); return 0; }
API int cuCtxSetCurrent(u64 context) { ENTER; return context >= 4096 ? 0 : 201; }
API int cuMemGetInfo_v2(size_t *free, size_t *all) { ENTER; *free = total - used, *all = total; return 0; }
API int cuDeviceGetDefaultMemPool(u64 *pool, int device) { ENTER; *pool = 8192 + device; return 0; }
API int cuMemPoolGetAttribute(u64 pool, int which, u64 *value) { ENTER; (void)pool; *value = threshold; return which == 4 ? 0 : 1; }
API int cuMemPoolSetAttribute(u64 pool, int which, const u64 *value) { ENTER; (void)pool; threshold = *value; return which == 4 ? 0 : 1; }
API int cuMemPoolTrimTo(u64 pool, size_t bytes) { ENTER; (void)pool, (void)bytes; return 0; }
API int cuStreamCreate(u64 *stream, unsigned flags) { ENTER; (void)flags; *stream = 77; live[STREAMS]++; return 0; }
API int cuStreamDestroy_v2(u64 stream) { ENTER_FREE; (void)stream; live[STREAMS]--; return 0; }
API int cuStreamSynchronize(u64 stream) { ENTER; hold = 0; return stream == 77 ? drain() : 400; }

API int cuEventCreate(u64 *event, unsigned flags) {
  ENTER;
  (void)flags;
  *event = (u64)calloc(1, sizeof(Event));
  live[EVENTS]++;
  return 0;
}
/* Its memory stays, as work in the queue may point to it. */
API int cuEventDestroy_v2(u64 event) { ENTER_FREE; (void)event; live[EVENTS]--; return 0; }
API int cuEventRecord(u64 event, u64 stream) {
  ENTER;
  if (stream != 77) return 400;
  ((Event *)event)->pending++;
  put(RECORD)->event = (Event *)event;
  return 0;
}
API int cuEventQuery(u64 event) {
  ENTER;
  int code = drain();
  return code ? code : ((Event *)event)->pending ? 600 : 0;
}
API int cuEventSynchronize(u64 event) { ENTER; (void)event; hold = 0; return drain(); }
API int cuEventElapsedTime(float *ms, u64 a, u64 b) {
  ENTER;
  *ms = (float)(((Event *)b)->time - ((Event *)a)->time);
  return 0;
}

static int allocate(u64 *address, size_t size, int pinned) {
  if (size == 0) return 1;
  if (!pinned && used + size > total) return 2;
  Memory *m = calloc(1, sizeof(Memory));
  m->data = aligned_alloc(256, (size + 255) / 256 * 256);
  /* So that what is not filled is seen; no more, as tests allocate much. */
  memset(m->data, 0xcd, size < 65536 ? size : 65536);
  m->size = size, m->pinned = pinned, m->next = memories;
  memories = m;
  if (!pinned) used += size;
  live[pinned ? PINNED : MEMORY]++;
  *address = (u64)m->data;
  return 0;
}
API int cuMemAllocAsync(u64 *address, size_t size, u64 stream) { ENTER; return stream == 77 ? allocate(address, size, 0) : 400; }
API int cuMemFreeAsync(u64 address, u64 stream) {
  ENTER_FREE;
  if (stream != 77 || !inside(address, 1, 0)) return 1;
  put(FREE)->to = address;
  return 0;
}
API int cuMemHostAlloc(u64 *address, size_t size, unsigned flags) { ENTER; (void)flags; return allocate(address, size, 1); }
API int cuMemFreeHost(u64 address) {
  ENTER_FREE;
  if (!inside(address, 1, 1)) return 1;
  drain();
  freeMemory(address);
  return 0;
}
API int cuMemsetD8Async(u64 to, unsigned char value, size_t bytes, u64 stream) {
  ENTER;
  if (stream != 77 || !inside(to, bytes, 0)) return 1;
  Work *w = put(SET);
  w->to = to, w->value = value, w->bytes = bytes;
  return 0;
}
static int copy(u64 to, u64 from, size_t bytes, int toPinned, int fromPinned) {
  if (!inside(to, bytes, toPinned) || !inside(from, bytes, fromPinned)) return 1;
  Work *w = put(COPY);
  w->to = to, w->from = from, w->bytes = bytes;
  return 0;
}
API int cuMemcpyHtoDAsync_v2(u64 to, u64 from, size_t bytes, u64 stream) { ENTER; (void)stream; return copy(to, from, bytes, 0, 1); }
API int cuMemcpyDtoHAsync_v2(u64 to, u64 from, size_t bytes, u64 stream) { ENTER; (void)stream; return copy(to, from, bytes, 1, 0); }
API int cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, u64 stream) { ENTER; (void)stream; return copy(to, from, bytes, 0, 0); }

/* A module is any bytes that do not begin with "broken". */
API int cuModuleLoadData(u64 *module, const char *image) {
  ENTER;
  if (!strncmp(image, "broken", 6)) return 200;
  Module *m = calloc(1, sizeof(Module));
  m->next = modules;
  modules = m;
  *module = (u64)m;
  live[MODULES]++;
  return 0;
}
API int cuModuleUnload(u64 module) { ENTER_FREE; (void)module; live[MODULES]--; return 0; }
API int cuModuleGetFunction(u64 *function, u64 module, const char *name) {
  ENTER;
  Kernel *k = calloc(1, sizeof(Kernel));
  snprintf(k->name, sizeof k->name, "%s", name);
  k->module = (Module *)module, k->next = kernels;
  kernels = k;
  *function = (u64)k;
  return 0;
}
API int cuFuncGetAttribute(int *value, int which, u64 function) {
  ENTER;
  (void)function;
  *value = which == 0 ? 1024 : which == 1 ? 1024 : 0;
  return 0;
}
API int cuFuncSetAttribute(u64 function, int which, int value) {
  ENTER;
  if (which != 8) return 1;
  ((Kernel *)function)->dynamicShared = value;
  return 0;
}

/* As the driver does: what is over 48 KiB must have been allowed. */
static int makeLaunch(Launch *l, u64 function, const unsigned *grid, const unsigned *block, unsigned shared, void **extra) {
  Kernel *k = (Kernel *)function;
  if (!extra || (u64)extra[0] != 1 || (u64)extra[2] != 2 || extra[4]) return 1;
  if (block[1] != 1 || block[2] != 1 || block[0] > 1024) return 1;
  if (shared + 1024 > 49152 && (int)shared > k->dynamicShared) return 1;
  l->event = NULL, l->kernel = k, l->block = block[0], l->shared = shared, l->size = *(size_t *)extra[3];
  memcpy(l->grid, grid, sizeof l->grid);
  l->arguments = malloc(l->size + 1);
  memcpy(l->arguments, extra[1], l->size);
  return 0;
}
API int cuLaunchKernel(u64 f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, u64 stream,
                       void **arguments, void **extra) {
  ENTER;
  unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  if (arguments || stream != 77) return 1;
  Launch l;
  int code = makeLaunch(&l, f, grid, block, shared, extra);
  if (!code) put(LAUNCH)->launch = l;
  return code;
}
API int cuGraphCreate(u64 *graph, unsigned flags) { ENTER; (void)flags; *graph = (u64)calloc(1, sizeof(Graph)); live[GRAPHS]++; return 0; }
API int cuGraphAddKernelNode_v2(u64 *node, u64 graph, const u64 *before, size_t count, const unsigned char *p) {
  ENTER;
  Graph *g = (Graph *)graph;
  /* Each launch stands behind the one before it. */
  if (count != (g->count ? 1u : 0u) || (count && before[0] != graph + g->count)) return 1;
  u64 function, words[4];
  unsigned sizes[8];
  memcpy(&function, p, 8);
  memcpy(sizes, p + 8, 32);
  memcpy(words, p + 40, 32);
  if (words[0] || words[2] || words[3]) return 1;
  Launch l;
  int code = makeLaunch(&l, function, sizes, sizes + 3, sizes[6], (void **)words[1]);
  if (code) return code;
  g->launches = realloc(g->launches, (g->count + 1) * sizeof(Launch));
  g->launches[g->count++] = l;
  *node = graph + g->count;
  return 0;
}
API int cuGraphAddEventRecordNode(u64 *node, u64 graph, const u64 *before, size_t count, u64 event) {
  ENTER;
  Graph *g = (Graph *)graph;
  if (count != (g->count ? 1u : 0u) || (count && before[0] != graph + g->count)) return 1;
  g->launches = realloc(g->launches, (g->count + 1) * sizeof(Launch));
  Launch l = {.arguments = malloc(1), .event = (Event *)event};
  g->launches[g->count++] = l;
  *node = graph + g->count;
  return 0;
}
API int cuGraphInstantiateWithFlags(u64 *exec, u64 graph, unsigned long long flags) {
  ENTER;
  (void)flags;
  Graph *g = (Graph *)graph, *copy = calloc(1, sizeof(Graph));
  *copy = *g;
  copy->launches = malloc((g->count + 1) * sizeof(Launch));
  for (int i = 0; i < g->count; i++) {
    Launch l = g->launches[i];
    unsigned char *arguments = malloc(l.size + 1);
    memcpy(arguments, l.arguments, l.size);
    l.arguments = arguments;
    copy->launches[i] = l;
  }
  *exec = (u64)copy;
  live[EXECS]++;
  return 0;
}
API int cuGraphLaunch(u64 exec, u64 stream) {
  ENTER;
  if (stream != 77) return 400;
  Graph *g = (Graph *)exec;
  for (int i = 0; i < g->count; i++) {
    Event *event = g->launches[i].event;
    if (event) {
      event->pending++;
      put(RECORD)->event = event;
      continue;
    }
    Work *w = put(LAUNCH);
    w->launch = g->launches[i];
    w->launch.arguments = malloc(w->launch.size + 1);
    memcpy(w->launch.arguments, g->launches[i].arguments, w->launch.size);
  }
  return 0;
}
static void freeGraph(u64 graph) {
  Graph *g = (Graph *)graph;
  for (int i = 0; i < g->count; i++) free(g->launches[i].arguments);
  free(g->launches);
  free(g);
}
API int cuGraphExecDestroy(u64 exec) { ENTER_FREE; freeGraph(exec); live[EXECS]--; return 0; }
API int cuGraphDestroy(u64 graph) { ENTER_FREE; freeGraph(graph); live[GRAPHS]--; return 0; }

/* A map is 32 words that say what it was made of: kind, type, rank, modes; the address; lengths; strides; box or windows. */
static int map(unsigned *to, unsigned kind, unsigned type, unsigned rank, u64 address, const u64 *lengths, const u64 *strides, const int *modes) {
  if ((u64)to % 64 || address % 16 || !inside(address, 1, 0)) return 1;
  memset(to, 0, 128);
  to[0] = kind, to[1] = type, to[2] = rank, to[3] = modes[0] << 12 | modes[1] << 8 | modes[2] << 4 | modes[3];
  memcpy(to + 4, &address, 8);
  for (unsigned i = 0; i < rank; i++) to[6 + i] = lengths[i];
  for (unsigned i = 0; i + 1 < rank; i++) to[11 + i] = strides[i];
  return 0;
}
API int cuTensorMapEncodeTiled(unsigned *to, int type, unsigned rank, u64 address, const u64 *lengths, const u64 *strides, const unsigned *box,
                               const unsigned *steps, int interleave, int swizzle, int promotion, int fill) {
  ENTER;
  const int modes[4] = {interleave, swizzle, promotion, fill};
  int code = map(to, 1, type, rank, address, lengths, strides, modes);
  for (unsigned i = 0; !code && i < rank; i++) to[16 + i] = box[i] * steps[i];
  return code;
}
API int cuTensorMapEncodeIm2col(unsigned *to, int type, unsigned rank, u64 address, const u64 *lengths, const u64 *strides, const int *lower,
                                const int *upper, unsigned channels, unsigned pixels, const unsigned *steps, int interleave, int swizzle,
                                int promotion, int fill) {
  ENTER;
  const int modes[4] = {interleave, swizzle, promotion, fill};
  int code = map(to, 2, type, rank, address, lengths, strides, modes);
  const unsigned rest[10] = {lower[0], lower[1], upper[0], upper[1], channels, pixels, steps[0], steps[1], steps[2], steps[3]};
  if (!code) memcpy(to + 16, rest, sizeof rest);
  return code;
}

API int cuGetErrorName(int code, const char **name) {
  ENTER_FREE;
  *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE" : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" :
          code == 1 ? "CUDA_ERROR_INVALID_VALUE" : code == 200 ? "CUDA_ERROR_INVALID_IMAGE" : NULL;
  return *name ? 0 : 1;
}
API int cuGetErrorString(int code, const char **words) {
  ENTER_FREE;
  *words = code == 2 ? "out of memory" : code == 100 ? "no CUDA-capable device is detected" :
           code == 700 ? "an illegal memory access was encountered" : code == 1 ? "invalid argument" : NULL;
  return *words ? 0 : 1;
}
