// The DDR behind the engine's AXI4 master: timing, checks of what the engine does, faults on demand.
//
// It is as unkind as AXI allows: a read sees memory as it was when its address was accepted, a write reaches
// memory only when its response is offered. A master that does not wait for its response reads old data. And it does
// not know of the engine's reset: what was asked before it is answered after it.

#pragma once

#include <algorithm>

#include "axi.hpp"

namespace {

struct Timing {  // in cycles
  int32_t read_latency = 1, write_latency = 1, outstanding = 8;
  uint32_t slots = 1u << 16;  // of 65536 cycles, those that can move a beat
  std::array<int32_t, kChannels> stall_percent{};
};

constexpr uint64_t kPatience = 64;  // cycles that an order of writes or a bunch of responses waits for one more

class Ddr {
 public:
  Ddr(Vtop& top, Counts& counts) : top_(top), counts_(counts) { hang_after_.fill(-1); }

  std::vector<Window> readable, writable;  // empty: anywhere
  std::vector<Injection> injections;

  // Puts another memory behind the master. No windows: all of it may be touched.
  void attach(uint8_t* memory, uint64_t base, uint64_t size) {
    memory_ = memory;
    base_ = base;
    size_ = size;
    readable.clear();
    writable.clear();
  }

  void configure(const Timing& timing) {
    timing_ = timing;
    timing_.outstanding = std::clamp(timing.outstanding, 1, static_cast<int32_t>(kMostOutstanding));
    const auto& stalls = timing.stall_percent;
    stalls_ = std::any_of(stalls.begin(), stalls.end(), [](int32_t percent) { return percent > 0; });
    seed(1);
  }

  // Restarts the patterns, so that a start's cycles do not depend on what ran before it.
  void seed(uint64_t seed) {
    read_slots_ = write_slots_ = {timing_.slots, 0};
    random_ = seed * 0x9E3779B97F4A7C15u | 1;
  }

  void hang(int channel, int64_t after) { hang_after_[channel % kChannels] = after; }

  void order_writes(WriteOrder order, int32_t bunch) {
    order_ = order;
    bunch_ = std::clamp(bunch, 1, static_cast<int32_t>(kMostOutstanding));
  }

  // The engine comes out of reset. Whole bursts of before it stay and are answered. One whose data the reset cut off
  // is ended without strobes, as a bridge ends it that takes its place; data without an address are dropped.
  void cut_off() {
    ar_ = aw_ = {};
    w_ = {};
    in_reset_ = false;
    for (; filled_ > writes_.tail; --filled_) writes_.at(filled_).done = 0;
    for (; filled_ < writes_.tail; ++filled_) {
      Burst& burst = writes_.at(filled_);
      std::fill(burst.strobes.begin() + burst.done, burst.strobes.begin() + burst.beats, 0);
      burst.done = burst.beats;
      burst.due = now_ + timing_.write_latency;
    }
    writes_.at(filled_).done = 0;
  }

  uint64_t outstanding() const { return reads_.size() + std::max(writes_.tail, filled_ + data_begun()) - writes_.head; }

  // A channel's random pause, for the registers' handshakes too.
  bool flows(int channel) const {
    if (!stalls_) return true;
    const uint64_t draw = random_ >> (12 * channel) & 0xFFF;
    return draw * 100 >= static_cast<uint64_t>(timing_.stall_percent[channel]) * 4096;
  }

  // What the memory shows the engine in cycle `now`.
  void drive(uint64_t now) {
    now_ = now;
    if (stalls_) draw();
    if (taken_r_) top_.m_axi_rvalid = 0;
    if (taken_b_) top_.m_axi_bvalid = 0;
    taken_r_ = taken_b_ = false;
    const bool read_slot = read_slots_.next(), write_slot = write_slots_.next();
    const uint64_t most = timing_.outstanding;
    top_.m_axi_arready = reads_.size() < most && open(kAr);
    turn_to_data();
    top_.m_axi_awready = writes_.size() < most && open(kAw) && address_may_come();
    top_.m_axi_wready = write_slot && open(kW) && data_may_come();
    const bool beat_due = reads_.size() && reads_.front().due <= now_;
    if (!top_.m_axi_rvalid && beat_due && read_slot && open(kR)) offer_beat();
    if (!top_.m_axi_bvalid && response_may_go() && open(kB)) offer_response();
  }

  // What the engine shows, when nothing moves any more before the rising edge.
  void sample() {
    if (!top_.rst_ni) return check_reset();
    sample_reads();
    sample_writes();
  }

 private:
  // Whether a channel may answer in this cycle: neither hung nor stalled.
  bool open(int channel) const { return hang_after_[channel] != 0 && flows(channel); }

