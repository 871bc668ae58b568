"""This machine: its GPU, where NVIDIA's libraries are, and what build.sh made."""

import hashlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILT = ROOT / "out" / "gpu"
ARCHIVE, DATA = BUILT / "programs.tar.xz", BUILT / "data.npz"
PROGRAMS = "DSL_GPU_PROGRAMS"  # names the folder of the unpacked programs, for the parts
LIBRARIES = {"DSL_CUDNN_LIBRARY": ("libcudnn.so.9",), "DSL_CUBLAS_LIBRARY": ("libcublas.so.13", "libcublas.so.12")}

LOOK = """
import json, dsl
try:
    print(json.dumps(dsl.device_info(0)))
except dsl.Error as e:
    print(json.dumps({"error": str(e)}))
"""


def unpack():
    """Unpacks the programs, once for each archive."""
    if not ARCHIVE.exists():
        sys.exit(f"run.sh: there is no {ARCHIVE.relative_to(ROOT)}: run tests/gpu/build.sh where Go is, and bring it along")
    key = hashlib.sha256(ARCHIVE.read_bytes()).hexdigest()[:16]
    folder = pathlib.Path(tempfile.gettempdir()) / f"libdsl-gpu-{os.getuid()}-{key}"
    if not folder.exists():
        fresh = pathlib.Path(tempfile.mkdtemp(dir=folder.parent))
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(fresh)
        fresh.rename(folder)
    os.environ[PROGRAMS] = str(folder)


def programs():
    return pathlib.Path(os.environ[PROGRAMS])


def bindings():
    """The folder of the installed Python package."""
    return programs() / "install" / "share" / "dsl" / "python"


def environment():
    """Variables for all parts: the installed package comes first."""
    return {"PYTHONPATH": os.pathsep.join([str(bindings()), *filter(None, [os.environ.get("PYTHONPATH")])]), "PYTHONUNBUFFERED": "1"}


def wheel_folders():
    """nvidia/*/lib in this Python's site-packages: cuDNN, cuBLAS and what they need."""
    return sorted({f for entry in sys.path if entry for f in pathlib.Path(entry).glob("nvidia/*/lib") if f.is_dir()})


def go_environment():
    """For Go's programs, which see no sys.path: the libraries of PyTorch's wheels. cuDNN opens NVRTC by its name."""
    folders = wheel_folders()
    out = {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])}
    for variable, names in LIBRARIES.items():
        found = [f / name for name in names for f in folders if (f / name).exists()]
        if found:
            out.setdefault(variable, str(found[0]))
    return out


def find_gpu(limit_s):
    """What libdsl says about the first GPU and what PyTorch is here; {"error": why not}."""
    try:
        done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL)
        found = {"error": done.stderr.strip() or f"looking at it ended with {done.returncode}"}
        if done.returncode == 0:
            found = json.loads(done.stdout.strip().split("\n")[-1])
    except subprocess.TimeoutExpired:
        found = {"error": f"looking at it took more than {limit_s} s"}
    return {**found, "emulated": is_emulated(), "cpus": len(os.sched_getaffinity(0)), "python": platform.python_version(), "torch": torch_version()}


def is_emulated():
    """Whether the test doubles stand in for the GPU."""
    return "libdsl-emulated" in os.environ.get("DSL_CUDA_DRIVER", "")


def torch_version():
    try:
        import importlib.metadata

        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(found):
    what = "EMULATED " if found["emulated"] else ""
    libraries = f"CUDA {found['driver']}, cuDNN {found['cudnn']}, cuBLAS {found['cublas']}"
    return (f"{what}{found['name']}, compute capability {found['compute_capability']}, {found['total_memory_bytes'] / 2**30:.0f} GiB, {libraries}; "
            f"{found['cpus']} CPUs, Python {found['python']}, PyTorch {found['torch']}")
