import pytest

from bench import startup, startup_child


@pytest.mark.parametrize("task", startup.TASKS)
def test_the_programs_run(task):
    startup_child.ours(task, 1)


@pytest.mark.parametrize("task", startup.TASKS)
def test_the_peer_s_programs_run(task):
    pytest.importorskip("torch")
    startup_child.torch(task, None)


def test_a_process_is_timed_from_start_to_done():
    seconds = startup.start_to_done("ours", "predict", 1)
    assert 0.05 < seconds < 600


def test_each_condition_is_measured_in_turns(monkeypatch, capsys):
    processes, folders = [], set()

    def start_to_done(side, task, threads, cache=None):
        kind = "peer" if side == "torch" else "cached" if cache in folders else "cold"
        folders.add(cache)
        processes.append((kind, task, threads))
        return {"cold": 5.0, "cached": 0.5, "peer": 2.0}[kind]

    monkeypatch.setattr(startup, "start_to_done", start_to_done)
    monkeypatch.setattr(startup, "environment", lambda *packages: {"versions": packages})  # no peer needed
    report = startup.run(["step"], "torch", threads=2, rounds=3)
    (row,) = report["rows"]
    assert (row["cold"], row["cached"], row["peer"], row["ratio"]) == (5.0, 0.5, 2.0, 4.0)
    kinds = [kind for kind, *_ in processes]
    assert kinds == ["cold", "peer", *3 * ["cold", "cached", "peer"]]  # the first of each is not counted
    assert row["seconds"]["cold"] == [5.0] * 3
    assert set(processes[1:]) == {(kind, "step", 2) for kind in ("cold", "cached", "peer")}
    assert capsys.readouterr().out.splitlines()[-1] == "geomean ratio: 4.000"


@pytest.mark.slow
def test_without_a_peer_cold_and_cached_are_measured(capsys):
    startup.main(["--peer", "none", "--task", "predict", "--rounds", "1", "--threads", "1"])
    assert "first prediction" in capsys.readouterr().out


@pytest.mark.slow
def test_beside_the_peer_the_geomean_comes_last(capsys):
    pytest.importorskip("torch")
    startup.main(["--rounds", "1", "--threads", "1"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("geomean ratio: ")


def test_a_failing_process_ends_the_bench():
    with pytest.raises(SystemExit, match="the process ended with status"):
        startup.start_to_done("nobody", "predict", None)
