"""Long calls that Ctrl-C can stop.

Python runs signal handlers between bytecodes of the main thread only, so a long C call there would hold KeyboardInterrupt back to its end.
A long call therefore runs on a thread of its own, and the main thread waits where it can be interrupted. It then cancels the call and
raises as soon as the call has ended, at the latest after GRACE_S: what a training has to write may take longer, and goes on behind. The
thread is no daemon, so the process does not end before it does; finish() waits for it.
"""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

from ._native import Error, Handle, Status, create, last_message, lib, text_of

GRACE_S = 0.12

_running: set[threading.Thread] = set()


class _Done:
    """The end of a call."""

    def __init__(self, status: int, message: str, raised: BaseException | None) -> None:
        self.status, self.message, self.raised = status, message, raised


def run(function: str, before: tuple[Any, ...], after: tuple[Any, ...], events: queue.SimpleQueue[Any] | None = None,
        on_event: Callable[[Any], None] | None = None) -> None:
    """Calls function(*before, token, *after). What the call puts into events goes to on_event, on the calling thread. The arguments must
    keep alive what they point to."""
    call, token, results = getattr(lib(), function), create("dsl_cancel_token_create", "dsl_cancel_token_free"), events or queue.SimpleQueue()

    def work() -> None:
        try:
            status = call(*before, token.pointer, *after)
            results.put(_Done(status, last_message(), None))  # the message belongs to this thread
        except BaseException as e:  # noqa: BLE001: handed to the caller
            results.put(_Done(Status.INTERNAL, "", e))
        finally:
            token.close()
            _running.discard(threading.current_thread())

    def cancel() -> None:
        lib().dsl_cancel_token_cancel(token.pointer)

    try:
        if threading.current_thread() is not threading.main_thread() and on_event is None:
            work()
        else:
            thread = threading.Thread(target=work, name=function)
            _running.add(thread)
            thread.start()
        done = _wait(results, cancel, on_event)
    except BaseException:
        cancel()  # Ctrl-C may come between any two lines, outside what _wait guards too; a call that nobody waits for must not go on
        raise
    if done.raised is not None:
        raise done.raised
    if done.status != Status.OK:
        raise Error(done.status, done.message)


def _wait(results: queue.SimpleQueue[Any], cancel: Callable[[], None], on_event: Callable[[Any], None] | None) -> _Done:
    """Waits for the end of a call, handing events on. An exception here, such as KeyboardInterrupt, cancels the call and is raised."""
    raised: BaseException | None = None
    deadline = 0.0
    while raised is None or time.monotonic() < deadline:
        try:
            event = results.get(timeout=0.1 if raised is None else max(deadline - time.monotonic(), 0.001))
            if isinstance(event, _Done):
                if raised is None:
                    return event
                break
            if on_event is not None and raised is None:
                on_event(event)
        except queue.Empty:
            continue
        except BaseException as e:  # noqa: BLE001: KeyboardInterrupt, or what on_event raised
            if raised is None:
                raised, deadline = e, time.monotonic() + GRACE_S
            cancel()
    assert raised is not None
    raise raised


def finish() -> None:
    """Waits until calls that were stopped have written what they had to."""
    for thread in list(_running):
        thread.join()


def take_report(place: c_void_p) -> str:
    """The JSON of a report, which is freed."""
    report = Handle(place, "dsl_report_free")
    try:
        return text_of("dsl_report_json", report)
    finally:
        report.close()


def floats(array: Any) -> Any:
    """A float32 array as an argument."""
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
