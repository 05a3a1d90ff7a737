"""Sequential: whole networks against differences, names, shapes, tables, and errors that name the layer."""

import threading
import weakref

import numpy as np
import pytest

from numbacnn import config
from numbacnn.errors import ArgumentError, DTypeError, NumericsError, ShapeError
from numbacnn.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPool2D,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from numbacnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from numbacnn.models import lenet5
from numbacnn.receptive import ReceptiveField
from numbacnn.tensor import as_tensor
from tests.layers.check import assert_gradients, difference, values


def classifier():
    return Sequential(
        [
            Conv2D(3, (3, 2), padding="same", strides=(1, 2)),
            Tanh(),
            MaxPool2D(2, strides=1),
            Sequential([Conv2D(4, 2, dilation=(2, 1)), ReLU(), Dropout(0.25)], name="block"),
            AvgPool2D((2, 1)),
            Flatten(),
            Dense(6),
            Sigmoid(),
            Dense(5),
        ],
        name="net",
    )


@pytest.fixture
def check_finite():
    config.check_finite = True
    yield
    config.check_finite = False


def test_gradients_of_a_whole_network_match_differences():
    assert_gradients(classifier(), values((2, 6, 7, 2)), generator_seed=3)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (SoftmaxCrossEntropy(label_smoothing=0.1), np.array([4, 0, 2])),
        (MeanSquaredError(), values((3, 5), seed=9)),
    ],
)
def test_gradients_of_the_loss_of_a_network_match_differences(loss, target):
    model = classifier()
    model.build((6, 7, 2), np.random.default_rng(2), np.float64)
    x = values((3, 6, 7, 2))

    def objective():
        return loss(model.forward(x, np.random.default_rng(4))[0], target)

    y, saved = model.forward(x, np.random.default_rng(4))
    value, dy = loss.value_and_gradient(y, target)
    assert value == pytest.approx(objective(), rel=1e-12)
    assert model.backward(dy, saved) is None
    for p in model.parameters:
        expected = difference(objective, p.value.numpy())
        np.testing.assert_allclose(p.grad.numpy(), expected, rtol=1e-6, atol=1e-8, err_msg=p.name)


def test_a_softmax_at_the_end_trains_too():
    model = Sequential([Dense(4), Tanh(), Dense(3), Softmax()])
    assert_gradients(model, values((5, 6)))


def test_names_are_unique_and_dotted():
    model = Sequential(
        [
            Conv2D(2, 1),
            Conv2D(2, 1, name="conv2d_2"),
            Conv2D(2, 1),
            Sequential([Conv2D(2, 1)]),
            Sequential([ReLU()], name="tail"),
        ]
    )
    assert [layer.name for layer in model] == ["conv2d_1", "conv2d_2", "conv2d_3", "sequential_1", "tail"]
    model.build((3, 3, 1))
    names = [p.name for p in model.parameters]
    assert names[:3] == ["conv2d_1.kernel", "conv2d_1.bias", "conv2d_2.kernel"]
    assert names[-1] == "sequential_1.conv2d_1.bias"
    assert len(set(names)) == len(names)
    assert model["tail"]["relu_1"].path == "tail.relu_1"
    assert model[0] is model["conv2d_1"]
    assert len(model) == 5
    with pytest.raises(KeyError, match="no layer 'head'"):
        model["head"]


def test_names_and_layers_that_come_twice_are_refused():
    with pytest.raises(ArgumentError, match="net: expected layers of different names, got 'a' twice"):
        Sequential([ReLU(name="a"), Tanh(name="a")], name="net")
    layer = ReLU()
    with pytest.raises(ArgumentError, match="twice"):
        Sequential([layer, layer])
    with pytest.raises(ArgumentError, match="letters"):
        ReLU(name="a.b")
    with pytest.raises(ArgumentError, match="instances"):
        Sequential([ReLU])


