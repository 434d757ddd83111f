// What a core can do at most: fused multiply-adds that wait for no other and for no memory.
#pragma once
#include <time.h>
#include "lane.h"

constexpr int CHAINS = 4 * MAXP;  // the accumulators of the largest tile; more than a core has multiply-adds under way

static inline double processor_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/// `times` multiply-adds in each of the chains, whose numbers stay near 1.
NOINLINE static float chains(long times) {
  in_order();  // a function without effects could be called once for all times
  v sum[CHAINS];
  const v kept = in_register(all(0.5f)), added = in_register(all(0.5f));
  OVER(i, CHAINS, sum[i] = in_register(all(1.0f)));
  for (long t = 0; t < times; t++) OVER(i, CHAINS, sum[i] = fma(sum[i], kept, added));
  v total = all(0.0f);
  OVER(i, CHAINS, total = total + in_register(sum[i]));
  return get_lane(total, 0);
}

/// Floating-point operations per second of processor time, over at least so many such seconds.
static double fma_peak(double seconds) {
  constexpr long TIMES = 100000;
  volatile float used = chains(TIMES);
  const double start = processor_seconds();
  double done = 0, elapsed = 0;
  do {
    used = chains(TIMES);
    done += 2.0 * L * CHAINS * TIMES;
    elapsed = processor_seconds() - start;
  } while (elapsed < seconds);
  (void)used;
  return done / elapsed;
}
