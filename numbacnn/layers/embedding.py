"""Embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from numbacnn import functional, initializers
from numbacnn.errors import ArgumentError, message
from numbacnn.initializers import Initializer
from numbacnn.layers.base import Layer, Shape, Training, positive
from numbacnn.parameter import Parameter, Penalty
from numbacnn.tensor import Tensor, as_tensor


class Embedding(Layer):
    """``y[..., :] = table[x[...], :]``: a learned vector for each integer, such as the number of a word.

    It stands where integers come into a model: they have no gradient, so `backward` returns None. A model
    that begins with it takes integers, of any integer type (on a GPU int32 or int64).

    Args:
        vocabulary: how many integers there are: 0 to vocabulary - 1.
        dim: length of a vector.
        padding_index: the integer that fills up short sequences, or None. Its vector is zeros, stays so, and
            has no gradient.
        table_initializer: a name, an Initializer or its config.
        table_regularizer: a penalty on the table such as ``L2(1e-4)``, or None.
        name: the layer's name.

    Attributes:
        table: parameter, from `build` on, ``(vocabulary, dim)``.

    Raises:
        IndexRangeError: in `forward`, an integer is below 0 or not below the vocabulary. On a GPU, whose
            values are not looked at as that would wait for it, its vector is NaN instead.

    Source:
        Bengio, Ducharme, Vincent and Jauvin, "A Neural Probabilistic Language Model", JMLR 3, 2003.

    """

    table: Parameter

    def __init__(
        self,
        vocabulary: int,
        dim: int,
        *,
        padding_index: int | None = None,
        table_initializer: str | Mapping[str, Any] | Initializer = "normal",
        table_regularizer: Penalty | Mapping[str, float] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.vocabulary = positive(self.name, "vocabulary", vocabulary)
        self.dim = positive(self.name, "dim", dim)
        whole = isinstance(padding_index, (int, np.integer)) and not isinstance(padding_index, bool)
        if padding_index is not None and not (whole and 0 <= padding_index < self.vocabulary):
            expected = f"padding_index as an integer from 0 to {self.vocabulary - 1}, or None"
            raise ArgumentError(message(self.name, expected, repr(padding_index), "check its value"))
        self.padding_index = None if padding_index is None else int(padding_index)
        self.table_initializer = initializers.get(table_initializer, self.name)
        self.table_regularizer = Penalty.of(table_regularizer, self.name)

    @property
    def takes_integers(self) -> bool:
        """True."""
        return True

    def build(
        self, input_shape: Shape, rng: np.random.Generator | None, dtype: DTypeLike = np.float32
    ) -> Shape:
        """Make the table, for inputs of any shape."""
        input_shape = self._begin(input_shape)
        shape = self.vocabulary, self.dim
        self.table = self._parameter(
            "table", shape, self.table_initializer, rng, dtype, self.table_regularizer
        )
        if self.padding_index is not None:
            self.table.value.numpy()[self.padding_index] = 0
        self.input_shape, self.output_shape = input_shape, (*input_shape, self.dim)
        return self.output_shape

    def forward(self, x: ArrayLike, training: Training = False) -> tuple[Tensor, Any]:
        """``table[x]``, zeros where x is the padding."""
        self._require_built()
        x = as_tensor(x, name=self.path)
        y = functional.embedding_forward(
            x, self.table.operand, padding_index=self.padding_index, name=self.path
        )
        return y, (x if training else None)

    def backward(self, dy: ArrayLike, saved: Any, input_gradient: bool = True) -> None:
        """``dtable[k] = sum of dy where x = k``; integers have no gradient."""
        if self.table.trainable:
            gradient = functional.embedding_backward(
                dy, saved, self.vocabulary, padding_index=self.padding_index, name=self.path
            )
            self.table.accumulate(gradient)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "vocabulary": self.vocabulary,
            "dim": self.dim,
            "padding_index": self.padding_index,
            "table_initializer": self.table_initializer.config(),
            "table_regularizer": self.table_regularizer and self.table_regularizer.config(),
            "name": self.name,
        }
