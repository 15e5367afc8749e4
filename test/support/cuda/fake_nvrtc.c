/*
 * An NVRTC that compiles nothing: its "cubin" is the program's name and options as text. A source with FAIL in it does not compile, and of one with
 * MUTE there is no log.
 *
 *   fake_compilations()   how many there were
 *   fake_source()         the last source, and behind it the names of its headers
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API __attribute__((visibility("default")))
typedef struct { char *source, *name, cubin[512], log[256]; } Program;

static int compilations;
static char last[1 << 16];

API int fake_compilations(void) { return compilations; }
API const char *fake_source(void) { return last; }

API int nvrtcVersion(int *major, int *minor) { *major = 13, *minor = 0; return 0; }
API int nvrtcGetNumSupportedArchs(int *n) { *n = 5; return 0; }
API int nvrtcGetSupportedArchs(int *list) {
  const int known[5] = {75, 80, 86, 90, 100};
  memcpy(list, known, sizeof known);
  return 0;
}
API const char *nvrtcGetErrorString(int code) { return code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR_INVALID_INPUT"; }
API int nvrtcCreateProgram(Program **out, const char *source, const char *name, int n, const char **headers, const char **names) {
  Program *p = *out = calloc(1, sizeof(Program));
  p->source = strdup(source), p->name = strdup(name);
  int at = snprintf(last, sizeof last, "%s", source);
  for (int i = 0; i < n && at < (int)sizeof last; i++) at += snprintf(last + at, sizeof last - at, "\n%s %zu", names[i], strlen(headers[i]));
  return 0;
}
API int nvrtcCompileProgram(Program *p, int n, const char **options) {
  __atomic_fetch_add(&compilations, 1, __ATOMIC_SEQ_CST);
  if (strstr(p->source, "FAIL")) {
    snprintf(p->log, sizeof p->log, "%s(3): error: FAIL is not a word", p->name);
    return 6;
  }
  int at = snprintf(p->cubin, sizeof p->cubin, "cubin of %s", p->name);
  for (int i = 0; i < n; i++) at += snprintf(p->cubin + at, sizeof p->cubin - at, " %s", options[i]);
  return 0;
}
API int nvrtcGetProgramLogSize(Program *p, size_t *n) { *n = strlen(p->log) + 1; return strstr(p->source, "MUTE") ? 3 : 0; }
API int nvrtcGetProgramLog(Program *p, char *log) { strcpy(log, p->log); return 0; }
API int nvrtcGetCUBINSize(Program *p, size_t *n) { *n = strlen(p->cubin) + 1; return 0; }
API int nvrtcGetCUBIN(Program *p, char *cubin) { strcpy(cubin, p->cubin); return 0; }
API int nvrtcDestroyProgram(Program **p) {
  free((*p)->source), free((*p)->name), free(*p);
  *p = NULL;
  return 0;
}