  void draw() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
  }

  void answered(int channel) {
    if (hang_after_[channel] > 0) --hang_after_[channel];
  }

  bool inside(uint64_t address) const { return address >= base_ && address - base_ + kWord <= size_; }

  uint8_t response(uint64_t address, bool write) const {
    for (const Injection& injection : injections)
      if (injection.write == write && injection.window.holds(address, address + 1)) return injection.response;
    return inside(address) ? kOkay : kDecerr;
  }

  void check_reset() {
    // The first cycle of a reset has not seen its rising edge yet.
    const bool asks = top_.m_axi_arvalid || top_.m_axi_awvalid || top_.m_axi_wvalid;
    counts_[k_valid_in_reset] += in_reset_ && asks;
    in_reset_ = true;
  }

  // ---- both directions

  void accept(Queue& queue, const Address& address, const std::vector<Window>& windows, Count stray) {
    const uint32_t beats = (address.shape & 0xFF) + 1;
    const uint64_t first = address.address, end = first + beats * kWord;
    counts_[k_burst_crosses_4_kib] += first / kPage != (end - 1) / kPage;
    counts_[k_burst_over_16_beats] += beats > kMostBeats;
    counts_[k_burst_not_incr_of_words] += (address.shape & ~0xFFu) != kIncrOfWords;
    counts_[k_address_unaligned] += first % kWord != 0;
    check_window(first, end, windows, stray);
    Burst& burst = queue.at(queue.tail++);
    burst.address = first;
    burst.beats = beats;
    burst.response = kOkay;
  }

  void check_window(uint64_t first, uint64_t end, const std::vector<Window>& windows, Count stray) {
    const auto fits = [&](const Window& window) { return window.holds(first, end); };
    if (windows.empty() || std::any_of(windows.begin(), windows.end(), fits)) return;
    if (!counts_[k_stray_reads] && !counts_[k_stray_writes]) counts_[k_first_stray] = first;
    ++counts_[stray];
  }

  // ---- reads

  void offer_beat() {
    const Burst& burst = reads_.front();
    put(top_.m_axi_rdata, burst.data.data() + burst.done * kWord);
    top_.m_axi_rresp = response(burst.address + burst.done * kWord, false);
    top_.m_axi_rlast = burst.done + 1 == burst.beats;
    top_.m_axi_rvalid = 1;
  }

  void sample_reads() {
    if (top_.m_axi_arvalid || ar_.waiting) sample_read_address();
    if (top_.m_axi_rvalid)
      sample_read_data();
    else if (reads_.size())
      ++counts_[k_read_wait_cycles];
  }

  void sample_read_address() {
    const Address address{top_.m_axi_araddr, shape(top_.m_axi_arlen, top_.m_axi_arsize, top_.m_axi_arburst)};
    ar_.check(top_.m_axi_arvalid, top_.m_axi_arready, address, counts_);
    if (!top_.m_axi_arvalid || !top_.m_axi_arready) return;
    accept(reads_, address, readable, k_stray_reads);
    ++counts_[k_read_bursts];
    answered(kAr);
    Burst& burst = reads_.at(reads_.tail - 1);
    burst.due = now_ + timing_.read_latency;
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
    if (!top_.m_axi_rready) {
      ++counts_[k_read_refused_cycles];
      return;
    }
    taken_r_ = true;
    counts_[k_error_beats] += top_.m_axi_rresp != kOkay;
    ++counts_[k_read_beats];
    answered(kR);
    if (++reads_.front().done == reads_.front().beats) pop(reads_);
  }

  static void pop(Queue& queue) {
    queue.front().done = 0;
    ++queue.head;
  }

  // ---- writes: addresses and data fill one queue, either ahead of the other

  bool data_begun() const { return writes_.slots[filled_ % kQueue].done != 0; }

  bool address_may_come() const {
    switch (order_) {
      case kDataOffered:
        return filled_ == writes_.tail && top_.m_axi_wvalid;
      case kDataFirst:
        return filled_ > writes_.tail;
      default:
        return true;
    }
  }

  bool data_may_come() const {
    switch (order_) {
      case kEither:
        return filled_ - writes_.head < static_cast<uint64_t>(timing_.outstanding);
      case kDataFirst:
        return filled_ == writes_.tail;
      case kAddressesFirst:
        return data_turn_;
      default:
        return filled_ < writes_.tail;
    }
  }

  // In the order kAddressesFirst: data have their turn until those of all addresses are taken.
  void turn_to_data() {
    quiet_ = top_.m_axi_awvalid ? 0 : quiet_ + 1;
    const bool no_more = writes_.size() >= static_cast<uint64_t>(timing_.outstanding) || quiet_ > kPatience;
    data_turn_ = filled_ < writes_.tail && (data_turn_ || no_more);
  }

