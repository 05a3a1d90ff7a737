"""Every operation gives on a GPU what it gives on the CPU: each finds its kernels, and allocates there."""

import numpy as np
import pytest

from numbacnn import config, functional
from numbacnn.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from numbacnn.tensor import Tensor, as_tensor

RNG = np.random.default_rng(5)
IMAGE, SIGNAL, VOLUME = (2, 5, 6, 3), (2, 9, 4), (1, 3, 4, 3, 2)


def floats(*shape):
    return RNG.standard_normal(shape, np.float32)


CONV = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}
W, DY = floats(2, 3, 3, 4), floats(2, 3, 5, 4)
POOL = {"stride": 2, "padding": 1}
TWO, TURNED = {"stride": 2}, floats(3, 2, 5, 3)
WORDS = RNG.integers(0, 6, (3, 4))
MASK = RNG.integers(0, 2, IMAGE).astype(np.uint8)
SCORES, CLASSES = floats(5, 4), RNG.integers(0, 4, 5)
MAP = RNG.integers(0, 4, (2, 3, 2))
WEIGHTS = RNG.uniform(0.5, 2, 4).astype(np.float32)
SIGNS = np.array([1, -1, 1, -1, -1])
SUMS = RNG.uniform(1, 2, (2, 2, 4)).astype(np.float32)
CHANCES = np.full((5, 4), 0.25, np.float32)

MOMENTS, OTHERS = (floats(3), np.abs(floats(3)) + 1), (floats(3), floats(3))

