"""Architectures, one file each: functions that return an unbuilt model."""

from numbacnn.models.cnn3d import c3d
from numbacnn.models.inceptiontime import inception_time
from numbacnn.models.lenet import lenet5
from numbacnn.models.mobilenet import mobilenet_v2
from numbacnn.models.resnet import resnet18, resnet34, resnet50
from numbacnn.models.u_net import unet
from numbacnn.models.vgg import vgg11, vgg19
from numbacnn.models.vox_net import voxnet

__all__ = [
    "c3d",
    "inception_time",
    "lenet5",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "unet",
    "vgg11",
    "vgg19",
    "voxnet",
]
