// One verilated engine, its AXI4-Lite registers driven by transactions and its AXI4 master answered by a DDR model.
// C ABI for ctypes; see README.md for the DDR model. Included after the generated C++ of class Vtop: one translation unit.
//
// The DDR model is as unkind as AXI allows: a read sees memory as it was when its address was accepted, a write
// reaches memory only when its response is offered. A master that does not wait for its response reads old data.

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#define SIM_API extern "C" __attribute__((visibility("default")))

namespace {

constexpr unsigned kWord = sizeof(std::declval<Vtop&>().m_axi_rdata);  // bytes a beat
constexpr uint32_t kStrobes = (1u << kWord) - 1;
constexpr uint64_t kPage = 4096;
constexpr unsigned kBeats = 256;     // most beats AXI4 can ask for; the engine's own limit is 16
constexpr unsigned kMostBeats = 16;  // AXI3, the port of Zynq-7000
constexpr unsigned kQueue = 64;      // bursts outstanding, at most

enum Channel { kAr, kR, kAw, kW, kB, kChannels };
enum Response : uint8_t { kOkay = 0, kSlverr = 2, kDecerr = 3 };

#define STATISTICS(X)                                                                                             \
  X(cycles) X(read_beats) X(write_beats) X(read_bursts) X(write_bursts) X(error_beats)                            \
  X(read_wait_cycles)    /* a read is outstanding and no beat is offered */                                       \
  X(read_refused_cycles) /* a beat is offered and not taken */                                                    \
  X(outstanding)         /* bursts not answered yet */                                                            \
  X(stray_reads) X(stray_writes) /* bursts outside the windows */                                                 \
  X(first_stray)         /* address of the first of them */

#define VIOLATIONS(X)                                                                                             \
  X(payload_changed_while_waiting) X(valid_dropped) X(valid_in_reset) X(burst_crosses_4_kib)                      \
  X(burst_over_16_beats) X(burst_not_incr_of_words) X(address_unaligned) X(last_misplaced) X(strobe_partial)      \
  X(data_before_address) X(register_response_unstable)                                                          \
  X(assertion_failed)

#define AS_INDEX(name) k_##name,
#define AS_TEXT(name) #name " "
enum Count { STATISTICS(AS_INDEX) VIOLATIONS(AS_INDEX) kCounts };

struct Window {
  uint64_t low, high;
  bool holds(uint64_t first, uint64_t end) const { return low <= first && end <= high; }
};

struct Injection {
  Window window;
  bool write;
  uint8_t response;
};

struct Burst {
  uint64_t address, due;  // due: first cycle in which it may be answered
  uint32_t beats, done;
  uint8_t response;
  std::array<uint8_t, kBeats * kWord> data;
};

// Bursts in order; the counters only grow, so their differences are lengths.
struct Queue {
  std::array<Burst, kQueue> slots;
  uint64_t head = 0, tail = 0;
  Burst& front() { return slots[head % kQueue]; }
  Burst& push() { return slots[tail++ % kQueue]; }
  uint64_t size() const { return tail - head; }
};

// Watches one channel that the engine drives: once valid, it stays valid and unchanged until taken.
template <typename Payload>
struct Watch {
  bool waiting = false;
  Payload held{};
  void check(bool valid, bool ready, const Payload& payload, uint64_t* counts) {
    if (waiting && !valid) ++counts[k_valid_dropped];
    if (waiting && valid && !(payload == held)) ++counts[k_payload_changed_while_waiting];
    waiting = valid && !ready;
    held = payload;
  }
};

struct Address {
  uint64_t address;
  uint32_t shape;  // length, size and burst type
  bool operator==(const Address& o) const { return address == o.address && shape == o.shape; }
};

struct Beat {
  std::array<uint8_t, kWord> data;
  uint32_t flags;
  bool operator==(const Beat& o) const { return data == o.data && flags == o.flags; }
};

// A share of the cycles, spread evenly: true `step` times in 65536.
struct Slots {
  uint32_t step = 1u << 16, sum = 0;
  bool next() {
    sum += step;
    const bool open = sum >> 16;
    sum &= 0xFFFF;
    return open;
  }
};

struct Ddr {  // settings; times in cycles
  int32_t read_latency, write_latency, outstanding;
  uint32_t slots;  // of 65536 cycles, those that can move a beat
  std::array<int32_t, kChannels> stall_percent;
};

template <typename Port>
void put(Port& port, const uint8_t* bytes) { std::memcpy(reinterpret_cast<uint8_t*>(&port), bytes, sizeof(Port)); }
template <typename Port>
void get(uint8_t* bytes, const Port& port) { std::memcpy(bytes, reinterpret_cast<const uint8_t*>(&port), sizeof(Port)); }

class Sim {
 public:
  explicit Sim(int random_seed) : context_(std::make_unique<VerilatedContext>()) {
    context_->randReset(random_seed ? 2 : 0);
    context_->randSeed(random_seed);
    context_->errorLimit(INT_MAX);  // a failed assertion is counted; it does not end the process
#if VM_TRACE
    context_->traceEverOn(true);
#endif
    top_ = std::make_unique<Vtop>(context_.get(), "top");
    hang_after_.fill(-1);
    configure({1, 1, 8, 1u << 16, {}});
    reset(8);
  }