  // Responses are held back until a bunch of them is due.
  bool response_may_go() {
    const uint64_t whole = std::min(filled_, writes_.tail);
    uint64_t end = writes_.head;
    while (end < whole && writes_.at(end).due <= now_) ++end;
    const uint64_t due = end - writes_.head;
    const bool is_late = due && writes_.front().due + kPatience <= now_;
    bunch_goes_ = due && (bunch_goes_ || is_late || due >= static_cast<uint64_t>(bunch_));
    return bunch_goes_;
  }

  void sample_writes() {
    if (top_.m_axi_wvalid || w_.waiting) sample_write_data();
    if (top_.m_axi_awvalid || aw_.waiting) sample_write_address();
    if (top_.m_axi_bvalid && top_.m_axi_bready) {
      taken_b_ = true;
      answered(kB);
      pop(writes_);
    }
  }

  void sample_write_address() {
    const Address address{top_.m_axi_awaddr, shape(top_.m_axi_awlen, top_.m_axi_awsize, top_.m_axi_awburst)};
    aw_.check(top_.m_axi_awvalid, top_.m_axi_awready, address, counts_);
    if (!top_.m_axi_awvalid || !top_.m_axi_awready) return;
    accept(writes_, address, writable, k_stray_writes);
    ++counts_[k_write_bursts];
    answered(kAw);
    // Data that went ahead of their address are compared with it now.
    Burst& burst = writes_.at(writes_.tail - 1);
    const bool is_whole = filled_ >= writes_.tail;
    const bool fits = is_whole ? burst.done == burst.beats : burst.done < burst.beats;
    counts_[k_last_misplaced] += !fits;
    if (!is_whole && !fits) ++filled_;
    if (is_whole || !fits) close(burst);
  }

  void sample_write_data() {
    Beat beat{{}, top_.m_axi_wstrb, top_.m_axi_wlast != 0};
    get(beat.data.data(), top_.m_axi_wdata);
    w_.check(top_.m_axi_wvalid, top_.m_axi_wready, beat, counts_);
    if (top_.m_axi_wvalid && top_.m_axi_wready) accept_beat(beat);
  }

  void accept_beat(const Beat& beat) {
    Burst& burst = writes_.at(filled_);
    std::memcpy(burst.data.data() + burst.done * kWord, beat.data.data(), kWord);
    burst.strobes[burst.done] = beat.strobes;
    ++burst.done;
    const bool has_address = filled_ < writes_.tail;
    const bool ends = has_address ? burst.done == burst.beats : beat.last || burst.done == kBeats;
    counts_[k_last_misplaced] += ends != beat.last;
    counts_[k_strobe_partial] += beat.strobes != kStrobes;
    ++counts_[k_write_beats];
    answered(kW);
    if (ends) ++filled_;
    if (ends && has_address) close(burst);
  }

  // Address and data of a burst are complete.
  void close(Burst& burst) {
    burst.due = now_ + timing_.write_latency;
    for (uint32_t i = 0; i < burst.done; ++i) {
      const uint8_t answer = response(burst.address + i * kWord, true);
      burst.response = std::max(burst.response, answer);
      counts_[k_error_beats] += answer != kOkay;
    }
  }

  void offer_response() {
    const Burst& burst = writes_.front();
    for (uint32_t i = 0; i < burst.done; ++i)
      if (inside(burst.address + i * kWord)) store(burst, i);
    top_.m_axi_bresp = burst.response;
    top_.m_axi_bvalid = 1;
  }

  void store(const Burst& burst, uint32_t beat) {
    uint8_t* to = memory_ + (burst.address + beat * kWord - base_);
    for (unsigned i = 0; i < kWord; ++i)
      if (burst.strobes[beat] >> i & 1) to[i] = burst.data[beat * kWord + i];
  }

  Vtop& top_;
  Counts& counts_;
  uint8_t* memory_ = nullptr;
  uint64_t base_ = 0, size_ = 0, now_ = 0, random_ = 1;
  uint64_t filled_ = 0;  // write bursts whose data is complete
  WriteOrder order_ = kAddressFirst;
  int32_t bunch_ = 1;
  uint64_t quiet_ = 0;  // cycles without a write address
  bool data_turn_ = false, bunch_goes_ = false;
  bool stalls_ = false, taken_r_ = false, taken_b_ = false, in_reset_ = false;
  Timing timing_;
  Slots read_slots_, write_slots_;
  Queue reads_, writes_;
  std::array<int64_t, kChannels> hang_after_;
  Watch<Address> ar_, aw_;
  Watch<Beat> w_;
};

}  // namespace
