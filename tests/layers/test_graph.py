"""Graph: gradients of any wiring, shared layers, names, errors, receptive fields."""

import numpy as np
import pytest

from numbacnn import config
from numbacnn.errors import ArgumentError, NumericsError, ShapeError
from numbacnn.layers import (
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Graph,
    Multiply,
    ReLU,
    Sequential,
    Sigmoid,
    Split,
    Tanh,
)
from numbacnn.training import fit
from tests.layers.check import again, assert_gradients, values


def wired():
    """An output taken by several nodes, a skip, a gate, parts, a nested model, out of order."""
    return Graph(
        "image",
        {
            "sum": (Add(), ["body", "stem"]),
            "stem": (Conv2D(4, 3, padding="same"), "image"),
            "body": (Sequential([Conv2D(4, 1), Tanh(), Dropout(0.25)]), "stem"),
            "parts": (Split((1, 3)), "sum"),
            "gate": (Sigmoid(), "parts:1"),
            "open": (Multiply(), ["gate", "parts:1"]),
            "all": (Concat(), ["parts:0", "open", "image"]),
            "flat": (Flatten(), "all"),
            "head": (Dense(3), "flat"),
        },
        "head",
        name="net",
    )


def two_ended():
    shared = Conv2D(2, 2, name="eye")
    return Graph(
        ["left", "right"],
        {
            "l": (shared, "left"),
            "r": (shared, "right"),
            "both": (Add(), ["l", "r"]),
            "near": (Tanh(), "both"),
            "far": (AvgPool2D(2), "near"),
        },
        ["near", "far"],
        name="stereo",
    )


def test_gradients_of_any_wiring_match_differences():
    assert_gradients(again(wired()), values((2, 4, 3, 2)), generator_seed=3)


def test_gradients_of_shared_layers_and_several_ends_match_differences():
    assert_gradients(again(two_ended()), [values((2, 4, 5, 2), seed) for seed in range(2)])


def test_a_layer_that_takes_one_value_twice_gets_both_gradients():
    square = Graph("x", {"square": (Multiply(), ["x", "x"])}, "square")
    assert_gradients(square, values((3, 4)))


def test_graphs_nest():
    inner = two_ended()
    outer = Graph(
        ["a", "b"],
        {
            "inner": (inner, ["b", "a"]),
            "up": (Flatten(), "inner:0"),
            "down": (Flatten(), "inner:1"),
            "all": (Concat(), ["up", "down"]),
        },
        "all",
    )
    assert_gradients(again(outer), [values((1, 4, 5, 2), seed) for seed in range(2)])
    assert [p.name for p in outer.parameters] == []
    outer.build({"a": (4, 5, 2), "b": (4, 5, 2)})
    assert [p.name for p in outer.parameters] == ["stereo.eye.kernel", "stereo.eye.bias"]


def test_order_names_and_sizes():
    model = wired()
    order = ["stem", "body", "sum", "parts", "gate", "open", "all", "flat", "head"]
    assert [node.name for node in model.nodes] == order
    assert [layer.name for layer in model] == order
    assert model.build((4, 3, 2)) == (3,)
    names = [
        "stem.kernel",
        "stem.bias",
        "body.conv2d_1.kernel",
        "body.conv2d_1.bias",
        "head.kernel",
        "head.bias",
    ]
    assert [p.name for p in model.parameters] == names
    assert [leaf.path for leaf in model.leaves()][:4] == [
        "stem",
        "body.conv2d_1",
        "body.tanh_1",
        "body.dropout_1",
    ]
    assert model.macs() == 12 * (9 * 2 * 4 + 4 * 4) + 72 * 3
    assert model["gate"] is model.nodes[4].layer