def test_errors_when_building_name_the_layer_and_leave_the_model_unbuilt():
    model = Sequential(
        [Conv2D(4, 3), Sequential([MaxPool2D(2), Conv2D(2, 5)], name="block"), Flatten(), Dense(2)]
    )
    with pytest.raises(ShapeError, match=r"block\.conv2d_1: expected a padded input of at least \(5, 5\)"):
        model.build((8, 8, 1))
    assert not model.built
    assert model.parameters == []
    assert model.build((16, 16, 1)) == (2,)
    with pytest.raises(ArgumentError, match="reset"):
        model.build((16, 16, 1))
    model.reset()
    assert model.build((20, 20, 1)) == (2,)
    with pytest.raises(ArgumentError, match="at least one layer"):
        Sequential([]).build((3,))
    with pytest.raises(DTypeError, match="float16"):
        Sequential([Dense(2)]).build((3,), dtype=np.float16)


def test_equal_seeds_give_equal_bits_in_both_dtypes():
    models = [lenet5() for _ in range(4)]
    for model, (seed, dtype) in zip(
        models, [(3, "float32"), (3, "float32"), (4, "float32"), (3, "float64")], strict=True
    ):
        model.build((28, 28, 1), seed, dtype)
    first, again, other, double = (m["conv2d_2"].kernel.value.numpy() for m in models)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(first, double.astype(np.float32))


@pytest.mark.parametrize(
    ("x", "error", "said"),
    [
        (np.zeros((2, 28, 28, 3), np.float32), ShapeError, r"net: .*\(N, 28, 28, 1\), got \(2, 28, 28, 3\)"),
        (np.zeros((28, 28, 1), np.float32), ShapeError, r"net: .*got \(28, 28, 1\); add a batch axis"),
        (np.zeros((2, 784), np.float32), ShapeError, r"net: .*got \(2, 784\)"),
        (np.float32(3), ShapeError, "net"),
        (np.zeros((2, 28, 28, 1)), DTypeError, r"net: .*float32, got float64; .*astype"),
        (np.zeros((2, 28, 28, 1), np.uint8), DTypeError, "net: .*uint8"),
        (np.array(["a"]), DTypeError, "net"),
    ],
)
def test_wrong_inputs_are_refused_by_name(x, error, said):
    model = lenet5(name="net")
    model.build((28, 28, 1))
    with pytest.raises(error, match=said):
        model(x)


def test_models_not_built_or_not_trained_are_refused():
    model = lenet5(name="net")
    for call in (
        lambda: model(np.zeros((1, 28, 28, 1), np.float32)),
        model.summary,
        model.macs,
        model.receptive_field,
    ):
        with pytest.raises(ArgumentError, match=r"net: expected a built .*call build"):
            call()
    model.build((28, 28, 1))
    y, saved = model.forward(np.zeros((1, 28, 28, 1), np.float32))
    with pytest.raises(ArgumentError, match=r"net: .*training=True"):
        model.backward(y, saved)
    y, saved = model.forward(np.zeros((1, 28, 28, 1), np.float32), training=True)
    with pytest.raises(ShapeError, match=r"net: .*\(N, 10\)"):
        model.backward(np.zeros((1, 9), np.float32), saved)


def test_the_first_trainable_layer_does_not_compute_its_input_gradient():
    asked = []

    class Spy(Dense):
        def backward(self, dy, saved, input_gradient=True):
            asked.append((self.name, input_gradient))
            return super().backward(dy, saved, input_gradient)

    model = Sequential([ReLU(), Spy(3, name="a"), Tanh(), Sequential([Spy(3, name="b")]), Spy(2, name="c")])
    model.build((4,), 0, np.float64)
    x = values((2, 4))
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved) is None
    assert asked == [("c", True), ("b", True), ("a", False)]
    asked.clear()
    model["a"].trainable = False
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved) is None
    assert asked == [("c", True), ("b", False)]
    asked.clear()
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved, input_gradient=True).shape == (2, 4)
    assert asked == [("c", True), ("b", True), ("a", True)]
    model.trainable = False
    asked.clear()
    y, saved = model.forward(x, training=True)
    assert model.backward(y, saved) is None
    assert asked == []


