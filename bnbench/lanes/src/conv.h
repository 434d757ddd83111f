// 3x3 convolutions of stride 1 or 2. Maps are [row][column][channel]; weights [CO / 4][3][3][CI][4 outputs].
//
// There are two ways, chosen by the width of the output. Wide maps go image by image: a tile is P positions of a row, and
// the input has columns of zeros on either side, so that a row of taps is one stretch of 3 * CI terms. Narrow maps go in
// groups of images: a tile is one position of P images, and only the taps that meet the map are computed.
#pragma once
#include "linear.h"

constexpr int PANEL = 336;  // vectors of weights that stay in the first cache beside the operands; part of the bits
constexpr int MARGIN = 2;   // columns of zeros on either side of a wide map's gradient: as far as a kernel can reach

struct Conv {
  int H, W, CI;       // of the input; CI is padded to a multiple of four, but for an image's
  int S, left, top;   // stride, and zeros before each row and each column of the input
  int HO, WO, CO;     // of the output; CO is padded to a multiple of four
  bool wide() const { return WO >= 12; }
  long in() const { return (long)H * W * CI; }
  long out() const { return (long)HO * WO * CO; }
  long weights() const { return 9L * CI * CO; }
  int right() const { const int reach = (WO - 1) * S + 3 - left - W; return reach > 0 ? reach : 0; }
  long padded_row() const { return (long)(left + W + right()) * CI; }     // of a wide map
  long gradient_row() const { return (long)(WO + 2 * MARGIN) * CO; }      // of a wide map's gradient
  int images_at_a_time() const { return wide() ? 1 : HO * WO >= 12 ? 8 : 32; }
  int images_for_weights() const { return HO * WO >= 40 ? 1 : HO * WO >= 12 ? 4 : 16; }

  /// Vectors that `room` needs below: three panels of turned weights.
  long room() const { return 36L * CO; }

  /// The outputs o, [from, to), whose tap k meets an input: 0 <= o * S + k - before < size.
  void meets(int k, int before, int size, int outputs, int* from, int* to) const {
    *from = k < before ? (before - k + S - 1) / S : 0;
    const int last = size - 1 + before - k;
    *to = last < 0 ? 0 : smaller(outputs, last / S + 1);
  }
  int first_tap(int o, int before) const { return o * S < before ? before - o * S : 0; }

  // ---- wide maps: x [H][padded_row()], g [HO][gradient_row()] ----

  void forward_wide(const v* w, const v* bias, const v* x, v* y, Ahead& ahead) const {
    const int K = 3 * CI, most = 9 * CI * 4 <= PANEL ? 3 : 1;  // rows of taps at a time
    for (int o = 0; o < CO; o += 4)
      for (int k0 = 0; k0 < 3; k0 += most)
        for (int h = 0; h < HO; h++) {
          Run runs[3];
          int count = 0;
          for (int k = k0; k < k0 + most; k++) {
            const int row = h * S + k - top;
            if (row >= 0 && row < H) runs[count++] = {x + row * padded_row(), w + ((long)o / 4 * 3 + k) * K * 4};
          }
          if (!count) continue;
          const bool begun = first_tap(h, top) < k0;
          in_tiles(WO, [&](int p0, auto P) {
            Run here[3];
            for (int r = 0; r < count; r++) here[r] = {runs[r].x + (long)p0 * S * CI, runs[r].w};
            v* to = y + ((long)h * WO + p0) * CO + o;
            tile_forward<P>(here, count, K, S * CI, {to, CO, begun || !bias ? nullptr : bias + o, begun ? to : nullptr, nullptr}, ahead.take(count * K));
          });
        }
  }

  /// The weights of inputs i … i + 3 at one tap, for all outputs, as a panel [CO][4 inputs].
  void turn(const v* w, int i, int k, int t, v* panel) const {
    for (int o = 0; o < CO; o += 4, panel += 16) {
      const v* from = w + (((long)o / 4 * 9 + k * 3 + t) * CI + i) * 4;
      EACH(q, 4) EACH(j, 4) panel[q * 4 + j] = from[j * 4 + q];
    }
  }

  /// The gradient by the input, as a convolution of g with panels of the weights of four inputs.
  void by_input_wide(const v* w, const v* g, v* dx, v* room, Ahead& ahead) const {
    for (int i = 0; i < CI; i += 4)
      for (int r = 0; r < S; r++) {  // columns r, r + S, …: the output columns that reach them, leftmost first
        int taps = 0, first = 0, tap[3];
        for (int t = 2; t >= 0; t--)
          if ((r + left - t) % S == 0) { if (!taps) first = (r + left - t) / S; tap[taps++] = t; }
        const int K = taps * CO, columns = (W - r + S - 1) / S, most = 3 * K * 4 <= PANEL ? 3 : 1;
        for (int k = 0; k < 3; k++)
          for (int t = 0; t < taps; t++) turn(w, i, k, tap[t], room + (long)(k * taps + t) * CO * 4);
        for (int k0 = 0; k0 < 3; k0 += most)
          for (int h = 0; h < H; h++) {
            Run runs[3];
            int count = 0;
            bool begun = false;
            for (int k = 0; k < k0 + most; k++) {
              const int row = h + top - k;
              if (row < 0 || row % S || row / S >= HO) continue;
              if (k < k0) begun = true;
              else runs[count++] = {g + row / S * gradient_row() + (long)(first + MARGIN) * CO, room + (long)k * K * 4};
            }
            if (!count && (begun || k0 + most < 3)) continue;
            in_tiles(columns, [&](int p0, auto P) {
              Run here[3];
              for (int t = 0; t < count; t++) here[t] = {runs[t].x + (long)p0 * CO, runs[t].w};
              v* to = dx + ((long)h * W + r + S * p0) * CI + i;
              tile_forward<P>(here, count, K, CO, {to, S * CI, nullptr, begun ? to : nullptr, nullptr}, ahead.take(count * K));
            });
          }
      }
  }

