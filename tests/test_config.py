"""The settings that have rules of their own."""

import threading

import pytest

from numbacnn.config import Config, config
from numbacnn.errors import ArgumentError


def test_precision_starts_from_the_environment(monkeypatch):
    monkeypatch.delenv("NUMBACNN_PRECISION", raising=False)
    assert Config().precision == "default"
    monkeypatch.setenv("NUMBACNN_PRECISION", " Exact ")
    assert Config().precision == "exact"
    assert "precision=exact" in repr(Config())
    monkeypatch.setenv("NUMBACNN_PRECISION", "half")
    with pytest.raises(ArgumentError, match="half"):
        Config()


def test_precision_is_one_of_three():
    fresh = Config()
    for value in ("tf32", "exact", "default"):
        fresh.precision = value
        assert fresh.precision == value
    with pytest.raises(ArgumentError, match="fp16"):
        fresh.precision = "fp16"
    with pytest.raises(ArgumentError, match="fp16"), fresh.precision_as("fp16"):
        pass


def test_precision_as_holds_for_its_block_and_its_thread():
    before, seen = config.precision, []
    with pytest.raises(KeyError), config.precision_as("exact"):
        with config.precision_as("tf32"):
            assert config.precision == "tf32"
        assert config.precision == "exact"
        other = threading.Thread(target=lambda: seen.append(config.precision))
        other.start()
        other.join()
        raise KeyError
    assert seen == [before] == [config.precision]
