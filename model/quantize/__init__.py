"""Capture of a PyTorch network as an integer graph, and quantization with power-of-two scales.

Import from the modules: `capture.capture`, `quantizer.quantize`, `config.QuantizeConfig`,
`fake_quant.ExactNetwork`, `preprocess.Preprocess`. Nothing is re-exported, so that `preprocess`, which
needs only NumPy, loads without torch.
"""
