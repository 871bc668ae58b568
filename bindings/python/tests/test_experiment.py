"""Configurations and reports of experiments, without any training."""

import csv
import json
import statistics
import sys
from pathlib import Path

import pytest

import dsl

if sys.version_info < (3, 11):
    pytest.skip("experiments need Python 3.11 (tomllib)", allow_module_level=True)

from dsl.experiment import cell as cells_  # noqa: E402
from dsl.experiment import config, lock, report, state  # noqa: E402

HEAD = '[experiment]\nname = "e"\nseeds = [0, 1]\nsteps = 10\n'
DATA = '[[data]]\nname = "d"\npath = "d.csv"\n'
METHOD = '[[method]]\nname = "m"\nlearners = 1\n'


def load(folder, text=HEAD + DATA + METHOD, **more):
    file = folder / "e.toml"
    file.write_text(text)
    return config.load(file, **more)


def refusal(call, *arguments, **more):
    with pytest.raises(dsl.Error) as caught:
        call(*arguments, **more)
    return str(caught.value)


def test_options_of_the_command_line_win_over_those_of_a_method_of_a_data_set_and_of_all(tmp_path):
    text = HEAD + "batch_size = 8\ninput_size = 32\n" + DATA + "batch_size = 16\ninput_size = 48\n" + METHOD + "batch_size = 24\n"
    options = load(tmp_path, text, forced={"learning_rate": 0.5}).cells()[0].options
    assert options == {"threads": 0, "steps": 10, "batch_size": 24, "input_size": 48, "learners": 1, "learning_rate": 0.5}
    assert load(tmp_path, text, forced={"batch_size": 4, "steps": 3}).cells()[0].options["batch_size"] == 4


def test_the_cells_of_the_first_seed_come_first(tmp_path):
    text = HEAD + DATA + '[[data]]\nname = "b"\n' + METHOD + '[[method]]\nname = "n"\n'
    found = load(tmp_path, text)
    assert [c.name for c in found.cells()] == ["d/m/0", "d/n/0", "b/m/0", "b/n/0", "d/m/1", "d/n/1", "b/m/1", "b/n/1"]
    assert [c.name for c in found.cells("*/n/1")] == ["d/n/1", "b/n/1"]
    assert "x/*" in refusal(found.cells, "x/*")


def test_paths_count_from_the_file_and_those_of_the_command_line_from_the_shell(tmp_path):
    found = load(tmp_path, HEAD + 'out = "results"\ninit = "w.dsl"\n' + DATA + METHOD)
    assert found.out == tmp_path / "results" and found.data[0].path == tmp_path / "d.csv"
    cell = found.cells()[0]
    assert cell.options["init"] == str(tmp_path / "w.dsl") and cells_.recorded(cell)["init"] == "w.dsl"
    assert cell.folder == tmp_path / "results" / "d" / "m" / "seed-0"
    found = load(tmp_path, out=Path("here"), paths={"d": Path("there.csv")}, forced={"init": "w.dsl"})
    assert found.out == Path("here") and found.data[0].path == Path("there.csv") and found.cells()[0].options["init"] == "w.dsl"
    assert load(tmp_path).out == tmp_path / "out" / "e"


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ["[experiment]"]),
        ("x = [", ["e.toml", "TOML"]),
        (HEAD + METHOD, ["[[data]]"]),
        (HEAD + DATA, ["[[method]]"]),
        (HEAD + DATA + METHOD + "[methods]\n", ["methods"]),
        (HEAD + '[data]\nname = "d"\n' + METHOD, ["[[data]]"]),
        (HEAD + DATA + METHOD + "lerning_rate = 1\n", ['method "m"', "lerning_rate", "learning_rate"]),
        (HEAD + "lerning_rate = 1\n" + DATA + METHOD, ["[experiment]", "lerning_rate"]),
        (HEAD + DATA + "lerning_rate = 1\n" + METHOD, ['data "d"', "lerning_rate"]),
        (HEAD + DATA + METHOD + "steps = 5\n", ['method "m"', "steps", "the same number"]),
        (HEAD + "epochs = 5\n" + DATA + METHOD, ["epochs", "steps"]),
        (HEAD + DATA + METHOD + "seed = 5\n", ['method "m"', "seed"]),
        (HEAD.replace("steps = 10", "") + DATA + METHOD, ['data "d"', "steps"]),
        (HEAD.replace("[0, 1]", "[0, 0]") + DATA + METHOD, ["seeds", "[0, 0]"]),
        (HEAD.replace("[0, 1]", "[]") + DATA + METHOD, ["seeds"]),
        (HEAD.replace("[0, 1]", "[true]") + DATA + METHOD, ["seeds"]),
        (HEAD.replace("[0, 1]", "[-1]") + DATA + METHOD, ["seeds"]),
        (HEAD + 'score = "test"\n' + DATA + METHOD, ["score", "test"]),
        (HEAD + "out = 1\n" + DATA + METHOD, ["out"]),
        (HEAD + DATA + METHOD + METHOD, ['method "m"', "two"]),
        (HEAD + DATA + DATA + METHOD, ['data "d"', "two"]),
        (HEAD + DATA + 'lists = ["train.txt"]\n' + METHOD, ['data "d"', "lists"]),
        (HEAD + DATA.replace('"d"', '"../d"') + METHOD, ["../d"]),
        (HEAD + DATA.replace('name = "d"', "") + METHOD, ["name"]),
        (HEAD + DATA + METHOD + "group = 1\n", ['method "m"', "group"]),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_of_what_is_wrong(tmp_path, text, words):
    said = refusal(load, tmp_path, text)
    assert all(w in said for w in words) and str(tmp_path) not in said


