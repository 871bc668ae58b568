"""What concerns the process: loading, fork, Ctrl-C, PyTorch, the command line. Each runs a Python of its own."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import dsl
import process
from conftest import draw
from dsl import _native
from dsl.overlay import write_png

PACKAGE = str(Path(dsl.__file__).resolve().parents[1])


def environment():
    return {**os.environ, "PYTHONPATH": PACKAGE}


def python(code, *arguments, limit_s=60, **more):
    return process.run([sys.executable, "-c", code, *arguments], limit_s, env={**environment(), **more})


def cli(*arguments, **options):
    return process.run([sys.executable, "-m", "dsl", *arguments], env=environment(), **options)


def test_import_does_not_load_the_library():
    done = python("import dsl, sys; print('libdsl' in open('/proc/self/maps').read()); dsl.version(); print('libdsl' in open('/proc/self/maps').read())")
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_loading_the_library_does_not_load_onednn():
    # Go initialises packages on a thread of its own while the library is loaded; oneDNN is opened at its first use, when all of that is over.
    done = python("import dsl, time; dsl.version(); time.sleep(0.2); print('libdnnl' in open('/proc/self/maps').read())")
    assert done.stdout.split() == ["False"], done.stderr


def test_a_missing_library_says_where_it_was_looked_for():
    done = python("import dsl; dsl.version()", DSL_LIBRARY="/no/such/libdsl.so")
    assert done.returncode != 0 and "/no/such/libdsl.so" in done.stderr and "DSL_LIBRARY" in done.stderr


def test_the_library_that_is_not_ours_is_refused():
    done = python("import dsl; dsl.version()", DSL_LIBRARY="/lib/x86_64-linux-gnu/libm.so.6")
    assert done.returncode != 0 and "cannot use libm.so.6" in done.stderr


def test_nvidia_s_wheels_are_found_where_python_looks(tmp_path):
    for name in ("a/nvidia/cudnn/lib", "b/nvidia/cu13/lib", "c/nvidia/other/lib"):
        (tmp_path / name).mkdir(parents=True)
    path = os.pathsep.join([PACKAGE, *(str(tmp_path / name) for name in "abc")])
    done = python("from dsl import _native; print(*_native._cuda_folders(), sep='\\n'); _native.lib()", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert [f for f in done.stdout.split() if str(tmp_path) in f] == [str(tmp_path / "a/nvidia/cudnn/lib"), str(tmp_path / "b/nvidia/cu13/lib")]


def test_statuses_have_the_library_s_names():
    for status in dsl.Status:
        assert _native.lib().dsl_status_name(status).decode() != "unknown status"
    assert _native.lib().dsl_status_name(len(dsl.Status)).decode() == "unknown status"


FORK = """
import os, sys, dsl
dsl.version()
image = dsl.Dataset.from_arrays([__import__("numpy").zeros((4, 4), "uint8")], [0])
pid = os.fork()
if pid == 0:
    try:
        dsl.Model.load("a.dsl")
    except dsl.Error as e:
        image.close()
        os._exit(0 if e.code == dsl.Status.FORKED and "spawn" in str(e) else 1)
    os._exit(2)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(len(image))
"""


def test_a_forked_child_gets_an_error_and_the_parent_goes_on():
    done = python(FORK, limit_s=20)
    assert done.stdout.split() == ["0", "1"], done.stderr


def test_a_child_may_load_the_library_that_its_parent_did_not():
    done = python("import os, dsl\npid = os.fork()\nif pid == 0:\n    print(dsl.version(), flush=True)\n    os._exit(0)\nos.waitpid(pid, 0)", limit_s=20)
    assert done.stdout.strip() == dsl.version(), done.stderr


INTERRUPT = """
import sys, time
import numpy as np
import dsl
sys.path.insert(0, sys.argv[2])
from conftest import TINY, draw
images = [draw(i) for i in range(24)]
def progress(p):
    if p.event == "step" and p.stage != "prepare" and p.step == 2:
        print("training", flush=True)
try:
    dsl.train((images, [i % 2 for i in range(24)]), sys.argv[1], progress=progress, **{**TINY, "steps": 3000, "validation_share": 0.3})
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
    dsl.wait_for_files()
    dsl.Model.load(sys.argv[1].replace(".dsl", ".last.dsl"))
