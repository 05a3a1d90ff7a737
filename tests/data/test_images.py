"""Image files: every kind of pixel Pillow writes, unreadable files, and the form that a model wants."""

import json
import sys

import numpy as np
import pytest

from numbacnn.data import Dataset, Preparation, load_mnist_5k, prepare_image, read_image, stratified_split
from numbacnn.errors import ArgumentError, FileFormatError, MissingExtraError, ShapeError

Image = pytest.importorskip("PIL.Image")


def drawing(height=40, width=30, ink=255, paper=0):
    """A thick stroke with a foot, off the centre."""
    image = np.full((height, width), paper, np.uint8)
    image[height // 5 : height - 4, width // 2 : width // 2 + 3] = ink
    image[height - 7 : height - 4, width // 4 : width // 2] = ink
    return image


def save(tmp_path, array, mode=None, name="image.png", **options):
    path = tmp_path / name
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "gif", "webp"])
def test_grey_files_keep_their_pixels(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    pixels = drawing(ink=255, paper=0)
    image = read_image(save(tmp_path, pixels, name=f"image.{suffix}", **options))
    assert image.dtype == np.float32
    assert image.shape == (40, 30, 1)
    np.testing.assert_array_equal(image[..., 0], pixels)


def test_jpeg_is_close(tmp_path):
    pixels = drawing()
    image = read_image(save(tmp_path, pixels, name="image.jpg", quality=95))
    assert np.abs(image[..., 0] - pixels).mean() < 4


def test_colour_becomes_luma_and_stays_colour_where_asked(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    path = save(tmp_path, rgb)
    np.testing.assert_array_equal(read_image(path, 3), rgb)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_image(path)[..., 0], luma, atol=1)
    grey = read_image(save(tmp_path, rgb[..., 0], name="grey.png"), 3)
    np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, axis=2))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK"])
def test_other_modes(tmp_path, mode):
    pixels = drawing()
    suffix = "tiff" if mode == "CMYK" else "png"
    image = read_image(save(tmp_path, pixels, mode, f"image.{suffix}"))
    np.testing.assert_allclose(image[..., 0], pixels, atol=1)


def test_sixteen_bits_are_not_clipped(tmp_path):
    wide = drawing().astype(np.uint16) * 257
    wide[0, 0] = 32768
    image = read_image(save(tmp_path, wide))
    np.testing.assert_allclose(image[..., 0], wide / 257, rtol=1e-6)
    assert read_image(save(tmp_path, wide, name="wide.png"), 3).shape == (40, 30, 3)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0)])
def test_transparent_paper_contrasts_with_the_drawing(tmp_path, ink, paper):
    stroke = drawing(ink=1, paper=0).astype(bool)
    rgba = np.zeros((*stroke.shape, 4), np.uint8)
    rgba[stroke] = (ink, ink, ink, 255)
    rgba[~stroke, :3] = 77  # the colour under full transparency must not show
    image = read_image(save(tmp_path, rgba))[..., 0]
    np.testing.assert_allclose(image[stroke], ink, atol=1e-3)
    np.testing.assert_allclose(image[~stroke], paper, atol=1e-3)
    np.testing.assert_allclose(read_image(tmp_path / "image.png", 3)[..., 2], image, atol=1e-3)


def test_a_rotated_camera_file_stands_upright(tmp_path):
    pixels = drawing()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    path = tmp_path / "turned.png"
    Image.fromarray(pixels).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path)[..., 0], np.rot90(pixels, -1))


