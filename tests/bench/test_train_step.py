import numpy as np
import pytest

from bench import train_step
from bench.train_step import Case

TINY = (
    Case("lenet5", train_step.lenet, (28, 28, 1), 3),
    Case("small_vgg", lambda: train_step.small_vgg((4, 6), 8), (8, 12, 3), 2),
)
QUICK = {"rounds": 2, "turn_seconds": 0.001, "threads": 1}


def test_without_a_peer_it_times_ours():
    report = train_step.run(TINY, **QUICK)
    assert [row["name"] for row in report["rows"]] == ["lenet5", "small_vgg"]
    assert all(row["ours"]["images_per_second"] > 0 for row in report["rows"])
    # LeNet-5's multiply-adds of one image, three times but for the first convolution's input
    assert report["rows"][0]["macs"] == 3 * (3 * 416_520 - 28 * 28 * 25 * 6)


def test_beside_the_peer_the_geomean_comes_last(capsys):
    pytest.importorskip("torch")
    report = train_step.run(TINY, peer="torch", **QUICK)
    assert all(row["error"] < 1e-9 for row in report["rows"])
    assert capsys.readouterr().out.splitlines()[-1] == f"geomean ratio: {report['geomean_ratio']:.3f}"


def test_a_wrong_gradient_is_not_timed(monkeypatch):
    pytest.importorskip("torch")
    from numbacnn import functional

    right = functional.conv_backward_weights
    monkeypatch.setattr(
        functional, "conv_backward_weights", lambda *a, **o: functional.add(*2 * [right(*a, **o)])
    )
    with pytest.raises(SystemExit, match="wrong result: lenet5: the gradient of conv2d_"):
        train_step.run(TINY[:1], peer="torch", **QUICK)


def test_the_twin_predicts_the_same_with_uneven_padding():
    torch = pytest.importorskip("torch")
    from bench.twin import torch_twin
    from numbacnn.layers import AvgPool2D, Conv2D, Dense, Flatten, Sequential, Sigmoid, Tanh

    layers = [
        Conv2D(6, (3, 2), strides=2, padding="same", groups=2),
        Tanh(),
        AvgPool2D(2),
        Flatten(),
        Dense(5),
    ]
    model = Sequential([*layers, Sigmoid(), Dense(3, use_bias=False)])
    model.build((10, 12, 4), 0)
    twin, pairs = torch_twin(model)
    x = np.random.default_rng(0).standard_normal((2, 10, 12, 4), dtype=np.float32)
    theirs = twin(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))).detach().numpy()
    np.testing.assert_allclose(model(x).numpy(), theirs, atol=1e-5)
    assert [p.ours.name for p in pairs] == [p.name for p in model.parameters]
