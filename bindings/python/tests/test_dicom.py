"""DICOM through pydicom: values and windows against plain formulas, real files of every encoding, and .dcm wherever images are taken."""

import csv
import hashlib
import json
import sys
import warnings

import numpy as np
import pytest

import dsl
from conftest import ROOT, TINY, draw
from dsl import dicom
from dsl.__main__ import main
from dsl.overlay import write_png

pydicom = pytest.importorskip("pydicom")
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

FOLDER = ROOT.parent / "shared" / "data" / "dicom"
FILES = list(csv.DictReader(open(FOLDER / "manifest.csv"))) if FOLDER.is_dir() else []
CT = np.arange(-1000, -1000 + 12 * 16, dtype=np.int16).reshape(12, 16)


@pytest.fixture(autouse=True)
def quiet(capfd):
    """Nothing that is read may warn or write."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert capfd.readouterr().err == ""


def file_of(path, pixels, **elements):
    """A DICOM file with these stored values, [H, W], [N, H, W] or [H, W, 3], uncompressed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.ExplicitVRLittleEndian, "1.2.3", "1.2.3.4"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.is_little_endian, data.is_implicit_VR = True, False
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    data.Rows, data.Columns = pixels.shape[:2] if colour or pixels.ndim == 2 else pixels.shape[1:]
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    data.BitsAllocated = data.BitsStored = pixels.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    if colour:
        data.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        data.NumberOfFrames = len(pixels)
    for name, value in elements.items():
        setattr(data, name, value)
    if pixels.dtype.kind != "f":
        data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    data.save_as(path, write_like_original=False)
    return path


def item(**elements):
    data = Dataset()
    for name, value in elements.items():
        setattr(data, name, value)
        if name.startswith("LUT"):  # pydicom cannot guess whether it is US, SS or OW
            data[name].VR = "US"
    return Sequence([data])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.dcm"


def fails(code, match, *arguments, **options):
    with pytest.raises(dsl.Error, match=match) as caught:
        dsl.read_dicom(*arguments, **options)
    assert caught.value.code == dsl.Status[code] and str(ROOT) not in str(caught.value)


def test_without_a_window_values_are_rescaled(path):
    image = dsl.read_dicom(file_of(path, CT, RescaleSlope="2", RescaleIntercept="-24"), window=None)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, CT * 2.0 - 24)


def test_a_file_without_windows_spans_its_values(path):
    np.testing.assert_allclose(dsl.read_dicom(file_of(path, CT)), (CT + 1000) / 191, atol=1e-6)
    np.testing.assert_array_equal(dsl.read_dicom(file_of(path, np.full((2, 3), 7, np.uint8))), np.zeros((2, 3)))


@pytest.mark.parametrize(("function", "formula"), [
    (None, lambda v: (v - (-905 - 0.5)) / (40 - 1) + 0.5),  # DICOM PS3.3 C.11.2.1.2
    ("LINEAR", lambda v: (v - (-905 - 0.5)) / (40 - 1) + 0.5),
    ("LINEAR_EXACT", lambda v: (v + 905) / 40 + 0.5),
    ("SIGMOID", lambda v: 1 / (1 + np.exp(-4 * (v + 905) / 40))),
])  # fmt: skip
def test_the_first_window_of_the_file_counts(path, function, formula):
    elements = {"WindowCenter": [-905, 1], "WindowWidth": [40, 2]} | ({"VOILUTFunction": function} if function else {})
    np.testing.assert_allclose(dsl.read_dicom(file_of(path, CT, **elements)), np.clip(formula(CT.astype(float)), 0, 1), atol=1e-6)


def test_a_window_of_the_caller_replaces_that_of_the_file(path):
    file_of(path, CT, WindowCenter=0, WindowWidth=1)
    np.testing.assert_allclose(dsl.read_dicom(path, window=(-900, 50)), np.clip((CT + 900) / 50 + 0.5, 0, 1), atol=1e-6)
    for window in ((0, 0), (0, -5), (float("nan"), 5), (0, float("inf"))):
        fails("INVALID", "want .center, width.", path, window=window)
    fails("CORRUPT", "got a window of center 0.0, width 0.0", file_of(path, CT, WindowCenter=0, WindowWidth=0))


