// What Python calls. A pack is 16 trials: one network on 16 lanes, two on 8, or four on 4.
#include "elementwise.h"
#include "network.h"
#include "peak.h"

constexpr int NETWORKS = PACK / L;

struct Pack {
  int used = 0;  // networks that have a trial
  Network network[NETWORKS];
};

inline void* operator new(size_t, void* where) noexcept { return where; }

extern "C" {
int32_t lanes_most_layers() { return MOST_LAYERS; }

void lanes_free(Pack* pack) {
  for (int i = 0; i < pack->used; i++) pack->network[i].close();
  free(pack);
}

/// Null where there is not enough memory.
Pack* lanes_new(const NetworkSpec* spec) {
  void* memory = aligned_alloc(64, (sizeof(Pack) + 63) / 64 * 64);
  if (!memory) return nullptr;
  Pack* pack = new (memory) Pack();
  while (pack->used < NETWORKS && pack->used * L < spec->trials) {
    const int i = pack->used++;
    if (!pack->network[i].open(*spec, i * L)) { lanes_free(pack); return nullptr; }
  }
  return pack;
}

void lanes_train(Pack* pack, const Block* block, int32_t steps) {
  for (int i = 0; i < pack->used; i++) pack->network[i].train(*block, steps);
}

/// 0 where there is not enough memory.
int32_t lanes_evaluate(Pack* pack, const Part* part, int32_t count, int32_t statistics) {
  for (int i = 0; i < pack->used; i++)
    if (!pack->network[i].evaluate(*part, count, statistics)) return 0;
  return 1;
}

void lanes_copy(Pack* pack, int32_t layer, int32_t array, int32_t moment, float* values, int32_t writes) {
  for (int i = 0; i < pack->used; i++) pack->network[i].copy(layer, array, moment, values, writes);
}

void lanes_last_statistics(const Pack* pack, int32_t layer, double* mean, double* var) {
  for (int i = 0; i < pack->used; i++) pack->network[i].last_statistics(layer, mean, var);
}

void lanes_elementwise(int32_t kind, int32_t slope, const float* x, float* y, int64_t n) { elementwise(kind, slope, x, y, n); }

void lanes_threefry(const int32_t* key, const int32_t* counter, int32_t* words) { words_of(key, counter, words); }

double lanes_fma_peak(double seconds) { return fma_peak(seconds); }

void lanes_set_taken(Pack* pack, int64_t steps) {
  for (int i = 0; i < pack->used; i++) pack->network[i].set_taken(steps);
}
}