  ~Sim() {
#if VM_TRACE
    if (trace_) trace_->close();
#endif
    top_->final();
  }

  // Puts another memory behind the master; the engine keeps its state. No windows: all of it may be touched.
  void attach(uint8_t* memory, uint64_t base, uint64_t size) {
    memory_ = memory;
    base_ = base;
    size_ = size;
    readable.clear();
    writable.clear();
  }

  void configure(const Ddr& ddr) {
    ddr_ = ddr;
    ddr_.outstanding = std::clamp(ddr.outstanding, 1, static_cast<int32_t>(kQueue));
    seed(1);
  }

  // Starts the patterns of the DDR model anew, so that a start's cycles do not depend on what ran before it.
  void seed(uint64_t seed) {
    read_slots_ = write_slots_ = {ddr_.slots, 0};
    random_ = seed * 0x9E3779B97F4A7C15u | 1;
    stalls_ = std::any_of(ddr_.stall_percent.begin(), ddr_.stall_percent.end(), [](int32_t p) { return p > 0; });
  }

  void reset(int cycles) {
    top_->rst_ni = 0;
    for (int i = 0; i < cycles; ++i) cycle();
    reads_.head = reads_.tail = writes_.head = writes_.tail = filled_ = 0;
    ar_ = aw_ = {};
    w_ = {};
    top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
    taken_r_ = taken_b_ = in_reset_ = false;
    top_->rst_ni = 1;
  }

  uint64_t run(uint64_t limit, bool until_irq) {
    uint64_t done = 0;
    for (; done < limit && !(until_irq && top_->irq_o); ++done) cycle();
    return done;
  }

  int write(uint32_t offset, uint32_t data, int limit) {
    top_->s_axi_control_awaddr = offset;
    top_->s_axi_control_wdata = data;
    top_->s_axi_control_wstrb = 0xF;
    top_->s_axi_control_awvalid = top_->s_axi_control_wvalid = 1;
    int response = -1;
    for (int i = 0; i < limit && response < 0; ++i) {
      top_->s_axi_control_bready = flows(kB);
      cycle();
      if (lite_.aw) top_->s_axi_control_awvalid = 0;
      if (lite_.w) top_->s_axi_control_wvalid = 0;
      if (lite_.b) response = lite_.response;
    }
    top_->s_axi_control_awvalid = top_->s_axi_control_wvalid = top_->s_axi_control_bready = 0;
    return response;
  }

  int read(uint32_t offset, uint32_t* data, int limit) {
    top_->s_axi_control_araddr = offset;
    top_->s_axi_control_arvalid = 1;
    int response = -1;
    for (int i = 0; i < limit && response < 0; ++i) {
      top_->s_axi_control_rready = flows(kR);
      cycle();
      if (lite_.ar) top_->s_axi_control_arvalid = 0;
      if (lite_.r) response = lite_.response, *data = lite_.data;
    }
    top_->s_axi_control_arvalid = top_->s_axi_control_rready = 0;
    return response;
  }

  bool trace(const char* path) {
#if VM_TRACE
    trace_ = std::make_unique<VerilatedVcdC>();
    top_->trace(trace_.get(), 99);
    trace_->open(path);
    return true;
#else
    return path == nullptr;
#endif
  }

  const uint64_t* counts() {
    counts_[k_assertion_failed] = context_->errorCount();
    counts_[k_outstanding] = reads_.size() + writes_.size();
    return counts_.data();
  }
  void clear_counts() {
    counts_.fill(0);
    context_->errorCount(0);
  }
  int irq() const { return top_->irq_o; }

  std::vector<Window> readable, writable;  // empty: anywhere
  std::vector<Injection> injections;
  void hang(int channel, int64_t after) { hang_after_[channel % kChannels] = after; }