def test_shared_layers_are_counted_once_and_run_often():
    model = two_ended()
    assert model.build([(4, 5, 2), (4, 5, 2)]) == ((3, 4, 2), (1, 2, 2))
    assert model.input_shape == ((4, 5, 2), (4, 5, 2))
    assert len(model.layers) == 4
    assert sum(p.size for p in model.parameters) == 18
    assert model.macs() == 2 * 12 * 16
    lines = model.summary().splitlines()
    assert lines[0].startswith("stereo: input 4 x 5 x 2, 4 x 5 x 2, float32")
    row = next(line.split() for line in lines if line.startswith("eye "))
    assert row == ["eye", "Conv2D", "(2", "times)", "3", "x", "4", "x", "2", "18", "384"]


def test_inputs_may_come_by_name():
    model = two_ended()
    model.build({"right": (4, 5, 2), "left": (4, 5, 2)}, 0, np.float64)
    a, b = values((1, 4, 5, 2)), values((1, 4, 5, 2), 1)
    for first, second in zip(model([a, b]), model({"right": b, "left": a}), strict=True):
        np.testing.assert_array_equal(first.numpy(), second.numpy())
    with pytest.raises(ArgumentError, match="stereo: expected arrays for the inputs left, right, got left"):
        model({"left": a})
    with pytest.raises(ShapeError, match="stereo: expected 2 arrays for the inputs left, right, got 1"):
        model(a)
    with pytest.raises(ShapeError, match=r"stereo: expected an input of shape \(N, 4, 5, 2\)"):
        model([a, b[:, 1:]])
    y, saved = model.forward([a, b], training=True)
    with pytest.raises(ShapeError, match="stereo: expected 2 gradients of the outputs, got 1"):
        model.backward(y[0], saved)


@pytest.mark.parametrize(
    ("inputs", "nodes", "outputs", "said"),
    [
        (
            "x",
            {"a": (ReLU(), "b"), "b": (ReLU(), "c"), "c": (Add(), ["a", "x"])},
            "c",
            "'a' -> 'c' -> 'b' -> 'a'",
        ),
        ("x", {"a": (ReLU(), "a")}, "a", "no circle, got 'a' -> 'a'"),
        ("x", {"a": (ReLU(), "y")}, "a", "as what 'a' takes, got the unknown 'y'"),
        ("x", {"a": (ReLU(), "x")}, "b", "nodes as outputs, got the unknown 'b'"),
        ("x", {"a": (ReLU(), "x"), "b": (ReLU(), "x")}, "b", "got the unused 'a'"),
        (["x", "y"], {"a": (ReLU(), "x")}, "a", "got the unused 'y'"),
        ("x", {"x": (ReLU(), "x")}, "x", "'x' twice"),
        (["x", "x"], {"a": (ReLU(), "x")}, "a", "different names as inputs"),
        ("x", {"a": (ReLU(), "x")}, ["a", "a"], "different names as outputs"),
        ("x", {"a.b": (ReLU(), "x")}, "a.b", "letters"),
        ("x", {"a": ReLU()}, "a", "a layer and what it takes as node 'a'"),
        ("x", {"a": (ReLU, "x")}, "a", "a layer and what it takes as node 'a'"),
        ("x", {"a": (Add(), [])}, "a", "that node 'a' takes"),
        ("x", {"a": (ReLU(name="same"), "x"), "b": (ReLU(name="same"), "a")}, "b", "'same' twice"),
    ],
)
def test_wiring_that_cannot_be_is_refused_by_name(inputs, nodes, outputs, said):
    with pytest.raises(ArgumentError, match="net: expected") as caught:
        Graph(inputs, nodes, outputs, name="net")
    assert said in str(caught.value)


