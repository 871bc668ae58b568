"""Programs under test. Each runs in a process group of its own and has a time limit; at its end, or at the end of its test, whatever is left of
the group is killed. Output goes to files, so that no pipe fills up and none is kept open by a grandchild. A failure prints the output.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time

POLL_S = 0.02
LIMIT_S = 120


def _hear_ctrl_c():
    """What runs in the background, a test too, may have been told to ignore Ctrl-C; its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """A program that runs while its with block does. It must end limit_s after its start."""

    def __init__(self, command, limit_s=LIMIT_S, **options):
        self.command, self.limit_s = [str(c) for c in command], limit_s
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._deadline = time.monotonic() + limit_s
        self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, start_new_session=True,
                                         preexec_fn=_hear_ctrl_c, **options)

    @property
    def stdout(self):
        """What it has printed so far."""
        return _text(self._out)

    @property
    def stderr(self):
        return _text(self._err)

    @property
    def returncode(self):
        """None while it runs."""
        return self._process.poll()

    def send_signal(self, number):
        """To the program itself, not to its group."""
        self._process.send_signal(number)

    def wait(self):
        """Waits for its end. Raises TimeoutError when its time is up."""
        self._poll(lambda: self.returncode is not None, "it has not ended")

    def wait_until(self, condition, what):
        """Waits until condition() holds. Raises when it ends before, or its time is up."""
        self._poll(lambda: condition() or self.returncode is not None, what)
        if not condition():
            raise RuntimeError(f"{self.command}: {what}, and it ended with {self.returncode}")

    def _poll(self, condition, what):
        while not condition():
            if time.monotonic() > self._deadline:
                raise TimeoutError(f"{self.command}: {what} after {self.limit_s} s")
            time.sleep(POLL_S)

    def kill(self):
        """Ends all that is left of the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.kill()
        if kind is not None:
            print(f"---- {self.command}\n{self.stdout}\n---- its error output\n{self.stderr}\n----")


def _text(file):
    """All of a file that another process appends to; its position, which that process shares, stays."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def run(command, limit_s=LIMIT_S, **options):
    """A program that has ended, however it did."""
    with Process(command, limit_s, **options) as process:
        process.wait()
    return process


def output(command, limit_s=LIMIT_S, **options):
    """The standard output of a program that succeeds; else CalledProcessError with what it printed."""
    with Process(command, limit_s, **options) as process:
        process.wait()
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, process.command, process.stdout, process.stderr)
    return process.stdout
