// stream: bounded FIFOs between the processes of a dataflow region, in synthesis and in C simulation.
// Function:   Stream<T, Depth>; BITLATHE_PROCESS(call) is one process, BITLATHE_JOIN() ends the region
// Interface:  read, write, empty, full as hls::stream; idle() tells the simulation that a poll was in vain
// Latency:    1 cycle
// Reset:      empty
// Reference:  the pragma STREAM beside a declaration repeats its Depth; the pragma linter compares them
//
// A sequential C simulation gives every FIFO endless room, so it sees no deadlock and knows no feedback. Here the
// processes are fibers that take turns whenever one can't go on, each FIFO holds no more than the hardware's, and a
// round in which nobody moves is a deadlock, reported with the state of every process.
#ifndef BITLATHE_STREAM_HPP
#define BITLATHE_STREAM_HPP

#ifdef __SYNTHESIS__
#include "hls_stream.h"

namespace bitlathe {
template <typename T, int Depth>
using Stream = hls::stream<T>;
inline void idle() {}
inline void progress() {}
}  // namespace bitlathe

#define BITLATHE_PROCESS(...) __VA_ARGS__
#define BITLATHE_JOIN()
#define BITLATHE_CHECK(condition, message)
#else
#include <ucontext.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bitlathe {

// What a simulated engine did that a real one must not; the message is for a person.
struct SimulationError : std::runtime_error {
  explicit SimulationError(const std::string &message) : std::runtime_error(message) {}
};

class Scheduler {
 public:
  static Scheduler &instance() {
    static thread_local Scheduler scheduler;
    return scheduler;
  }

  void add(const char *name, const std::function<void()> &body) {
    if (used_ == fibers_.size()) fibers_.emplace_back(new Fiber());
    Fiber &fiber = *fibers_[used_++];
    fiber.name = name;
    fiber.body = body;
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &main_;
    makecontext(&fiber.context, &Scheduler::enter, 0);
  }

  // Runs the added processes to their ends; SimulationError for a deadlock or whatever a process threw.
  void join() {
    size_t left = used_;
    while (left && error_.empty()) {
      const uint64_t before = moves_;
      left = round();
      if (left && moves_ == before && error_.empty()) error_ = "deadlock: " + waiting();
    }
    used_ = 0;
    if (error_.empty()) return;
    const std::string message = error_;
    error_.clear();
    throw SimulationError(message);
  }

  void moved() { ++moves_; }

  const uint64_t *moves() const { return &moves_; }

  void pause(const char *why) {
    if (!current_) throw SimulationError(std::string("outside a dataflow region: ") + why);
    current_->why = why;
    swapcontext(&current_->context, &main_);
  }

 private:
  enum { kStackBytes = 1 << 17 };
  struct Fiber {
    Fiber() : name(""), why(""), done(false), stack(kStackBytes) {}
    const char *name;
    const char *why;
    bool done;
    std::function<void()> body;
    ucontext_t context;
    std::vector<char> stack;
  };

  Scheduler() : used_(0), moves_(0), current_(nullptr) {}

  // One turn for every process; how many are not done.
  size_t round() {
    size_t left = 0;
    for (size_t i = 0; i < used_; ++i) {
      if (fibers_[i]->done) continue;
      current_ = fibers_[i].get();
      swapcontext(&main_, &current_->context);
      if (!current_->done) ++left;
      current_ = nullptr;
    }
    return left;
  }

  std::string waiting() const {
    std::string text;
    for (size_t i = 0; i < used_; ++i) {
      if (!fibers_[i]->done) text += std::string(text.empty() ? "" : "; ") + fibers_[i]->name + " " + fibers_[i]->why;
    }
    return text;
  }

  // An exception must not leave a fiber: it has no frame of main's to unwind to.
  static void enter() {
    Scheduler &scheduler = instance();
    Fiber *fiber = scheduler.current_;
    try {
      fiber->body();
    } catch (const std::exception &error) {
      if (scheduler.error_.empty()) scheduler.error_ = error.what();
    }
    scheduler.moved();
    fiber->done = true;
  }

  std::vector<std::unique_ptr<Fiber>> fibers_;
  size_t used_;
  uint64_t moves_;
  Fiber *current_;
  ucontext_t main_;
  std::string error_;
};

// A step that moves no token, so that a round of such steps is not a deadlock.
inline void progress() { Scheduler::instance().moved(); }

inline void idle() { Scheduler::instance().pause("polls and finds nothing to do"); }

template <typename T, int Depth>
class Stream {
 public:
  explicit Stream(const char *name = "") : name_(name), first_(0), size_(0) {}
  ~Stream() noexcept(false) {
    if (size_ && !std::uncaught_exception())
      throw SimulationError(std::string("stream ") + name_ + " holds " + std::to_string(size_) + " tokens at the end");
  }

  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == Depth; }

  T read() {
    while (empty()) Scheduler::instance().pause("waits for a token to read");
    const T value = tokens_[first_];
    first_ = first_ + 1 == Depth ? 0 : first_ + 1;
    --size_;
    Scheduler::instance().moved();
    return value;
  }

  void write(const T &value) {
    while (full()) Scheduler::instance().pause("waits for room to write");
    const int place = first_ + size_;
    tokens_[place >= Depth ? place - Depth : place] = value;
    ++size_;
    Scheduler::instance().moved();
  }

 private:
  const char *name_;
  int first_;
  int size_;
  T tokens_[Depth];
};

}  // namespace bitlathe

#define BITLATHE_PROCESS(...) ::bitlathe::Scheduler::instance().add(#__VA_ARGS__, [&]() { __VA_ARGS__; })
#define BITLATHE_JOIN() ::bitlathe::Scheduler::instance().join()
#define BITLATHE_CHECK(condition, message)                        \
  do {                                                            \
    if (!(condition)) throw ::bitlathe::SimulationError(message); \
  } while (false)
#endif

#endif
