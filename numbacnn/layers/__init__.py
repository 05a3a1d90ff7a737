"""Layers: parameters, forward passes and their gradients side by side, and the containers that stack them."""

from numbacnn.layers.activation import ReLU, Sigmoid, Softmax, Tanh
from numbacnn.layers.base import Layer
from numbacnn.layers.containers import Sequential
from numbacnn.layers.conv import Conv2D
from numbacnn.layers.dense import Dense
from numbacnn.layers.dropout import Dropout
from numbacnn.layers.pool import AvgPool2D, MaxPool2D
from numbacnn.layers.shape import Flatten

__all__ = [
    "AvgPool2D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "MaxPool2D",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
]
