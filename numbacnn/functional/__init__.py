"""The operations, forward and gradients: each checks its arguments, allocates its result and runs a kernel.

They take tensors or arrays and return tensors. Nothing is recorded: a gradient is a function that is called.
"""

from numbacnn.functional.conv import conv_backward_data, conv_backward_weights, conv_forward
from numbacnn.functional.conv_transpose import (
    conv_transpose_backward_data,
    conv_transpose_backward_weights,
    conv_transpose_forward,
)
from numbacnn.functional.dense import (
    dense_backward_data,
    dense_backward_weights,
    dense_forward,
)
from numbacnn.functional.elementwise import (
    add,
    bias_backward,
    clip_backward,
    clip_forward,
    dropout_backward,
    dropout_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
    tanh_backward,
    tanh_forward,
)
from numbacnn.functional.pad import pad_backward, pad_forward
from numbacnn.functional.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from numbacnn.functional.resample import resize_backward, resize_forward
from numbacnn.functional.shuffle import (
    pixel_shuffle_backward,
    pixel_shuffle_forward,
    pixel_unshuffle_backward,
    pixel_unshuffle_forward,
)
from numbacnn.functional.softmax import (
    mean_squared_error_backward,
    mean_squared_error_forward,
    softmax_backward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
    softmax_forward,
)

__all__ = [
    "add",
    "avg_pool_backward",
    "avg_pool_forward",
    "bias_backward",
    "clip_backward",
    "clip_forward",
    "conv_backward_data",
    "conv_backward_weights",
    "conv_forward",
    "conv_transpose_backward_data",
    "conv_transpose_backward_weights",
    "conv_transpose_forward",
    "dense_backward_data",
    "dense_backward_weights",
    "dense_forward",
    "dropout_backward",
    "dropout_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "max_pool_backward",
    "max_pool_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "pad_backward",
    "pad_forward",
    "pixel_shuffle_backward",
    "pixel_shuffle_forward",
    "pixel_unshuffle_backward",
    "pixel_unshuffle_forward",
    "relu_backward",
    "relu_forward",
    "resize_backward",
    "resize_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "tanh_backward",
    "tanh_forward",
]