  /// Adds one image's gradient by the weights to dw.
  void by_weight_wide(const v* x, const v* g, v* dw, Ahead& ahead) const {
    const int K = 3 * CI, rows = CI == 1 ? 4 : 1;  // of the output, at a time
    for (int h0 = 0; h0 < HO; h0 += rows)
      for (int k = 0; k < 3; k++) {
        int a, b;
        meets(k, top, H, HO, &a, &b);
        a = a > h0 ? a : h0;
        b = smaller(b, h0 + rows);
        if (a >= b) continue;
        const Loop loops[3] = {{1, 0, 0}, {b - a, S * padded_row(), gradient_row()}, {WO, S * CI, CO}};
        const v *from = x + (a * S + k - top) * padded_row(), *by = g + a * gradient_row() + MARGIN * CO;
        in_tiles(K, [&](int i0, auto P) {
          for (int o = 0; o < CO; o += 4) {
            v* to = dw + (((long)o / 4 * 3 + k) * K + i0) * 4;
            tile_by_weight<P>(from + i0, by + o, loops, {to, 4, nullptr, to, nullptr}, ahead.take((b - a) * WO));
          }
        });
      }
  }

  // ---- narrow maps; G images: x [G][H][W][CI], g [G][HO][WO][CO] ----

  void forward_narrow(const v* w, const v* bias, const v* x, v* y, int G, Ahead& ahead) const {
    const int most = 3 * CI * 4 <= PANEL ? 3 : 1;  // taps of a row at a time
    for (int o = 0; o < CO; o += 4)
      for (int k = 0; k < 3; k++) {
        int h0, h1;
        meets(k, top, H, HO, &h0, &h1);
        for (int t0 = 0; t0 < 3; t0 += most)
          for (int h = h0; h < h1; h++)
            for (int q = 0; q < WO; q++) {
              const int begin = first_tap(q, left), beyond = smaller(3, W + left - q * S);  // taps that meet the row
              const int a = t0 > begin ? t0 : begin, b = smaller(beyond, t0 + most);
              if (a >= b) continue;
              const bool first = k == first_tap(h, top) && a == begin;
              const Run run{x + ((long)(h * S + k - top) * W + q * S + a - left) * CI, w + (((long)o / 4 * 9 + k * 3 + a) * CI) * 4};
              in_tiles(G, [&](int n0, auto P) {
                const Run here{run.x + n0 * in(), run.w};
                v* to = y + n0 * out() + ((long)h * WO + q) * CO + o;
                tile_forward<P>(&here, 1, (b - a) * CI, in(), {to, out(), first && bias ? bias + o : nullptr, first ? nullptr : to, nullptr}, ahead.take((b - a) * CI));
              });
            }
      }
  }

  void by_input_narrow(const v* w, const v* g, v* dx, int G, v* room, Ahead& ahead) const {
    memset((void*)dx, 0, sizeof(v) * in() * G);
    for (int i = 0; i < CI; i += 4)
      for (int k = 0; k < 3; k++)
        for (int t = 0; t < 3; t++) {
          int h0, h1, q0, q1;
          meets(k, top, H, HO, &h0, &h1);
          meets(t, left, W, WO, &q0, &q1);
          if (h0 >= h1 || q0 >= q1) continue;
          turn(w, i, k, t, room);
          for (int h = h0; h < h1; h++)
            for (int q = q0; q < q1; q++)
              in_tiles(G, [&](int n0, auto P) {
                const Run here{g + n0 * out() + ((long)h * WO + q) * CO, room};
                v* to = dx + n0 * in() + ((long)(h * S + k - top) * W + q * S + t - left) * CI + i;
                tile_forward<P>(&here, 1, CO, out(), {to, in(), nullptr, to, nullptr}, ahead.take(CO));
              });
        }
  }

  /// Adds G images' gradient by the weights to dw, or starts it if these are the first; calls `done(o)` once the gradient
  /// of the weights of outputs o … o + 3 is complete.
  template <class F> void by_weight_narrow(const v* x, const v* g, int G, v* dw, bool first, Ahead& ahead, F done) const {
    const Loop images{G, in(), out()};
    for (int o = 0; o < CO; o += 4) {
      in_tiles(CI, [&](int i0, auto P) {
        for (int k = 0; k < 3; k++)
          for (int t = 0; t < 3; t++) {
            int h0, h1, q0, q1;
            meets(k, top, H, HO, &h0, &h1);
            meets(t, left, W, WO, &q0, &q1);
            h1 = h1 < h0 ? h0 : h1;  // a tap that meets nothing has a gradient of zero
            q1 = q1 < q0 ? q0 : q1;
            const Loop rows{h1 - h0, (long)S * W * CI, (long)WO * CO}, columns{q1 - q0, S * CI, CO};
            const bool along = G >= WO;  // the innermost loop is over images
            const Loop loops[3] = {along ? rows : images, along ? columns : rows, along ? images : columns};
            v* to = dw + (long)o * 9 * CI + ((k * 3L + t) * CI + i0) * 4;
            const v* from = x + ((long)(h0 * S + k - top) * W + q0 * S + t - left) * CI + i0;
            tile_by_weight<P>(from, g + ((long)h0 * WO + q0) * CO + o, loops, {to, 4, nullptr, first ? nullptr : to, nullptr}, ahead.take((long)G * (h1 - h0) * (q1 - q0)));
          }
      });
      done(o);
    }
  }
};
