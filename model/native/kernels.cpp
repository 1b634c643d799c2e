// An integer graph on a processor: convolutions, depthwise convolutions, maxima and concatenations of int16 codes with
// int32 accumulators, exact where the graph's proof bounds every accumulator by int32 (a sum that wraps on its way
// comes back, since int32 arithmetic is modulo 2**32).
//
// A tensor of a chunk of images is [image][row][column][channel], int16; channels are padded to the tensor's stride.
// Weights of a convolution are [block of 16 output channels][kernel row][kernel column][pair of input channels][16][2],
// so that one broadcast pair of codes meets 16 output channels: vpmaddwd on AVX2.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace {

constexpr int kBlock = 16;  // output channels that are computed together; strides are multiples of it
constexpr int kPixels = 6;  // output pixels that are computed together: 12 accumulators in 16 registers

enum Kind : int32_t { kConvolution, kDepthwise, kMaximum, kConcatenation };

struct Tensor {  // mirrored by evaluator.py
  int32_t slot, height, width, stride;

  int64_t row() const { return int64_t(width) * stride; }
  int64_t size() const { return int64_t(height) * row(); }
};

struct Layer {                             // mirrored by evaluator.py
  int32_t kind, output, source, residual;  // tensors; residual -1: none
  int32_t channels_in, channels_out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  int32_t lo, hi;
  int32_t offset;     // concatenation: first output channel that the source fills
  int32_t half_even;  // whether halves round to even, else up
  const int16_t* weight;
  const int32_t* bias;  // with the rounding constant, padded to a multiple of 16 like the shifts
  const int32_t* shift;
  const int32_t* residual_shift;
};

// ---- Sixteen int32 accumulators.
#if defined(__AVX2__)

struct Sums {
  __m256i low, high;

  static Sums load(const int32_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 8))};
  }
  void add_products(const int16_t* weight, int32_t pair) {
    const __m256i codes = _mm256_set1_epi32(pair);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(codes, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight))));
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(codes, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight + 16))));
  }
  static __m256i widened(const int16_t* codes) {
    return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  }
  void add_elementwise(const int16_t* codes, const int16_t* weight) {
    low = _mm256_add_epi32(low, _mm256_mullo_epi32(widened(codes), widened(weight)));
    high = _mm256_add_epi32(high, _mm256_mullo_epi32(widened(codes + 8), widened(weight + 8)));
  }
  void add_shifted(const int16_t* codes, const int32_t* places) {
    const Sums by = load(places);
    low = _mm256_add_epi32(low, _mm256_sllv_epi32(widened(codes), by.low));
    high = _mm256_add_epi32(high, _mm256_sllv_epi32(widened(codes + 8), by.high));
  }
  // Halves to even: a sum with the rounding constant that is a multiple of the step, an odd one, goes one down.
  static __m256i settled(__m256i sum, __m256i places) {
    const __m256i one = _mm256_set1_epi32(1), below = _mm256_sub_epi32(_mm256_sllv_epi32(one, places), one);
    const __m256i is_half = _mm256_cmpeq_epi32(_mm256_and_si256(sum, below), _mm256_setzero_si256());
    const __m256i shifts = _mm256_cmpgt_epi32(places, _mm256_setzero_si256());
    const __m256i odd = _mm256_and_si256(_mm256_srlv_epi32(sum, places), one);
    return _mm256_sub_epi32(sum, _mm256_and_si256(_mm256_and_si256(is_half, shifts), odd));
  }
  void settle_halves(const int32_t* shift) {
    const Sums by = load(shift);
    low = settled(low, by.low);
    high = settled(high, by.high);
  }
  void requantize(const int32_t* shift, int32_t lo, int32_t hi, int16_t* to) const {
    const Sums by = load(shift);
    const __m256i least = _mm256_set1_epi32(lo), most = _mm256_set1_epi32(hi);
    const __m256i a = _mm256_min_epi32(_mm256_max_epi32(_mm256_srav_epi32(low, by.low), least), most);
    const __m256i b = _mm256_min_epi32(_mm256_max_epi32(_mm256_srav_epi32(high, by.high), least), most);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packed);
  }
};