def test_what_a_backward_pass_used_is_let_go():
    """Memory falls while the gradients come, and a second pass says what is missing."""
    alive = []

    class Watching(Dense):
        def backward(self, dy, saved, input_gradient=True):
            alive.append(sum(kept() is not None for kept in self.kept))
            return super().backward(dy, saved, input_gradient)

        def forward(self, x, training=False):
            y, saved = super().forward(x, training)
            self.kept.append(weakref.ref(saved._array))
            return y, saved

    Watching.kept = []
    inner = Sequential([Watching(3), Watching(3)])
    model = Sequential([Watching(4), inner, Residual(Watching(3)), Watching(2)], name="net")
    model.build((4,), 0, np.float64)
    y, saved = model.forward(values((2, 4)), training=True)
    model.backward(y, saved)
    assert alive == [5, 4, 3, 2, 1]
    with pytest.raises(ArgumentError, match=r"net: .*used up.*before each backward pass"):
        model.backward(y, saved)


def test_summary_of_lenet():
    model = lenet5(name="lenet")
    model.build((28, 28, 1))
    model["dense_1"].kernel.trainable = False
    lines = model.summary().splitlines()
    assert lines[0] == "lenet: input 28 x 28 x 1, float32, 241.0 KiB of parameters, 48,000 of them frozen"
    cells = {line.split()[0]: line.split() for line in lines if line[0] != "-"}
    assert cells["layer"] == ["layer", "type", "output", "parameters", "multiply-adds"]
    assert cells["conv2d_1"] == ["conv2d_1", "Conv2D", "28", "x", "28", "x", "6", "156", "117,600"]
    assert cells["maxpool2d_2"] == ["maxpool2d_2", "MaxPool2D", "5", "x", "5", "x", "16", "0", "0"]
    assert cells["dense_3"] == ["dense_3", "Dense", "10", "850", "840"]
    assert cells["total"] == ["total", "61,706", "416,520"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_receptive_field_stops_where_the_spatial_axes_end():
    model = lenet5()
    model.build((28, 28, 1))
    # 5 taps, pooled by 2, 5 taps two pixels apart, pooled by 2: 1 + 4 + 1 + 4*2 + 1*2 pixels
    assert model.receptive_field() == ReceptiveField((16, 16), (4, 4), (-2, -2))
    nested = Sequential(
        [
            Sequential([Conv2D(2, (3, 1), dilation=(2, 1), padding="same")]),
            ReLU(),
            Conv2D(2, (2, 3), strides=(1, 2)),
        ]
    )
    nested.build((9, 9, 1))
    assert nested.receptive_field() == ReceptiveField((6, 3), (1, 2), (-2, 0))
    plain = Sequential([ReLU()])
    plain.build((9, 9, 1))
    assert plain.receptive_field() == ReceptiveField((1, 1), (1, 1), (0, 0))
    flat = Sequential([Dense(3)])
    flat.build((9,))
    with pytest.raises(ArgumentError, match="spatial"):
        flat.receptive_field()


def test_threads_may_share_a_model():
    model = lenet5()
    model.build((28, 28, 1), 1)
    inputs = [values((4, 28, 28, 1), seed).astype(np.float32) for seed in range(8)]
    expected = [model(x).numpy().copy() for x in inputs]
    failures = []

    def work(index):
        for _ in range(20):
            y, _ = model.forward(inputs[index], training=np.random.default_rng(0))
            if not np.array_equal(y.numpy(), expected[index]):
                failures.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_empty_batch_goes_through():
    model = lenet5()
    model.build((28, 28, 1))
    y, saved = model.forward(np.zeros((0, 28, 28, 1), np.float32), training=True)
    assert y.shape == (0, 10)
    model.backward(y, saved)
    assert not any(p.grad.numpy().any() for p in model.parameters)


class _Spoiled(ReLU):
    """ReLU that makes a NaN where it is told to."""

    def __init__(self, where, name=None):
        super().__init__(name=name)
        self.where = where

    def forward(self, x, training=False):
        y, saved = super().forward(x, training)
        if self.where == "forward":
            y.numpy()[0, 0] = np.nan
        return y, saved

    def backward(self, dy, saved, input_gradient=True):
        dx = super().backward(dy, saved, input_gradient)
        if self.where == "backward":
            dx.numpy()[0, 0] = np.inf
        return dx


def _run(model, x):
    y, saved = model.forward(x, training=True)
    model.backward(np.ones(y.shape), saved)


def test_the_first_layer_that_is_not_finite_is_named(check_finite):
    x = values((2, 3))

    def model(where):
        net = Sequential(
            [Dense(4), Sequential([_Spoiled(where, name="bad")], name="block"), Dense(2)], name="net"
        )
        net.build((3,), 0, np.float64)
        return net

    _run(model(None), x)
    with pytest.raises(
        NumericsError, match=r"^block\.bad: expected a finite output, got 1 NaN and 0 infinite of 8"
    ):
        _run(model("forward"), x)
    with pytest.raises(
        NumericsError, match=r"^block\.bad: expected a finite gradient of the input, got 0 NaN and 1 inf"
    ):
        _run(model("backward"), x)
    x[1, 2] = np.nan
    with pytest.raises(NumericsError, match=r"^net: expected a finite input, got 1 NaN"):
        _run(model(None), x)
    net = model(None)
    net["dense_2"].kernel.value.numpy()[0, 0] = np.inf
    with pytest.raises(NumericsError, match=r"^dense_2: expected a finite output"):
        net(values((2, 3)))


def test_finiteness_is_not_looked_at_unless_asked():
    model = Sequential([Dense(4), Tanh()])
    model.build((3,), 0, np.float64)
    assert np.isnan(model(np.full((1, 3), np.nan)).numpy()).all()


def test_weights_can_be_taken_and_put_back():
    model, other = lenet5(), lenet5()
    model.build((28, 28, 1), 1)
    other.build((28, 28, 1), 2)
    weights = model.weights()
    other.set_weights(weights)
    x = values((2, 28, 28, 1)).astype(np.float32)
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())
    before = other["dense_1"].bias.value.numpy().copy()
    with pytest.raises(ShapeError, match=r"dense_3\.bias: expected a shape of \(10,\), got \(3,\)"):
        other.set_weights({**weights, "dense_1.bias": before + 1, "dense_3.bias": np.zeros(3)})
    np.testing.assert_array_equal(other["dense_1"].bias.value.numpy(), before)
    with pytest.raises(ArgumentError, match=r"missing \['dense_1.bias'\], unknown \['x'\]"):
        other.set_weights({"x": before, **{k: v for k, v in weights.items() if k != "dense_1.bias"}})


