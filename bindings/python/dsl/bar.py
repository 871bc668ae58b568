"""A progress bar on standard error: tqdm's where it is installed, else one line that is written over."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .training import Progress


class Bar:
    """Shows a training: a bar of steps, and a line for each validation, growth and note."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._line: Any = None
        self._total = -1

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        self._end()

    def show(self, p: Progress) -> None:
        if not self._enabled:
            return
        if p.event == "step":
            self._step(p)
        elif p.event == "validated":
            self._write(f"epoch {p.epoch}: NMI {p.nmi:.3f}, recall@1 {p.recall_at_1:.3f} (macro {p.macro_recall_at_1:.3f}), "
                        f"{p.num_learners} learner{'s' if p.num_learners > 1 else ''}{', best so far' if p.best else ''}")
        elif p.message:
            self._write(p.message)

    def _step(self, p: Progress) -> None:
        what = "checking images" if p.stage == "prepare" else f"training ({p.stage})"
        if self._line is None or self._total != p.num_steps:
            self._end()
            self._line, self._total = _new_line(p.num_steps), p.num_steps
        loss = "" if math.isnan(p.loss) else f"loss {p.loss:.3f}"
        self._line.update(what, p.step, loss)

    def _write(self, text: str) -> None:
        if self._line is not None:
            self._line.write(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


def _new_line(total: int) -> Any:
    try:
        import tqdm
    except ImportError:
        return _Line(total)
    return _TqdmLine(tqdm.tqdm, total)


class _TqdmLine:
    def __init__(self, tqdm: Any, total: int) -> None:
        self._tqdm = tqdm
        self._bar = tqdm(total=total or None, leave=False)

    def update(self, what: str, done: int, note: str) -> None:
        self._bar.set_description(what, refresh=False)
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(done - self._bar.n)

    def write(self, text: str) -> None:
        self._tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        self._bar.close()


class _Line:
    """One line, written over on a terminal, left out elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = ""
        self._terminal = sys.stderr.isatty()

    def update(self, what: str, done: int, note: str) -> None:
        part = done / self._total if self._total else 0.0
        text = f"{what} [{'#' * int(20 * part):<20}] {done}/{self._total} {note}"
        if self._terminal and text != self._shown:
            sys.stderr.write("\r" + text.ljust(len(self._shown)))
            sys.stderr.flush()
            self._shown = text

    def write(self, text: str) -> None:
        self.close()
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""
