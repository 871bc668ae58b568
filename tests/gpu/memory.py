"""What sessions and trainings leave behind, and what happens when the GPU's memory is too small: a clear error, and libdsl goes on.

A tensor of PyTorch's holds the memory then; on the emulated GPU, which PyTorch cannot use, an allocation does.
"""

import contextlib
import ctypes
import gc
import os
import pathlib
import tempfile

import machine
import part as parts

SESSIONS, SMALL_SESSIONS = 50, 10
WARM = 4  # sessions before the first look: libraries load their kernels when they need them
MORE_BYTES = 32 << 20  # cuDNN may still load kernels
LEFT_BYTES, SMALL_LEFT_BYTES = 64 << 20, 16 << 20  # what the hog leaves free
SMALL_MEMORY = 512 << 20  # of the emulated GPU


class TorchHog:
    """A tensor of PyTorch's."""

    def __init__(self, torch, size):
        self.torch, self.tensor = torch, torch.empty(size, dtype=torch.uint8, device="cuda")

    def close(self):
        del self.tensor
        self.torch.cuda.empty_cache()


class Hog:
    """The same on the emulated driver."""

    def __init__(self, size):
        self.cuda = ctypes.CDLL(os.environ["DSL_CUDA_DRIVER"])
        self.context, self.pointer = ctypes.c_void_p(), ctypes.c_uint64()
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(self.context), 0)
        self.call("cuCtxSetCurrent", self.context)
        self.call("cuMemAlloc_v2", ctypes.byref(self.pointer), ctypes.c_size_t(size))

    def call(self, name, *arguments):
        code = getattr(self.cuda, name)(*arguments)
        assert code == 0, f"{name}: {code}"

    def close(self):
        self.call("cuMemFree_v2", self.pointer)
        self.call("cuCtxSetCurrent", None)
        self.call("cuDevicePrimaryCtxRelease_v2", 0)


@contextlib.contextmanager
def little_memory(small):
    """Others hold nearly all of the GPU's memory."""
    torch, _ = parts.torch_device()
    if torch is not None and torch.cuda.is_available():
        torch.zeros(1, device="cuda")  # PyTorch's own start takes some
    size = free_bytes() - (SMALL_LEFT_BYTES if small else LEFT_BYTES)
    hold = Hog(size) if machine.is_emulated() else TorchHog(torch, size)
    try:
        yield
    finally:
        hold.close()


def free_bytes():
    import dsl

    return dsl.device_info(0)["free_memory_bytes"]


def handles():
    from dsl import _native

    gc.collect()
    return _native.lib().dsl_live_handles()


def resident_mib():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def embed(model, pictures, precision="auto"):
    import dsl

    with dsl.Model.load(model, device="cuda", precision=precision) as m:
        return m.embed(pictures)


def sessions(part, model, pictures):
    """Opens, uses and closes many."""
    count = SMALL_SESSIONS if part.small else SESSIONS
    for i in range(WARM):
        embed(model, pictures, ("bf16", "f32")[i % 2])
    before, free, resident = handles(), free_bytes(), resident_mib()
    course = []
    for i in range(count):
        embed(model, pictures, ("bf16", "f32")[i % 2])
        course.append((free - free_bytes()) / 2**20)
    lost = free - free_bytes()
    part.data["sessions"] = {"count": count, "lost_mib": lost / 2**20, "course_mib": course, "host_mib": resident_mib() - resident}
    part.check("handles after sessions", handles() == before, f"{before} before, {handles()} after {count}")
    part.check("GPU memory after sessions", lost <= MORE_BYTES, f"{lost / 2**20:.1f} MiB less are free than before {count} of them; "
               f"half way it were {course[count // 2 - 1]:.1f} MiB")  # fmt: skip
    part.tell(f"host memory after {count} sessions: {resident_mib() - resident:+.0f} MiB")


def training(part, folder):
    import samples

    samples.train(folder / "first.dsl", "cuda", part.small).close()
    before, free = handles(), free_bytes()
    samples.train(folder / "second.dsl", "cuda", part.small).close()
    part.check("handles after a training", handles() == before, f"{before} before, {handles()} after")
    part.check("GPU memory after a training", free - free_bytes() <= MORE_BYTES, f"{(free - free_bytes()) / 2**20:.1f} MiB less")


def refused(part, what, call):
    """A call that needs more memory than there is: the error, and what is left of it."""
    import dsl

    before, free = handles(), free_bytes()
    try:
        call()
        part.check(what, False, "it succeeded; was there enough memory?")
    except dsl.Error as e:
        part.check(what, e.code == dsl.Status.OUT_OF_MEMORY, f"{e.code!r}: {e}")
    part.check(f"{what}: nothing is left", handles() == before and free - free_bytes() <= MORE_BYTES,
               f"handles {before} → {handles()}, {(free - free_bytes()) / 2**20:.1f} MiB less are free")  # fmt: skip


def too_large(part, folder):
    """Steps of the largest batch that is allowed, of images that are large."""
    import samples

    side = 64 if part.small else 768
    options = {"stem": "standard", "input_size": side, "batch_size": 4096, "images_per_class": 2048}
    refused(part, f"a training in batches of 4096 images of {side} px", lambda: samples.train(folder / "never.dsl", "cuda", part.small, **options))


def large_image(part, model):
    """The heatmap of the largest picture that is allowed: 16 megapixels at the model's input size. Another one fits, before and after."""
    import numpy as np

    import dsl

    picture = np.zeros((16, (240_000 if part.small else 5000), 3), np.uint8)
    with dsl.Model.load(model, device="cuda") as m:
        want = m.heatmap([picture[:, :32]])
        with little_memory(part.small):
            what = f"the heatmap of a picture of {picture.shape[1]} × {picture.shape[0]} pixels in little memory"
            refused(part, what, lambda: m.heatmap([picture]))
            part.check("the session goes on", np.array_equal(m.heatmap([picture[:, :32]]), want), "the same heatmap")


def little_left(part, model, pictures):
    with little_memory(part.small):
        refused(part, f"a session with {free_bytes() >> 20} MiB free", lambda: embed(model, pictures))


def main():
    part = parts.Part(__doc__.split("\n")[0])
    if part.small:
        os.environ["DSL_EMULATED_MEMORY"] = str(SMALL_MEMORY)
    import numpy as np

    import samples

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = folder / "model.dsl"
        samples.train(model, "cpu", part.small).close()
        pictures = samples.pictures(1 if part.small else 32, 40 if part.small else 224)
        want = embed(model, pictures)
        sessions(part, model, pictures)
        training(part, folder)
        jobs = [lambda: too_large(part, folder)]
        if machine.is_emulated() or parts.torch_device()[0] is not None:
            jobs += [lambda: large_image(part, model), lambda: little_left(part, model, pictures)]
        else:
            part.tell("skipped: little memory, which PyTorch would hold, and it is not here or sees no GPU")
        for job in jobs:
            job()
            part.check("libdsl goes on", np.array_equal(embed(model, pictures), want), "the same embeddings")
    part.check("handles at the end", handles() == 0, str(handles()))
    part.end()


if __name__ == "__main__":
    main()
