"""The compiler: an integer graph becomes a program, its weights, and the layouts of its ends."""

from bitlathe.hls.compile.compiler import Compiled, compile_graph
from bitlathe.hls.compile.layout import InputLayout, OutputLayout

__all__ = ["Compiled", "InputLayout", "OutputLayout", "compile_graph"]
