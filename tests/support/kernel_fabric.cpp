// An hls4ml kernel's C simulation behind the interface of the compiled simulators (hls/sim/harness.cpp), so that a
// simulated board can hold it: registers, a memory, and a start that is done as soon as it is written.
// Offsets are those of hls/registers.py; cycles are made up, one for each of the clock's steps so far.
#include <stdint.h>

#include <map>

extern "C" void network_kernel(const INPUT_ELEMENT *in, OUTPUT_ELEMENT *out, int images, uint32_t *identity,
                               uint32_t *version, uint64_t *cycles, const volatile uint64_t *counter);

namespace {
const uint32_t kControl = 0x00, kInput = 0x28, kOutput = 0x34, kInputs = 0x58;
const uint32_t kCycles = 0xA0, kIdentity = 0xB0, kVersion = 0xB8, kDone = 6;

struct Fabric {
  std::map<uint32_t, uint32_t> registers;
  uint8_t *memory;
  uint64_t base;
  uint64_t clock;

  uint8_t *at(uint32_t offset) { return memory + ((uint64_t)registers[offset] - base); }

  void start() {
    uint64_t cycles;
    network_kernel((const INPUT_ELEMENT *)at(kInput), (OUTPUT_ELEMENT *)at(kOutput), (int)registers[kInputs],
                   &registers[kIdentity], &registers[kVersion], &cycles, &clock);
    cycles = 1000 * registers[kInputs];
    registers[kCycles] = (uint32_t)cycles;
    registers[kCycles + 4] = (uint32_t)(cycles >> 32);
    registers[kControl] = kDone;
  }
};
}  // namespace

extern "C" {
void *sim_new(int) {
  Fabric *made = new Fabric();
  made->registers[kIdentity] = IDENTITY;  // a constant wire in hardware: there before the first start
  made->registers[kVersion] = VERSION;
  made->registers[kControl] = 4;
  return made;
}
void sim_free(void *fabric) { delete (Fabric *)fabric; }
void sim_attach(void *fabric, uint8_t *memory, uint64_t base, uint64_t) {
  ((Fabric *)fabric)->memory = memory;
  ((Fabric *)fabric)->base = base;
}
int sim_irq(void *) { return 0; }
int sim_read(void *fabric, uint32_t offset, uint32_t *data, int) {
  *data = ((Fabric *)fabric)->registers[offset];
  return 0;
}
int sim_write(void *fabric, uint32_t offset, uint32_t data, int) {
  Fabric *f = (Fabric *)fabric;
  f->registers[offset] = data;
  if (offset == kControl && (data & 1)) f->start();
  return 0;
}
uint64_t sim_run(void *fabric, uint64_t cycles, int) {
  ((Fabric *)fabric)->clock += cycles;
  return cycles;
}
void sim_configure(void *, int, int, int, uint32_t, const int32_t *) {}
void sim_seed(void *, uint64_t) {}
void sim_inject(void *, int, uint64_t, uint64_t, int) {}
void sim_clear_injections(void *) {}
void sim_hang(void *, int, int64_t) {}
const char *sim_count_names() { return "runs;"; }
void sim_counts(void *, uint64_t *counts) { counts[0] = 0; }
}
