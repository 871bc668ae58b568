"""The ctypes structs of the Python binding have the layout that the C compiler gives those of dsl.h.

usage: layout.py ABI_LAYOUT_PROGRAM PYTHON_FOLDER
"""

import ctypes
import importlib.util
import subprocess
import sys

program, folder = sys.argv[1:]
# the module alone: the package needs NumPy, which this Python may lack
spec = importlib.util.spec_from_file_location("_native", f"{folder}/dsl/_native.py")
_native = importlib.util.module_from_spec(spec)
spec.loader.exec_module(_native)

ours = []
for name, struct in _native.STRUCTS.items():
    ours.append(f"{name} {ctypes.sizeof(struct)}")
    for member, *_ in struct._fields_:
        field = getattr(struct, member)
        ours.append(f"{name}.{member} {field.offset} {field.size}")
theirs = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
different = set(ours) ^ set(theirs)
for line in sorted(different):
    print("ctypes only:" if line in ours else "C only:", line)
print(f"{len(theirs)} lines compared")
sys.exit(1 if different or len(theirs) < 50 else 0)
