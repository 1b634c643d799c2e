"""Product quantization: weights as codewords that many places share."""

from bitlathe.model.product.config import LayerCodes, Objective, ProductConfig
from bitlathe.model.product.finetuning import finetune
from bitlathe.model.product.plan import plan
from bitlathe.model.product.share import lowered, refresh, share

__all__ = ["LayerCodes", "Objective", "ProductConfig", "finetune", "lowered", "plan", "refresh", "share"]
