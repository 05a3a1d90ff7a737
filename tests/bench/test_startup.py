import pytest

from bench import startup, startup_child


@pytest.mark.parametrize("task", startup.TASKS)
def test_the_programs_run(task):
    startup_child.ours(task, 1)


@pytest.mark.parametrize("task", startup.TASKS)
def test_the_peer_s_programs_run(task):
    pytest.importorskip("torch")
    startup_child.torch(task, None)


def test_fresh_processes_report(capsys):
    report = startup.run(["predict"], "none", threads=1, rounds=1)
    (row,) = report["rows"]
    assert row["cold"] > 0
    assert row["cached"] > 0
    assert "first prediction" in capsys.readouterr().out


@pytest.mark.slow
def test_beside_the_peer_the_geomean_comes_last(capsys):
    pytest.importorskip("torch")
    startup.main(["--rounds", "1", "--threads", "1"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("geomean ratio: ")


def test_a_failing_process_ends_the_bench():
    with pytest.raises(SystemExit, match="the process ended with status"):
        startup.start_to_done("nobody", "predict", None)
