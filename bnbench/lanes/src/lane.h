// One vector holds one number of L trials. Everything that differs between processors is in this file.
//
// Compiled with -ffp-contract=off: products are fused with sums where `fma` says so and nowhere else, square roots and
// quotients are IEEE's, and exp, log and the like are those of functions.h. So a lane's bits depend on nothing but its
// own numbers and the order of operations, which is that of the source: not on the compiler, L, the instruction set, or
// the other lanes.
#pragma once
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALWAYS __attribute__((always_inline))
#define INLINE static inline ALWAYS  // where an array of sums is passed, which else has to be in memory
#define NOINLINE __attribute__((noinline))

#if defined(__AVX512F__)
#include <immintrin.h>
constexpr int L = 16, MAXP = 6;  // lanes; rows of the largest tile (24 accumulators, 4 + 1 operands)
typedef __m512 v;
typedef __m512i vi;
static inline v fma(v a, v b, v c) { return _mm512_fmadd_ps(a, b, c); }
static inline v root(v a) { return _mm512_sqrt_ps(a); }
static inline v larger(v a, v b) { return _mm512_max_ps(a, b); }  // b where either is NaN
static inline v where_larger(v a, v b, v yes, v no) { return _mm512_mask_mov_ps(no, _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), yes); }
static inline v all(float a) { return _mm512_set1_ps(a); }
static inline vi all(int a) { return _mm512_set1_epi32(a); }
static inline v of_bytes(const uint8_t* p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p))); }
static inline v equal(vi a, vi b, v yes) { return _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(a, b), yes); }
static inline v as_float(vi a) { return _mm512_castsi512_ps(a); }
static inline vi as_int(v a) { return _mm512_castps_si512(a); }
static inline vi add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi shift_left(vi a) { return _mm512_slli_epi32(a, 23); }
static inline vi shift_right(vi a) { return _mm512_srai_epi32(a, 23); }
static inline vi both(vi a, vi b) { return _mm512_and_si512(a, b); }
static inline vi different(vi a, vi b) { return _mm512_xor_si512(a, b); }
template <int n> static inline vi rotate(vi a) { return _mm512_rol_epi32(a, n); }  // to the left
template <int n> static inline vi shift_down(vi a) { return _mm512_srli_epi32(a, n); }  // zeros come in
static inline v of_int(vi a) { return _mm512_cvtepi32_ps(a); }
#define REGISTER "+v"
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
constexpr int L = 8, MAXP = 3;
typedef __m256 v;
typedef __m256i vi;
static inline v fma(v a, v b, v c) { return _mm256_fmadd_ps(a, b, c); }
static inline v root(v a) { return _mm256_sqrt_ps(a); }
static inline v larger(v a, v b) { return _mm256_max_ps(a, b); }
static inline v where_larger(v a, v b, v yes, v no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
static inline v all(float a) { return _mm256_set1_ps(a); }
static inline vi all(int a) { return _mm256_set1_epi32(a); }
static inline v of_bytes(const uint8_t* p) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p))); }
static inline v equal(vi a, vi b, v yes) { return _mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)), yes); }
static inline v as_float(vi a) { return _mm256_castsi256_ps(a); }
static inline vi as_int(v a) { return _mm256_castps_si256(a); }
static inline vi add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi shift_left(vi a) { return _mm256_slli_epi32(a, 23); }
static inline vi shift_right(vi a) { return _mm256_srai_epi32(a, 23); }
static inline vi both(vi a, vi b) { return _mm256_and_si256(a, b); }
static inline vi different(vi a, vi b) { return _mm256_xor_si256(a, b); }
template <int n> static inline vi shift_down(vi a) { return _mm256_srli_epi32(a, n); }
template <int n> static inline vi rotate(vi a) { return _mm256_or_si256(_mm256_slli_epi32(a, n), shift_down<32 - n>(a)); }
static inline v of_int(vi a) { return _mm256_cvtepi32_ps(a); }
#define REGISTER "+x"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
constexpr int L = 4, MAXP = 6;
typedef float32x4_t v;
typedef int32x4_t vi;
static inline v fma(v a, v b, v c) { return vfmaq_f32(c, a, b); }
static inline v root(v a) { return vsqrtq_f32(a); }
static inline v larger(v a, v b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }  // not vmaxq, whose NaN and -0 are others than x86's
static inline v where_larger(v a, v b, v yes, v no) { return vbslq_f32(vcgtq_f32(a, b), yes, no); }
static inline v all(float a) { return vdupq_n_f32(a); }
static inline vi all(int a) { return vdupq_n_s32(a); }
static inline v of_bytes(const uint8_t* p) {
  uint32_t four; memcpy(&four, p, 4);
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}
static inline v equal(vi a, vi b, v yes) { return vreinterpretq_f32_u32(vandq_u32(vceqq_s32(a, b), vreinterpretq_u32_f32(yes))); }
static inline v as_float(vi a) { return vreinterpretq_f32_s32(a); }
static inline vi as_int(v a) { return vreinterpretq_s32_f32(a); }
static inline vi add(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi sub(vi a, vi b) { return vsubq_s32(a, b); }
static inline vi shift_left(vi a) { return vshlq_n_s32(a, 23); }
static inline vi shift_right(vi a) { return vshrq_n_s32(a, 23); }
static inline vi both(vi a, vi b) { return vandq_s32(a, b); }
static inline vi different(vi a, vi b) { return veorq_s32(a, b); }
template <int n> static inline vi shift_down(vi a) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), n)); }
template <int n> static inline vi rotate(vi a) { return vsriq_n_s32(vshlq_n_s32(a, n), a, 32 - n); }
static inline v of_int(vi a) { return vcvtq_f32_s32(a); }
#define REGISTER "+w"
#else
#error "needs AVX-512, AVX2 with FMA, or NEON"
#endif

