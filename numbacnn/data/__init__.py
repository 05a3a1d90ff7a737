"""Data: readers of digit sets, IDX and image files; split, normalisation, augmentation, batches."""

from .augment import Augment, warp
from .dataset import Dataset, Normalization, stratified_split
from .digits import load_digits, load_mnist_5k
from .idx import load_mnist, read_idx, write_idx
from .images import prepare_image, read_image
from .loader import Batches
from .preparation import Preparation

__all__ = [
    "Augment",
    "Batches",
    "Dataset",
    "Normalization",
    "Preparation",
    "load_digits",
    "load_mnist",
    "load_mnist_5k",
    "prepare_image",
    "read_idx",
    "read_image",
    "stratified_split",
    "warp",
    "write_idx",
]