# Operation, arrays, other arguments, options.
CASES = [
    ("conv_forward", (floats(*IMAGE), W, floats(4)), (), CONV),
    ("conv_forward", (floats(*SIGNAL), floats(3, 4, 5)), (), {"padding": "causal", "flip": True}),
    ("conv_forward", (floats(*IMAGE), W), (), {"padding_mode": "reflect", "padding": 2}),
    ("conv_forward", (floats(*VOLUME), floats(2, 2, 1, 1, 4)), (), {"groups": 2, "activation": "relu6"}),
    ("conv_backward_data", (DY, W), (IMAGE,), CONV),
    ("conv_backward_data", (floats(2, 8, 8, 4), W), (IMAGE,), {"padding": 2, "padding_mode": "circular"}),
    ("conv_backward_weights", (floats(*IMAGE), DY), (W.shape,), CONV),
    ("conv_backward_weights", (floats(*SIGNAL), floats(2, 9, 5)), ((3, 4, 5),), {"padding": 1, "flip": True}),
    ("conv_transpose_forward", (floats(2, 3, 4, 3), TURNED, floats(5)), (), TWO),
    (
        "conv_transpose_backward_data",
        (floats(2, 7, 8, 5), floats(3, 2, 5, 3)),
        ((2, 3, 4, 3),),
        {"stride": 2},
    ),
    (
        "conv_transpose_backward_weights",
        (floats(2, 3, 4, 3), floats(2, 7, 8, 5)),
        ((3, 2, 5, 3),),
        {"stride": 2},
    ),
    ("dense_forward", (floats(5, 7), floats(7, 6), floats(6)), (), {}),
    ("dense_backward_data", (floats(5, 6), floats(7, 6)), (), {}),
    ("dense_backward_weights", (floats(5, 7), floats(5, 6)), (), {}),
    ("max_pool_forward", (floats(*IMAGE),), (3,), {**POOL, "return_indices": True}),
    ("avg_pool_forward", (floats(*VOLUME),), (2,), {**POOL, "ceil_mode": True, "count_include_pad": True}),
    ("pad_forward", (floats(*IMAGE),), (((1, 2), (0, 1)),), {"mode": "replicate"}),
    ("pad_backward", (floats(2, 8, 7, 3),), (IMAGE, ((1, 2), (0, 1))), {"mode": "reflect"}),
    ("resize_forward", (floats(*IMAGE),), ((7, 4),), {"mode": "bilinear", "align_corners": True}),
    ("resize_backward", (floats(2, 7, 4, 3),), (IMAGE,), {"mode": "nearest"}),
    ("pixel_shuffle_forward", (floats(2, 3, 2, 8),), (2,), {}),
    ("pixel_shuffle_backward", (floats(2, 6, 4, 2),), (2,), {}),
    ("pixel_unshuffle_forward", (floats(2, 6, 4, 2),), (2,), {}),
    ("pixel_unshuffle_backward", (floats(2, 3, 2, 8),), (2,), {}),
    ("relu_forward", (floats(*IMAGE),), (), {}),
    ("leaky_relu_forward", (floats(*IMAGE),), (), {"slope": 0.2}),
    ("clip_forward", (floats(*IMAGE),), (), {"low": -0.5, "high": 0.25}),
    ("silu_forward", (floats(*IMAGE),), (), {}),
    ("silu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("sigmoid_forward", (floats(*IMAGE),), (), {}),
    ("tanh_forward", (floats(*IMAGE),), (), {}),
    ("relu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("leaky_relu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {"slope": 0.2}),
    ("clip_backward", (floats(*IMAGE), floats(*IMAGE)), (), {"low": -0.5, "high": 0.25}),
    ("sigmoid_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("tanh_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("dropout_forward", (floats(*IMAGE), MASK, 2.0), (), {}),
    ("dropout_backward", (floats(*IMAGE), MASK, 2.0), (), {}),
    ("add", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("multiply", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("batch_norm_statistics", (floats(*IMAGE),), (), {}),
    ("batch_norm_forward", (floats(*IMAGE), *MOMENTS, *OTHERS), (), {"activation": ("leaky_relu", 0.2)}),
    ("batch_norm_backward", (floats(*IMAGE), floats(*IMAGE), *MOMENTS, *OTHERS), (), {"activation": "silu"}),
    ("elu_forward", (floats(*IMAGE),), (), {"alpha": 0.7}),
    ("elu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {"alpha": 0.7}),
    ("selu_forward", (floats(*IMAGE),), (), {}),
    ("selu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("gelu_forward", (floats(*IMAGE),), (), {}),
    ("gelu_backward", (floats(*IMAGE), floats(*IMAGE)), (), {"approximate": True}),
    ("hardsigmoid_forward", (4 * floats(*IMAGE),), (), {}),
    ("hardsigmoid_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("hardswish_forward", (4 * floats(*IMAGE),), (), {}),
    ("hardswish_backward", (floats(*IMAGE), 4 * floats(*IMAGE)), (), {}),
    ("mish_forward", (floats(*IMAGE),), (), {}),
    ("mish_backward", (floats(*IMAGE), floats(*IMAGE)), (), {}),
    ("softplus_forward", (floats(*IMAGE),), (), {"beta": 1.5}),
    ("softplus_backward", (floats(*IMAGE), MASK + np.float32(0.5)), (), {"beta": 1.5}),
    ("prelu_forward", (floats(*IMAGE), floats(3)), (), {}),
    ("prelu_backward", (floats(*IMAGE), floats(*IMAGE), floats(1)), (), {}),
    ("embedding_forward", (WORDS, floats(6, 5)), (), {"padding_index": 2}),
    ("embedding_backward", (floats(3, 4, 5), WORDS), (6,), {}),
    ("group_dropout_forward", (floats(*IMAGE), MASK[:, 0, 0], 2.0), (), {}),
    ("group_dropout_backward", (floats(*IMAGE), MASK[:, 0, 0, 0], 2.0), (), {}),
    ("channel_pool_forward", (floats(*IMAGE),), (), {}),
    ("modulate_forward", (floats(*IMAGE), floats(2, 1, 1, 3), floats(2, 1, 1, 3)), (), {}),
    ("modulate_forward", (floats(*IMAGE), floats(2, 5, 6, 1)), (), {}),
    ("modulate_backward_scale", (floats(*IMAGE), floats(*IMAGE)), ((2, 1, 1, 3),), {}),
    ("weighted_sum_backward", (floats(*IMAGE), floats(2)), (), {"epsilon": 0.1}),
    ("permute_forward", (floats(*IMAGE),), ((0, 3, 1, 2),), {}),
    ("permute_backward", (floats(*IMAGE),), ((0, 2, 3, 1),), {}),
    ("slice_forward", (floats(*IMAGE),), ((0, 1, 0, 1), (2, 2, 3, 2), (1, 3, 2, 1)), {}),
    ("slice_backward", (floats(2, 2, 3, 2),), (IMAGE, (0, 1, 0, 1), (1, 3, 2, 1)), {}),
    ("split", (floats(*IMAGE),), ((1, 0, 2),), {}),
    ("bias_backward", (floats(*IMAGE),), (), {}),
    ("softmax_forward", (SCORES,), (), {}),
    ("softmax_backward", (SCORES, CHANCES), (), {}),
    ("log_softmax_forward", (SCORES,), (), {}),
    ("log_softmax_backward", (SCORES, np.log(CHANCES)), (), {}),
    ("softmax_cross_entropy_forward", (SCORES, CLASSES), (), {"label_smoothing": 0.1}),
    ("softmax_cross_entropy_backward", (CHANCES, CLASSES), (), {"scale": 0.2}),
    ("softmax_cross_entropy_forward", (SCORES, CHANCES), (), {}),
    ("group_norm_forward", (floats(*IMAGE),), (3,), {"epsilon": 0.1}),
    ("group_norm_backward", (floats(*IMAGE), floats(*IMAGE), floats(2, 1, 2), floats(3)), (), {}),
    ("layer_norm_forward", (floats(*IMAGE), floats(6, 3), floats(6, 3)), (), {"axes": 2}),
    (
        "layer_norm_backward",
        (floats(*IMAGE), floats(*IMAGE), floats(2, 5, 2), floats(6, 3)),
        (),
        {"axes": 2},
    ),
    ("local_response_norm_forward", (floats(*IMAGE),), (), {"size": 2, "alpha": 0.5, "k": 2.0}),
    ("local_response_norm_backward", (floats(*IMAGE), floats(*IMAGE)), (), {"size": 2, "beta": 0.6}),
    ("softmax_cross_entropy_forward", (floats(2, 3, 2, 4), MAP), (), {"ignore_index": 1}),
    ("focal_cross_entropy_forward", (SCORES, CLASSES), (), {"gamma": 1.5}),
    ("focal_cross_entropy_backward", (CHANCES, CLASSES), (), {"ignore_index": 2}),
    ("target_weights", (SCORES, CLASSES), (), {"ignore_index": 2}),
    ("mean_squared_error_forward", (SCORES, CHANCES), (), {}),
    ("mean_squared_error_backward", (SCORES, CHANCES), (), {"scale": 0.2}),
    ("mean_absolute_error_forward", (SCORES, CHANCES), (), {}),
    ("mean_absolute_error_backward", (SCORES, CHANCES), (), {"scale": 0.2}),
    ("huber_forward", (SCORES, CHANCES), (), {"delta": 0.5}),
    ("huber_backward", (SCORES, CHANCES), (), {"delta": 0.5}),
    ("binary_cross_entropy_forward", (SCORES, CHANCES), (), {}),
    ("binary_cross_entropy_backward", (SCORES, CHANCES), (), {}),
    ("focal_forward", (SCORES, CHANCES), (), {"alpha": None}),
    ("focal_backward", (SCORES, CHANCES), (), {}),
    ("kl_divergence_forward", (SCORES, CHANCES), (), {}),
    ("kl_divergence_backward", (SCORES, CHANCES), (), {"log_target": True}),
    ("dice_forward", (floats(2, 3, 2, 4), MAP), (), {"squared": True}),
    ("dice_backward", (floats(2, 3, 2, 4), MAP, SUMS), (), {}),
    ("cosine_embedding_forward", (floats(5, 7), floats(5, 7), SIGNS), (), {}),
    ("cosine_embedding_backward", (floats(5, 7), floats(5, 7), SIGNS), (), {"margin": 0.1}),
    ("triplet_forward", (floats(5, 7), floats(5, 7), floats(5, 7)), (), {}),
    ("triplet_backward", (floats(5, 7), floats(5, 7), floats(5, 7)), (), {"squared": True}),
]


# Pooling: its gradients take what the forward pass was given and returned, or the input's shape.
POOLING = {
    "max_pool": ((3,), POOL, True),
    "avg_pool": ((3,), POOL, False),
    "lp_pool": ((2,), {"p": 3.0}, True),
    "gaussian_pool": ((3,), {"stride": 2, "sigma": 1.5}, False),
    "adaptive_max_pool": (((3, 4),), {}, True),
    "adaptive_avg_pool": (((3, 4),), {}, False),
    "global_max_pool": ((), {}, True),
    "global_avg_pool": ((), {}, False),
    "fractional_max_pool": ((2,), {"output_size": (3, 4), "seed": 3}, True),
}


def on(device, values):
    return [as_tensor(v, device=device) if isinstance(v, np.ndarray) else v for v in values]


def check(name, arrays, arguments, options):
    """The same on both; returns the first result."""
    operation = getattr(functional, name)
    expected = operation(*arrays, *arguments, **options)
    with config.precision_as("exact"):
        got = operation(*on("cuda", arrays), *arguments, **options)
    one = isinstance(expected, Tensor)
    for a, b in zip([expected] if one else expected, [got] if one else got, strict=True):
        if a is None:
            assert b is None
            continue
        assert b.device == "cuda" and b.dtype == a.dtype and b.shape == a.shape
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=2e-5, atol=2e-6)
    return (expected if one else expected[0]).numpy()


@pytest.mark.parametrize(("name", "arrays", "arguments", "options"), CASES)
def test_an_operation_gives_what_it_gives_on_the_cpu(name, arrays, arguments, options):
    check(name, arrays, arguments, options)


@pytest.mark.parametrize("stem", POOLING)
def test_pooling_gives_what_it_gives_on_the_cpu(stem):
    arguments, options, whole = POOLING[stem]
    x = floats(*IMAGE)
    y = check(f"{stem}_forward", (x,), arguments, options)
    dy = floats(*y.shape)
    given, where = ((dy, x, y), ()) if whole else ((dy,), (IMAGE,))
    if not stem.startswith("adaptive"):  # their windows follow from the shapes
        where = (*where, *arguments)
    check(f"{stem}_backward", given, where, options)


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_losses_take_weights_of_classes_there(way):
    for stem, label, target in (
        ("softmax_cross_entropy", "class_weights", CLASSES),
        ("binary_cross_entropy", "positive_weights", CHANCES),
    ):
        operation = getattr(functional, f"{stem}_{way}")
        expected = operation(CHANCES, target, **{label: WEIGHTS})
        x, t, weights = on("cuda", (CHANCES, target, WEIGHTS))
        got = operation(x, t, **{label: weights})
        one, other = (r[0] if isinstance(r, tuple) else r for r in (expected, got))
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=2e-5, atol=2e-6)
        with pytest.raises(DeviceError, match="weights on 'cuda'"):
            operation(x, t, **{label: WEIGHTS})


def test_concat_gives_what_it_gives_on_the_cpu():
    parts = [floats(2, size, 6, 3) for size in (1, 3, 2)]
    whole = functional.concat(on("cuda", parts), axis=1)
    assert whole.device == "cuda"
    np.testing.assert_array_equal(whole.numpy(), np.concatenate(parts, axis=1))


def test_pooling_of_channels_and_weighted_sums_give_what_they_give_on_the_cpu():
    x, y, dy = floats(*IMAGE), floats(*IMAGE), floats(2, 5, 6, 2)
    pooled = functional.channel_pool_forward(x).numpy()
    check("channel_pool_backward", (dy, x, pooled, y), (), {})
    weights = floats(2)
    for device in ("cpu", "cuda"):
        both, factors = on(device, (x, y)), as_tensor(weights, device=device)
        total = functional.weighted_sum_forward(both, factors, epsilon=0.1)
        slopes = functional.weighted_sum_backward_weights(both, both[0], factors, epsilon=0.1)
        assert total.device == slopes.device == device
        if device == "cpu":
            expected = total.numpy(), slopes.numpy()
    np.testing.assert_allclose(total.numpy(), expected[0], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(slopes.numpy(), expected[1], rtol=2e-5, atol=2e-5)


def test_unpooling_gives_what_it_gives_on_the_cpu():
    x = floats(*IMAGE)
    y, places = (t.numpy() for t in functional.max_pool_forward(x, 2, return_indices=True))
    check("max_unpool_forward", (y, places), ((5, 6),), {})
    check("max_unpool_backward", (x, places), (), {})


def test_alignments_give_what_they_give_on_the_cpu():
    x, labels = floats(2, 5, 4), np.array([[1, 1], [3, 2]])
    check("ctc_forward", (x, labels), (), {"by_length": True})
    _, norm, prefixes = (t.numpy() for t in functional.ctc_forward(x, labels))
    check("ctc_backward", (x, labels, norm, prefixes), (), {"scale": 0.5})


def test_every_operation_is_listed():
    unpooling = {"max_unpool_forward", "max_unpool_backward", "concat", "channel_pool_backward"}
    unpooling |= {"weighted_sum_forward", "weighted_sum_backward_weights"}
    unpooling |= {"ctc_forward", "ctc_backward"}
    pooling = {f"{stem}_{way}" for stem in POOLING for way in ("forward", "backward")}
    assert {case[0] for case in CASES} | pooling | unpooling == set(functional.__all__)


def test_parts_of_arrays_are_read_though_they_begin_anywhere():
    rows = as_tensor(floats(5, 7), device="cuda")
    part = rows[1:4]  # 28 bytes on: kernels read 16 at once
    expected = functional.relu_forward(rows.numpy()[1:4]).numpy()
    np.testing.assert_array_equal(functional.relu_forward(part).numpy(), expected)
    kept = as_tensor(np.ones((5, 7), np.uint8), device="cuda")[1:4]
    np.testing.assert_array_equal(functional.dropout_forward(part, kept, 1.0).numpy(), part.numpy())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_stay_sixteen_bits_but_for_losses(dtype):
    x, w, b = (as_tensor(a, device="cuda").astype(dtype) for a in (floats(*IMAGE), W, floats(4)))
    y = functional.conv_forward(x, w, b, **CONV)
    assert y.dtype.name == dtype
    expected = functional.conv_forward(*(t.astype(np.float32).numpy() for t in (x, w, b)), **CONV).numpy()
    bound = {"float16": 2e-3, "bfloat16": 2e-2}[dtype]
    np.testing.assert_allclose(y.astype(np.float32).numpy(), expected, atol=bound * np.abs(expected).max())
    scores = as_tensor(SCORES, device="cuda").astype(dtype)
    loss, p = functional.softmax_cross_entropy_forward(scores, as_tensor(CLASSES, device="cuda"))
    assert loss.dtype == np.float32 and p.dtype.name == dtype


def test_devices_are_not_mixed_and_checks_hold_there_too():
    x, w = as_tensor(floats(*IMAGE), device="cuda"), as_tensor(W, device="cuda")
    with pytest.raises(DeviceError, match=r"stem: expected the kernel on 'cuda'"):
        functional.conv_forward(x, W, name="stem")
    with pytest.raises(DeviceError, match="a mask on 'cuda'"):
        functional.dropout_forward(x, MASK, 2.0)
    with pytest.raises(ShapeError, match="channels"):
        functional.conv_forward(x, as_tensor(floats(3, 3, 2, 4), device="cuda"))
    with pytest.raises(DTypeError, match="types are not mixed"):
        functional.conv_forward(x, w.astype("float64"))
    with pytest.raises(ArgumentError, match="stride"):
        functional.conv_forward(x, w, stride=0)
    with pytest.raises(DTypeError, match="int64"):
        functional.softmax_cross_entropy_forward(
            as_tensor(SCORES, device="cuda"), as_tensor(CLASSES.astype(np.int32), device="cuda")
        )