static inline v relu(v a) { return larger(all(0.0f), a); }  // of NaN: NaN

/// The same number, loaded once: GCC otherwise folds a load into every fma that uses it, and loads then bound the speed at
/// half the peak. Of zeros that many sums start from, clang otherwise makes memory set to zero, and keeps the sums there.
INLINE v in_register(v x) { __asm__("" : REGISTER(x)); return x; }
/// Keeps loads before and after it apart, which would else all come first and push sums out of registers.
INLINE void in_order() { __asm__ volatile("" ::: "memory"); }

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#define EACH(i, n) UNROLL for (int i = 0; i < (n); i++)

static inline int smaller(int a, int b) { return a < b ? a : b; }
static inline long larger(long a, long b) { return a > b ? a : b; }

/// A number known to the compiler. (C's headers alone are used, so that no C++ library has to be there or be built.)
template <int n> struct Width { constexpr operator int() const { return n; } };

/// f(0), …, f(n - 1) written out, each number known to the compiler: what an array of accumulators needs to become registers.
/// (Of loops with an unroll pragma GCC 12 makes registers, clang 22 only some: it stored the others at every step.)
template <int n, class F> INLINE void each(F f) {
  if constexpr (n > 0) { each<n - 1>(f); f(Width<n - 1>()); }
}
#define OVER(i, n, ...) each<n>([&](auto i) ALWAYS { __VA_ARGS__; })

/// Calls f with P = n as a compile-time number, 1 <= n <= MAXP.
template <class F> static inline void with_width(int n, F f) {
  switch (n) {
    case 1: return f(Width<1>());
    case 2: return f(Width<2>());
    case 3: return f(Width<3>());
#define CASE(m) case m: if constexpr (MAXP >= m) return f(Width<m>()); else break
    CASE(4); CASE(5); CASE(6);
#undef CASE
  }
}

/// Cuts n into tiles of nearly equal widths, at most MAXP, and calls f(start, width) for each.
template <class F> static inline void in_tiles(int n, F f) {
  int count = (n + MAXP - 1) / MAXP, base = n / count, more = n % count;
  for (int t = 0, start = 0; t < count; t++) {
    int width = base + (t < more);
    with_width(width, [&](auto P) { f(start, P); });
    start += width;
  }
}

static inline void set_lane(vi& x, int lane, int32_t value) { memcpy((char*)&x + 4 * lane, &value, 4); }
static inline void set_lane(v& x, int lane, float value) { memcpy((char*)&x + 4 * lane, &value, 4); }
static inline float get_lane(const v& x, int lane) { float r; memcpy(&r, (const char*)&x + 4 * lane, 4); return r; }

/// L rows of 16 bytes become 16 rows of L bytes: log2(L) perfect shuffles.
typedef uint8_t bytes16 __attribute__((vector_size(16)));
static inline void transpose_bytes(const uint8_t* const* rows, size_t at, uint8_t* out) {
  bytes16 a[L], b[L];
  EACH(i, 4) memcpy(&a[i], rows[i] + at, 16);
  for (int i = 4; i < L; i++) memcpy(&a[i], rows[i] + at, 16);
  for (int done = 1; done < L; done *= 2) {
    for (int i = 0; i < L / 2; i++) {
      b[2 * i] = __builtin_shufflevector(a[i], a[i + L / 2], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + L / 2], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    memcpy(a, b, sizeof a);
  }
  memcpy(out, a, sizeof a);
}