#else

struct Sums {
  int32_t lane[kBlock];

  static Sums load(const int32_t* from) {
    Sums sums;
    std::memcpy(sums.lane, from, sizeof sums.lane);
    return sums;
  }
  void add(int o, int32_t term) { lane[o] = int32_t(uint32_t(lane[o]) + uint32_t(term)); }
  void add_products(const int16_t* weight, int32_t pair) {
    int16_t codes[2];
    std::memcpy(codes, &pair, sizeof codes);
    for (int o = 0; o < kBlock; o++) add(o, codes[0] * weight[2 * o] + codes[1] * weight[2 * o + 1]);
  }
  void add_elementwise(const int16_t* codes, const int16_t* weight) {
    for (int o = 0; o < kBlock; o++) add(o, codes[o] * weight[o]);
  }
  void add_shifted(const int16_t* codes, const int32_t* places) {
    for (int o = 0; o < kBlock; o++) add(o, int32_t(uint32_t(int32_t(codes[o])) << places[o]));
  }
  void settle_halves(const int32_t* shift) {
    for (int o = 0; o < kBlock; o++) {
      const bool is_half = shift[o] > 0 && (lane[o] & ((1U << shift[o]) - 1)) == 0;
      if (is_half) lane[o] -= (lane[o] >> shift[o]) & 1;
    }
  }
  void requantize(const int32_t* shift, int32_t lo, int32_t hi, int16_t* to) const {
    for (int o = 0; o < kBlock; o++) to[o] = int16_t(std::min(std::max(lane[o] >> shift[o], lo), hi));
  }
};

#endif

// A window over a padded map: runs of pairs that lie side by side in codes and weights alike.
struct Walk {
  int rows, runs, pairs;       // kernel rows, runs a row, pairs a run
  int64_t row_step, run_step;  // codes from a row, a run to the next
};

template <int N>
void convolve(const Walk& walk, const int16_t* map, const int64_t* window, const int16_t* weight, const int32_t* bias,
              Sums* sums) {
  Sums total[N];
  const int16_t* pixel[N];
  for (int p = 0; p < N; p++) {
    total[p] = Sums::load(bias);
    pixel[p] = map + window[p];
  }
  for (int row = 0; row < walk.rows; row++) {
    for (int run = 0; run < walk.runs; run++) {
      const int64_t at = row * walk.row_step + run * walk.run_step;
      const int16_t* codes[N];
      for (int p = 0; p < N; p++) codes[p] = pixel[p] + at;
      for (int pair = 0; pair < walk.pairs; pair++) {
        for (int p = 0; p < N; p++) {
          int32_t two;
          std::memcpy(&two, codes[p] + 2 * pair, sizeof two);
          total[p].add_products(weight, two);
        }
        weight += 2 * kBlock;
      }
    }
  }
  for (int p = 0; p < N; p++) sums[p] = total[p];
}

using Convolve = void (*)(const Walk&, const int16_t*, const int64_t*, const int16_t*, const int32_t*, Sums*);
constexpr Convolve kConvolve[kPixels] = {convolve<1>, convolve<2>, convolve<3>, convolve<4>, convolve<5>, convolve<6>};

// ---- One chunk of images in one thread.
class Worker {
 public:
  Worker(const Layer* layers, int count, const Tensor* tensors, int tensor_count, int slots, int images)
      : layers_(layers), count_(count), tensors_(tensors), slots_(slots), windows_(count), most_(images) {
    std::vector<int64_t> sizes(slots, 0);
    for (int t = 0; t < tensor_count; t++) {
      int64_t& size = sizes[tensors[t].slot];
      size = std::max(size, tensors[t].size() * images);
    }
    for (int s = 0; s < slots; s++) slots_[s].resize(sizes[s] + kBlock);
  }

  void run(const int16_t* input, int images) {
    images_ = images;
    std::copy(input, input + tensors_[0].size() * images, data(0));
    for (int l = 0; l < count_; l++) step(layers_[l]);
  }