def broken_files(tmp_path):
    whole = save(tmp_path, np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)).read_bytes()
    jpeg = save(tmp_path, drawing(), name="whole.jpg").read_bytes()
    return {
        "empty.png": b"",
        "text.png": b"this is no image",
        "truncated.png": whole[: len(whole) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "damaged.png": whole[:60] + bytes(40) + whole[100:],
    }


@pytest.mark.parametrize("name", ["empty.png", "text.png", "truncated.png", "truncated.jpg", "damaged.png"])
def test_unreadable_images_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(broken_files(tmp_path)[name])
    with pytest.raises(FileFormatError, match=f"{name}: expected an image file, got .*; convert") as info:
        read_image(path)
    assert "\n" not in str(info.value)


def test_nan_pixels_are_refused(tmp_path):
    path = save(tmp_path, np.full((4, 4), np.nan, np.float32), name="nan.tiff")
    with pytest.raises(FileFormatError, match="NaN"):
        read_image(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "absent.png")


def test_other_channels_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="1 or 3"):
        read_image(save(tmp_path, drawing()), 2)


def test_an_absent_pillow_names_the_extra(tmp_path, monkeypatch):
    path = save(tmp_path, drawing())
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError, match=r"numbacnn\[demo\]"):
        read_image(path)


def grey(pixels):
    return pixels[..., None].astype(np.float32)


def test_an_image_of_the_right_form_is_left_alone():
    image = grey(drawing(28, 28))
    np.testing.assert_array_equal(prepare_image(image, 28, 28, content=20), image)


@pytest.mark.parametrize("background", ["dark", "light"])
def test_dark_on_light_and_light_on_dark_become_the_same(background):
    image = grey(drawing(28, 28))
    prepared = [prepare_image(i, 28, 28, background=background) for i in (image, 255 - image)]
    np.testing.assert_array_equal(*prepared)
    assert (prepared[0][0, 0] > 127) == (background == "light")
    np.testing.assert_array_equal(prepare_image(255 - image, 28, 28, background=None), 255 - image)