def test_monochrome1_is_inverted_where_it_is_shown(path):
    file_of(path, CT, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(dsl.read_dicom(path), 1 - (CT + 1000) / 191, atol=1e-6)
    np.testing.assert_array_equal(dsl.read_dicom(path, window=None), CT)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_outside_the_window(path, photometric):
    padded = CT.copy()
    padded[:3] = -2000
    padded[3] = -1999
    file_of(path, padded, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1995, PhotometricInterpretation=photometric)
    rest = (CT[4:] - CT[4:].min()) / np.ptp(CT[4:].astype(float))
    image = dsl.read_dicom(path)
    np.testing.assert_allclose(image[4:], rest if photometric == "MONOCHROME2" else 1 - rest, atol=1e-6)
    assert not image[:4].any()
    np.testing.assert_array_equal(dsl.read_dicom(file_of(path, np.full((2, 2), -2000, np.int16), PixelPaddingValue=-2000)), np.zeros((2, 2)))


def test_lookup_tables_of_modality_and_voi(path):
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    table = [int(v) for v in np.arange(10) ** 2]  # values beyond the table's ends take its ends
    lut = item(LUTDescriptor=[10, 1, 16], LUTData=table, ModalityLUTType="US")
    np.testing.assert_array_equal(dsl.read_dicom(file_of(path, stored, ModalityLUTSequence=lut), window=None), np.clip(stored - 1.0, 0, 9) ** 2)
    lut = item(LUTDescriptor=[10, 1, 8], LUTData=table)
    shown = dsl.read_dicom(file_of(path, stored, VOILUTSequence=lut, WindowCenter=1, WindowWidth=2))
    np.testing.assert_allclose(shown, np.clip(stored - 1.0, 0, 9) ** 2 / 255, atol=1e-6)


def test_bits_above_those_stored_are_ignored(path):
    stored = np.array([[5, -5], [2047, -2048]], np.int16)
    file_of(path, np.bitwise_xor(np.bitwise_and(stored, 0x0FFF), np.array([[0, 0x7000], [0x3000, 0]], np.int16)), BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(dsl.read_dicom(path, window=None), stored)


def test_a_frame_of_several_is_chosen(path):
    frames = np.stack([CT, CT[::-1], CT * 2])
    file_of(path, frames)
    np.testing.assert_array_equal(dsl.read_dicom(path, 1, window=None), frames[1])
    fails("INVALID", "got 3 frames, want one", path)
    for frame in (-1, 3):
        fails("INVALID", f"got frame {frame}, want 0 to 2", path, frame)
    fails("INVALID", "got frame 1, want 0 to 0", file_of(path, CT), 1)


def test_frames_have_windows_and_slopes_of_their_own(path):
    groups = []
    for i in range(2):
        group = Dataset()
        group.FrameVOILUTSequence = item(WindowCenter=-900 + i, WindowWidth=101)
        groups.append(group)
    shared = item(PixelValueTransformationSequence=item(RescaleSlope=3, RescaleIntercept=1))
    file_of(path, np.stack([CT, CT]), PerFrameFunctionalGroupsSequence=Sequence(groups), SharedFunctionalGroupsSequence=shared)
    for i in range(2):
        np.testing.assert_array_equal(dsl.read_dicom(path, i, window=None), CT * 3 + 1)
        np.testing.assert_allclose(dsl.read_dicom(path, i), np.clip((CT * 3.0 + 1 - (-900.5 + i)) / 100 + 0.5, 0, 1), atol=1e-6)


def test_colour_is_rgb(path):
    rgb = draw(0)[:12, :16]
    np.testing.assert_array_equal(np.rint(dsl.read_dicom(file_of(path, rgb)) * 255), rgb)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    data = pydicom.dcmread(path)
    data.PlanarConfiguration, data.PixelData = 1, planes.tobytes()
    data.save_as(path)
    np.testing.assert_array_equal(np.rint(dsl.read_dicom(path) * 255), rgb)
    np.testing.assert_array_equal(dsl.read_dicom(path), dsl.read_dicom(path, window=None))
    fails("INVALID", "a window for an image in colour", path, window=(1, 2))
    np.testing.assert_allclose(dsl.read_dicom(file_of(path, rgb.astype(np.uint16) * 4, BitsStored=12)), rgb.astype(float) * 4 / 4095, atol=1e-6)
    y, cb, cr = 100.0, 90.0, 200.0  # ITU-R BT.601, full range
    want = np.clip(np.rint([y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)]), 0, 255)
    ybr = np.broadcast_to(np.array([y, cb, cr], np.uint8), (4, 4, 3))
    np.testing.assert_allclose(dsl.read_dicom(file_of(path, ybr, PhotometricInterpretation="YBR_FULL"))[0, 0] * 255, want, atol=1)


def test_palettes_are_looked_up(path):
    table = np.arange(4, dtype=np.uint16) * 20000
    palette = {f"{c}PaletteColorLookupTable{what}": value for c, t in (("Red", table), ("Green", table[::-1]), ("Blue", table * 0))
               for what, value in (("Descriptor", [4, 0, 16]), ("Data", t.tobytes()))}
    stored = np.array([[0, 1], [2, 3]], np.uint8)
    image = dsl.read_dicom(file_of(path, stored, PhotometricInterpretation="PALETTE COLOR", **palette))
    np.testing.assert_allclose(image, np.stack([table[stored], table[::-1][stored], table[stored] * 0], 2) / 65535, atol=1e-6)


def test_float_pixels_are_values(path):
    values = np.linspace(-1, 3, 12, dtype=np.float32).reshape(3, 4)
    file_of(path, values, FloatPixelData=values.tobytes())
    np.testing.assert_array_equal(dsl.read_dicom(path, window=None), values)
    np.testing.assert_allclose(dsl.read_dicom(path), (values + 1) / 4, atol=1e-6)
    fails("CORRUPT", "no finite numbers", file_of(path, values, FloatPixelData=np.full((3, 4), np.nan, np.float32).tobytes()))


def test_files_without_sense_are_refused(path, tmp_path):
    fails("NOT_FOUND", '"none.dcm": there is no such file', tmp_path / "none.dcm")
    fails("IO", "cannot read it", tmp_path)
    path.write_bytes(b"")
    fails("CORRUPT", "DICM", path)
    fails("INVALID", "at most 100000000 pixels", file_of(path, CT, Rows=65535, Columns=65535))
    fails("INVALID", "bytes of them", file_of(path, CT, Rows=8000, Columns=8000, NumberOfFrames=1000))
    fails("CORRUPT", "cannot be read", file_of(path, CT, Rows=13))
    fails("UNSUPPORTED", '8 bits of "YBR_PARTIAL_422"', file_of(path, draw(0)[:2, :2], PhotometricInterpretation="YBR_PARTIAL_422"))
    fails("CORRUPT", "cannot be read", file_of(path, CT, SamplesPerPixel=0))
    whole = file_of(path, CT).read_bytes()
    for end in range(0, len(whole), 7):  # cut anywhere
        path.write_bytes(whole[:end])
        with pytest.raises(dsl.Error) as caught:
            dsl.read_dicom(path)
        assert caught.value.code in (dsl.Status.CORRUPT, dsl.Status.UNSUPPORTED), end


def test_what_is_missing_is_named(path, monkeypatch):
    file_of(path, CT)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pydicom", None)
        fails("UNSUPPORTED", "apt install python3-pydicom", path)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    with monkeypatch.context() as patch:
        handlers = [h for h in pydicom.config.pixel_data_handlers if "gdcm" not in h.__name__ and "pylibjpeg" not in h.__name__]
        patch.setattr(pydicom.config, "pixel_data_handlers", handlers)
        fails("UNSUPPORTED", "JPEG Lossless.*apt install python3-gdcm", path)


def test_dicom_is_told_by_suffix_or_content(path, tmp_path):
    file_of(path, CT)
    (tmp_path / "IM0001").write_bytes(path.read_bytes())
    (tmp_path / "other").write_bytes(b"text")
    named = ["image.dcm", "IMAGE.DCM", "IM0001", "other", "absent", "a.png"]
    assert [dicom.is_dicom(tmp_path / name) for name in named] == [True, True, True, False, False, False]


# ---- wherever images are taken


@pytest.fixture
def scan(tmp_path):
    """The same image as DICOM, as DICOM without a suffix, and as PNG."""
    pixels = draw(3)
    write_png(tmp_path / "scan.png", pixels)
    file_of(tmp_path / "scan.dcm", pixels)
    (tmp_path / "IM1").write_bytes((tmp_path / "scan.dcm").read_bytes())
    return tmp_path


def test_models_take_dicom_files(model, scan):
    png, dcm, bare = scan / "scan.png", scan / "scan.dcm", scan / "IM1"
    e = model.embed([png, dcm, bare])
    np.testing.assert_allclose(e[1:], np.stack([e[0]] * 2), atol=1e-6)
    np.testing.assert_allclose(model.heatmap([dcm])[0], model.heatmap([png])[0], atol=1e-6)
    assert model.explain_pair(png, str(dcm)).similarity == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(dsl.load_image(dcm), dsl.load_image(png))


def test_a_window_reaches_dicom_files(model, tmp_path):
    stored = draw(3)[..., 0].astype(np.uint16) * 10 + 100
    path = file_of(tmp_path / "a.dcm", stored)
    np.testing.assert_allclose(model.embed([path], window=(200, 900)), model.embed([stored], window=(200, 900)), atol=1e-5)


def test_the_commands_take_dicom_files(model_path, scan, tmp_path):
    assert main(["embed", str(model_path), str(scan), "-o", str(tmp_path / "e.npy"), "--device=cpu"]) == 0
    assert (tmp_path / "e.txt").read_text().split() == [str(scan / "scan.dcm"), str(scan / "scan.png")]
    assert main(["heatmap", str(model_path), str(scan / "scan.dcm"), "-o", str(tmp_path / "maps")]) == 0
    assert (tmp_path / "maps" / "scan.heatmap.png").exists()
    gallery, found = tmp_path / "gallery.dsl", tmp_path / "found.json"
    assert main(["index", str(model_path), str(scan), "-o", str(gallery)]) == 0
    assert main(["search", str(model_path), str(gallery), str(scan / "IM1"), "-k", "2", "--json", str(found)]) == 0
    neighbours = json.loads(found.read_text())[0]["neighbours"]
    assert {n["id"] for n in neighbours} == {"scan.dcm", "scan.png"} and all(n["similarity"] > 0.9999 for n in neighbours)


def test_data_sets_of_dicom_files_are_read_into_memory(model, tmp_path):
    rows = ["path,label,class_name,mask,split,group"]
    masks = [np.repeat((draw(i)[..., :1] > 100).astype(np.uint8), 3, 2) for i in range(16)]
    for i in range(16):
        write_png(tmp_path / f"m{i}.png", masks[i])
        name = f"{i}.dcm" if i % 3 else f"{i}.png"
        (write_png if i % 3 == 0 else file_of)(tmp_path / name, draw(i))
        rows.append(f"{name},{i % 2},{['left', 'right'][i % 2]},m{i}.png,{'train' if i < 8 else 'val' if i < 12 else 'test'},p{i // 2}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    with dsl.Dataset.open(tmp_path / "manifest.csv") as dataset:
        assert [{**row, "path": ""} for row in dataset.manifest()] == dataset.manifest()
        assert [row["group"] for row in dataset.manifest()] == [f"p{i // 2}" for i in range(16)]
        want = dsl.Dataset.from_arrays([draw(i) for i in range(16)], [i % 2 for i in range(16)], splits=["train"] * 8 + ["val"] * 4 + ["test"] * 4,
                                       masks=[mask[..., 0] for mask in masks])
        assert dsl.evaluate_masks(model, dataset)["mean"] == dsl.evaluate_masks(model, want)["mean"]
        assert dsl.evaluate(model, dataset, "")["self_excluded"] == dsl.evaluate(model, want, "")["self_excluded"]
        with dsl.train(dataset, tmp_path / "m.dsl", progress=False, **TINY) as trained:
            assert trained.report["steps"] == 4
    assert main(["manifest", str(tmp_path / "manifest.csv"), "-o", str(tmp_path / "again.csv")]) == 0  # names files, reads none
    assert (tmp_path / "again.csv").read_text().splitlines()[2].startswith("1.dcm,1,right,m1.png,train,p0")
    (tmp_path / "4.dcm").write_bytes(b"cut")
    with pytest.raises(dsl.Error, match='"4.dcm"') as caught:
        dsl.Dataset.open(tmp_path / "manifest.csv")
    assert caught.value.code == dsl.Status.CORRUPT


# ---- real files

# What pydicom reads without GDCM: uncompressed, deflated, RLE.
PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"}
EXACT = PLAIN | {"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"}


def needs(row):
    if row["transfer_syntax_uid"] not in PLAIN:
        pytest.importorskip("gdcm", reason="python3-gdcm is not installed")


def stored_sha(path):
    stored = dicom._File(path, path.name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = [stored.frame(i) for i in range(int(stored.data.get("NumberOfFrames") or 1))]
    return hashlib.sha256(b"".join(f.astype(f.dtype.newbyteorder("<")).tobytes() for f in frames)).hexdigest()


@pytest.mark.skipif(not FILES, reason="the files are not here (../shared/data/dicom)")
@pytest.mark.parametrize("row", FILES, ids=[row["path"] for row in FILES])
def test_real_files(row):
    needs(row)
    path = FOLDER / row["path"]
    try:
        image = dsl.read_dicom(path, 0)
    except dsl.Error as e:
        assert row["expect"] != "ok", e
        assert e.code in (dsl.Status.CORRUPT, dsl.Status.UNSUPPORTED) and row["path"] in str(e) and str(FOLDER) not in str(e)
        return
    assert row["expect"] in ("ok", "odd")
    colour = (3,) if int(row["samples_per_pixel"]) == 3 or row["photometric"] == "PALETTE COLOR" else ()
    assert image.dtype == np.float32 and image.shape == (int(row["rows"]), int(row["columns"]), *colour)
    assert 0 <= image.min() and image.max() <= 1
    plain = not row["photometric"].startswith("YBR") or row["same_pixels_group"]
    if row["expect"] == "ok" and row["transfer_syntax_uid"] in EXACT and plain:
        assert stored_sha(path) == row["pixels_sha256"]


GROUPS = sorted({row["same_pixels_group"] for row in FILES} - {""})


@pytest.mark.parametrize("group", GROUPS)
def test_files_of_the_same_pixels_are_the_same_image(group):
    rows = [row for row in FILES if row["same_pixels_group"] == group and row["expect"] == "ok"]
    for row in rows:
        needs(row)
    images = [dsl.read_dicom(FOLDER / row["path"], 0) for row in rows]
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


@pytest.mark.skipif(not FILES, reason="the files are not here (../shared/data/dicom)")
def test_one_picture_in_rgb_and_ybr_looks_the_same():
    want = dsl.read_dicom(FOLDER / "SC_rgb.dcm")
    for name in ("SC_jpeg_rgb", "SC_jpeg_ybr_422", "SC_jpeg_ybr_444", "SC_ybr_full_uncompressed", "SC_ybr_full_422_uncompressed"):
        assert np.abs(dsl.read_dicom(FOLDER / f"{name}.dcm") - want).mean() < 0.02, name
    assert np.abs(dsl.read_dicom(FOLDER / "US1_j2k_lossy_ybr_ict.dcm") - dsl.read_dicom(FOLDER / "US1_rgb_rle.dcm")).mean() < 0.02
