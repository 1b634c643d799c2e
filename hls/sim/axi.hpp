// What of AXI the harness knows without an engine: bursts, queues, counters, and watches of the rules.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "Vtop.h"

namespace {

constexpr unsigned kWord = sizeof(std::declval<Vtop&>().m_axi_rdata);  // bytes a beat
constexpr uint32_t kStrobes = (1u << kWord) - 1;
constexpr uint64_t kPage = 4096;
constexpr unsigned kBeats = 256;           // most beats AXI4 can ask for; the engine's own limit is 16
constexpr unsigned kMostBeats = 16;        // AXI3, the port of Zynq-7000
constexpr unsigned kMostOutstanding = 64;  // bursts
constexpr unsigned kQueue = 2 * kMostOutstanding;

enum Channel { kAr, kR, kAw, kW, kB, kChannels };
enum Response : uint8_t { kOkay = 0, kSlverr = 2, kDecerr = 3 };

// clang-format off: columns
#define STATISTICS(X)                                                                    \
  X(cycles) X(read_beats) X(write_beats) X(read_bursts) X(write_bursts) X(error_beats)   \
  X(read_wait_cycles)    /* a read is outstanding and no beat is offered */              \
  X(read_refused_cycles) /* a beat is offered and not taken */                           \
  X(outstanding)         /* bursts not answered yet */                                   \
  X(stray_reads) X(stray_writes) /* bursts outside the windows */                        \
  X(first_stray)         /* address of the first of them */

#define VIOLATIONS(X)                                                                    \
  X(payload_changed_while_waiting) X(valid_dropped) X(valid_in_reset)                    \
  X(burst_crosses_4_kib) X(burst_over_16_beats) X(burst_not_incr_of_words)               \
  X(address_unaligned) X(last_misplaced) X(strobe_partial)                               \
  X(register_response_unstable) X(assertion_failed)
// clang-format on

#define AS_INDEX(name) k_##name,
#define AS_TEXT(name) #name " "
enum Count { STATISTICS(AS_INDEX) VIOLATIONS(AS_INDEX) kCounts };
using Counts = std::array<uint64_t, kCounts>;

struct Window {
  uint64_t low, high;
  bool holds(uint64_t first, uint64_t end) const { return low <= first && end <= high; }
};

struct Injection {
  Window window;
  bool write;
  uint8_t response;
};

// When a memory takes a write's address and its data. All of it is legal: a subordinate may wait for either's valid
// before it is ready for the other, a manager may never wait for a ready (AXI, A3.3.1).
enum WriteOrder : int {
  kAddressFirst,    // data once their address is taken
  kEither,          // both as they come
  kDataOffered,     // an address once its data are offered, data once their address is taken
  kDataFirst,       // an address once all its data are taken
  kAddressesFirst,  // data once as many addresses as may be are taken, or no further ones come
};

struct Burst {
  uint64_t address = 0, due = 0;  // due: first cycle in which it may be answered
  uint32_t beats = 0, done = 0;
  uint8_t response = kOkay;
  std::array<uint8_t, kBeats * kWord> data;
  std::array<uint32_t, kBeats> strobes;
};

// Bursts in order; the counters only grow, so their differences are lengths.
struct Queue {
  std::array<Burst, kQueue> slots;
  uint64_t head = 0, tail = 0;
  Burst& at(uint64_t position) { return slots[position % kQueue]; }
  Burst& front() { return at(head); }
  uint64_t size() const { return tail - head; }
};

// Watches one channel that the engine drives: once valid, it stays valid and unchanged until taken.
template <typename Payload>
struct Watch {
  bool waiting = false;
  Payload held{};
  void check(bool valid, bool ready, const Payload& payload, Counts& counts) {
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

constexpr uint32_t shape(uint32_t length, uint32_t size, uint32_t type) { return length | size << 8 | type << 16; }
constexpr uint32_t kIncrOfWords = shape(0, __builtin_ctz(kWord), 1);

struct Beat {
  std::array<uint8_t, kWord> data;
  uint32_t strobes;
  bool last;
  bool operator==(const Beat& o) const { return data == o.data && strobes == o.strobes && last == o.last; }
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

// Ports of up to 64 bits are integers, wider ones are arrays of 32-bit words; both are little-endian bytes.
template <typename Port>
void put(Port& port, const uint8_t* bytes) {
  std::memcpy(reinterpret_cast<uint8_t*>(&port), bytes, sizeof(Port));
}
template <typename Port>
void get(uint8_t* bytes, const Port& port) {
  std::memcpy(bytes, reinterpret_cast<const uint8_t*>(&port), sizeof(Port));
}

}  // namespace
