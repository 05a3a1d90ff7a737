"""The program that `bench.compile` starts anew each time: one network, once, noting what each kernel costs.

    python -m bench.compile_child lenet5|resnet [threads]

Prints a line of JSON: the kernels in the order of their first call, with the seconds to compile and load
each, or to load it where it was compiled before; and the processor's seconds of that.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

import numbacnn
from bench import startup_child
from numbacnn import _jit, _native


def lenet5() -> None:
    """A training step of LeNet-5: forward, loss, gradients, SGD with momentum."""
    startup_child.ours("step", None)


def resnet(size: int = 224, width: int = 64, classes: int = 10) -> None:
    """ResNet's stem, a residual block that halves the image, and its head: forward and all gradients.

    He et al., "Deep Residual Learning for Image Recognition", 2015, sections 3.3 and 4.1: 7x7 of stride 2,
    max-pooling, 3x3 of stride 1 and 2, 1x1, addition, the mean over the image, a dense layer.
    """
    f, rng = numbacnn.functional, np.random.default_rng(0)

    def values(*shape: int) -> Any:
        return numbacnn.as_tensor(0.1 * rng.standard_normal(shape, dtype=np.float32))

    def gradients(x: Any, w: Any, dy: Any, **options: Any) -> Any:
        f.conv_backward_weights(x, dy, w.shape, **options)
        return f.conv_backward_data(dy, w, x.shape, **options)

    wide = 2 * width
    stem, first, second = values(7, 7, 3, width), values(3, 3, width, width), values(3, 3, width, wide)
    shortcut, dense = values(1, 1, width, wide), values(wide, classes)
    half, pool, by_one = {"stride": 2, "padding": 3}, {"stride": 2, "padding": 1}, {"padding": 1}
    halved = {"stride": 2, "padding": 1}

    image = values(1, size, size, 3)
    s0 = f.conv_forward(image, stem, values(width), **half)
    s1 = f.relu_forward(s0)
    s2 = f.max_pool_forward(s1, 3, **pool)
    b0 = f.conv_forward(s2, first, values(width), **by_one)
    b1 = f.relu_forward(b0)
    b2 = f.conv_forward(b1, second, values(wide), **halved)
    c = f.conv_forward(s2, shortcut, stride=2)
    a = f.add(b2, c)
    y = f.relu_forward(a)
    h = f.avg_pool_forward(y, y.shape[1:3])
    features = h.numpy().reshape(1, wide)
    logits = f.dense_forward(features, dense, values(classes))

    dlogits = values(*logits.shape)
    f.dense_backward_weights(features, dlogits)
    f.bias_backward(dlogits)
    dh = f.dense_backward_data(dlogits, dense).numpy().reshape(h.shape)
    da = f.relu_backward(f.avg_pool_backward(dh, y.shape, y.shape[1:3]), y)
    db1 = gradients(b1, second, da, **halved)
    f.bias_backward(da)
    ds2 = gradients(s2, first, f.relu_backward(db1, b1), **by_one)
    ds2 = f.add(ds2, gradients(s2, shortcut, da, stride=2))
    ds1 = f.max_pool_backward(ds2, s1, s2, 3, **pool)
    gradients(image, stem, f.relu_backward(ds1, s1), **half)


NETWORKS = {"lenet5": lenet5, "resnet": resnet}


@_jit.kernel
def nothing(team):
    """The first kernel pays for what all of them need; so none of those that count is the first."""


def record() -> list[dict[str, Any]]:
    """Note each kernel from now on, when first it is called for types of arguments."""
    kernels: list[dict[str, Any]] = []
    entry = _jit.Kernel._entry

    def noted(kernel: _jit.Kernel, key: tuple, values: tuple) -> Any:
        start, busy = time.perf_counter(), time.thread_time()
        loaded = entry(kernel, key, values)
        seconds, busy = time.perf_counter() - start, time.thread_time() - busy
        function = kernel.py_func
        name = f"{function.__module__.removeprefix('numbacnn.kernels.')}.{function.__qualname__}"
        types = _native.signature(values)
        kernels.append({"name": name, "types": types, "seconds": seconds, "processor": busy})
        return loaded

    _jit.Kernel._entry = noted
    return kernels


def main(network: str, threads: int | None = None) -> dict[str, Any]:
    """Run the network; return the kernels it called first and the seconds that it took in all."""
    if threads is not None:
        numbacnn.set_num_threads(threads)
    kernels = record()
    start = time.perf_counter()
    nothing(0.0)
    NETWORKS[network]()
    return {"first": kernels[0], "kernels": kernels[1:], "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    print(json.dumps(main(name, int(given[0]) if given else None)), flush=True)
