"""Architectures, one file each: functions that return an unbuilt `Sequential`."""

from numbacnn.models.lenet import lenet5

__all__ = ["lenet5"]
