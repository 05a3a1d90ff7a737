import json
import os
import subprocess
import sys

import pytest

from bench import compile as bench_compile
from bench import compile_child


@pytest.mark.slow
def test_the_networks_run():
    compile_child.lenet5()
    compile_child.resnet(size=32, width=4)


def test_each_kernel_is_noted_once():
    code = (
        "from bench import compile_child as c; c.NETWORKS['resnet'] = lambda: c.resnet(32, 4);"
        "import json; print(json.dumps(c.main('resnet', 1)))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, stdout=subprocess.PIPE, check=True)
    said = json.loads(done.stdout)
    names = [k["name"] for k in said["kernels"]]
    assert said["first"]["name"].endswith("nothing")
    assert len(names) == len({(k["name"], k["types"]) for k in said["kernels"]})
    assert {"cpu.elementwise._add", "cpu.elementwise._relu_gradient"} <= set(names)
    assert 0 < sum(k["seconds"] for k in said["kernels"]) < said["seconds"]


def test_cold_and_cached_are_medians_over_pairs(monkeypatch, capsys, tmp_path):
    folders, cold = {}, iter((4.0, 8.0, 6.0))

    def run_once(network, cache, threads):
        seen = cache in folders
        folders[cache] = threads
        slow = 0.002 if seen else next(cold)
        kernels = [
            {"name": "quick", "types": "f1", "seconds": slow / 4, "processor": slow / 8},
            {"name": "slow", "types": "f2", "seconds": slow, "processor": slow / 2},
        ]
        return {"first": kernels[0], "kernels": kernels, "seconds": 2 * slow, "process": 3 * slow}

    monkeypatch.setattr(bench_compile, "run_once", run_once)
    path = tmp_path / "compile.json"
    bench_compile.main(["--network", "lenet5", "--rounds", "3", "--threads", "2", "--json", str(path)])
    assert list(folders.values()) == [2, 2, 2]  # a folder a pair
    (row,) = json.loads(path.read_text())["rows"]
    assert [k["name"] for k in row["kernels"]] == ["slow", "quick"]
    assert row["all"] == {"cold": 7.5, "processor": 3.75, "cached": pytest.approx(0.0025)}
    assert row["process"] == {"cold": 18.0, "cached": pytest.approx(0.006)}
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "lenet5: compiled in 7.50 s (3.75 s of a processor), loaded in 2.50 ms"


def test_a_failing_process_ends_the_bench(tmp_path):
    with pytest.raises(SystemExit, match="the process ended with status"):
        bench_compile.run_once("no_network", str(tmp_path))


@pytest.mark.slow
def test_compiling_is_measured(capsys):
    bench_compile.main(["--network", "resnet", "--threads", "1"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("resnet: compiled in ")
