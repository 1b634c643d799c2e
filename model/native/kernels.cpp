// An integer graph on a processor: convolutions, depthwise convolutions, maxima, concatenations, products and tables of
// int16 codes with int32 accumulators, exact where the graph's proof bounds every accumulator by int32 (a sum that wraps
// on its way comes back, since int32 arithmetic is modulo 2**32).
//
// A tensor of a chunk of images is [image][row][column][channel], int16; channels are padded to the tensor's stride.
// Weights of a convolution are [block of 16 output channels][kernel row][kernel column][pair of input channels][16][2],
// so that one broadcast pair of codes meets 16 output channels: vpmaddwd on AVX2. A block's pairs begin at the first
// channel that it reads, so groups cost little more than their own products. Those of winograd.hpp have its 6x6
// positions in place of the kernel's.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "lanes.hpp"
#include "winograd.hpp"

namespace {

constexpr int kPixels = 6;  // output pixels that are computed together: 12 accumulators in 16 registers
constexpr int kTiles = 12;  // tiles that are transformed together: few enough for a near cache

enum Kind : int32_t { kConvolution, kWinograd, kDepthwise, kMaximum, kConcatenation, kLookup, kProduct };

struct Tensor {  // mirrored by evaluator.py
  int32_t slot, height, width, stride;

  int64_t row() const { return int64_t(width) * stride; }
  int64_t size() const { return int64_t(height) * row(); }
};

struct Layer {                             // mirrored by evaluator.py
  int32_t kind, output, source, residual;  // tensors; residual -1: none
  int32_t factor;                          // product: the other tensor, of one pixel or as many as the source
  int32_t channels_in, channels_out;
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;  // negative padding: what is left out
  int32_t dilation_h, dilation_w;
  int32_t rows, columns;                       // windows; the one at (y, x) makes output pixel
  int32_t origin_h, origin_w, step_h, step_w;  // (origin_h + y * step_h, origin_w + x * step_w)
  int32_t pairs;                               // of input channels that a block of output channels reads
  int32_t lo, hi;                              // lookup: lo is the code of the table's first entry
  int32_t offset;                              // concatenation: first output channel that the source fills
  int32_t half_even;                           // whether halves round to even, else up
  const int16_t* weight;                       // lookup: the table
  const int32_t* first;                        // input channel that each block of output channels begins with
  const int32_t* bias;                         // with the rounding constant, padded to a multiple of 16 like the shifts
  const int32_t* shift;
  const int32_t* residual_shift;
};

// A window over a padded map: runs of pairs that lie side by side in codes and weights alike.
struct Walk {
  int rows, runs, pairs;       // kernel rows, runs a row, pairs a run
  int64_t row_step, run_step;  // codes from a row, a run to the next
};

template <int N>
void convolve(const Walk& walk, const int16_t* map, const int64_t* window, const int16_t* weight, const int32_t* bias,
              Sums* sums) {
  Sums total[N];
#pragma GCC unroll 8
  for (int p = 0; p < N; p++) total[p] = Sums::load(bias);
  for (int row = 0; row < walk.rows; row++) {
    for (int run = 0; run < walk.runs; run++) {
      const int16_t* codes[N];
#pragma GCC unroll 8
      for (int p = 0; p < N; p++) codes[p] = map + window[p] + row * walk.row_step + run * walk.run_step;
      for (int pair = 0; pair < walk.pairs; pair++) {
#pragma GCC unroll 8
        for (int p = 0; p < N; p++) {
          int32_t two;
          std::memcpy(&two, codes[p] + 2 * pair, sizeof two);
          total[p].add_products(weight, two);
        }
        weight += 2 * kBlock;
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < N; p++) sums[p] = total[p];
}

using Convolve = void (*)(const Walk&, const int16_t*, const int64_t*, const int16_t*, const int32_t*, Sums*);
constexpr Convolve kConvolve[kPixels] = {convolve<1>, convolve<2>, convolve<3>, convolve<4>, convolve<5>, convolve<6>};

// How many of the pixels that are left come next. The last two lots are alike, as one of few would load weights for little.
int at_once(int64_t left) {
  const bool two_lots = kPixels < left && left < 2 * kPixels;
  return int(two_lots ? (left + 1) / 2 : std::min<int64_t>(left, kPixels));
}

// The first of `begin`, `begin` + `step` ... that is not before a map.
int first_inside(int begin, int step) { return begin < 0 ? (begin % step + step) % step : begin; }

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
      case kWinograd:
        winograd(layer);
        break;
      case kDepthwise:
        depthwise(layer);
        break;
      case kMaximum:
        maximum(layer);
        break;
      case kConcatenation:
        concatenation(layer);
        break;
      case kLookup:
        lookup(layer);
        break;
      default:
        product(layer);
        break;
    }
  }