  // Codes of a tensor that the last run made: an output, which no other tensor's codes have replaced.
  void copy(int tensor, int16_t* codes) {
    std::copy(data(tensor), data(tensor) + tensors_[tensor].size() * images_, codes);
  }

 private:
  int16_t* data(int tensor) { return slots_[tensors_[tensor].slot].data(); }

  void step(const Layer& layer) {
    switch (layer.kind) {
      case kConvolution:
        convolution(layer);
        break;
      case kDepthwise:
        depthwise(layer);
        break;
      case kMaximum:
        maximum(layer);
        break;
      default:
        concatenation(layer);
        break;
    }
  }

  // The source with zeros around it, all images; the tensor itself where there is no padding.
  const int16_t* padded(const Layer& layer, Tensor& shape) {
    const Tensor& source = tensors_[layer.source];
    shape = source;
    shape.height += 2 * layer.pad_h;
    shape.width += 2 * layer.pad_w;
    if (layer.pad_h == 0 && layer.pad_w == 0) return data(layer.source);
    border_.assign(shape.size() * images_ + kBlock, 0);
    for (int n = 0; n < images_; n++) {
      for (int y = 0; y < source.height; y++) {
        const int16_t* from = data(layer.source) + n * source.size() + y * source.row();
        std::copy(from, from + source.row(),
                  border_.data() + n * shape.size() + (y + layer.pad_h) * shape.row() + layer.pad_w * shape.stride);
      }
    }
    return border_.data();
  }

  // Calls visit(where the window begins in the padded map, output pixel) for each output pixel of some images, in order.
  template <typename Visit>
  void for_each_window(const Layer& layer, const Tensor& map, int images, Visit visit) {
    const Tensor& output = tensors_[layer.output];
    int64_t pixel = 0;
    for (int n = 0; n < images; n++)
      for (int y = 0; y < output.height; y++)
        for (int x = 0; x < output.width; x++)
          visit(n * map.size() + y * layer.stride_h * map.row() + int64_t(x) * layer.stride_w * map.stride, pixel++);
  }

  void finish(const Layer& layer, Sums sums, int64_t pixel, int block) {
    if (layer.residual >= 0) {
      const int16_t* residual = data(layer.residual) + pixel * tensors_[layer.residual].stride + block;
      sums.add_shifted(residual, layer.residual_shift + block);
    }
    int16_t* to = data(layer.output) + pixel * tensors_[layer.output].stride + block;
    if (layer.half_even) sums.settle_halves(layer.shift + block);
    sums.requantize(layer.shift + block, layer.lo, layer.hi, to);
  }

  // Windows of the largest chunk, found once; those of a smaller one come first among them.
  const std::vector<int64_t>& windows(const Layer& layer, const Tensor& map) {
    std::vector<int64_t>& found = windows_[&layer - layers_];
    if (found.empty()) for_each_window(layer, map, most_, [&](int64_t window, int64_t) { found.push_back(window); });
    return found;
  }

  void convolution(const Layer& layer) {
    Tensor map;
    const int16_t* codes = padded(layer, map);
    const int64_t* window = windows(layer, map).data();
    const Tensor &source = tensors_[layer.source], &output = tensors_[layer.output];
    const int pairs = (layer.channels_in + 1) / 2;
    const bool joined = 2 * pairs == source.stride;  // the columns of a kernel row are one run
    Walk walk;
    walk.rows = layer.kernel_h;
    walk.runs = joined ? 1 : layer.kernel_w;
    walk.pairs = joined ? pairs * layer.kernel_w : pairs;
    walk.row_step = map.row();
    walk.run_step = source.stride;
    const int64_t block_weights = int64_t(layer.kernel_h) * layer.kernel_w * pairs * 2 * kBlock;
    Sums sums[kPixels];
    for (int block = 0; block < layer.channels_out; block += kBlock) {
      const int16_t* weight = layer.weight + block / kBlock * block_weights;
      const int64_t all = int64_t(images_) * output.height * output.width;
      for (int64_t first = 0; first < all; first += kPixels) {
        const int count = int(std::min<int64_t>(kPixels, all - first));
        kConvolve[count - 1](walk, codes, window + first, weight, layer.bias + block, sums);
        for (int p = 0; p < count; p++) finish(layer, sums[p], first + p, block);
      }
    }
  }

