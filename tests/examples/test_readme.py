"""The README's programs run as printed, against the installed tree; its commands and links exist."""

import os
import re
import shlex
import subprocess

import numpy as np
import pytest
from conftest import PYTHON, ROOT
from process import output

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language):
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"want one {language} program in the README, got {len(found)}"
    return found[0]


@pytest.fixture(scope="module")
def installed(trained, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("prefix")
    output(["cmake", "--install", ROOT / "build" / "release", "--prefix", prefix])
    return prefix


def pkg_config(prefix):
    pc = next(prefix.glob("lib/**/dsl.pc"))
    flags = output(["pkg-config", "--cflags", "--libs", "dsl"], env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)})
    return shlex.split(flags) + [f"-Wl,-rpath,{pc.parent.parent}"]


def compile_and_run(compiler, source, prefix, folder, arguments):
    (folder / source[0]).write_text(block(source[1]), encoding="utf-8")
    output([*compiler, "-Wall", "-Wextra", "-Werror", folder / source[0], "-o", folder / "program", *pkg_config(prefix)])
    return output([folder / "program", *arguments])


def test_the_python_program_runs(trained, installed, tmp_path):
    (tmp_path / "first.py").write_text(block("python"), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(installed / "share" / "dsl" / "python")}
    del environment["DSL_LIBRARY"]  # the installed one is to be found
    text = output([PYTHON, tmp_path / "first.py", trained.model, *trained.images[:2]], env=environment)
    number = r"(-?\d+\.\d+)"
    assert -1 <= float(re.search(rf"^similarity {number}$", text, re.MULTILINE)[1]) <= 1
    places, bias, together = map(float, re.search(rf"add up to {number}, bias {number}, together {number}$", text, re.MULTILINE).groups())
    assert -1 <= together <= 1
    assert places + bias == pytest.approx(together, abs=2e-4)


def test_the_cpp_program_finds_the_image_itself(trained, installed, tmp_path):
    query, others = trained.images[0], trained.images[1:4]
    text = compile_and_run(["c++", "-std=c++17"], ("similar.cpp", "cpp"), installed, tmp_path, [trained.model, query, *others, query])
    assert text == f"most similar: {query} (1.0000)\n"


def test_the_c_program_prints_a_unit_vector(trained, installed, tmp_path):
    text = compile_and_run(["cc", "-std=c99"], ("first.c", "c"), installed, tmp_path, [trained.model, trained.images[0]])
    embedding = np.array(text.split(), float)
    assert embedding.size == 128 and np.linalg.norm(embedding) == pytest.approx(1, abs=1e-4)


def test_the_c_program_says_what_is_wrong(trained, installed, tmp_path):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        compile_and_run(["cc", "-std=c99"], ("first.c", "c"), installed, tmp_path, [trained.model, tmp_path / "missing.png"])
    assert failed.value.returncode == 1 and "missing.png" in failed.value.stderr


def test_links_and_scripts_exist():
    links = re.findall(r"\]\(([^)]+)\)", README)
    scripts = re.findall(r"^(?:\w+=\S+ )?((?:examples|tests)/\S+\.sh)", README, re.MULTILINE)
    assert len(links) >= 4 and len(scripts) >= 4
    for name in [link for link in links if "://" not in link] + scripts:
        assert (ROOT / name).exists(), name


def test_the_options_table_is_that_of_the_quickstart():
    help_text = output([PYTHON, ROOT / "examples" / "quickstart.py", "--help"])
    documented = set(re.findall(r"`(--[a-z-]+)`", README.split("| option |")[1].split("\n\n")[0]))
    assert documented == set(re.findall(r"(--[a-z-]+)", help_text)) - {"--help"}
