"""ONNX files as live PyTorch modules, whose parameters train."""

from bitlathe.model.onnx.agreement import Agreement, compare, file_outputs, import_and_compare
from bitlathe.model.onnx.load import import_onnx
from bitlathe.model.onnx.network import OnnxNetwork

__all__ = ["Agreement", "OnnxNetwork", "compare", "file_outputs", "import_and_compare", "import_onnx"]
