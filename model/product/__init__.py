"""Product quantization: weights as codewords that many places share."""

from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig

__all__ = ["LayerCodes", "Objective", "ProductConfig"]
