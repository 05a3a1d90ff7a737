"""Benchmarks: each checks results first, then times both sides alternately in one run.

``python -m bench.conv``, ``bench.tile``, ``bench.memory_bound``, ``bench.optimizer``, ``bench.train_step``,
``bench.memory``, ``bench.startup``, ``bench.compile``; ``bench.figure`` draws.  See docs/benchmarks.md.
"""
