import os
import subprocess
import sys
import time

import pytest

from bench import timing
from bench.timing import Times, fastest, interleave


def test_times_are_the_quartiles_of_all_calls():
    times = Times.of([3.0, 1.0, 2.0])
    assert (times.best, times.low, times.median, times.high, times.calls) == (1.0, 1.0, 2.0, 3.0, 3)
    assert times.row() == {"seconds": 2.0, "best": 1.0, "quartiles": [1.0, 3.0], "calls": 3}
    assert Times.of([4.0]).median == 4.0


def test_a_median_far_from_the_fastest_call_tells_of_other_work():
    assert Times.of([1.0, 1.0, 1.2, 1.4, 9.0]).disturbed is False
    assert Times.of([1.0, 1.0, 2.0, 2.0, 2.0]).disturbed is True


def test_both_sides_take_turns_in_alternating_order():
    turns = []

    def side(name):
        def call():
            if not turns or turns[-1] != name:
                turns.append(name)
            time.sleep(0.001)

        return call

    times = interleave({"a": side("a"), "b": side("b")}, rounds=4, turn_seconds=0.002)
    assert turns == ["a", "b", "a", "b", "a"]  # each round begins with the side that ended the one before
    assert times["a"].calls >= 8
    assert times["b"].calls >= 8
    assert times["a"].low >= 0.001


def test_the_fastest_of_two_ways_wins():
    ways = {"slow": lambda: time.sleep(0.02), "quick": lambda: None}
    assert fastest(ways, turn_seconds=0.001) == "quick"
    assert fastest({"only": lambda: time.sleep(10)}) == "only"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's settings")
def test_a_program_starts_again_with_freed_pages_kept():
    code = (
        "import os, sys; from bench.timing import keep_freed_pages; print(os.getpid()); keep_freed_pages();"
        "print(os.environ['MALLOC_MMAP_MAX_'], sys.argv[1:])"
    )
    bare = {k: v for k, v in os.environ.items() if k not in timing.KEEP_PAGES}
    done = subprocess.run(
        [sys.executable, "-c", code, "an argument"], env=bare, stdout=subprocess.PIPE, text=True, check=True
    )
    first, second, settings = done.stdout.splitlines()  # it ran twice, as one process
    assert first == second
    assert settings == "0 ['an argument']"


def test_without_the_peer_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as raised:
        timing.require_torch()
    assert "pip install torch" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_environment_names_versions_and_settings(monkeypatch):
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    facts = timing.environment()
    assert {"numpy", "numba"} <= set(facts["versions"])
    assert facts["settings"]["MALLOC_MMAP_MAX_"] == "0"
    assert facts["processor"]
