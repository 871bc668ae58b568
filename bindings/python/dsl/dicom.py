"""Images of DICOM files, through pydicom: what a viewer would show, or the values themselves."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union

import numpy as np
import numpy.typing as npt

from ._native import Error, Status

_SUFFIXES = {".dcm", ".dicom"}
_OTHER_SUFFIXES = {".jpg", ".jpeg", ".png"}
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_MAX_PIXELS = 100_000_000  # of a frame, as for other images
_MAX_BYTES = 2 << 30  # of all frames, which pydicom decodes together
_INSTALL = "Debian: apt install python3-gdcm; elsewhere: pip install pylibjpeg[all]"

_stderr_lock = threading.Lock()


def is_dicom(path: Any) -> bool:
    """Whether a file is meant as DICOM: by its suffix, and without one that says otherwise, by its first bytes."""
    suffix = Path(os.fsdecode(path)).suffix.lower()
    if suffix in _SUFFIXES or suffix in _OTHER_SUFFIXES:
        return suffix in _SUFFIXES
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False  # whoever opens it says why


def read_dicom(path: str | os.PathLike[str], frame: int | None = None, *,
               window: Union[Literal["auto"], tuple[float, float], None] = "auto") -> npt.NDArray[np.float32]:
    """Reads an image of a DICOM file: float32 [H, W], or [H, W, 3] in colour, ready for all functions that take images.

    frame: 0 for the first; None is the only one, and an error for a file with several. Gray values go through the modality LUT, or rescale
    slope and intercept. Then window: "auto" takes the file's first VOI LUT, or else its first window, or else the lowest and highest value of the
    frame; (center, width) maps center - width/2 to 0 and center + width/2 to 1. Both give [0, 1], MONOCHROME1 inverted, so that 1 is bright.
    window=None gives the values themselves (Hounsfield units in CT), never inverted. Padding (PixelPaddingValue) counts as darkest of the rest.
    Colour is RGB in [0, 1]: palettes are looked up, YBR is converted, and windows make no sense. Overlays are left out.

    Needs pydicom, and for most compressed files a decoder that pydicom finds. Raises Error: NOT_FOUND, IO; UNSUPPORTED with what to install, or for
    what is no image; CORRUPT; INVALID for a frame or window that does not fit the file.
    """
    name = Path(os.fsdecode(path)).name
    if window is not None and window != "auto" and not (np.all(np.isfinite(window)) and window[1] > 0):
        raise Error(Status.INVALID, f'dsl: image "{name}": got the window {window}, want (center, width) with a width above 0')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom: it says much about files that it can read
        try:
            file = _File(path, name)
            pixels = file.frame(frame)
            return file.colour(pixels, window) if file.photometric not in ("MONOCHROME1", "MONOCHROME2") else file.gray(pixels, frame or 0, window)
        except Error:
            raise
        except MemoryError:
            raise Error(Status.OUT_OF_MEMORY, f'dsl: image "{name}": there is not enough memory to decode it') from None
        except Exception as e:  # whatever pydicom and its decoders make of a broken file
            raise Error(Status.CORRUPT, f'dsl: image "{name}": this DICOM file cannot be read ({type(e).__name__}: {_line(e)})') from None


class _File:
    """An open DICOM file; errors are those of read_dicom, or any exception for a broken file."""

    def __init__(self, path: Any, name: str) -> None:
        self.name = name
        try:
            import pydicom
        except ImportError:
            raise self._fail(Status.UNSUPPORTED, "reading DICOM needs pydicom (Debian: apt install python3-pydicom; elsewhere: pip install pydicom)") from None
        try:
            with open(path, "rb") as file:
                self.data = pydicom.dcmread(file)
        except pydicom.errors.InvalidDicomError:
            raise self._fail(Status.CORRUPT, "got a file without the mark of DICOM (DICM at byte 128)") from None
        except FileNotFoundError:
            raise self._fail(Status.NOT_FOUND, "there is no such file") from None
        except OSError as e:
            raise self._fail(Status.IO, f"cannot read it ({e.strerror or _line(e)})") from None
        self.photometric = self.data.get("PhotometricInterpretation", "")

    def _fail(self, code: int, what: str) -> Error:
        return Error(code, f'dsl: image "{self.name}": {what}')

    def frame(self, frame: int | None) -> npt.NDArray[Any]:
        """The stored values of one frame, [H, W] or [H, W, 3]."""
        data = self.data
        if not getattr(data.file_meta, "TransferSyntaxUID", None):
            raise self._fail(Status.CORRUPT, "got a DICOM file that does not name its transfer syntax")
        if "Rows" not in data or not any(element in data for element in _PIXELS):
            raise self._fail(Status.UNSUPPORTED, f"got a DICOM file without pixels (modality {data.get('Modality', 'unknown')}), want an image")
        frames, rows, columns, samples = int(data.get("NumberOfFrames") or 1), data.Rows, data.Columns, data.SamplesPerPixel
        if rows * columns > _MAX_PIXELS or frames * rows * columns * samples * max(data.BitsAllocated // 8, 1) > _MAX_BYTES:
            raise self._fail(Status.INVALID, f"got {frames} frames of {columns} x {rows} pixels, want at most {_MAX_PIXELS} pixels and {_MAX_BYTES} bytes of them")
        if frame is None and frames > 1:
            raise self._fail(Status.INVALID, f"got {frames} frames, want one: choose it with read_dicom(path, frame=...), 0 to {frames - 1}")
        if not 0 <= (frame or 0) < frames:
            raise self._fail(Status.INVALID, f"got frame {frame}, want 0 to {frames - 1}")
        pixels = self._decode()
        if frames > 1:
            pixels = pixels[frame]
        if pixels.shape != ((rows, columns) if samples == 1 else (rows, columns, 3)):
            raise self._fail(Status.UNSUPPORTED, f"got {samples} samples per pixel and values of shape {pixels.shape}, want gray or three samples")
        return pixels

    def _decode(self) -> npt.NDArray[Any]:
        """The stored values of all frames. GDCM says on stderr what it cannot decode, and goes on."""
        syntax = self.data.file_meta.TransferSyntaxUID
        messages: list[str] = []
        try:
            with _caught(messages) if syntax.is_compressed else contextlib.nullcontext():
                pixels = self.data.pixel_array
        except Exception as e:
            lacks = isinstance(e, RuntimeError) and "missing required dependencies" in str(e)
            if lacks or isinstance(e, NotImplementedError) or (syntax.is_compressed and not _has_decoders()):
                raise self._fail(Status.UNSUPPORTED, f"got {syntax.name}, which the decoders that are installed cannot read ({_INSTALL}): {_line(e)}") from None
            raise
        broken = [line for line in "".join(messages).splitlines() if line.startswith("Error: ")]
        if broken:
            raise self._fail(Status.CORRUPT, f"its {syntax.name} pixels cannot be decoded")
        return self._whole(pixels)

    def _whole(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of BitsStored bits; those above may hold something else."""
        above = 0 if pixels.dtype.kind == "f" else pixels.itemsize * 8 - self.data.BitsStored
        if above <= 0 or self.data.BitsAllocated == 1:
            return pixels
        native = pixels.astype(pixels.dtype.newbyteorder("="))
        return np.right_shift(np.left_shift(native, above), above)  # of signed ones the sign too

    def colour(self, pixels: npt.NDArray[Any], window: Any) -> npt.NDArray[np.float32]:
        """RGB in [0, 1]."""
        from pydicom.pixel_data_handlers import util

        if window is not None and window != "auto":
            raise self._fail(Status.INVALID, "got a window for an image in colour, want none")
        if self.photometric == "PALETTE COLOR":
            pixels = util.apply_color_lut(pixels, self.data)
            return (pixels / np.float32(np.iinfo(pixels.dtype).max)).astype(np.float32)
        if self.photometric in ("YBR_FULL", "YBR_FULL_422") and pixels.dtype == np.uint8:
            pixels = util.convert_color_space(pixels, "YBR_FULL", "RGB")
        elif self.photometric not in ("RGB", "YBR_ICT", "YBR_RCT"):  # JPEG 2000 undoes the last two itself
            raise self._fail(Status.UNSUPPORTED, f'got {self.data.BitsStored} bits of "{self.photometric}", want gray, palette, RGB or 8-bit YBR')
        return (pixels / np.float32(2**self.data.BitsStored - 1)).astype(np.float32)

    def gray(self, stored: npt.NDArray[Any], frame: int, window: Any) -> npt.NDArray[np.float32]:
        """Values behind the modality LUT, and behind a window unless it is None."""
        from pydicom.pixel_data_handlers import util

        values = np.asarray(util.apply_modality_lut(stored, self._about("PixelValueTransformationSequence", frame)), np.float64)
        if not np.isfinite(values).all():
            raise self._fail(Status.CORRUPT, "got values that are no finite numbers")
        padding = self._padding(stored)
        rest = values[~padding] if not padding.all() else values
        values[padding] = rest.max() if self.photometric == "MONOCHROME1" else rest.min()
        if window is None:
            return values.astype(np.float32)
        shown = _linear(values, *window) if window != "auto" else self._shown(values, self._about("FrameVOILUTSequence", frame))
        shown = np.clip(shown, 0, 1)
        return (1 - shown if self.photometric == "MONOCHROME1" else shown).astype(np.float32)

    def _about(self, sequence: str, frame: int) -> Any:
        """Where the file says something of a frame: in the frame's functional groups, in those that all frames share, or in the file itself."""
        groups = [g[i] for g, i in ((self.data.get("PerFrameFunctionalGroupsSequence"), frame), (self.data.get("SharedFunctionalGroupsSequence"), 0)) if g]
        return next((g[sequence].value[0] for g in groups if sequence in g), self.data)

    def _padding(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        value = self.data.get("PixelPaddingValue")
        if value is None:
            return np.zeros(stored.shape, bool)
        limit = self.data.get("PixelPaddingRangeLimit", value)
        return (stored >= min(value, limit)) & (stored <= max(value, limit))

    def _shown(self, values: npt.NDArray[np.float64], about: Any) -> npt.NDArray[np.float64]:
        """Through the file's own VOI LUT or window, or from the lowest to the highest value (DICOM PS3.3 C.11.2)."""
        from pydicom.pixel_data_handlers import util

        if about.get("VOILUTSequence"):
            bits = about.VOILUTSequence[0].LUTDescriptor[2]
            return util.apply_voi(values.astype(np.int64), about, index=0) / (2**bits - 1)
        if about.get("WindowCenter") is None or about.get("WindowWidth") is None:
            low, high = values.min(), values.max()
            return (values - low) / (high - low) if high > low else np.zeros_like(values)
        center, width = (float(np.atleast_1d(about[element].value)[0]) for element in ("WindowCenter", "WindowWidth"))
        if not (np.isfinite([center, width]).all() and width > 0):
            raise self._fail(Status.CORRUPT, f"got a window of center {center}, width {width}, want a width above 0; window=(center, width) replaces it")
        function = about.get("VOILUTFunction", "LINEAR")
        if function == "SIGMOID":
            return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        if function == "LINEAR" and width > 1:
            return _linear(values, center - 0.5, width - 1)
        return _linear(values, center, width)


def _has_decoders() -> bool:
    """Whether a decoder is there that reads nearly all; Pillow alone gives up on some sound files as if they were broken."""
    return any(importlib.util.find_spec(name) for name in ("gdcm", "pylibjpeg"))


def _linear(values: npt.NDArray[np.float64], center: float, width: float) -> npt.NDArray[np.float64]:
    return (values - center) / width + 0.5


@contextlib.contextmanager
def _caught(messages: list[str]) -> Iterator[None]:
    """Catches what C libraries write to the process's stderr: GDCM's codecs report there what they try, also when all is well."""
    with _stderr_lock, tempfile.TemporaryFile() as file:
        if sys.stderr is not None:
            sys.stderr.flush()
        kept = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            messages.append(file.read().decode("utf-8", "replace"))


def _line(e: BaseException) -> str:
    """The first line of what an exception says."""
    return (str(e).strip().splitlines() or ["no reason given"])[0][:200]