def test_errors_when_building_name_the_layer_and_leave_the_model_unbuilt():
    shared = Conv2D(2, 2, name="eye")
    model = Graph(
        ["a", "b"], {"l": (shared, "a"), "r": (shared, "b"), "o": (Add(), ["l", "r"])}, "o", name="net"
    )
    with pytest.raises(ShapeError, match=r"eye: expected inputs of one shape .*got \(5, 5, 1\) in 'r'"):
        model.build([(4, 4, 1), (5, 5, 1)])
    assert not model.built
    assert model.parameters == []
    assert model.build([(4, 4, 1), (4, 4, 1)]) == (3, 3, 2)
    with pytest.raises(ArgumentError, match="reset"):
        model.build([(4, 4, 1), (4, 4, 1)])
    parts = Graph("x", {"p": (Split(2), "x"), "o": (ReLU(), "p:0")}, "o", name="net")
    with pytest.raises(ArgumentError, match="net: expected values that are used, got 'p:1'"):
        parts.build((4,))
    for taken in ("p", "p:2"):
        wrong = Graph("x", {"p": (Split(2), "x"), "o": (ReLU(), taken)}, "o", name="net")
        with pytest.raises(ArgumentError, match=f"in 'o', got '{taken}'; take one of 'p:0', 'p:1'"):
            wrong.build((4,))


def test_nodes_before_the_first_to_train_compute_no_gradient():
    asked = []

    class GraphSpy(Dense):
        def backward(self, dy, saved, input_gradient=True):
            asked.append((self.name, input_gradient))
            return super().backward(dy, saved, input_gradient)

    nodes = {
        "a": (GraphSpy(3), "x"),
        "b": (GraphSpy(3), "x"),
        "c": (GraphSpy(3), "b"),
        "sum": (Add(), ["a", "c"]),
        "d": (GraphSpy(2), "sum"),
    }
    model = Graph("x", nodes, "d")
    model.build((4,), 0, np.float64)
    x = values((2, 4))
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved) is None
    assert asked == [("d", True), ("c", True), ("b", False), ("a", False)]
    asked.clear()
    model["a"].trainable = model["b"].trainable = False
    model.zero_grad()
    y, saved = model.forward(x, training=True)
    model.backward(y, saved)
    assert asked == [("d", True), ("c", False)]
    assert model["a"].kernel.grad is None
    asked.clear()
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved, input_gradient=True).shape == (2, 4)
    assert asked == [("d", True), ("c", True), ("b", True), ("a", True)]
    with pytest.raises(ArgumentError, match="training=True"):
        model.backward(y, None)


def test_values_are_let_go_when_predicting():
    sizes = []

    class Watching(Tanh):
        def forward(self, x, training=False):
            import gc
            import weakref

            gc.collect()
            sizes.append(sum(ref() is not None for ref in seen))
            y, saved = super().forward(x, training)
            seen.append(weakref.ref(y.numpy()))
            return y, saved

    seen = []
    model = Graph("x", {f"n{k}": (Watching(), f"n{k - 1}" if k else "x") for k in range(5)}, "n4")
    model.build((4,), 0, np.float64)
    model(values((2, 4)))
    assert max(sizes) == 1


@pytest.mark.parametrize("training", [False, True])
def test_the_first_node_that_is_not_finite_is_named(training):
    model = wired()
    model.build((4, 3, 2), 0, np.float64)
    model["body"]["conv2d_1"].kernel.value.numpy()[...] = np.nan
    config.check_finite = True
    try:
        with pytest.raises(NumericsError, match=r"^body\.conv2d_1: expected a finite output"):
            model.forward(values((1, 4, 3, 2)), np.random.default_rng(0) if training else False)
    finally:
        config.check_finite = False


def test_equal_seeds_give_equal_bits():
    first, second = wired(), wired()
    for model in (first, second):
        model.build((4, 3, 2), 5)
    for a, b in zip(first.weights().values(), second.weights().values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_by_fit_takes_an_array_for_each_input():
    model = two_ended()
    model.build([(4, 5, 2), (4, 5, 2)])
    x = np.zeros((2, 4, 5, 2), np.float32)
    with pytest.raises(ShapeError, match="stereo: expected 2 arrays for the inputs left, right, got 1"):
        fit(model, x, x, verbose=False)
