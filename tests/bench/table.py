"""The table in text."""

from contest import Entry

HEAD = f"{'row':17}{'n':>2} {'libdsl beside':48}{'peer':>11}{'libdsl':>11}{'ratio':>8} {'[min, max]':15}{'floor':>9}{'goal':>9}{'differ':>9}  "


def quantity(value, unit):
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    for scale, name in ((1, "s"), (1e3, "ms")):
        if value * scale >= 1:
            return f"{value * scale:.{3 - len(str(int(value * scale))) if value * scale < 1000 else 0}f} {name}"
    return f"{value * 1e6:.1f} µs"


def judged(result, bar):
    """A bar and whether it is met."""
    if bar is None:
        return ""
    return f"{'<=' if result.bar.at_most else ''}{bar:.2f} {'ok' if result.bar.met(result.ratio, bar) else 'NO'}"


def line(found):
    return entry(found) if isinstance(found, Entry) else result(found)


def entry(e):
    if e.seconds is None:
        return f"{e.row:17}{e.threads:>2} {e.what:28}{e.size:>31}  {e.note}"
    return f"{e.row:17}{e.threads:>2} {e.what:28}{e.size:>31}{quantity(e.seconds, 's'):>11}{quantity(e.peak_bytes, 'B'):>11}  {e.note}".rstrip()


def result(r):
    spread = f"[{r.low:.2f}, {r.high:.2f}]" if r.low != r.high else ""
    differ = "" if r.difference is None else f"{r.difference:.0e}"
    what = "" if r.what == "time" else r.what + ("; " if r.notes else "")
    return (f"{r.row:17}{r.threads:>2} {r.peer[:47]:48}{quantity(r.theirs, r.unit):>11}{quantity(r.ours, r.unit):>11}{r.ratio:8.2f} {spread:15}"
            f"{judged(r, r.bar.floor):>9}{judged(r, r.bar.goal(r.threads)):>9}{differ:>9}  {what}{r.notes}").rstrip()  # fmt: skip
