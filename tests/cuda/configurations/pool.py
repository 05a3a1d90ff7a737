"""Max and average pooling, and the second steps of windows that are cut."""

from ..gathered import configurations

CONFIGURATIONS = {
    **configurations("max", only=("quads", "singles", "float64", "float16", "bfloat16"), blocks=True),
    **configurations("place", out="int32", only=("quads", "singles"), blocks=True),
    **{
        f"{k} to int64": v
        for k, v in configurations("place", out="int64", only=("float64", "bfloat16")).items()
    },
    **configurations("least", source="int64", out="int64", only=("quads", "singles"), blocks=True),
    **configurations("routed", beside="int32"),
    **configurations("value", "divided", blocks=True),
    **configurations("value", weighted=True, only=("singles", "bfloat16")),
}
