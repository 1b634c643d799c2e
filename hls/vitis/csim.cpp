// csim: the top function for a program on the host.
// Function:   bitlathe_csim() runs one start on the caller's buffers; 0, or 1 with a message for a simulation error
//             bitlathe_csim_check() is the ErrorCode of a descriptor that is not the last one
// Interface:  C, loaded by hls/vitis/csim.py
// Latency:    none
// Reset:      none
// Reference:  hls/vitis/csim.py
#include <cstring>

#include "engine_top.cpp"

static_assert(sizeof(Word) == bitlathe::Config::kPI, "a word of memory holds PI bytes and nothing else");

// `values`: inputs, flags and the four sizes; `abort`: the register, which may stand in memory that the run writes;
// `results`: error, error_index, runs, identity, version. `cycles` counts the tokens that streams have moved, the only
// time there is in C simulation.
extern "C" __attribute__((visibility("default"))) int bitlathe_csim(const uint8_t *program, const uint8_t *weights,
                                                                    const uint8_t *input, uint8_t *output,
                                                                    uint8_t *scratch, uint64_t profile,
                                                                    const uint32_t *values,
                                                                    const volatile uint32_t *abort, uint32_t *results,
                                                                    uint64_t *cycles, char *message, size_t room) {
  try {
    bitlathe_engine(reinterpret_cast<const Word *>(program), reinterpret_cast<const Word *>(weights),
                    reinterpret_cast<const Word *>(input), reinterpret_cast<Word *>(output),
                    reinterpret_cast<Word *>(scratch), profile, values[0], values[1], values[2], values[3], values[4],
                    values[5], abort, &results[0], &results[1], &results[2], &results[3], &results[4], cycles,
                    bitlathe::Scheduler::instance().moves());
    return 0;
  } catch (const std::exception &error) {
    std::strncpy(message, error.what(), room - 1);
    message[room - 1] = 0;
    return 1;
  }
}

extern "C" __attribute__((visibility("default"))) uint32_t bitlathe_csim_check(const uint8_t *descriptor) {
  using bitlathe::Config;
  return bitlathe::check_descriptor<Config>(
      bitlathe::read_descriptor<Config>(reinterpret_cast<const Word *>(descriptor), 0), false);
}