@pytest.mark.parametrize("shape", [(200, 90), (90, 200), (9, 7), (1, 50), (33, 33)])
@pytest.mark.parametrize("content", [None, 20])
def test_any_size_becomes_the_size(shape, content):
    image = np.zeros((*shape, 1), np.float32)
    image[shape[0] // 3 : shape[0] // 3 + 5, shape[1] // 3 : shape[1] // 3 + 5] = 200
    prepared = prepare_image(image, 28, 28, content=content)
    assert prepared.shape == (28, 28, 1)
    assert prepared.dtype == np.float32
    assert 0 <= prepared.min() <= prepared.max() <= (200.001 if content is None else 255)


def test_scaling_to_fit_keeps_proportions_and_pads_with_paper():
    image = np.full((20, 40, 3), 10, np.float32)
    image[:, 15:25] = 90
    prepared = prepare_image(image, 28, 28)
    assert (prepared[:7] == 10).all()
    assert (prepared[21:] == 10).all()
    np.testing.assert_allclose(prepared[14, 14], 90, atol=1)


def test_centring_brings_a_drawing_to_its_size_and_place():
    image = np.zeros((300, 400, 1), np.float32)
    image[20:120, 300:340] = 255  # a bar of 100 x 40 pixels in a corner
    prepared = prepare_image(image, 28, 28, content=20)[..., 0]
    rows, columns = np.flatnonzero(prepared.max(axis=1) > 50), np.flatnonzero(prepared.max(axis=0) > 50)
    assert (rows[0], rows[-1]) == (4, 23)
    assert (columns[0], columns[-1]) == (10, 17)


def test_a_drawing_that_fills_its_frame_is_centred_by_its_box():
    image = np.zeros((90, 200, 1), np.float32)
    image[5:85, 100:120] = 255  # a bar with a foot at its left: its centre of mass is not that of its box
    image[75:85, 60:120] = 255
    prepared = prepare_image(image, 8, 8, content=8)[..., 0]
    rows, columns = np.flatnonzero(prepared.max(axis=1) > 50), np.flatnonzero(prepared.max(axis=0) > 50)
    assert (rows[0], rows[-1]) == (0, 7)
    assert (columns[0], columns[-1]) == (1, 6)


def test_light_from_one_side_and_faint_ink_change_nothing():
    stroke = grey(drawing(200, 200)) / 255
    clear = 255 - 255 * stroke
    light = np.linspace(150, 250, 200, dtype=np.float32)[None, :, None]
    photograph = light - 60 * stroke  # faint ink on paper that gets brighter to the right
    expected, prepared = (prepare_image(i, 28, 28, content=20) for i in (clear, photograph))
    np.testing.assert_allclose(prepared, expected, atol=2)
    assert expected.max() > 250


def test_large_photographs_become_what_their_small_copies_do():
    small = 255 - grey(drawing(128, 96))
    large = np.kron(small, np.ones((16, 16, 1), np.float32))
    expected, prepared = (prepare_image(i, 28, 28, content=20) for i in (small, large))
    assert np.corrcoef(expected.reshape(-1), prepared.reshape(-1))[0, 1] > 0.97


def test_a_blank_image_is_no_reason_to_fail():
    for paper in (
        np.full((50, 60, 1), 255, np.float32),
        grey(np.random.default_rng(0).integers(250, 256, (50, 60))),
    ):
        prepared = prepare_image(paper, 28, 28, content=20)
        assert prepared.shape == (28, 28, 1)
        assert prepared.max() < 12


def test_what_is_no_image_is_refused():
    with pytest.raises(ShapeError, match=r"\(H, W, C\)"):
        prepare_image(np.zeros((4, 4)), 28, 28)
    with pytest.raises(ShapeError, match=r"\(H, W, C\)"):
        prepare_image(np.zeros((0, 4, 1)), 28, 28)
    with pytest.raises(ArgumentError, match="dark, light or None"):
        prepare_image(np.zeros((4, 4, 1)), 28, 28, background="blue")


def test_enlarged_inverted_and_moved_digits_come_back(tmp_path):
    train, test = stratified_split(load_mnist_5k())
    preparation = Preparation.of(train)
    similarities = []
    for i in range(0, 1000, 50):
        original = test.images[i]
        big = np.asarray(Image.fromarray(original[..., 0]).resize((280, 280), Image.Resampling.BICUBIC))
        page = np.full((500, 600), 255, np.uint8)
        page[180:460, 300:580] = 255 - big
        x = preparation.read([save(tmp_path, page), save(tmp_path, original[..., 0], name="same.png")])
        np.testing.assert_array_equal(x[1], preparation(test.images[i : i + 1])[0])
        similarities.append(np.corrcoef(x[0].reshape(-1), x[1].reshape(-1))[0, 1])
    # A centre of mass on the border of two pixels may fall to the other one: most digits, not all
    assert np.median(similarities) > 0.95


def test_a_preparation_survives_the_model_file():
    data = Dataset(
        "d",
        np.random.default_rng(0).integers(0, 99, (4, 6, 5, 3), dtype=np.uint8),
        np.arange(4),
        tuple("abcd"),
    )
    preparation = Preparation.of(data)
    assert Preparation.from_metadata(json.loads(json.dumps(preparation.to_metadata()))) == preparation
    assert preparation.background == "dark"
    light = Dataset("d", 255 - data.images, data.labels, data.class_names)
    assert Preparation.of(light).background == "light"


@pytest.mark.parametrize("metadata", [{}, {"images": None}, {"images": {"shape": [1, 2]}}])
def test_a_model_without_preparation_is_refused(metadata):
    with pytest.raises(FileFormatError, match="how its images were prepared"):
        Preparation.from_metadata(metadata)


def test_a_damaged_preparation_is_refused():
    entry = Preparation.of(stratified_split(load_mnist_5k())[0]).to_metadata()
    entry["images"]["normalization"]["std"] = 0.0
    with pytest.raises(FileFormatError, match="standard deviation"):
        Preparation.from_metadata(entry)


def test_preparation_refuses_other_shapes():
    preparation = Preparation.of(stratified_split(load_mnist_5k())[0])
    with pytest.raises(ShapeError, match=r"\(N, 28, 28, 1\)"):
        preparation(np.zeros((2, 8, 8, 1), np.uint8))
