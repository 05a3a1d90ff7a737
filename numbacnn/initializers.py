"""Initial values of parameters: each initializer is called with a shape, a generator and a dtype."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from numbacnn.errors import ArgumentError, ShapeError, message


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """``fan_in = prod(k) * c_in / groups``, ``fan_out = prod(k) * c_out``.

    Args:
        shape: of a kernel, ``(*k, c_in / groups, c_out)``, or of dense weights, ``(features, units)``.

    Returns:
        Number of inputs that feed an output, and of outputs that an input feeds (groups are not seen in the
        shape, so they do not lower the latter; PyTorch counts likewise).

    Raises:
        ShapeError: the shape has fewer than two axes.

    """
    if len(shape) < 2:
        raise ShapeError(
            message(
                "fans",
                "a shape (*k, c_in, c_out) or (features, units)",
                str(tuple(shape)),
                "use an initializer that needs no fans, such as 'zeros' or Normal(0.01)",
            )
        )
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class Initializer:
    """``w = initializer(shape, rng, dtype)``. A subclass is found by `get` under its name in snake case.

    Subclasses are dataclasses whose fields are their arguments, and define `sample`.
    """

    registry: ClassVar[dict[str, type[Initializer]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):
            Initializer.registry[cls.__name__] = cls

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw float64 values of the given shape."""
        raise NotImplementedError

    def __call__(
        self, shape: Sequence[int], rng: np.random.Generator, dtype: DTypeLike = np.float32
    ) -> np.ndarray:
        """Draw the values in float64 and round them, so that one seed gives the same model in both dtypes.

        Args:
            shape: of the parameter.
            rng: source of randomness; advanced by as many draws as there are elements, or not at all.
            dtype: float32 or float64.

        Returns:
            A new C-contiguous array.

        """
        return np.ascontiguousarray(self.sample(tuple(shape), rng), dtype=dtype)

    def config(self) -> dict[str, Any]:
        """The class and its arguments, from which `get` makes an equal initializer."""
        return {"class": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Constant(Initializer):
    """``w = value``."""

    value: float = 0.0

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array full of the value."""
        return np.full(shape, self.value, np.float64)


@dataclass(frozen=True)
class Zeros(Initializer):
    """``w = 0``."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return zeros."""
        return np.zeros(shape, np.float64)


@dataclass(frozen=True)
class Ones(Initializer):
    """``w = 1``."""

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return ones."""
        return np.ones(shape, np.float64)


@dataclass(frozen=True)
class Uniform(Initializer):
    """``w ~ U[low, high)``."""

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        if not -math.inf < self.low <= self.high < math.inf:
            got = f"low={self.low}, high={self.high}"
            raise ArgumentError(message("Uniform", "finite low <= high", got, "swap or bound them"))

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw uniform values."""
        return rng.uniform(self.low, self.high, shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """``w ~ N(mean, std^2)``."""

    std: float = 0.05
    mean: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.std < math.inf:
            raise ArgumentError(
                message("Normal", "a finite std of 0 or more", repr(self.std), "pass such as 0.01")
            )

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw normal values."""
        return self.mean + self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Zero mean and the variance that `variance` gives for the fans, times `gain` squared.

    The normal forms are not truncated; the uniform ones reach ``sqrt(3 * variance)`` to each side.
    """

    gain: float = 1.0
    uniform: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0.0 < self.gain < math.inf:
            name = type(self).__name__
            raise ArgumentError(message(name, "a finite gain above 0", repr(self.gain), "pass such as 1.0"))

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Variance for a gain of 1."""
        raise NotImplementedError

    def sample(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Draw values of the variance that the fans of the shape ask for."""
        std = self.gain * math.sqrt(self.variance(*fans(shape)))
        if self.uniform:
            limit = math.sqrt(3.0) * std
            return rng.uniform(-limit, limit, shape)
        return std * rng.standard_normal(shape)


class GlorotNormal(_Scaled):
    """``w ~ N(0, 2 / (fan_in + fan_out))``, which keeps variances through linear and tanh layers.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 12.
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """``2 / (fan_in + fan_out)``."""
        return 2.0 / (fan_in + fan_out)


class GlorotUniform(GlorotNormal):
    """``w ~ U(-a, a)``, ``a = sqrt(6 / (fan_in + fan_out))``: Glorot and Bengio 2010, equation 16."""

    uniform = True


class HeNormal(_Scaled):
    """``w ~ N(0, 2 / fan_in)``, which keeps variances through ReLU layers.

    Source: He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015, section 2.2, equation 10.
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """``2 / fan_in``."""
        return 2.0 / fan_in


class HeUniform(HeNormal):
    """``w ~ U(-a, a)``, ``a = sqrt(6 / fan_in)``: the variance of `HeNormal`."""

    uniform = True


class LeCunNormal(_Scaled):
    """``w ~ N(0, 1 / fan_in)``.

    Source: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, section 4.6, equation 16.
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        """``1 / fan_in``."""
        return 1.0 / fan_in


class LeCunUniform(LeCunNormal):
    """``w ~ U(-a, a)``, ``a = sqrt(3 / fan_in)``: the variance of `LeCunNormal`."""

    uniform = True


_BY_NAME = {
    "zeros": Zeros,
    "ones": Ones,
    "constant": Constant,
    "uniform": Uniform,
    "normal": Normal,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "xavier_uniform": GlorotUniform,
    "xavier_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "kaiming_uniform": HeUniform,
    "kaiming_normal": HeNormal,
    "lecun_uniform": LeCunUniform,
    "lecun_normal": LeCunNormal,
}


def get(initializer: str | Mapping[str, Any] | Initializer, name: str = "initializer") -> Initializer:
    """The initializer that a name, a config or an initializer describes.

    Args:
        initializer: such as ``"he_normal"``, a `config`, or an Initializer, which is returned as it is.
        name: the layer that errors name.

    Returns:
        The initializer.

    Raises:
        ArgumentError: nothing is known by that name.

    """
    if isinstance(initializer, Initializer):
        return initializer
    if isinstance(initializer, str) and initializer in _BY_NAME:
        return _BY_NAME[initializer]()
    if isinstance(initializer, Mapping) and initializer.get("class") in Initializer.registry:
        arguments = {key: value for key, value in initializer.items() if key != "class"}
        return Initializer.registry[initializer["class"]](**arguments)
    known = ", ".join(_BY_NAME)
    raise ArgumentError(
        message(name, "an initializer", repr(initializer), f"pass an Initializer or one of {known}")
    )