 private:
  void cycle() {
    drive();
    top_->clk_i = 0;
    top_->eval();
#if VM_TRACE
    if (trace_) trace_->dump(2 * now_);
#endif
    sample();
    top_->clk_i = 1;
    top_->eval();
#if VM_TRACE
    if (trace_) trace_->dump(2 * now_ + 1);
#endif
    ++now_;
    ++counts_[k_cycles];
  }

  // ---- what the memory shows the engine in this cycle

  void drive() {
    if (stalls_) draw();
    if (taken_r_) top_->m_axi_rvalid = 0;
    if (taken_b_) top_->m_axi_bvalid = 0;
    taken_r_ = taken_b_ = false;
    const bool read_slot = read_slots_.next(), write_slot = write_slots_.next();
    top_->m_axi_arready = reads_.size() < static_cast<uint64_t>(ddr_.outstanding) && open(kAr);
    top_->m_axi_awready = writes_.size() < static_cast<uint64_t>(ddr_.outstanding) && open(kAw);
    top_->m_axi_wready = filled_ < writes_.tail && write_slot && open(kW);
    if (!top_->m_axi_rvalid && reads_.size() && reads_.front().due <= now_ && read_slot && open(kR)) offer_beat();
    if (!top_->m_axi_bvalid && writes_.head < filled_ && writes_.front().due <= now_ && open(kB)) offer_response();
  }

  void offer_beat() {
    const Burst& burst = reads_.front();
    put(top_->m_axi_rdata, burst.data.data() + burst.done * kWord);
    top_->m_axi_rresp = response(burst.address + burst.done * kWord, false);
    top_->m_axi_rlast = burst.done + 1 == burst.beats;
    top_->m_axi_rvalid = 1;
  }

  void offer_response() {
    const Burst& burst = writes_.front();
    for (uint32_t i = 0; i < burst.beats; ++i)
      if (inside(burst.address + i * kWord)) store(burst, i);
    top_->m_axi_bresp = burst.response;
    top_->m_axi_bvalid = 1;
  }

  void store(const Burst& burst, uint32_t beat) {
    uint8_t* to = memory_ + (burst.address + beat * kWord - base_);
    for (unsigned i = 0; i < kWord; ++i)
      if (strobes_[(writes_.head % kQueue) * kBeats + beat] >> i & 1) to[i] = burst.data[beat * kWord + i];
  }

  bool inside(uint64_t address) const { return address >= base_ && address - base_ + kWord <= size_; }

  uint8_t response(uint64_t address, bool write) const {
    for (const Injection& injection : injections)
      if (injection.write == write && injection.window.holds(address, address + 1)) return injection.response;
    return inside(address) ? kOkay : kDecerr;
  }

  void draw() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
  }

  bool flows(int channel) const {
    if (!stalls_) return true;
    return (random_ >> (12 * channel) & 0xFFF) * 100 >= static_cast<uint64_t>(ddr_.stall_percent[channel]) * 4096;
  }

  // Whether a channel may answer in this cycle: neither hung nor stalled.
  bool open(int channel) const { return hang_after_[channel] != 0 && flows(channel); }

  void answered(int channel) {
    if (hang_after_[channel] > 0) --hang_after_[channel];
  }

  // ---- what the engine shows, when nothing moves any more before the rising edge

  void sample() {
    sample_registers();
    if (!top_->rst_ni) return check_reset();
    sample_reads();
    sample_writes();
  }

  void sample_registers() {
    lite_.aw = top_->s_axi_control_awvalid && top_->s_axi_control_awready;
    lite_.w = top_->s_axi_control_wvalid && top_->s_axi_control_wready;
    lite_.b = top_->s_axi_control_bvalid && top_->s_axi_control_bready;
    lite_.ar = top_->s_axi_control_arvalid && top_->s_axi_control_arready;
    lite_.r = top_->s_axi_control_rvalid && top_->s_axi_control_rready;
    lite_.response = lite_.b ? top_->s_axi_control_bresp : top_->s_axi_control_rresp;
    const bool dropped = (lite_.b_waits && !top_->s_axi_control_bvalid) || (lite_.r_waits && !top_->s_axi_control_rvalid);
    const bool changed = lite_.r_waits && top_->s_axi_control_rdata != lite_.data;
    if ((dropped || changed) && top_->rst_ni) ++counts_[k_register_response_unstable];
    lite_.b_waits = top_->s_axi_control_bvalid && !lite_.b;
    lite_.r_waits = top_->s_axi_control_rvalid && !lite_.r;
    lite_.data = top_->s_axi_control_rdata;
  }