  // What windows reach of the source, zeros around it included, all images; the source itself where they stay inside.
  const int16_t* padded(const Layer& layer, int rows, int columns, Tensor& map) {
    const Tensor& source = tensors_[layer.source];
    map = source;
    const int top = -layer.pad_h, left = -layer.pad_w;
    const bool inside = std::min(top, left) >= 0 && top + rows <= source.height && left + columns <= source.width;
    if (inside) return data(layer.source) + top * source.row() + int64_t(left) * source.stride;
    map.height = rows;
    map.width = columns;
    border_.resize(map.size() * images_ + kBlock);
    const int before = std::clamp(-left, 0, columns), first = std::max(left, 0);
    const int within = std::max(std::min(source.width - first, columns - before), 0);
    const int64_t after = int64_t(columns - before - within) * map.stride;
    int16_t* to = border_.data();
    for (int n = 0; n < images_; n++) {
      for (int y = top; y < top + rows; y++) {
        if (y < 0 || y >= source.height) {
          to = std::fill_n(to, map.row(), int16_t(0));
          continue;
        }
        const int16_t* from =
            data(layer.source) + n * source.size() + y * source.row() + int64_t(first) * source.stride;
        to = std::fill_n(to, int64_t(before) * map.stride, int16_t(0));
        to = std::copy_n(from, int64_t(within) * map.stride, to);
        to = std::fill_n(to, after, int16_t(0));
      }
    }
    return border_.data();
  }

  const int16_t* padded(const Layer& layer, Tensor& map) {
    return padded(layer, (layer.rows - 1) * layer.stride_h + (layer.kernel_h - 1) * layer.dilation_h + 1,
                  (layer.columns - 1) * layer.stride_w + (layer.kernel_w - 1) * layer.dilation_w + 1, map);
  }

  // Output pixel, all images counted, that the window at (y, x) makes.
  int64_t pixel_of(const Layer& layer, int64_t image, int y, int x) const {
    const Tensor& output = tensors_[layer.output];
    const int64_t row = image * output.height + layer.origin_h + int64_t(y) * layer.step_h;
    return row * output.width + layer.origin_w + int64_t(x) * layer.step_w;
  }

