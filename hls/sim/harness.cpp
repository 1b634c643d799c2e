// One verilated engine: its AXI4-Lite registers driven by transactions, a DDR model behind its AXI4 master.
// C interface for ctypes. Compiled in one translation unit after the generated C++ of class Vtop.

#include <climits>
#include <memory>

#include "ddr.hpp"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

#define SIM_API extern "C" __attribute__((visibility("default")))

namespace {

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
    quieten();
    ddr_ = std::make_unique<Ddr>(*top_, counts_);
    reset(8);
  }

  ~Sim() {
#if VM_TRACE
    if (trace_) trace_->close();
#endif
    top_->final();
  }

  Ddr& ddr() { return *ddr_; }
  int irq() const { return top_->irq_o; }

  void reset(int cycles) {
    top_->rst_ni = 0;
    for (int i = 0; i < cycles; ++i) cycle();
    ddr_->cut_off();
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
      top_->s_axi_control_bready = ddr_->flows(kB);
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
      top_->s_axi_control_rready = ddr_->flows(kR);
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

  const Counts& counts() {
    counts_[k_assertion_failed] = context_->errorCount();
    counts_[k_outstanding] = ddr_->outstanding();
    return counts_;
  }

  void clear_counts() {
    counts_.fill(0);
    context_->errorCount(0);
  }

 private:
  // Inputs begin at random too where registers do; a valid among them would be an access nobody asked for.
  void quieten() {
    top_->s_axi_control_awvalid = top_->s_axi_control_wvalid = top_->s_axi_control_bready = 0;
    top_->s_axi_control_arvalid = top_->s_axi_control_rready = 0;
    top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
  }

  void cycle() {
    ddr_->drive(now_);
    settle(0);
    sample_registers();
    ddr_->sample();
    settle(1);
    ++now_;
    ++counts_[k_cycles];
  }

  void settle(int clock) {
    top_->clk_i = clock;
    top_->eval();
#if VM_TRACE
    if (trace_) trace_->dump(2 * now_ + clock);
#endif
  }

  void sample_registers() {
    const bool r_valid = top_->s_axi_control_rvalid, b_valid = top_->s_axi_control_bvalid;
    const bool dropped = (lite_.b_waits && !b_valid) || (lite_.r_waits && !r_valid);
    const bool changed = lite_.r_waits && top_->s_axi_control_rdata != lite_.data;
    counts_[k_register_response_unstable] += (dropped || changed) && top_->rst_ni;
    lite_.aw = top_->s_axi_control_awvalid && top_->s_axi_control_awready;
    lite_.w = top_->s_axi_control_wvalid && top_->s_axi_control_wready;
    lite_.b = b_valid && top_->s_axi_control_bready;
    lite_.ar = top_->s_axi_control_arvalid && top_->s_axi_control_arready;
    lite_.r = r_valid && top_->s_axi_control_rready;
    lite_.b_waits = b_valid && !lite_.b;
    lite_.r_waits = r_valid && !lite_.r;
    lite_.response = lite_.b ? top_->s_axi_control_bresp : top_->s_axi_control_rresp;
    lite_.data = top_->s_axi_control_rdata;
  }

  uint64_t now_ = 0;
  Counts counts_{};
  struct {  // handshakes of this cycle, and responses that wait to be taken
    bool aw, w, b, ar, r, b_waits, r_waits;
    uint8_t response;
    uint32_t data;
  } lite_{};
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Vtop> top_;
  std::unique_ptr<Ddr> ddr_;
#if VM_TRACE
  std::unique_ptr<VerilatedVcdC> trace_;
#endif
};

}  // namespace

SIM_API Sim* sim_new(int random_seed) { return new Sim(random_seed); }
SIM_API void sim_free(Sim* sim) { delete sim; }
SIM_API void sim_attach(Sim* sim, uint8_t* memory, uint64_t base, uint64_t size) {
  sim->ddr().attach(memory, base, size);
}
SIM_API void sim_reset(Sim* sim, int cycles) { sim->reset(cycles); }
SIM_API int sim_irq(Sim* sim) { return sim->irq(); }

// Both answer the AXI response, or -1 when there is none within `limit` cycles.
SIM_API int sim_read(Sim* sim, uint32_t offset, uint32_t* data, int limit) { return sim->read(offset, data, limit); }
SIM_API int sim_write(Sim* sim, uint32_t offset, uint32_t data, int limit) { return sim->write(offset, data, limit); }

// Cycles run: `limit`, or fewer when the interrupt rose.
SIM_API uint64_t sim_run(Sim* sim, uint64_t limit, int until_irq) { return sim->run(limit, until_irq); }

SIM_API void sim_configure(Sim* sim, int read_latency, int write_latency, int outstanding, uint32_t slots,
                           const int32_t* stall_percent) {
  Timing timing{read_latency, write_latency, outstanding, slots, {}};
  std::copy_n(stall_percent, kChannels, timing.stall_percent.begin());
  sim->ddr().configure(timing);
}
// `order` of write addresses and data, as enum WriteOrder; responses come in bunches of `bunch`.
SIM_API void sim_order_writes(Sim* sim, int order, int bunch) {
  sim->ddr().order_writes(static_cast<WriteOrder>(order), bunch);
}
SIM_API void sim_seed(Sim* sim, uint64_t seed) { sim->ddr().seed(seed); }
SIM_API void sim_allow(Sim* sim, int write, uint64_t low, uint64_t high) {
  (write ? sim->ddr().writable : sim->ddr().readable).push_back({low, high});
}
SIM_API void sim_inject(Sim* sim, int write, uint64_t low, uint64_t high, int response) {
  sim->ddr().injections.push_back({{low, high}, write != 0, static_cast<uint8_t>(response)});
}
SIM_API void sim_hang(Sim* sim, int channel, int64_t after) { sim->ddr().hang(channel, after); }
SIM_API void sim_clear_injections(Sim* sim) {
  sim->ddr().injections.clear();
  for (int channel = 0; channel < kChannels; ++channel) sim->ddr().hang(channel, -1);
}
SIM_API int sim_trace(Sim* sim, const char* path) { return sim->trace(path); }

// Names of the counters in the order of sim_counts; violations after the semicolon.
SIM_API const char* sim_count_names() { return STATISTICS(AS_TEXT) "; " VIOLATIONS(AS_TEXT); }
SIM_API void sim_counts(Sim* sim, uint64_t* out) { std::copy_n(sim->counts().begin(), kCounts, out); }
SIM_API void sim_clear_counts(Sim* sim) { sim->clear_counts(); }