  void check_reset() {
    // The first cycle of a reset has not seen its rising edge yet.
    if (in_reset_ && (top_->m_axi_arvalid || top_->m_axi_awvalid || top_->m_axi_wvalid)) ++counts_[k_valid_in_reset];
    in_reset_ = true;
  }

  void sample_reads() {
    if (top_->m_axi_arvalid || ar_.waiting) sample_read_address();
    if (top_->m_axi_rvalid)
      sample_read_data();
    else if (reads_.size())
      ++counts_[k_read_wait_cycles];
  }

  void sample_read_address() {
    const Address address{top_->m_axi_araddr, shape(top_->m_axi_arlen, top_->m_axi_arsize, top_->m_axi_arburst)};
    ar_.check(top_->m_axi_arvalid, top_->m_axi_arready, address, counts_.data());
    if (!top_->m_axi_arvalid || !top_->m_axi_arready) return;
    accept(reads_, address, readable, k_stray_reads);
    ++counts_[k_read_bursts];
    answered(kAr);
    Burst& burst = reads_.slots[(reads_.tail - 1) % kQueue];
    burst.due = now_ + ddr_.read_latency;
    for (uint32_t i = 0; i < burst.beats; ++i) fetch(burst, i);
  }

  void fetch(Burst& burst, uint32_t beat) {
    const uint64_t address = burst.address + beat * kWord;
    uint8_t* to = burst.data.data() + beat * kWord;
    if (inside(address))
      std::memcpy(to, memory_ + (address - base_), kWord);
    else
      std::memset(to, 0xDE, kWord);
  }

  void sample_read_data() {
    if (!top_->m_axi_rready) {
      ++counts_[k_read_refused_cycles];
      return;
    }
    taken_r_ = true;
    Burst& burst = reads_.front();
    counts_[k_error_beats] += top_->m_axi_rresp != kOkay;
    ++counts_[k_read_beats];
    answered(kR);
    if (++burst.done == burst.beats) ++reads_.head;
  }

  void sample_writes() {
    const bool data_first = top_->m_axi_wvalid && filled_ == writes_.tail && !top_->m_axi_awvalid;
    if (data_first) ++counts_[k_data_before_address];
    if (top_->m_axi_wvalid || w_.waiting) sample_write_data();
    if (top_->m_axi_awvalid || aw_.waiting) sample_write_address();
    if (top_->m_axi_bvalid && top_->m_axi_bready) {
      taken_b_ = true;
      answered(kB);
      ++writes_.head;
    }
  }

  void sample_write_address() {
    const Address address{top_->m_axi_awaddr, shape(top_->m_axi_awlen, top_->m_axi_awsize, top_->m_axi_awburst)};
    aw_.check(top_->m_axi_awvalid, top_->m_axi_awready, address, counts_.data());
    if (!top_->m_axi_awvalid || !top_->m_axi_awready) return;
    accept(writes_, address, writable, k_stray_writes);
    ++counts_[k_write_bursts];
    answered(kAw);
  }

  void sample_write_data() {
    Beat beat;
    get(beat.data.data(), top_->m_axi_wdata);
    beat.flags = static_cast<uint32_t>(top_->m_axi_wstrb) << 1 | top_->m_axi_wlast;
    w_.check(top_->m_axi_wvalid, top_->m_axi_wready, beat, counts_.data());
    if (top_->m_axi_wvalid && top_->m_axi_wready) accept_beat(beat);
  }

  void accept_beat(const Beat& beat) {
    Burst& burst = writes_.slots[filled_ % kQueue];
    std::memcpy(burst.data.data() + burst.done * kWord, beat.data.data(), kWord);
    strobes_[(filled_ % kQueue) * kBeats + burst.done] = beat.flags >> 1;
    const uint8_t answer = response(burst.address + burst.done * kWord, true);
    burst.response = std::max(burst.response, answer);
    const bool last = ++burst.done == burst.beats;
    if (last != (beat.flags & 1)) ++counts_[k_last_misplaced];
    if (beat.flags >> 1 != kStrobes) ++counts_[k_strobe_partial];
    counts_[k_error_beats] += answer != kOkay;
    ++counts_[k_write_beats];
    answered(kW);
    if (last) burst.due = now_ + ddr_.write_latency, ++filled_;
  }

  static uint32_t shape(uint32_t length, uint32_t size, uint32_t type) { return length | size << 8 | type << 16; }

