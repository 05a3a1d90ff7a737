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


def small_unet():
    from numbacnn.models import unet

    return unet(3, width=2, depth=1, padding="same")


def small_resnet():
    from numbacnn.models import resnet18

    # with 4 channels PyTorch 2.13's own channels-last convolutions write beside their memory
    return resnet18(5, width=8, small_images=True)


def small_inception():
    from numbacnn.models import inception_time

    return inception_time(3, width=2, depth=3, kernel_sizes=(4, 3))


def test_label_maps_signals_statistics_and_a_check_of_another_size():
    pytest.importorskip("torch")
    cases = (
        Case("unet", small_unet, (8, 6, 1), 2, 3),
        Case("resnet", small_resnet, (16, 16, 3), 4, 5, check=((8, 16, 3), 3)),
        Case("inception", small_inception, (20, 1), 4, 3),
    )
    assert cases[1].checked.batch == 3
    report = train_step.run(cases, peer="torch", **QUICK)
    assert all(row["error"] < 1e-9 for row in report["rows"])


def test_a_wrong_running_mean_is_not_timed(monkeypatch):
    pytest.importorskip("torch")
    from numbacnn import functional

    right = functional.batch_norm_statistics

    def wrong(x, *, running_mean, running_variance, momentum, name):
        return right(x, running_mean=running_mean, running_variance=running_variance, momentum=0.5, name=name)

    monkeypatch.setattr(functional, "batch_norm_statistics", wrong)
    with pytest.raises(SystemExit, match=r"wrong result: resnet: the updated .*\.(mean|variance) differs"):
        train_step.run([Case("resnet", small_resnet, (8, 8, 3), 2, 5)], peer="torch", **QUICK)


def test_a_loss_that_differs_at_the_timed_size_is_not_timed(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(train_step, "check", lambda case: 0.0)
    monkeypatch.setattr(train_step.Torch, "step", lambda self: 1.0)
    with pytest.raises(SystemExit, match=r"the loss of the batch is .*, the peer's 1"):
        train_step.run(TINY[:1], peer="torch", **QUICK)


def test_every_model_of_the_table_is_made_without_dropout():
    from numbacnn.layers import Dropout

    assert len({case.name for case in train_step.CASES}) == 9
    for case in train_step.CASES:
        assert not [layer for layer in case.model().leaves() if isinstance(layer, Dropout)], case.name


def test_a_wrong_gradient_is_not_timed(monkeypatch):
    pytest.importorskip("torch")
    from numbacnn import functional

    right = functional.conv_backward_weights
    monkeypatch.setattr(
        functional, "conv_backward_weights", lambda *a, **o: functional.add(*2 * [right(*a, **o)])
    )
    with pytest.raises(SystemExit, match="wrong result: lenet5: the gradient of conv2d_"):
        train_step.run(TINY[:1], peer="torch", **QUICK)
