"""The oracle: every kernel in plain NumPy and float64, as slow and as obvious as its formula.

Arrays are C-contiguous and channels last; all of a call have one element type, float32 or float64, but for
integer targets and masks. Each function writes its last array arguments, computes in float64 whatever the
element type, and validates nothing. The kernels in ``kernels/cpu`` have the same names and parameters.
"""

from .activation import (
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
    softplus_backward,
    softplus_forward,
)
from .batch_norm import batch_norm_backward, batch_norm_forward, batch_norm_statistics
from .channel_pool import channel_pool_backward, channel_pool_forward
from .conv import (
    conv_backward_data,
    conv_backward_weights,
    conv_forward,
    conv_forward_fused,
    conv_transpose_forward,
)
from .copy import strided_copy
from .ctc import ctc_backward, ctc_forward
from .dense import dense_backward_data, dense_backward_weights, dense_forward
from .dice import dice_backward, dice_forward
from .elementwise import (
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
from .embedding import embedding_backward, embedding_forward
from .group_dropout import group_dropout_backward, group_dropout_forward
from .group_norm import group_norm_backward, group_norm_forward
from .layer_norm import layer_norm_backward, layer_norm_forward
from .log_softmax import log_softmax_backward, log_softmax_forward
from .lp_pool import lp_pool_backward, lp_pool_forward
from .modulate import modulate_backward_scale, modulate_forward
from .pad import pad_backward, pad_forward
from .pointwise import (
    binary_cross_entropy_backward,
    binary_cross_entropy_forward,
    focal_backward,
    focal_forward,
    huber_backward,
    huber_forward,
    kl_divergence_backward,
    kl_divergence_forward,
    mean_absolute_error_backward,
    mean_absolute_error_forward,
    mean_squared_error_backward,
    mean_squared_error_forward,
)
from .pool import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
    max_pool_indices,
)
from .prelu import prelu_backward, prelu_forward
from .resample import resize_backward, resize_forward
from .response_norm import local_response_norm_backward, local_response_norm_forward
from .shuffle import (
    pixel_shuffle_backward,
    pixel_shuffle_forward,
    pixel_unshuffle_backward,
    pixel_unshuffle_forward,
)
from .similarity import (
    cosine_embedding_backward,
    cosine_embedding_forward,
    triplet_backward,
    triplet_forward,
)
from .softmax import (
    focal_cross_entropy_backward,
    focal_cross_entropy_forward,
    softmax_backward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
    softmax_forward,
    target_weights,
)
from .unpool import max_unpool_backward, max_unpool_forward
from .update import average_step, optimizer_step, penalty_value, square_sum
from .weighted_pool import weighted_pool_backward, weighted_pool_forward
from .weighted_sum import weighted_sum_backward, weighted_sum_backward_weights, weighted_sum_forward

__all__ = [
    "add",
    "average_step",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_statistics",
    "bias_backward",
    "binary_cross_entropy_backward",
    "binary_cross_entropy_forward",
    "channel_pool_backward",
    "channel_pool_forward",
    "clip_backward",
    "clip_forward",
    "conv_backward_data",
    "conv_backward_weights",
    "conv_forward",
    "conv_forward_fused",
    "conv_transpose_forward",
    "cosine_embedding_backward",
    "cosine_embedding_forward",
    "ctc_backward",
    "ctc_forward",
    "dense_backward_data",
    "dense_backward_weights",
    "dense_forward",
    "dice_backward",
    "dice_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "embedding_backward",
    "embedding_forward",
    "focal_backward",
    "focal_cross_entropy_backward",
    "focal_cross_entropy_forward",
    "focal_forward",
    "gelu_backward",
    "gelu_forward",
    "group_dropout_backward",
    "group_dropout_forward",
    "group_norm_backward",
    "group_norm_forward",
    "hardsigmoid_backward",
    "hardsigmoid_forward",
    "hardswish_backward",
    "hardswish_forward",
    "huber_backward",
    "huber_forward",
    "kl_divergence_backward",
    "kl_divergence_forward",
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
    "max_pool_indices",
    "max_unpool_backward",
    "max_unpool_forward",
    "mean_absolute_error_backward",
    "mean_absolute_error_forward",
    "mean_squared_error_backward",
    "mean_squared_error_forward",
    "mish_backward",
    "mish_forward",
    "modulate_backward_scale",
    "modulate_forward",
    "multiply",
    "optimizer_step",
    "pad_backward",
    "pad_forward",
    "penalty_value",
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
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_backward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "square_sum",
    "strided_copy",
    "tanh_backward",
    "tanh_forward",
    "target_weights",
    "triplet_backward",
    "triplet_forward",
    "weighted_pool_backward",
    "weighted_pool_forward",
    "weighted_sum_backward",
    "weighted_sum_backward_weights",
    "weighted_sum_forward",
]
