"""Models: embed, heatmap, explain, save, info; images of every kind; errors with their codes."""

import json
import threading

import numpy as np
import pytest

import dsl


def code_of(call):
    with pytest.raises(dsl.Error) as caught:
        call()
    assert str(caught.value)
    return caught.value.code


def test_embeddings_are_unit_rows(model, images):
    e = model.embed(images[:5])
    assert e.shape == (5, 16) and e.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(e, axis=1), 1, atol=1e-5)


def test_files_and_arrays_give_the_same_embedding(model, images, files):
    np.testing.assert_allclose(model.embed(files), model.embed(images[:4]), atol=1e-6)
    mixed = model.embed([files[0], images[1]])
    np.testing.assert_allclose(mixed, model.embed(images[:2]), atol=1e-6)


def test_an_array_of_images_is_a_list_of_images(model, images):
    np.testing.assert_allclose(model.embed(np.stack(images[:3])), model.embed(images[:3]), atol=1e-6)
    gray = np.stack([i[:, :, 0] for i in images[:3]])
    np.testing.assert_allclose(model.embed(gray), model.embed([np.repeat(g[:, :, None], 3, 2) for g in gray]), atol=1e-6)


def test_many_images_come_in_chunks(model, images):
    many = [images[i % 24] for i in range(70)]
    np.testing.assert_allclose(model.embed(many)[64:], model.embed(many[64:]), atol=1e-5)


def test_no_images_give_no_rows(model):
    assert model.embed([]).shape == (0, 16)


@pytest.mark.parametrize("view", [lambda a: a[:, ::-1], lambda a: a[::-1], lambda a: a[::2, ::2], lambda a: np.asfortranarray(a), lambda a: a[1:, :20]])
def test_views_are_read_through_their_strides(model, images, view):
    seen = view(images[0])
    np.testing.assert_array_equal(model.embed([seen]), model.embed([np.ascontiguousarray(seen)]))


def test_windows_map_values_to_gray(model, images):
    wide = images[0].astype(np.uint16) * 16 + 1000
    np.testing.assert_allclose(model.embed([wide], window=(1000, 1000 + 255 * 16)), model.embed([images[0]]), atol=1e-6)
    np.testing.assert_allclose(model.embed([images[0].astype(np.float32) / 255]), model.embed([images[0]]), atol=1e-6)
    np.testing.assert_allclose(model.embed([images[0] / 255.0]), model.embed([images[0]]), atol=1e-6)
    np.testing.assert_allclose(model.embed([wide.astype(">u2")], window=(1000, 5080)), model.embed([images[0]]), atol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        "image.png",
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 2, 8, 8, 3), np.uint8),
        7,
        [np.zeros((8, 8, 2), np.uint8)],
        [np.zeros((8, 8), np.int32)],
        [np.zeros((0, 8), np.uint8)],
        [np.full((8, 8), np.nan, np.float32)],
        [np.zeros(8, np.uint8)],
        ["image\0.png"],
    ],
)
def test_what_is_no_list_of_images_is_refused(model, bad):
    assert code_of(lambda: model.embed(bad)) == dsl.Status.INVALID


def test_errors_name_the_image_and_hide_its_folder(model, images, tmp_path):
    with pytest.raises(dsl.Error, match="absent.png") as caught:
        model.embed([tmp_path / "absent.png"])
    assert caught.value.code == dsl.Status.NOT_FOUND and str(tmp_path) not in str(caught.value)
    with pytest.raises(dsl.Error, match="image 1"):
        model.embed([images[0], tmp_path / "absent.png"])
    (tmp_path / "text.png").write_text("no image")
    assert code_of(lambda: model.embed([tmp_path / "text.png"])) == dsl.Status.UNSUPPORTED


def test_heatmaps_have_the_image_s_shape_and_stay_in_0_to_1(model, images):
    maps = model.heatmap([images[0], images[1][:20]])
    assert [m.shape for m in maps] == [(32, 40), (20, 40)]
    grid = model.heatmap([images[0]], grid=True)[0]
    assert grid.ndim == 2 and grid.size < maps[0].size
    for m in (*maps, grid):
        assert m.dtype == np.float32 and 0 <= m.min() <= m.max() <= 1
    assert grid.min() - 1e-6 <= maps[0].min() and maps[0].max() <= grid.max() + 1e-6


