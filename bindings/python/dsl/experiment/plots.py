"""Plots of an experiment's results, with matplotlib where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .config import DYNAMIC, Experiment, Method
from .summary import Row, Spread

SHOWN = ("NMI", "R@1 macro")  # of summary.METRICS


def write(experiment: Experiment, found: list[dict[str, Any]], rows: list[Row]) -> list[Path]:
    """Writes plots/DATA.methods.png, DATA.learners.png (scores by fixed K, beside dynamic learners) and DATA.growth.png (dynamic runs over their
    steps), each where there are results for it; returns them. None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return []
    out = []
    for data in experiment.data:
        own = {r.method: r for r in rows if r.data == data.name and not r.chosen}
        results = [r for r in found if r["data"] == data.name]
        for name, draw, number in (("methods", _methods, len(own)), ("learners", _by_learners, len(_fixed(experiment, own))),
                                   ("growth", _growth, len(_dynamic_results(experiment, results)))):  # fmt: skip
            if number:
                figure = Figure(figsize=(11, 4.5), layout="constrained")
                figure.suptitle(f"{experiment.name}: {data.name}")
                draw(figure.subplots(1, 2), experiment, own, results)
                out.append(_save(figure, experiment.out / "plots" / f"{data.name}.{name}.png"))
    return out


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    figure.savefig(part, format="png", dpi=120)
    part.replace(path)
    return path


def _methods(axes: Any, _: Experiment, own: dict[str, Row], __: list[dict[str, Any]]) -> None:
    """Mean and standard deviation, a dot for each seed beside them."""
    for ax, metric in zip(axes, SHOWN):
        for place, row in enumerate(own.values()):
            _point(ax, place, row.numbers[metric], "C0")
        ax.set_xticks(range(len(own)), list(own), rotation=35, ha="right")
        _label(ax, metric)


def _by_learners(axes: Any, experiment: Experiment, own: dict[str, Row], _: list[dict[str, Any]]) -> None:
    """For each group a line over its methods' K, and a band for the dynamic methods that differ from them in the learners alone."""
    for ax, metric in zip(axes, SHOWN):
        fixed = _fixed(experiment, own)
        for color, group in enumerate(dict.fromkeys(m.group for m in fixed)):
            members = sorted((m for m in fixed if m.group == group), key=experiment.learners)
            points = [(experiment.learners(m), own[m.name].numbers[metric]) for m in members]
            ax.plot([k for k, s in points if s], [100 * s.mean for _, s in points if s], color=f"C{color}", label=group)
            for k, s in points:
                _point(ax, k, s, f"C{color}")
        for color, m in enumerate(_comparable(experiment, fixed, own), start=5):
            s = own[m.name].numbers[metric]
            if s is not None:
                ax.axhline(100 * s.mean, color=f"C{color}", label=m.name)
                half = s.deviation or 0.0
                ax.axhspan(100 * (s.mean - half), 100 * (s.mean + half), color=f"C{color}", alpha=0.2)
        ax.set_xticks(sorted({experiment.learners(m) for m in fixed}))
        ax.set_xlabel("learners")
        ax.legend()
        _label(ax, metric)


def _growth(axes: Any, experiment: Experiment, _: dict[str, Row], results: list[dict[str, Any]]) -> None:
    """Learners and validation NMI of each dynamic run over its optimiser steps."""
    for color, r in enumerate(_dynamic_results(experiment, results)):
        steps = [v["step"] for v in r["validations"]]
        style = {"color": f"C{color % 10}", "label": f"{r['method']}, seed {r['seed']}", "linewidth": 1}
        axes[0].step(steps, [v["num_learners"] for v in r["validations"]], where="post", **style)
        axes[1].plot(steps, [float("nan") if v["nmi"] is None else 100 * v["nmi"] for v in r["validations"]], **style)
    axes[0].set_ylabel("learners")
    axes[0].legend(fontsize="small")
    _label(axes[1], "validation NMI")
    for ax in axes:
        ax.set_xlabel("optimiser steps")


def _point(ax: Any, place: float, spread: Spread | None, color: str) -> None:
    if spread is not None:
        ax.plot([place + 0.1] * len(spread.values), [100 * v for v in spread.values], ".", color="0.6", zorder=1)
        ax.errorbar(place, 100 * spread.mean, yerr=100 * (spread.deviation or 0.0), fmt="o", color=color, capsize=4, zorder=2)


def _label(ax: Any, metric: str) -> None:
    ax.set_ylabel(f"{metric} (%)")
    ax.grid(alpha=0.3)


def _fixed(experiment: Experiment, own: dict[str, Row]) -> list[Method]:
    return [m for m in experiment.methods if m.group and experiment.learners(m) != DYNAMIC and m.name in own]


def _comparable(experiment: Experiment, fixed: list[Method], own: dict[str, Row]) -> list[Method]:
    def others(m: Method) -> dict[str, Any]:
        return {n: v for n, v in m.options.items() if n != "learners"}

    return [m for m in experiment.methods if m.name in own and experiment.learners(m) == DYNAMIC and any(others(m) == others(f) for f in fixed)]


def _dynamic_results(experiment: Experiment, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    dynamic = {m.name for m in experiment.methods if experiment.learners(m) == DYNAMIC}
    return [r for r in results if r["method"] in dynamic and r["validations"]]
