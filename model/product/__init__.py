"""Product quantization: weights as shared codewords."""

from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig

__all__ = ["LayerCodes", "Objective", "ProductConfig"]
