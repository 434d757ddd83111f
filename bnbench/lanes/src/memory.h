// One stretch of zeroed memory for all arrays of a network, in huge pages where the system has them.
#pragma once
#ifdef __linux__
#include <sys/mman.h>
#endif
#include "lane.h"

constexpr size_t HUGE_PAGE = 2u << 20;

struct Arena {
  char* base = nullptr;  // null while an arena only adds up what is taken of it
  size_t used = 0;

  /// Takes memory of so many bytes from the system; false where there is none.
  bool open(size_t bytes) {
    const size_t size = (bytes + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    base = (char*)aligned_alloc(HUGE_PAGE, size ? size : HUGE_PAGE);
    if (!base) return false;
#ifdef __linux__
    madvise(base, size, MADV_HUGEPAGE);
#endif
    memset(base, 0, size);
    return true;
  }
  template <class T> T* take(size_t count) {
    T* taken = base ? (T*)(base + used) : nullptr;
    used += (count * sizeof(T) + 63) & ~(size_t)63;
    return taken;
  }
  void close() {
    free(base);
    base = nullptr;
    used = 0;
  }
};
