"""Architectures, one file each: functions that return an unbuilt model."""

from numbacnn.models.cnn3d import c3d
from numbacnn.models.lenet import lenet5
from numbacnn.models.u_net import unet
from numbacnn.models.vgg import vgg11, vgg19

__all__ = ["c3d", "lenet5", "unet", "vgg11", "vgg19"]
