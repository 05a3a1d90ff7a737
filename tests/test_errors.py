"""The errors: their bases, their one-line form, and what a missing extra says."""

import pytest

from numbacnn import errors
from numbacnn.config import Config, config


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ShapeError, ValueError),
        (errors.DTypeError, TypeError),
        (errors.DeviceError, RuntimeError),
        (errors.DeviceMemoryError, MemoryError),
        (errors.DeviceMemoryError, errors.DeviceError),
        (errors.ArgumentError, ValueError),
        (errors.TargetError, ValueError),
        (errors.IndexRangeError, IndexError),
        (errors.NumericsError, ArithmeticError),
        (errors.FileFormatError, ValueError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_each_error_is_ours_and_the_builtin_that_callers_know(kind, builtin):
    assert issubclass(kind, errors.NumbaCNNError)
    assert issubclass(kind, builtin)


def test_message_is_one_line():
    line = errors.message("conv1", "3 channels", "4", "pass three")
    assert line == "conv1: expected 3 channels, got 4; pass three"


def test_require_returns_the_module():
    import json.decoder

    assert errors.require("json.decoder", extra="demo", purpose="reading") is json.decoder


def test_require_names_the_extra_of_an_absent_package():
    with pytest.raises(errors.MissingExtraError) as caught:
        errors.require("no_such_package_at_all.part", extra="demo", purpose="plotting curves")
    assert str(caught.value) == (
        "plotting curves: expected the package 'no_such_package_at_all', got no such package; "
        'install it with: pip install "numbacnn[demo]"'
    )


def test_require_reports_a_package_that_fails_to_load(tmp_path, monkeypatch):
    (tmp_path / "half_installed_package.py").write_text("import its_absent_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(errors.MissingExtraError, match="its_absent_dependency"):
        errors.require("half_installed_package", extra="demo", purpose="reading")


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("1", True), ("0", False), ("off", False)])
def test_check_finite_starts_from_the_environment(monkeypatch, value, expected):
    if value is None:
        monkeypatch.delenv("NUMBACNN_CHECK_FINITE", raising=False)
    else:
        monkeypatch.setenv("NUMBACNN_CHECK_FINITE", value)
    assert Config().check_finite is expected


def test_pool_limit_starts_from_the_environment(monkeypatch):
    monkeypatch.setenv("NUMBACNN_POOL_LIMIT_BYTES", "12345")
    assert Config().pool_limit_bytes == 12345
    monkeypatch.delenv("NUMBACNN_POOL_LIMIT_BYTES")
    assert 0 < Config().pool_limit_bytes <= 4 << 30


def test_device_limit_starts_from_the_environment(monkeypatch):
    monkeypatch.setenv("NUMBACNN_DEVICE_LIMIT_BYTES", "12345")
    assert Config().device_limit_bytes == 12345
    monkeypatch.delenv("NUMBACNN_DEVICE_LIMIT_BYTES")
    assert Config().device_limit_bytes is None


def test_settings_have_no_misspelt_fields():
    with pytest.raises(AttributeError):
        config.check_finites = True
    assert "check_finite=" in repr(config)
