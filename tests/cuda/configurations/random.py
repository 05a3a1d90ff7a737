"""Masks of dropout."""

from numbacnn.kernels.cuda import random

from ..gate import Configuration

# Ten rounds of two products of 32 bits: their high halves need no 64-bit multiplication
CONFIGURATIONS = {"mask": Configuration(random._mask.of(), ("uint8",), registers=40)}