def test_wrong_options_of_the_command_line_are_refused(tmp_path):
    assert "other" in refusal(load, tmp_path, paths={"other": Path("x")})
    assert "lerning_rate" in refusal(load, tmp_path, forced={"lerning_rate": 1})
    assert "epochs" in refusal(load, tmp_path, forced={"epochs": 1})


# ---- results and their report ---------------------------------------------------------------------------------------

GROUPED = HEAD + DATA + '[[data]]\nname = "b"\nreference = "Others: 12.34"\n' + "".join(f'[[method]]\nname = "k{k}"\nlearners = {k}\ngroup = "MML"\n' for k in (1, 2, 4)) + \
    '[[method]]\nname = "grows"\n'  # fmt: skip


def retrieval(number):
    return {"num_queries": 9, "num_dropped": 0, **{a: {f"recall_at_{k}": min(1.0, number + i / 7) for k in (1, 2, 4, 8)} for i, a in enumerate(("micro", "macro"))}}


def scores(number, learners, validation, groups):
    split = {"nmi": number, "ami": number / 2, "self_excluded": retrieval(number), "group_excluded": retrieval(number / 3) if groups else None}
    return {"test": split, "num_learners": learners, "validation": {"nmi": validation}}


def result_of(cell, number, validation):
    """A result whose numbers follow from one; the last model's are other ones than the best's."""
    groups = cell.data.name == "d"
    k = cell.options.get("learners", 2)
    return {"data": cell.data.name, "method": cell.method.name, "seed": cell.seed, "options": cells_.recorded(cell), "steps": 10, "seconds": 60 * number,
            "total_seconds": 70 * number, "growths": [], "validations": [{"step": s, "nmi": s / 10, "num_learners": 1 + s // 6} for s in range(1, 11)],
            "best": scores(number, k, validation, groups), "last": scores(number / 4, k + 1, validation / 2, groups)}  # fmt: skip


def put(cell, *numbers):
    cell.folder.mkdir(parents=True, exist_ok=True)
    cells_.result_path(cell).write_text(json.dumps(result_of(cell, *numbers)))


TEST_NMI = {"k1": (0.30, 0.34), "k2": (0.50, 0.60), "k4": (0.40, 0.41), "grows": (0.35, 0.39)}
VALIDATION_NMI = {"k1": (0.2, 0.3), "k2": (0.1, 0.1), "k4": (0.5, 0.4), "grows": (0.9, 0.9)}


@pytest.fixture
def measured(tmp_path):
    found = load(tmp_path, GROUPED)
    for cell in found.cells():
        put(cell, TEST_NMI[cell.method.name][cell.seed] * (1 if cell.data.name == "d" else 0.5), VALIDATION_NMI[cell.method.name][cell.seed])
    return found


def lines_of(found, data):
    """{method: the cells of its line} of a data set in table.md."""
    part = (found.out / "table.md").read_text().split(f"## {data}\n")[1].split("\n## ")[0]
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("| ")]
    return {line[0]: dict(zip(lines[0], line)) for line in lines[1:]}


def test_the_table_s_numbers_are_those_of_the_results(measured):
    report.write(measured)
    for data, factor in (("d", 1), ("b", 0.5)):
        lines = lines_of(measured, data)
        for method, numbers in TEST_NMI.items():
            a, b = (100 * factor * n for n in numbers)
            mean, deviation = (a + b) / 2, abs(a - b) / 2**0.5  # the standard deviation of two
            line = lines[method]
            assert line["NMI"] == f"{mean:.2f} ± {deviation:.2f}" and line["AMI"] == f"{mean / 2:.2f} ± {deviation / 2:.2f}"
            assert line["R@1 micro"] == line["NMI"] and line["R@1 macro"] == f"{mean + 100 / 7:.2f} ± {deviation:.2f}"
            assert line["R@1 micro, own group out"] == (f"{mean / 3:.2f} ± {deviation / 3:.2f}" if data == "d" else "-")
            assert line["R@1 macro, own group out"] == (f"{mean / 3 + 100 / 7:.2f} ± {deviation / 3:.2f}" if data == "d" else "-")
            assert line["validation NMI"].startswith(f"{100 * statistics.fmean(VALIDATION_NMI[method]):.2f} ± ")
            assert line["runs"] == "2" and line["K"] == {"k1": "1", "k2": "2", "k4": "4", "grows": "2"}[method] and line["K at end"] == str(int(line["K"]) + 1)
            assert line["seconds"] == f"{0.6 * mean:.0f} ± {0.6 * deviation:.0f}"
    text = (measured.out / "table.txt").read_text()
    assert all(cell in text for line in lines_of(measured, "d").values() for cell in line.values())
    assert "Others: 12.34" in text and "Others: 12.34" in (measured.out / "table.md").read_text()


def test_a_group_s_best_and_worst_are_chosen_on_validation(measured):
    report.write(measured)
    lines = lines_of(measured, "d")
    best, worst = lines["MML, best K on validation: k4"], lines["MML, worst K on validation: k2"]  # the test split would choose k2 and k1
    assert {**best, "method": "k4"} == lines["k4"] and {**worst, "method": "k2"} == lines["k2"]
    assert len(lines) == 6


def test_a_group_is_compared_on_the_seeds_that_all_of_it_have(tmp_path):
    found = load(tmp_path, GROUPED)
    cells = {c.name: c for c in found.cells()}
    for name, validation in (("d/k1/0", 0.2), ("d/k1/1", 0.9), ("d/k2/0", 0.3), ("d/k4/0", 0.1)):
        put(cells[name], 0.5, validation)
    put(cells["b/k1/0"], 0.5, 0.5)
    report.write(found)
    lines = lines_of(found, "d")
    assert lines["MML, best K on validation: k2"]["runs"] == "1" and "MML, worst K on validation: k4" in lines  # with seed 1, k1 would be the best
    assert lines["k1"]["runs"] == "2" and lines["k2"]["NMI"] == "50.00"  # one run has no deviation
    assert list(lines_of(found, "b")) == ["k1"]


def test_the_last_model_is_shown_when_asked_for(tmp_path):
    found = load(tmp_path, GROUPED.replace("steps = 10", 'steps = 10\nscore = "last"'))
    put(found.cells()[0], 0.4, 0.5)
    report.write(found)
    assert lines_of(found, "d")["k1"]["NMI"] == "10.00" and lines_of(found, "d")["k1"]["K"] == "2"


def test_the_files_have_all_raw_numbers(measured):
    report.write(measured)
    with open(measured.out / "results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    everything = json.loads((measured.out / "results.json").read_text())
    assert len(lines) == len(everything["results"]) == 16 and len(everything["table"]) == 12
    for line, result in zip(lines, everything["results"]):
        assert (line["data"], line["method"], int(line["seed"])) == (result["data"], result["method"], result["seed"])
        assert float(line["best_test_nmi"]) == result["best"]["test"]["nmi"]
        assert float(line["last_test_self_excluded_macro_recall_at_4"]) == result["last"]["test"]["self_excluded"]["macro"]["recall_at_4"]


def test_plots_are_written_where_matplotlib_is(measured):
    pytest.importorskip("matplotlib")
    report.write(measured)
    found = {p.name for p in (measured.out / "plots").iterdir()}
    assert found == {f"{d}.{what}.png" for d in "db" for what in ("methods", "learners", "growth")}
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in (measured.out / "plots").iterdir())


def test_a_report_of_nothing_has_no_rows(tmp_path):
    found = load(tmp_path)
    assert len(report.write(found).strip().split("\n\n")) == 2  # its name, and what the columns would mean
    assert json.loads((found.out / "results.json").read_text())["table"] == []


def test_results_of_other_options_are_refused_but_for_the_machine_s(tmp_path):
    put(load(tmp_path).cells(threads=1)[0], 0.5, 0.5)
    assert cells_.result(load(tmp_path, forced={"threads": 7, "device": "cpu"}).cells()[0]) is not None
    said = refusal(report.write, load(tmp_path, forced={"steps": 20}))
    assert "d/m/0" in said and "steps" in said and "10" in said and "20" in said
    assert "learning_rate" in refusal(state.survey, load(tmp_path, forced={"learning_rate": 0.1}).cells())


def test_the_states_and_the_expected_time(tmp_path):
    found = load(tmp_path, HEAD.replace("[0, 1]", "[0, 1, 2]") + DATA + METHOD + '[[method]]\nname = "n"\nlearners = 2\n')
    cells = found.cells()
    put(cells[0], 1.0, 0.5)  # m takes 70 s
    put(cells[1], 2.0, 0.5)  # n takes 140 s
    cells[2].folder.mkdir(parents=True)
    cells_.log_path(cells[2]).write_text('{"event":"step","step":4,"num_steps":10,"elapsed_s":20}\n{"event":"st')
    cells[3].folder.mkdir(parents=True)
    state.failure_path(cells[3]).write_text("exit status 1: why\n")
    states = state.survey(cells)
    assert [s.status for s in states] == ["done", "done", "waiting", "failed", "waiting", "waiting"]
    assert states[2].note == "stopped at step 4 of 10" and states[3].note == "exit status 1: why"
    assert state.remaining_s(states, 1) == 70 + 70 + 140 and state.remaining_s(states, 2) == 140
    assert state.remaining_s(states[2:], 1) is None
    assert state.summary(states, 1, 61) == "2/6 cells done, 1 failed, elapsed 1 min 01 s, ETA 4 min 40 s"
    running = [state.State(cells[2], "running", 50.0, 0.4), states[4]]
    assert state.remaining_s(running, 1) == pytest.approx(30 + 50)


def test_a_log_is_read_past_what_a_killed_process_left(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event":"grew","step":3,"num_learners":2}\n{"event":"vali{"event":"note"}\n{"event":"validated","step":4,"nmi":0.5,"num_learners":2}\n{"ev')
    assert [line["step"] for line in cells_.read_log(path)] == [3, 4]
    assert [line["step"] for line in cells_.read_log(path, 70)] == [4]


def test_a_lock_is_held_by_one_process_and_let_go_of_when_it_ends(tmp_path):
    import process

    path = tmp_path / "lock"
    assert lock.holder(path) is None
    code = "import sys, time; from pathlib import Path; from dsl.experiment import lock\nwith lock.hold(Path(sys.argv[1]), 'it'):\n    print('held', flush=True); time.sleep(60)"
    with process.Process([sys.executable, "-c", code, path], env={"PYTHONPATH": str(Path(dsl.__file__).resolve().parents[1])}) as child:
        child.wait_until(lambda: "held" in child.stdout, "it does not hold the file")
        assert lock.holder(path) == int(path.read_text())
        with pytest.raises(dsl.Error, match=f"it runs already, in process {lock.holder(path)}"), lock.hold(path, "it"):
            pass
        child.kill()
    assert lock.holder(path) is None
    with lock.hold(path, "it"):
        pass


def test_data_are_a_path_or_two_lists_and_have_a_test_split(tmp_path):
    from conftest import draw
    from dsl.overlay import write_png

    for i in range(6):
        write_png(tmp_path / f"{i}.png", draw(i))
    for name, numbers in (("train.txt", range(4)), ("test.txt", (4, 5))):
        (tmp_path / name).write_text("image_id class_id path\n" + "".join(f"{i} {i % 2 + 1} {i}.png\n" for i in numbers))
    text = HEAD + DATA.replace('"d.csv"', '"."') + 'lists = ["train.txt", "test.txt"]\n' + METHOD
    with cells_.open_data(load(tmp_path, text).cells()[0]) as data:
        assert (data.size("train"), data.size("test")) == (4, 2)
    (tmp_path / "d.csv").write_text("path,label,split\n" + "".join(f"{i}.png,{i % 2},train\n" for i in range(6)))
    assert "no test split" in refusal(cells_.open_data, load(tmp_path).cells()[0])
    assert "--data d=PATH" in refusal(cells_.open_data, load(tmp_path, (HEAD + DATA + METHOD).replace('path = "d.csv"\n', "")).cells()[0])