  // Calls visit(where the window begins in the padded map, output pixel) for each window of some images, in order.
  template <typename Visit>
  void for_each_window(const Layer& layer, const Tensor& map, int images, Visit visit) {
    for (int n = 0; n < images; n++)
      for (int y = 0; y < layer.rows; y++)
        for (int x = 0; x < layer.columns; x++)
          visit(n * map.size() + y * layer.stride_h * map.row() + int64_t(x) * layer.stride_w * map.stride,
                pixel_of(layer, n, y, x));
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

  struct Windows {
    std::vector<int64_t> begin, pixel;  // in the padded map; of the output
  };

  // Windows of the largest chunk, found once; those of a smaller one come first among them.
  const Windows& windows(const Layer& layer, const Tensor& map) {
    Windows& found = windows_[&layer - layers_];
    if (found.begin.empty())
      for_each_window(layer, map, most_, [&](int64_t begin, int64_t pixel) {
        found.begin.push_back(begin);
        found.pixel.push_back(pixel);
      });
    return found;
  }

  void convolution(const Layer& layer) {
    Tensor map;
    const int16_t* codes = padded(layer, map);
    const Windows& found = windows(layer, map);
    const int64_t *begin = found.begin.data(), *pixel = found.pixel.data();
    const int pairs = layer.pairs;
    const bool joined = 2 * pairs == map.stride && layer.dilation_w == 1;  // the columns of a kernel row are one run
    Walk walk;
    walk.rows = layer.kernel_h;
    walk.runs = joined ? 1 : layer.kernel_w;
    walk.pairs = joined ? pairs * layer.kernel_w : pairs;
    walk.row_step = layer.dilation_h * map.row();
    walk.run_step = int64_t(layer.dilation_w) * map.stride;
    const int64_t block_weights = int64_t(layer.kernel_h) * layer.kernel_w * pairs * 2 * kBlock;
    Sums sums[kPixels];
    for (int block = 0; block < layer.channels_out; block += kBlock) {
      const int16_t* weight = layer.weight + block / kBlock * block_weights;
      const int16_t* from = codes + layer.first[block / kBlock];
      const int64_t all = int64_t(images_) * layer.rows * layer.columns;
      for (int64_t first = 0, count; first < all; first += count) {
        count = at_once(all - first);
        kConvolve[count - 1](walk, from, begin + first, weight, layer.bias + block, sums);
        for (int p = 0; p < count; p++) finish(layer, sums[p], pixel[first + p], block);
      }
    }
  }

  // A 3x3 convolution of stride 1, kTiles tiles of 4x4 outputs at a time.
  void winograd(const Layer& layer) {
    const int rows = (layer.rows + kTileOutputs - 1) / kTileOutputs;
    const int columns = (layer.columns + kTileOutputs - 1) / kTileOutputs;
    const int around = kTile - kTileOutputs;
    Tensor map;
    const int16_t* codes = padded(layer, rows * kTileOutputs + around, columns * kTileOutputs + around, map);
    const int64_t step = int64_t(kTiles) * map.stride;  // codes from a position to the next
    tile_codes_.resize(kPositions * step);
    tile_sums_.resize(kPositions * kTiles);
    const int64_t all = int64_t(images_) * rows * columns;
    for (int64_t first = 0; first < all; first += kTiles) {
      const int count = int(std::min<int64_t>(kTiles, all - first));
      Corner corner[kTiles];
      for (int t = 0; t < count; t++) {
        const int64_t row = (first + t) / columns;
        corner[t] = {row / rows, int(row % rows) * kTileOutputs, int((first + t) % columns) * kTileOutputs};
        const int16_t* from = codes + corner[t].image * map.size() + corner[t].y * map.row() + corner[t].x * map.stride;
        for (int c = 0; c < map.stride; c += kBlock)
          transform_codes(from + c, map.row(), map.stride, tile_codes_.data() + t * map.stride + c, step);
      }
      for (int block = 0; block < layer.channels_out; block += kBlock) {
        multiply_tiles(layer, block, count, map.stride);
        for (int t = 0; t < count; t++) finish_tile(layer, block, corner[t], tile_sums_.data() + t);
      }
    }
  }

  struct Corner {  // of a tile's outputs
    int64_t image;
    int y, x;
  };

  // Sums over the input channels of `count` tiles, each position by itself.
  void multiply_tiles(const Layer& layer, int block, int count, int stride) {
    static constexpr int32_t kNothing[kBlock] = {};
    const Walk walk = {1, 1, layer.pairs, 0, 0};
    int64_t window[kTiles];
    for (int t = 0; t < count; t++) window[t] = int64_t(t) * stride + layer.first[block / kBlock];
    for (int position = 0; position < kPositions; position++) {
      const int16_t* codes = tile_codes_.data() + int64_t(position) * kTiles * stride;
      const int16_t* weight =
          layer.weight + (int64_t(block / kBlock) * kPositions + position) * layer.pairs * 2 * kBlock;
      for (int t = 0, n; t < count; t += n) {
        n = at_once(count - t);
        kConvolve[n - 1](walk, codes, window + t, weight, kNothing, tile_sums_.data() + position * kTiles + t);
      }
    }
  }

  void finish_tile(const Layer& layer, int block, const Corner& corner, const Sums* sums) {
    const Sums bias = Sums::load(layer.bias + block);
    Sums outputs[kTileOutputs * kTileOutputs];
    transform_sums(sums, kTiles, outputs);
    const int rows = std::min(kTileOutputs, layer.rows - corner.y);
    const int columns = std::min(kTileOutputs, layer.columns - corner.x);
    for (int y = 0; y < rows; y++) {
      int64_t pixel = pixel_of(layer, corner.image, corner.y + y, corner.x);
      for (int x = 0; x < columns; x++, pixel += layer.step_w)
        finish(layer, outputs[y * kTileOutputs + x] + bias, pixel, block);
    }
  }

  void depthwise(const Layer& layer) {
    Tensor map;
    const int16_t* codes = padded(layer, map);
    const int64_t down = layer.dilation_h * map.row(), right = int64_t(layer.dilation_w) * map.stride;
    for_each_window(layer, map, images_, [&](int64_t window, int64_t pixel) {
      const int16_t* origin = codes + window;
      for (int block = 0; block < layer.channels_out; block += kBlock) {
        Sums sums = Sums::load(layer.bias + block);
        const int16_t* weight = layer.weight + block;
        for (int y = 0; y < layer.kernel_h; y++)
          for (int x = 0; x < layer.kernel_w; x++, weight += map.stride)
            sums.add_elementwise(origin + y * down + x * right + block, weight);
        finish(layer, sums, pixel, block);
      }
    });
  }

  void maximum(const Layer& layer) {
    const Tensor &source = tensors_[layer.source], &output = tensors_[layer.output];
    for (int n = 0; n < images_; n++) {
      const int16_t* from = data(layer.source) + n * source.size();
      for (int y = 0; y < layer.rows; y++) {
        for (int x = 0; x < layer.columns; x++) {
          int16_t* to = data(layer.output) + pixel_of(layer, n, y, x) * output.stride;
          const int top = y * layer.stride_h - layer.pad_h, left = x * layer.stride_w - layer.pad_w;
          const int first_v = first_inside(top, layer.dilation_h), first_u = first_inside(left, layer.dilation_w);
          const int bottom = std::min(top + layer.kernel_h * layer.dilation_h, source.height);
          const int right = std::min(left + layer.kernel_w * layer.dilation_w, source.width);
          std::fill(to, to + output.stride, int16_t(layer.lo));
          for (int v = first_v; v < bottom; v += layer.dilation_h)
            for (int u = first_u; u < right; u += layer.dilation_w) {
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

  // Channels beyond the last have codes that the table may not hold.
  void lookup(const Layer& layer) {
    const Tensor &source = tensors_[layer.source], &output = tensors_[layer.output];
    const int64_t pixels = int64_t(images_) * output.height * output.width;
    for (int64_t p = 0; p < pixels; p++) {
      const int16_t* from = data(layer.source) + p * source.stride;
      int16_t* to = data(layer.output) + p * output.stride;
      for (int c = 0; c < layer.channels_out; c++) to[c] = layer.weight[from[c] - layer.lo];
    }
  }

  void product(const Layer& layer) {
    const Tensor &source = tensors_[layer.source], &factor = tensors_[layer.factor];
    const int64_t pixels = int64_t(source.height) * source.width, factors = int64_t(factor.height) * factor.width;
    for (int64_t p = 0; p < images_ * pixels; p++) {
      const int16_t* codes = data(layer.source) + p * source.stride;
      const int16_t* by = data(layer.factor) + (factors == 1 ? p / pixels : p) * factor.stride;
      for (int block = 0; block < layer.channels_out; block += kBlock) {
        Sums sums = Sums::load(layer.bias + block);
        sums.add_elementwise(codes + block, by + block);
        finish(layer, sums, p, block);
      }
    }
  }

  const Layer* layers_;
  int count_;
  const Tensor* tensors_;
  std::vector<std::vector<int16_t>> slots_;
  std::vector<int16_t> border_;
  std::vector<int16_t> tile_codes_;  // [position][tile][channel]
  std::vector<Sums> tile_sums_;      // [position][tile]
  std::vector<Windows> windows_;     // of each convolution
  const int most_;                   // images of a chunk
  int images_ = 0;                   // of this one
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
