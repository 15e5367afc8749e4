// Tensor cores: products of fragments by the lanes' layouts of the PTX ISA, and ldmatrix.
#include <cstring>
#include "block.h"
#include "halves.h"

namespace fovea {

namespace {

/**
 * sum += A B, 16 x K by K x 8, a lane's fragments as in lib/mma.cuh. Products are exact; of each `Step` of them with what was summed
 * before, the sum is cut off, not rounded: so were tensor cores found to do (M. Fasi et al., "Numerical behavior of NVIDIA tensor cores",
 * PeerJ Computer Science 7, 2021). How hardware cuts within a step is not modelled.
 */
template <int K, int Step, class Element> void product(void *const lanes[32], Element element) {
  float a[16][K], b[K][8];
  constexpr int each = K / 8;  // elements a register: two halves or one TF32
  for (int l = 0; l < 32; l++) {
    if (lanes[l] == nullptr) fail(running.threads[running.current].place, "mma.sync without lane %d: all lanes of a warp take part", l);
    const Product &own = *static_cast<const Product *>(lanes[l]);
    const int g = l / 4, t = l % 4;
    for (int e = 0; e < each; e++) {
      const int low = each * t + e, high = low + 4 * each;
      a[g][low] = element(own.a[0], e);
      a[g + 8][low] = element(own.a[1], e);
      a[g][high] = element(own.a[2], e);
      a[g + 8][high] = element(own.a[3], e);
      b[low][g] = element(own.b[0], e);
      b[high][g] = element(own.b[1], e);
    }
  }
  for (int l = 0; l < 32; l++) {
    float *const sum = static_cast<const Product *>(lanes[l])->sum;
    for (int i = 0; i < 4; i++) {
      const int row = l / 4 + i / 2 * 8, column = 2 * (l % 4) + i % 2;
      float all = sum[i];
      for (int k = 0; k < K; k += Step) {
        double part = all;
        for (int j = k; j < k + Step; j++) part += static_cast<double>(a[row][j]) * b[j][column];
        all = truncated(part);
      }
      sum[i] = all;
    }
  }
}

u16 piece(u32 both, int e) { return static_cast<u16>(both >> 16 * e); }

}  // namespace

void halfProduct(void *const lanes[32]) {
  product<16, 8>(lanes, [](u32 both, int e) { return toFloat(Half{piece(both, e)}); });
}
void bfloat16Product(void *const lanes[32]) {
  product<16, 8>(lanes, [](u32 both, int e) { return toFloat(Bfloat16{piece(both, e)}); });
}
// Of a TF32 operand the lower 13 bits are not looked at: who does not round by cvt.rna gets them cut off.
void tf32Product(void *const lanes[32]) {
  product<8, 4>(lanes, [](u32 bits, int) { return __uint_as_float(bits & 0xffffe000); });
}

void loadMatrices(void *const lanes[32]) {
  for (int l = 0; l < 32; l++) {
    if (lanes[l] == nullptr) fail(running.threads[running.current].place, "ldmatrix without lane %d: all lanes of a warp take part", l);
    const MatrixRows &own = *static_cast<const MatrixRows *>(lanes[l]);
    for (int m = 0; m < own.count; m++) {
      const auto at = [&](int row, int column) {
        u16 value;
        std::memcpy(&value, static_cast<const MatrixRows *>(lanes[8 * m + row])->row + 2 * column, 2);
        return static_cast<u32>(value);
      };
      const int g = l / 4, t = 2 * (l % 4);
      own.parts[m] = own.transposed ? at(t, g) | at(t + 1, g) << 16 : at(g, t) | at(g, t + 1) << 16;
    }
  }
}

}  // namespace fovea
