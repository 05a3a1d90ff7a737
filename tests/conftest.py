"""What all tests share."""

from hypothesis import settings

# No deadline: the first call of a kernel compiles it. The same examples in every run: a failure repeats.
settings.register_profile("numbacnn", deadline=None, derandomize=True)
settings.load_profile("numbacnn")
