"""Benchmarks: each checks results first, then times both sides alternately in one run.

``python -m bench.conv``, ``bench.tile``, ``bench.train_step``, ``bench.startup``; see docs/benchmarks.md.
"""
