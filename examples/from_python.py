"""LeNet-5 as integers on the simulated engine: python examples/from_python.py"""

import bitlathe

network = bitlathe.load_network("lenet5", dataset="digits")
quantized = bitlathe.quantize(network, weight_bits=8, activation_bits=8)
program = bitlathe.compile(quantized, target="pynq-z2")
result = bitlathe.simulate(program, images=20)
print(result)
result.check()  # raises unless every output integer is the reference's
