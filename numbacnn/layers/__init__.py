"""Layers: parameters, forward passes and their gradients side by side, and the containers that stack them."""

from numbacnn.layers.activation import (
    Clip,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from numbacnn.layers.attention import SpatialAttention, SqueezeExcite
from numbacnn.layers.base import Layer
from numbacnn.layers.batch_norm import BatchNorm
from numbacnn.layers.branches import Parallel, Residual
from numbacnn.layers.containers import Container
from numbacnn.layers.conv import Conv1D, Conv2D, Conv3D
from numbacnn.layers.conv_transpose import ConvTranspose1D, ConvTranspose2D, ConvTranspose3D
from numbacnn.layers.dense import Dense
from numbacnn.layers.depthwise import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    DepthwiseConv3D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConv3D,
)
from numbacnn.layers.dropout import Dropout, DropPath, SpatialDropout
from numbacnn.layers.embedding import Embedding
from numbacnn.layers.folding import fold
from numbacnn.layers.global_pool import (
    AdaptiveAvgPool1D,
    AdaptiveAvgPool2D,
    AdaptiveAvgPool3D,
    AdaptiveMaxPool1D,
    AdaptiveMaxPool2D,
    AdaptiveMaxPool3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
)
from numbacnn.layers.graph import Graph
from numbacnn.layers.group_norm import GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from numbacnn.layers.merge import Add, Concat, Multiply, Split, WeightedSum
from numbacnn.layers.pool import (
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GaussianPool1D,
    GaussianPool2D,
    GaussianPool3D,
    LpPool1D,
    LpPool2D,
    LpPool3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
)
from numbacnn.layers.resample import PixelShuffle, PixelUnshuffle, Upsample1D, Upsample2D, Upsample3D
from numbacnn.layers.sequential import Sequential
from numbacnn.layers.shape import Crop, Flatten, Pad, Permute, Reshape, Slice
from numbacnn.layers.smooth_activation import ELU, GELU, SELU, Hardsigmoid, Hardswish, Mish, Softplus

__all__ = [
    "AdaptiveAvgPool1D",
    "AdaptiveAvgPool2D",
    "AdaptiveAvgPool3D",
    "AdaptiveMaxPool1D",
    "AdaptiveMaxPool2D",
    "AdaptiveMaxPool3D",
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Clip",
    "Concat",
    "Container",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "ConvTranspose3D",
    "Crop",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "DepthwiseConv3D",
    "DropPath",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GELU",
    "GaussianPool1D",
    "GaussianPool2D",
    "GaussianPool3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "Graph",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "LogSoftmax",
    "LpPool1D",
    "LpPool2D",
    "LpPool3D",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "Mish",
    "Multiply",
    "PReLU",
    "Pad",
    "Parallel",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "ReLU",
    "ReLU6",
    "Reshape",
    "Residual",
    "SELU",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConv3D",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "SpatialAttention",
    "SpatialDropout",
    "Split",
    "SqueezeExcite",
    "Tanh",
    "Upsample1D",
    "Upsample2D",
    "Upsample3D",
    "WeightedSum",
    "fold",
]
