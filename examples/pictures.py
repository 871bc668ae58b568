"""The pictures of the quickstart: neighbours, heatmaps, an explained pair, a map of the embeddings, the training.

Functions take arrays, write one PNG and know nothing of libdsl. Images are [H, W, 3] uint8. Colours are those of Okabe and Ito
(2008), which colour-blind people can tell apart; what colour says, a mark or a line style says too.
"""

import matplotlib

matplotlib.use("Agg")  # no window: this runs on servers
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")  # fmt: skip
CLASS_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK, YELLOW)
CLASS_MARKS = "os^DvPX*"
DPI = 130


def save(figure, path):
    figure.savefig(path, dpi=DPI, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def shorten(text, length=18):
    return text if len(text) <= length else text[: length - 1] + "…"


def thin(pixels):
    """Every n-th row and column: large originals need not be drawn pixel by pixel."""
    n = -(-max(pixels.shape[:2]) // 600)
    return pixels[::n, ::n]


def frame(axes, image, colour=None, style="-"):
    """Shows an image without ticks, framed when a colour is given."""
    axes.imshow(thin(image))
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=colour is not None, color=colour, linewidth=3.5, linestyle=style)


# ---- neighbours ----------------------------------------------------------------------------------------------------


def neighbours(path, queries, title):
    """A sheet with one row per query: the query, then its nearest neighbours.

    queries: a list of (image, class name, found) with found a list of (image, class name, similarity), nearest first.
    A neighbour of the query's class has a solid green frame and a tick, another one a dashed vermilion frame and a cross.
    """
    columns = 1 + max(len(found) for _, _, found in queries)
    figure, grid = plt.subplots(len(queries), columns, figsize=(1.75 * columns, 1.62 * len(queries) + 0.6), squeeze=False, layout="constrained")
    for row, (image, name, found) in zip(grid, queries):
        frame(row[0], image, BLACK)
        row[0].set_title(f"query: {shorten(name)}", fontsize=8, fontweight="bold")
        for axes, (other, other_name, similarity) in zip(row[1:], found):
            same = other_name == name
            frame(axes, other, GREEN if same else RED, "-" if same else (0, (3, 1.5)))
            axes.set_title(f"{'✓' if same else '✗'} {shorten(other_name)}  {similarity:.2f}", fontsize=8, color=GREEN if same else RED)
        for axes in row[1 + len(found) :]:
            axes.set_visible(False)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


# ---- heatmaps ------------------------------------------------------------------------------------------------------


def outline(axes, mask):
    """Draws the border of a mask [H, W], nonzero inside; a mask of another size than the image is stretched to it."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    inside = thin(np.asarray(mask)) > 0
    if inside.any() and not inside.all():
        axes.contour(inside, levels=[0.5], colors=["white"], linewidths=2.6, extent=(left, right, top, bottom))
        axes.contour(inside, levels=[0.5], colors=[BLACK], linewidths=1.2, extent=(left, right, top, bottom))


def heatmaps(path, items, title):
    """A sheet of heatmaps over their images.

    items: a list of (image, class name, heatmap, mask or None); heatmap [H, W] in [0, 1], in the image's pixels. Colours run
    over each heatmap's own range, which its title says.
    """
    figure, grid = plt.subplots(3, len(items), figsize=(1.9 * len(items), 5.0), squeeze=False, layout="constrained")
    for column, (image, name, heat, mask) in zip(grid.T, items):
        frame(column[0], image)
        column[0].set_title(shorten(name), fontsize=9)
        frame(column[1], image)
        if mask is not None:
            outline(column[1], mask)
        frame(column[2], image)
        column[2].imshow(thin(heat), cmap="inferno", alpha=0.6)
        column[2].set_title(f"{heat.min():.2f} to {heat.max():.2f}", fontsize=8)
    for axes, text in zip(grid[:, 0], ("image", "outline of the mask" if any(i[3] is not None for i in items) else "(no masks)", "heatmap")):
        axes.set_ylabel(text, fontsize=9)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


def sheet(path, columns, rows, title):
    """A sheet of what is said about images: one row each, one column for each way of saying it.

    columns: their names. rows: a list of (image, cells), cells a list of (heatmap or None, mask or None) for each column; heatmaps [H, W] in [0, 1] are
    laid over the image, masks outlined on it.
    """
    figure, grid = plt.subplots(len(rows), len(columns), figsize=(1.9 * len(columns), 1.5 * len(rows) + 0.6), squeeze=False, layout="constrained")
    for line, (image, cells) in zip(grid, rows):
        for axes, (heat, mask) in zip(line, cells):
            frame(axes, image)
            if heat is not None:
                axes.imshow(thin(heat), cmap="inferno", alpha=0.6)
            if mask is not None:
                outline(axes, mask)
    for axes, name in zip(grid[0], columns):
        axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=11)
    save(figure, path)


# ---- a pair --------------------------------------------------------------------------------------------------------


def pair(path, images, names, rows):
    """Explains why two images are similar.

    images, names: two each. rows: a list of (what, similarity, (bias a, bias b), (map a, map b)) with maps [H, W] in the images' pixels; a
    map and its bias sum to the similarity. Green parts make the two more alike, purple ones less.
    """
    figure, grid = plt.subplots(1 + len(rows), 2, figsize=(7.4, 2.6 * (1 + len(rows)) + 0.5), squeeze=False, layout="constrained")
    for axes, image, name, letter in zip(grid[0], images, names, "ab"):
        frame(axes, image)
        axes.set_title(f"{letter}: {shorten(name, 30)}", fontsize=10)
    for line, (what, similarity, biases, maps) in zip(grid[1:], rows):
        top = max(float(np.abs(m).max()) for m in maps) or 1.0
        for axes, image, m, bias in zip(line, images, maps, biases):
            frame(axes, image.mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8))
            shown = axes.imshow(thin(m), cmap="PRGn", vmin=-top, vmax=top, alpha=0.65)
            axes.set_title(f"{what}: places {m.sum():+.2f}, bias {bias:+.2f}", fontsize=9)
        bar = figure.colorbar(shown, ax=list(line), ticks=[-top, 0, top], shrink=0.85)
        bar.ax.set_yticklabels(["less alike", "0", "more alike"], fontsize=8)
        line[0].set_ylabel(f"similarity {similarity:.2f}", fontsize=10)
    figure.suptitle("Why two images are similar: each place's share of the whole images' cosine similarity", fontsize=11)
    save(figure, path)


# ---- a map of the embeddings ---------------------------------------------------------------------------------------


def project(embeddings, seed=0):
    """Embeddings [N, D] to points [N, 2] by t-SNE (van der Maaten and Hinton 2008): neighbours stay neighbours, but sizes and
    distances of groups mean little. Fewer than 8 points are projected linearly onto their two main axes (PCA)."""
    centred = embeddings - embeddings.mean(axis=0)
    if len(embeddings) < 8:
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        flat = centred @ axes[:2].T
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    from sklearn.manifold import TSNE

    perplexity = min(30, (len(embeddings) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed).fit_transform(embeddings)


def class_style(i):
    """Colour and mark of a class: unique for 64 of them."""
    return CLASS_COLOURS[i % 8], CLASS_MARKS[(i + i // 8) % 8]


def embedding_map(path, points, labels, names, title):
    """Points [N, 2] coloured and marked by class; labels [N], names {label: class name}."""
    labels = np.asarray(labels)
    figure, axes = plt.subplots(figsize=(8.2, 6.0), layout="constrained")
    for i, label in enumerate(np.unique(labels)):
        colour, mark = class_style(i)
        here = labels == label
        axes.scatter(*points[here].T, s=24, c=colour, marker=mark, alpha=0.75, linewidths=0.4, edgecolors="white",
                     label=f"{shorten(names[label], 24)} ({here.sum()})")  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=11)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, markerscale=1.4)
    save(figure, path)


# ---- the training --------------------------------------------------------------------------------------------------


def smooth(values, width):
    """Running mean, over fewer values at the ends."""
    weights = np.ones(min(width, len(values)))
    return np.convolve(values, weights, "same") / np.convolve(np.ones(len(values)), weights, "same")


def training(path, losses, validations, growths, stages):
    """The training over its optimiser steps: loss above, scores on the validation images below.

    losses: (step, loss) pairs; validations: (step, nmi, recall_at_1) triples; growths: (step, sizes) pairs, sizes the number of
    neurons of each learner; stages: (step at which it begins, name) pairs.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(8.6, 5.8), sharex=True, layout="constrained", height_ratios=(1, 1.2))
    draw_losses(above, losses, [step for step, _ in stages])
    if validations:
        steps, nmi, recall = np.asarray(validations, float).T
        below.plot(steps, nmi, color=BLUE, marker="o", markersize=4, label="NMI")
        below.plot(steps, recall, color=ORANGE, marker="s", markersize=4, linestyle="--", label="R@1")
        below.set_ylim(0, 1)
    for i, (step, sizes) in enumerate(growths):
        for axes in (above, below):
            axes.axvline(step, color=RED, linewidth=1.3, linestyle="-.")
        below.annotate(f"grows to K = {len(sizes)}\n" + " + ".join(map(str, sizes)), (step, 0.02 + 0.13 * (i % 3)), xytext=(4, 0), fontsize=8,
                       textcoords="offset points", color=RED, va="bottom")  # fmt: skip
    for step, name in stages:
        above.annotate(name, (step, 1.0), xycoords=("data", "axes fraction"), xytext=(3, 4), textcoords="offset points", fontsize=8)
        for axes in (above, below):
            axes.axvline(step, color="0.75", linewidth=0.8, zorder=0)
    below.set(xlabel="optimiser steps", ylabel="score on validation images")
    if validations:
        below.legend(loc="best", frameon=False, fontsize=9)
    figure.suptitle("Training" + ("" if growths else " (no growth)"), fontsize=11)
    save(figure, path)


def draw_losses(axes, losses, starts):
    """Losses and their running mean, which starts anew at each of the steps starts: a stage has a loss of its own."""
    axes.set_ylabel("loss")
    if not losses:
        return
    steps, values = np.asarray(losses, float).T
    axes.plot(steps, values, color=BLUE, alpha=0.25, linewidth=0.8, marker="." if len(steps) < 100 else None)
    for part in np.split(np.arange(len(steps)), np.searchsorted(steps, starts)):
        if len(part):
            axes.plot(steps[part], smooth(values[part], max(5, len(steps) // 40)), color=BLUE, linewidth=1.6)
    axes.legend(handles=[Line2D([], [], color=BLUE, alpha=0.3), Line2D([], [], color=BLUE)], labels=["loss of a step", "running mean"],
                frameon=False, fontsize=9, loc="upper right")  # fmt: skip
