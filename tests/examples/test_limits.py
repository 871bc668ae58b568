"""A test's program that does not end is killed with all that it started, and what it printed is shown."""

import os
import time

import process
import pytest

HANGS = "echo said; echo wrong >&2; sleep 600 & echo $!; trap '' INT TERM; wait; sleep 600"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid):
    """Whether a process that was killed ends soon."""
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_a_program_that_hangs_is_killed_with_its_children(capsys):
    begun = time.monotonic()
    with pytest.raises(TimeoutError, match="not ended after 1 s"):
        process.run(["sh", "-c", HANGS], limit_s=1)
    assert 1 <= time.monotonic() - begun < 10
    said = capsys.readouterr().out
    child = int(said.split("said\n")[1].split()[0])
    assert "wrong" in said and gone(child)


def test_a_failing_test_kills_its_program():
    with pytest.raises(ZeroDivisionError), process.Process(["sleep", 600]) as program:
        assert program.returncode is None
        raise ZeroDivisionError
    assert program.returncode == -9


def test_a_child_that_outlives_its_program_is_killed():
    done = process.run(["sh", "-c", "sleep 600 & echo $!"], limit_s=20)
    assert done.returncode == 0 and gone(int(done.stdout))


def test_waiting_ends_with_the_program():
    with pytest.raises(RuntimeError, match="nothing there, and it ended with 3"), process.Process(["sh", "-c", "exit 3"]) as program:
        program.wait_until(lambda: os.path.exists("/no/such/file"), "nothing there")
