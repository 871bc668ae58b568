"""Long calls that Ctrl-C can stop.

Python runs signal handlers between bytecodes of the main thread only, so a long C call there would hold KeyboardInterrupt back to its end.
A long call therefore runs on a thread of its own; the main thread waits where it can be interrupted, cancels, and waits for the end.
"""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable
from ctypes import c_void_p
from typing import Any

from ._native import Error, Handle, Status, create, last_message, lib, text_of


def run(function: str, before: tuple[Any, ...], after: tuple[Any, ...], events: queue.SimpleQueue[Any] | None = None,
        on_event: Callable[[Any], None] | None = None) -> None:
    """Calls function(*before, token, *after). What the call puts into events goes to on_event, on the calling thread."""
    token = create("dsl_cancel_token_create", "dsl_cancel_token_free")
    try:
        _run(getattr(lib(), function), before, token, after, events or queue.SimpleQueue(), on_event)
    finally:
        token.close()


class _Done:
    """The end of a call."""

    def __init__(self, status: int, message: str, raised: BaseException | None) -> None:
        self.status, self.message, self.raised = status, message, raised


def _run(call: Any, before: tuple[Any, ...], token: Handle, after: tuple[Any, ...], events: queue.SimpleQueue[Any],
         on_event: Callable[[Any], None] | None) -> None:
    def work() -> None:
        try:
            status = call(*before, token.pointer, *after)
            events.put(_Done(status, last_message(), None))  # the message belongs to this thread
        except BaseException as e:  # noqa: BLE001: handed to the caller
            events.put(_Done(Status.INTERNAL, "", e))

    if threading.current_thread() is not threading.main_thread() and on_event is None:
        work()
    else:
        threading.Thread(target=work, name="dsl", daemon=True).start()
    raised: BaseException | None = None
    while True:
        try:
            event = events.get(timeout=0.1)
            if isinstance(event, _Done):
                break
            if on_event is not None and raised is None:
                on_event(event)
        except queue.Empty:
            continue
        except BaseException as e:  # noqa: BLE001: KeyboardInterrupt, or what on_event raised; thrown on below
            raised = raised or e
            lib().dsl_cancel_token_cancel(token.pointer)
    if raised is not None:
        raise raised
    if event.raised is not None:
        raise event.raised
    if event.status != Status.OK:
        raise Error(event.status, event.message)


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
