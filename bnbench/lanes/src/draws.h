// Random numbers that are a function of a key and a counter and of nothing else, so that what a lane draws does not depend on
// what was drawn before it: not on the pack, the lane, where training was resumed, or the instruction set.
#pragma once
#include "functions.h"

constexpr int ROUNDS = 13;

/// Four words of every lane.
struct Words { vi of[4]; };

/// A key of Threefry, with the word that it adds to the four.
struct Key {
  vi of[5];
  void complete() { of[4] = different(different(different(of[0], of[1]), different(of[2], of[3])), all(0x1BD11BDA)); }
};

template <int round> INLINE void mix(Words& x, const Key& key) {
  constexpr int turns[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
  constexpr int a = round % 2 ? 3 : 1, b = 4 - a;
  x.of[0] = add(x.of[0], x.of[a]);
  x.of[a] = different(rotate<turns[round % 8][0]>(x.of[a]), x.of[0]);
  x.of[2] = add(x.of[2], x.of[b]);
  x.of[b] = different(rotate<turns[round % 8][1]>(x.of[b]), x.of[2]);
  if constexpr (round % 4 == 3) {
    constexpr int s = (round + 1) / 4;
    OVER(i, 4, x.of[i] = add(x.of[i], key.of[(s + i) % 5]));
    x.of[3] = add(x.of[3], all(s));
  }
}

/// Threefry-4x32 with 13 rounds: sums, exclusive ors and rotations of 32-bit words. From 12 rounds on it passes all of BigCrush.
/// J. K. Salmon, M. A. Moraes, R. O. Dror & D. E. Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
INLINE Words threefry(const Key& key, Words counter) {
  OVER(i, 4, counter.of[i] = add(counter.of[i], key.of[i]));
  OVER(round, ROUNDS, mix<round>(counter, key));
  return counter;
}

/// What a layer draws, each from counters of its own.
enum Drawn { DROPPED = 0, MEAN_SHIFT = 1, MEAN_SCALE = 2, SHIFT = 3, SCALE = 4 };

/// The draws of one layer and each lane's trial. At each step there is a word for each value [position][channel] of a batch, and
/// a position is an example's number times the pixels of the map, plus the pixel. Four channels share a counter.
struct Draws {
  Key key;

  void set_seed(int lane, int64_t seed) {
    set_lane(key.of[0], lane, (int32_t)(uint64_t)seed);
    set_lane(key.of[1], lane, (int32_t)((uint64_t)seed >> 32));
    key.of[2] = key.of[3] = all(0);
    key.complete();
  }
  ALWAYS Words words(Drawn what, long step, long position, int first_channel) const {
    return threefry(key, {all((int)position), all(first_channel / 4), all((int)step), all((int)what)});
  }
};

/// A multiple of 2^-24 in [0, 1).
static inline v uniform(vi word) { return of_int(shift_down<8>(word)) * all(0x1p-24f); }

/// Two independent normal numbers of mean 0 and standard deviation 1, of at most 5.77 in size: Box & Muller (1958).
struct NormalPair { v one, other; };
static inline NormalPair normal_pair(vi of_radius, vi of_angle) {
  const v size = root(all(-2.0f) * log(uniform(of_radius) + all(0x1p-24f)));  // of (0, 1]
  const Turn turn = turned(uniform(of_angle));
  return {size * turn.cosine, size * turn.sine};
}