"""


def test_ctrl_c_stops_a_training_and_leaves_the_last_model(tmp_path, images):
    out = tmp_path / "m.dsl"
    with process.Process([sys.executable, "-c", INTERRUPT, out, Path(__file__).parent], env=environment()) as child:
        child.wait_until(lambda: "training" in child.stdout, "the training has not begun")
        sent = time.time()
        child.send_signal(signal.SIGINT)
        child.wait()
        assert child.returncode == 0
    training, word, at = child.stdout.split()
    assert (training, word) == ("training", "interrupted")
    # The design promises 200 ms; a loaded test machine gets five times that. The number is printed for people.
    print(f"KeyboardInterrupt after {(float(at) - sent) * 1000:.0f} ms")
    assert float(at) - sent < 1
    with dsl.Model.load(tmp_path / "m.last.dsl", threads=1) as last:
        assert last.embed(images[:1]).shape == (1, 16)


def test_pytorch_in_the_same_process(model_path):
    code = "import torch, sys, numpy as np, dsl; torch.nn.Conv2d(3, 8, 3)(torch.ones(1, 3, 32, 32)); " + \
           "print(dsl.Model.load(sys.argv[1]).embed([np.full((32, 40, 3), 90, 'uint8')]).tolist())"
    probe = python("import torch")
    if probe.returncode != 0:
        pytest.skip("PyTorch is not installed")
    both = python(code, model_path)
    alone = python(code.replace("import torch, ", "import ").replace("torch.nn.Conv2d(3, 8, 3)(torch.ones(1, 3, 32, 32)); ", ""), model_path)
    assert both.returncode == 0, both.stderr
    np.testing.assert_allclose(json.loads(both.stdout), json.loads(alone.stdout), atol=1e-5)


def test_the_command_line_embeds_explains_and_evaluates(model_path, files, tmp_path):
    done = cli("info", model_path)
    assert done.returncode == 0 and json.loads(done.stdout)["embedding_dim"] == 16
    done = cli("embed", model_path, *files, "-o", tmp_path / "e.npy")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "e.npy").shape == (4, 16) and len((tmp_path / "e.txt").read_text().splitlines()) == 4
    done = cli("heatmap", model_path, files[0].parent, "-o", tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    assert dsl.load_image(tmp_path / "maps" / "image0.heatmap.png").shape == (32, 40, 3)
    assert np.load(tmp_path / "maps" / "image0.heatmap.npy").shape == (32, 40)
    manifest = files[0].parent / "manifest.csv"
    manifest.write_text("path,label,split\n" + "".join(f"{p.name},{i % 2},test\n" for i, p in enumerate(files)))
    done = cli("evaluate", model_path, manifest, "--json", tmp_path / "scores.json")
    assert done.returncode == 0 and "R@1" in done.stdout, done.stderr
    assert json.loads((tmp_path / "scores.json").read_text())["num_images"] == 4


def test_the_command_line_trains(tmp_path):
    for i in range(24):
        folder = tmp_path / "data" / ("left" if i % 2 == 0 else "right")
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"{i}.png", draw(i))
    done = cli("train", tmp_path / "data", "-o", tmp_path / "m.dsl", "--steps", 2, "--stem", "small", "--embedding-dim", 16, "--input-size", 32,
               "--learners", 1, "--batch-size", 8, "--images-per-class", 4)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2 and "NMI" in done.stderr
    done = cli("train", tmp_path / "data", "-o", tmp_path / "nowhere" / "x.dsl")
    assert done.returncode == 1 and "x.dsl" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments, code, word",
    [
        (["info", "absent.dsl"], 1, "absent.dsl"),
        (["embed", "absent.dsl", "a.png", "-o", "e.npy"], 1, "absent.dsl"),
        (["train", "absent.csv", "-o", "m.dsl"], 1, "absent.csv"),
        (["train", "absent.csv", "-o", "m.dsl", "--learners", "many"], 1, "many"),
        (["evaluate", "absent.dsl", "absent.csv"], 1, "absent"),
        (["heatmap"], 2, "usage"),
        ([], 2, "usage"),
    ],
)
def test_the_command_line_fails_with_one_clear_line(arguments, code, word, tmp_path):
    done = cli(*arguments, cwd=tmp_path)
    assert done.returncode == code and word in done.stderr and "Traceback" not in done.stderr
    if code == 1:
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