@pytest.mark.parametrize("learner", [None, 0, 1])
def test_explanations_sum_to_the_similarity(model, images, learner):
    e = model.explain_pair(images[0], images[1][:24], learner)
    assert e.map_a.shape == (32, 40) and e.map_b.shape == (24, 40)
    for part, bias in ((e.grid_a, e.bias_a), (e.map_a, e.bias_a), (e.grid_b, e.bias_b), (e.map_b, e.bias_b)):
        assert abs(part.sum(dtype=np.float64) + bias - e.similarity) < 1e-4
    assert model.explain_pair(images[0], images[0], learner).similarity == pytest.approx(1, abs=1e-5)


def test_the_whole_similarity_is_the_mean_of_the_learners(model, images):
    each = [model.explain_pair(images[0], images[1], k).similarity for k in range(2)]
    assert model.explain_pair(images[0], images[1]).similarity == pytest.approx(np.mean(each), abs=1e-6)
    assert code_of(lambda: model.explain_pair(images[0], images[1], 2)) == dsl.Status.INVALID


def test_info_says_what_the_model_is(model):
    assert model.info["classes"] == ["left", "right"] and model.info["embedding_dim"] == model.embedding_dim == 16
    assert model.info["num_learners"] == model.num_learners == 2 and model.input_size == 32
    assert sorted(n for part in model.info["learners"] for n in part["subspace"]) == list(range(16))
    assert "not a medical device" in model.info["card"]["intended_use"].lower()


def test_a_saved_model_gives_the_same_embeddings(model, images, tmp_path):
    model.save(tmp_path / "copy.dsl")
    with dsl.Model.load(tmp_path / "copy.dsl", threads=1) as copy:
        np.testing.assert_array_equal(copy.embed(images[:2]), model.embed(images[:2]))
    assert code_of(lambda: model.save(tmp_path / "absent" / "copy.dsl")) == dsl.Status.NOT_FOUND


def test_batch_invariant_embeddings_do_not_depend_on_neighbours(model_path, images):
    with dsl.Model.load(model_path, threads=1, batch_invariant=True) as invariant:
        np.testing.assert_array_equal(invariant.embed(images[:9])[3], invariant.embed([images[3]])[0])


def test_a_closed_model_says_so(model_path, images):
    with dsl.Model.load(model_path) as closed:
        pass
    closed.close()
    assert code_of(lambda: closed.embed(images[:1])) == dsl.Status.INVALID


def test_files_that_are_no_model_are_refused(model_path, tmp_path):
    data = bytearray(model_path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.dsl").write_bytes(data)
    (tmp_path / "cut.dsl").write_bytes(data[:1000])
    (tmp_path / "empty.dsl").write_bytes(b"")
    for name in ("flipped", "cut", "empty"):
        assert code_of(lambda: dsl.Model.load(tmp_path / f"{name}.dsl")) == dsl.Status.CORRUPT, name
    assert code_of(lambda: dsl.Model.load(tmp_path / "absent.dsl")) == dsl.Status.NOT_FOUND


def test_devices_that_are_not_there_say_so(model_path, images):
    for device, code in (("cuda:99", dsl.Status.DEVICE), ("tpu", dsl.Status.INVALID)):
        with dsl.Model.load(model_path, device=device) as m:
            assert code_of(lambda: m.embed(images[:1])) == code


def test_threads_share_a_model(model, images):
    want = model.embed(images[:4])
    wrong = []

    def work():
        for _ in range(3):
            if not np.allclose(model.embed(images[:4]), want, atol=1e-6):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_evaluate(model, dataset):
    scores = dsl.evaluate(model, dataset, "")
    assert scores["num_images"] == 24 and scores["num_classes"] == 2 and 0 <= scores["nmi"] <= 1
    assert scores["group_excluded"]["num_queries"] <= scores["self_excluded"]["num_queries"] == 24
    assert dsl.evaluate(model, dataset)["split"] == "test"
    json.dumps(scores)
    assert code_of(lambda: dsl.evaluate(model, dataset, "holdout")) == dsl.Status.INVALID


def test_evaluate_refuses_what_cannot_be_scored(model, images):
    assert code_of(lambda: dsl.evaluate(model, (images[:3], [0, 0, 0]), "train")) == dsl.Status.INVALID
    assert code_of(lambda: dsl.evaluate(model, (images[:3], [0, 1, 0]))) == dsl.Status.NOT_FOUND
    assert code_of(lambda: dsl.evaluate(model, 3)) == dsl.Status.INVALID


def test_images_come_back_as_they_lie_in_the_file(files, images):
    np.testing.assert_array_equal(dsl.load_image(files[0]), images[0])