  void depthwise(const Layer& layer) {
    Tensor map;
    const int16_t* codes = padded(layer, map);
    for_each_window(layer, map, images_, [&](int64_t window, int64_t pixel) {
      const int16_t* origin = codes + window;
      for (int block = 0; block < layer.channels_out; block += kBlock) {
        Sums sums = Sums::load(layer.bias + block);
        const int16_t* weight = layer.weight + block;
        for (int y = 0; y < layer.kernel_h; y++)
          for (int x = 0; x < layer.kernel_w; x++, weight += map.stride)
            sums.add_elementwise(origin + y * map.row() + int64_t(x) * map.stride + block, weight);
        finish(layer, sums, pixel, block);
      }
    });
  }

  void maximum(const Layer& layer) {
    const Tensor &source = tensors_[layer.source], &output = tensors_[layer.output];
    for (int n = 0; n < images_; n++) {
      const int16_t* from = data(layer.source) + n * source.size();
      int16_t* to = data(layer.output) + n * output.size();
      for (int y = 0; y < output.height; y++) {
        for (int x = 0; x < output.width; x++, to += output.stride) {
          const int top = y * layer.stride_h - layer.pad_h, left = x * layer.stride_w - layer.pad_w;
          std::fill(to, to + output.stride, int16_t(layer.lo));
          for (int v = std::max(top, 0); v < std::min(top + layer.kernel_h, source.height); v++)
            for (int u = std::max(left, 0); u < std::min(left + layer.kernel_w, source.width); u++) {
              const int16_t* codes = from + v * source.row() + int64_t(u) * source.stride;
              for (int c = 0; c < output.stride; c++) to[c] = std::max(to[c], codes[c]);
            }
        }
      }
    }
  }

  void concatenation(const Layer& layer) {
    const Tensor &source = tensors_[layer.source], &output = tensors_[layer.output];
    const int64_t pixels = int64_t(images_) * source.height * source.width;
    for (int64_t p = 0; p < pixels; p++) {
      const int16_t* from = data(layer.source) + p * source.stride;
      std::copy(from, from + layer.channels_in, data(layer.output) + p * output.stride + layer.offset);
    }
  }

  const Layer* layers_;
  int count_;
  const Tensor* tensors_;
  std::vector<std::vector<int16_t>> slots_;
  std::vector<int16_t> border_;
  std::vector<std::vector<int64_t>> windows_;  // of each convolution
  const int most_;                             // images of a chunk
  int images_ = 0;                             // of this one
};

}  // namespace

// Runs `images` inputs, [image][row][column][channel], in chunks that `threads` threads share; the codes of output o,
// tensor outputs[o], go to made[o]. 0; 1 without memory.
extern "C" __attribute__((visibility("default"))) int bitlathe_evaluate(const Layer* layers, int32_t layer_count,
                                                                        const Tensor* tensors, int32_t tensor_count,
                                                                        int32_t slots, const int32_t* outputs,
                                                                        int16_t* const* made, int32_t output_count,
                                                                        const int16_t* input, int64_t images,
                                                                        int32_t chunk, int32_t threads) {
  std::atomic<int64_t> next{0};
  std::atomic<int> status{0};
  const auto work = [&] {
    try {
      Worker worker(layers, layer_count, tensors, tensor_count, slots, chunk);
      for (int64_t first = next.fetch_add(chunk); first < images; first = next.fetch_add(chunk)) {
        worker.run(input + first * tensors[0].size(), int(std::min<int64_t>(chunk, images - first)));
        for (int o = 0; o < output_count; o++) worker.copy(outputs[o], made[o] + first * tensors[outputs[o]].size());
      }
    } catch (const std::bad_alloc&) {
      status = 1;
    }
  };
  std::vector<std::thread> helpers;
  try {
    for (int t = 1; t < threads; t++) helpers.emplace_back(work);
  } catch (const std::exception&) {
    // Fewer threads than asked for do the same work.
  }
  work();
  for (std::thread& helper : helpers) helper.join();
  return status;
}
