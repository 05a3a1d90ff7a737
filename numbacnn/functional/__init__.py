"""The operations, forward and gradients: each checks its arguments, allocates its result and runs a kernel.

They take tensors or arrays and return tensors. Nothing is recorded: a gradient is a function that is called.
"""

from numbacnn.functional.activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    hardsigmoid_backward,
    hardsigmoid_forward,
    hardswish_backward,
    hardswish_forward,
    mish_backward,
    mish_forward,
    selu_backward,
    selu_forward,
    softplus_backward,
    softplus_forward,
)
from numbacnn.functional.adaptive_pool import (
    adaptive_avg_pool_backward,
    adaptive_avg_pool_forward,
    adaptive_max_pool_backward,
    adaptive_max_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    global_max_pool_backward,
    global_max_pool_forward,
)
from numbacnn.functional.arrange import (
    concat,
    permute_backward,
    permute_forward,
    slice_backward,
    slice_forward,
    split,
)
from numbacnn.functional.batch_norm import batch_norm_backward, batch_norm_forward, batch_norm_statistics
from numbacnn.functional.channel_pool import channel_pool_backward, channel_pool_forward
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
    multiply,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
    tanh_backward,
    tanh_forward,
)
from numbacnn.functional.embedding import embedding_backward, embedding_forward
from numbacnn.functional.fractional_pool import fractional_max_pool_backward, fractional_max_pool_forward
from numbacnn.functional.group_dropout import group_dropout_backward, group_dropout_forward
from numbacnn.functional.group_norm import group_norm_backward, group_norm_forward
from numbacnn.functional.layer_norm import layer_norm_backward, layer_norm_forward
from numbacnn.functional.log_softmax import log_softmax_backward, log_softmax_forward
from numbacnn.functional.lp_pool import lp_pool_backward, lp_pool_forward
from numbacnn.functional.modulate import modulate_backward_scale, modulate_forward
from numbacnn.functional.pad import pad_backward, pad_forward
from numbacnn.functional.pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from numbacnn.functional.prelu import prelu_backward, prelu_forward
from numbacnn.functional.resample import resize_backward, resize_forward
from numbacnn.functional.response_norm import local_response_norm_backward, local_response_norm_forward
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
from numbacnn.functional.unpool import max_unpool_backward, max_unpool_forward
from numbacnn.functional.weighted_pool import gaussian_pool_backward, gaussian_pool_forward
from numbacnn.functional.weighted_sum import (
    weighted_sum_backward,
    weighted_sum_backward_weights,
    weighted_sum_forward,
)

__all__ = [
    "adaptive_avg_pool_backward",
    "adaptive_avg_pool_forward",
    "adaptive_max_pool_backward",
    "adaptive_max_pool_forward",
    "add",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_statistics",
    "bias_backward",
    "channel_pool_backward",
    "channel_pool_forward",
    "clip_backward",
    "clip_forward",
    "concat",
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
    "elu_backward",
    "elu_forward",
    "embedding_backward",
    "embedding_forward",
    "fractional_max_pool_backward",
    "fractional_max_pool_forward",
    "gaussian_pool_backward",
    "gaussian_pool_forward",
    "gelu_backward",
    "gelu_forward",
    "global_avg_pool_backward",
    "global_avg_pool_forward",
    "global_max_pool_backward",
    "global_max_pool_forward",
    "group_dropout_backward",
    "group_dropout_forward",
    "group_norm_backward",
    "group_norm_forward",
    "hardsigmoid_backward",
    "hardsigmoid_forward",
    "hardswish_backward",
    "hardswish_forward",
    "layer_norm_backward",
    "layer_norm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "local_response_norm_backward",
    "local_response_norm_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "lp_pool_backward",
    "lp_pool_forward",
    "max_pool_backward",
    "max_pool_forward",
    "max_unpool_backward",
    "max_unpool_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "mish_backward",
    "mish_forward",
    "modulate_backward_scale",
    "modulate_forward",
    "multiply",
    "pad_backward",
    "pad_forward",
    "permute_backward",
    "permute_forward",
    "pixel_shuffle_backward",
    "pixel_shuffle_forward",
    "pixel_unshuffle_backward",
    "pixel_unshuffle_forward",
    "prelu_backward",
    "prelu_forward",
    "relu_backward",
    "relu_forward",
    "resize_backward",
    "resize_forward",
    "selu_backward",
    "selu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "slice_backward",
    "slice_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "split",
    "tanh_backward",
    "tanh_forward",
    "weighted_sum_backward",
    "weighted_sum_backward_weights",
    "weighted_sum_forward",
]
