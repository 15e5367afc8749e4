#include "fiber.h"
#include <sys/mman.h>
#include <cstdint>
#include <new>
#if defined(__x86_64__) && !defined(FOVEA_UCONTEXT)
#define FOVEA_SWITCH
#else
#include <ucontext.h>
#endif

namespace fovea {

#ifdef FOVEA_SWITCH

// Keeps the registers that a callee keeps on the stack, and the stack's top in *from (rdi); takes up what was left at `to` (rsi).
extern "C" void foveaSwitch(void **from, void *to);
asm(R"(
  .text
  .p2align 4
  .type foveaSwitch, @function
foveaSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size foveaSwitch, . - foveaSwitch
)");

static void *prepared(char *memory, void (*start)()) {
  // A function is entered with its return address at a multiple of 16 less 8: one word of nothing, the address of `start`, six registers.
  void **top = reinterpret_cast<void **>(memory + Fibers::stackBytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(start);
  for (int i = 0; i < 6; i++) *--top = nullptr;
  return top;
}

void Fibers::enter(Fiber *fiber) { foveaSwitch(&home_, fiber->left); }
void Fibers::leave(Fiber *fiber) { foveaSwitch(&fiber->left, home_); }

#else

static ucontext_t *prepared(char *memory, void (*start)()) {
  ucontext_t *context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = memory;
  context->uc_stack.ss_size = Fibers::stackBytes;
  context->uc_link = nullptr;
  makecontext(context, start, 0);
  return context;
}

void Fibers::enter(Fiber *fiber) {
  if (home_ == nullptr) home_ = new ucontext_t;
  swapcontext(static_cast<ucontext_t *>(home_), static_cast<ucontext_t *>(fiber->left));
}
void Fibers::leave(Fiber *fiber) { swapcontext(static_cast<ucontext_t *>(fiber->left), static_cast<ucontext_t *>(home_)); }

#endif

Fiber *Fibers::take(void (*start)()) {
  if (free_.empty()) {
    const std::size_t page = 4096;
    void *memory = mmap(nullptr, stackBytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mprotect(memory, page, PROT_NONE);
    free_.push_back(new Fiber{static_cast<char *>(memory) + page, nullptr});
  }
  Fiber *fiber = free_.back();
  free_.pop_back();
#ifndef FOVEA_SWITCH
  delete static_cast<ucontext_t *>(fiber->left);
#endif
  fiber->left = prepared(fiber->memory, start);
  return fiber;
}

}  // namespace fovea