  void accept(Queue& queue, const Address& address, const std::vector<Window>& windows, Count stray) {
    const uint32_t beats = (address.shape & 0xFF) + 1;
    const uint64_t first = address.address, end = first + beats * kWord;
    constexpr uint32_t kIncr = __builtin_ctz(kWord) << 8 | 1 << 16;
    counts_[k_burst_crosses_4_kib] += first / kPage != (end - 1) / kPage;
    counts_[k_burst_over_16_beats] += beats > kMostBeats;
    counts_[k_burst_not_incr_of_words] += (address.shape & ~0xFFu) != kIncr;
    counts_[k_address_unaligned] += first % kWord != 0;
    check_window(first, end, windows, stray);
    Burst& burst = queue.push();
    burst.address = first;
    burst.beats = beats;
    burst.done = 0;
    burst.response = kOkay;
  }

  void check_window(uint64_t first, uint64_t end, const std::vector<Window>& windows, Count stray) {
    const auto fits = [&](const Window& window) { return window.holds(first, end); };
    if (windows.empty() || std::any_of(windows.begin(), windows.end(), fits)) return;
    if (!counts_[k_stray_reads] && !counts_[k_stray_writes]) counts_[k_first_stray] = first;
    ++counts_[stray];
  }

  uint8_t* memory_ = nullptr;
  uint64_t base_ = 0, size_ = 0, now_ = 0, random_ = 1;
  uint64_t filled_ = 0;  // write bursts whose data is complete
  bool stalls_ = false, taken_r_ = false, taken_b_ = false, in_reset_ = false;
  Ddr ddr_{};
  Slots read_slots_, write_slots_;
  Queue reads_, writes_;
  std::array<uint32_t, kQueue * kBeats> strobes_{};
  std::array<int64_t, kChannels> hang_after_;
  std::array<uint64_t, kCounts> counts_{};
  Watch<Address> ar_, aw_;
  Watch<Beat> w_;
  struct {
    bool aw, w, b, ar, r, b_waits, r_waits;
    uint8_t response;
    uint32_t data;
  } lite_{};
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Vtop> top_;
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> trace_;
#endif
};

}  // namespace

SIM_API Sim* sim_new(int random_seed) { return new Sim(random_seed); }
SIM_API void sim_free(Sim* sim) { delete sim; }
SIM_API void sim_attach(Sim* sim, uint8_t* memory, uint64_t base, uint64_t size) { sim->attach(memory, base, size); }
SIM_API void sim_reset(Sim* sim, int cycles) { sim->reset(cycles); }
SIM_API int sim_irq(Sim* sim) { return sim->irq(); }
// Both answer the AXI response, or -1 when there is none within `limit` cycles.
SIM_API int sim_read(Sim* sim, uint32_t offset, uint32_t* data, int limit) { return sim->read(offset, data, limit); }
SIM_API int sim_write(Sim* sim, uint32_t offset, uint32_t data, int limit) { return sim->write(offset, data, limit); }
// Cycles run: `limit`, or fewer when the interrupt rose.
SIM_API uint64_t sim_run(Sim* sim, uint64_t limit, int until_irq) { return sim->run(limit, until_irq); }
SIM_API void sim_configure(Sim* sim, int read_latency, int write_latency, int outstanding, uint32_t slots,
                           const int32_t* stall_percent) {
  Ddr ddr{read_latency, write_latency, outstanding, slots, {}};
  std::copy_n(stall_percent, kChannels, ddr.stall_percent.begin());
  sim->configure(ddr);
}
SIM_API void sim_seed(Sim* sim, uint64_t seed) { sim->seed(seed); }
SIM_API void sim_allow(Sim* sim, int write, uint64_t low, uint64_t high) {
  (write ? sim->writable : sim->readable).push_back({low, high});
}
SIM_API void sim_inject(Sim* sim, int write, uint64_t low, uint64_t high, int response) {
  sim->injections.push_back({{low, high}, write != 0, static_cast<uint8_t>(response)});
}
SIM_API void sim_hang(Sim* sim, int channel, int64_t after) { sim->hang(channel, after); }
SIM_API void sim_clear_injections(Sim* sim) {
  sim->injections.clear();
  for (int channel = 0; channel < kChannels; ++channel) sim->hang(channel, -1);
}
SIM_API int sim_trace(Sim* sim, const char* path) { return sim->trace(path); }
// Names of the counters, violations after the semicolon, in the order of sim_counts.
SIM_API const char* sim_count_names() { return STATISTICS(AS_TEXT) "; " VIOLATIONS(AS_TEXT); }
SIM_API void sim_counts(Sim* sim, uint64_t* out) { std::copy_n(sim->counts(), kCounts, out); }
SIM_API void sim_clear_counts(Sim* sim) { sim->clear_counts(); }