def test_descriptions_of_layers():
    model = Sequential([Conv2D(2, 3, padding=((1, 0), (2, 1))), Dropout(0.5)], name="net")
    text = repr(model)
    assert text.startswith("Sequential([\n    Conv2D(filters=2, kernel_size=(3, 3)")
    assert "padding=((1, 0), (2, 1))" in text
    assert "Dropout(rate=0.5, name='dropout_1')" in text
    again = Sequential.from_config(model.config())
    assert again.config() == model.config()


def test_a_second_layer_class_of_a_known_name_is_refused():
    with pytest.raises(ArgumentError, match="Conv2D: expected one layer class of this name"):
        type("Conv2D", (Layer,), {"__module__": "elsewhere"})
    assert Layer.registry["Conv2D"] is Conv2D


class Listening(Layer):
    """Notes the precision in which its passes run."""

    def __init__(self, heard, name=None):
        super().__init__(name)
        self.heard = heard

    def build(self, input_shape, rng, dtype=np.float32):
        self.input_shape = self.output_shape = self._begin(input_shape)
        return self.output_shape

    def forward(self, x, training=False):
        self.heard.append(config.precision)
        return as_tensor(x), True

    def backward(self, dy, saved, input_gradient=True):
        self.heard.append(config.precision)
        return dy


def test_a_models_own_precision_holds_within_it_alone():
    heard = []
    inner = Sequential([Listening(heard)])
    model = Sequential([inner, Residual(Listening(heard)), Listening(heard)])
    model.build((3,), 0)
    x = np.ones((2, 3), np.float32)
    model.precision, inner.precision = "exact", "tf32"
    y, saved = model.forward(x, training=True)
    model.backward(y, saved, input_gradient=True)
    assert heard == ["tf32", "exact", "exact", "exact", "exact", "tf32"]
    assert config.precision == "default"
    heard.clear()
    model.precision = inner.precision = None
    with config.precision_as("tf32"):
        model(x)
    assert heard == ["tf32"] * 3
    with pytest.raises(ArgumentError, match="precision"):
        model.precision = "half"
