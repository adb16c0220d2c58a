"""Opening images: every mode and damage that files have, upright and in RGB."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from flash.errors import DataError, FlashError
from flash.image.encoder import check_upload
from flash.image.read import BadImageError, open_image

Picture = Callable[..., Image.Image]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(image: Image.Image) -> list[tuple[int, int, int]]:
    width, height = image.size
    pixels: Any = [
        image.getpixel(place) for place in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1))
    ]
    return pixels


def four_colors() -> Image.Image:
    """Red, green above blue, white: no two orientations of it are alike."""
    image = Image.new("RGB", (4, 2))
    for place, color in (((0, 0), "red"), ((2, 0), "lime"), ((0, 1), "blue"), ((2, 1), "white")):
        image.paste(color, (*place, place[0] + 2, place[1] + 1))
    return image


# ---------------------------------------------------------------------- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_picture_is_turned_as_its_camera_was_held(orientation: int, kind: str) -> None:
    upright = four_colors()
    how = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90"}
    how |= {7: "TRANSVERSE", 8: "ROTATE_270"}
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose[how[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    opened = open_image(encoded(stored, kind, exif=exif, **options))
    assert opened.size == upright.size
    assert corners(opened) == corners(upright)


def test_a_photo_keeps_its_orientation_when_it_is_decoded_at_a_smaller_size(picture: Picture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(picture("red", size=(800, 400)), "JPEG", exif=exif)
    assert open_image(file, min_size=(50, 50)).size == (100, 200)


def test_a_damaged_exif_block_is_no_reason_to_refuse_a_photo(picture: Picture) -> None:
    file = encoded(picture("red"), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert open_image(file).size == (40, 30)


# ---------------------------------------------------------------------- modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    gray = Image.new("RGB", (5, 4), (128, 128, 128))
    opened = open_image(gray.convert("L").convert("1") if mode == "1" else convert(gray, mode))
    assert (opened.mode, opened.size) == ("RGB", (5, 4))
    if mode == "P":
        # The colors of the default palette are 51 apart.
        assert all(abs(value - 128) <= 26 for value in opened.getpixel((2, 2)))
    elif mode != "1":
        assert all(abs(value - 128) <= 3 for value in opened.getpixel((2, 2)))


def convert(image: Image.Image, mode: str) -> Image.Image:
    if mode != "LAB":
        return image.convert(mode)
    from PIL import ImageCms

    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    assert converted is not None
    return converted


def test_a_cmyk_photo_has_the_colors_that_were_drawn() -> None:
    red = Image.new("RGB", (8, 8), (230, 20, 30)).convert("CMYK")
    pixel = open_image(encoded(red, "JPEG", quality=95)).getpixel((4, 4))
    assert np.abs(np.array(pixel) - (230, 20, 30)).max() < 12


def test_sixteen_bits_become_eight_by_their_range(tmp_path: Path) -> None:
    values = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    expected = values >> 8
    for kind in ("PNG", "TIFF"):
        opened = np.asarray(open_image(encoded(Image.fromarray(values), kind)))
        assert opened[..., 0].tolist() == expected.tolist(), kind


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", None])
@pytest.mark.parametrize(("highest", "bits", "levels"), [(200, 8, 1), (1023, 10, 4), (4095, 12, 16)])
def test_a_picture_of_sixteen_bits_that_becomes_nearly_black_is_a_warning(
    kind: str | None, highest: int, bits: int, levels: int
) -> None:
    picture = Image.fromarray(np.array([[0, highest]], dtype=np.uint16))
    sentence = f"values have {bits} bits: it becomes nearly black, with at most {levels} of 256 levels of gray. If the"
    with pytest.warns(UserWarning, match=sentence):
        opened = open_image(encoded(picture, kind) if kind else picture)
    assert np.asarray(opened).max() == highest >> 8


def test_a_picture_of_sixteen_bits_that_is_dark_or_black_is_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    for highest in (0, 4096):
        open_image(encoded(Image.fromarray(np.array([[0, highest]], dtype=np.uint16)), "PNG"))
    assert not recwarn.list


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB", "L"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "P":
        file = encoded(image.convert("P"), "GIF", transparency=image.convert("P").getpixel((0, 0)))
        image = Image.new("P", (2, 1))
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.putpixel((1, 0), 1)
        file = encoded(image, "PNG", transparency=0)
    elif mode in ("RGB", "L"):
        image = Image.new(mode, (2, 1), 7 if mode == "L" else (7, 7, 7))
        image.putpixel((1, 0), 0 if mode == "L" else (0, 0, 0))
        file = encoded(image, "PNG", transparency=7 if mode == "L" else (7, 7, 7))
    elif mode == "PA":
        image = Image.new("PA", (2, 1))
        image.putpalette([0, 0, 0])
        image.putpixel((1, 0), (0, 255))
        opened = open_image(image)
        assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]
        return
    else:
        file = encoded(image.convert(mode), "PNG")
    opened = open_image(file)
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    assert open_image(Image.new("RGBA", (1, 1), (0, 0, 0, 128))).getpixel((0, 0)) == (127, 127, 127)


def test_of_an_animation_it_is_the_first_picture(picture: Picture) -> None:
    frames = [picture(color).quantize() for color in ("red", "blue")]
    opened = np.asarray(open_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    assert opened[..., 0].mean() > opened[..., 2].mean()


# ---------------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_the_smallest_pictures_open(size: tuple[int, int]) -> None:
    assert open_image(encoded(Image.new("L", size), "PNG")).size == size


def test_a_large_photo_is_decoded_at_the_size_that_is_needed(picture: Picture) -> None:
    photo = picture("green", size=(1600, 1200)).resize((400, 300)).resize((1600, 1200), Image.Resampling.BICUBIC)
    file = encoded(photo, "JPEG", quality=95)
    assert open_image(file).size == (1600, 1200)
    small = open_image(file, min_size=(100, 100))
    assert small.size == (400, 300)
    whole = open_image(file).resize((134, 100), Image.Resampling.BICUBIC)
    difference = np.abs(np.asarray(small.resize((134, 100), Image.Resampling.BICUBIC), int) - np.asarray(whole, int))
    assert difference.mean() < 1


def test_a_photo_is_never_decoded_smaller_than_twice_what_is_needed(picture: Picture) -> None:
    file = encoded(picture("green", size=(399, 300)), "JPEG")
    assert open_image(file, min_size=(100, 100)).size == (399, 300)


def test_a_file_that_claims_to_be_gigantic_is_refused_before_it_is_decoded() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, pixels)
    ]
    file = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    with pytest.raises(DataError, match=r"at most [\d,]+ pixels, but bomb.png has more.*PIL.Image.MAX_IMAGE_PIXELS"):
        open_image(file, name="bomb.png")


# ---------------------------------------------------------------------- damage


def test_a_truncated_file_is_named(tmp_path: Path, picture: Picture) -> None:
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        whole = encoded(picture("red", size=(200, 200)), kind)
        path = tmp_path / f"half.{kind.lower()}"
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(
            BadImageError, match=rf"Expected an image, but .*half\.{kind.lower()} .*Replace or remove it"
        ):
            open_image(path)


def test_a_truncated_photo_is_found_at_a_reduced_size_too(picture: Picture) -> None:
    whole = encoded(picture("red", size=(400, 400)), "JPEG")
    with pytest.raises(BadImageError, match="cannot be decoded"):
        open_image(whole[: len(whole) * 9 // 10], min_size=(1, 1))


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(BadImageError, match=r"empty\.jpg is empty \(0 bytes\)"):
        open_image("empty.jpg")


def test_a_text_with_the_name_of_a_photo_is_shown_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("These are notes.")
    with pytest.raises(
        BadImageError, match=r"notes\.jpg is of no format that can be read \(it starts with b'These are"
    ):
        open_image(tmp_path / "notes.jpg")


def test_a_postscript_with_the_name_of_a_photo_reaches_no_interpreter(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "EPS")
    (tmp_path / "photo.jpg").write_bytes(file.getvalue())
    with pytest.raises(BadImageError, match="of no format that can be read"):
        open_image("photo.jpg")


def test_flipped_bytes_never_raise_anything_else_than_our_errors(picture: Picture) -> None:
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        whole = np.frombuffer(encoded(picture("blue"), kind), dtype=np.uint8)
        for _ in range(30):
            broken = whole.copy()
            broken[random.integers(0, len(whole), 8)] = random.integers(0, 256, 8)
            with contextlib.suppress(FlashError):
                assert open_image(broken.tobytes()).mode == "RGB"


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected an image at gone\.jpg, but there is no such file"):
        open_image("gone.jpg")
    with pytest.raises(DataError, match="but it cannot be read: Is a directory"):
        open_image(tmp_path)


# ---------------------------------------------------------------------- memory


def test_arrays_and_tensors_are_the_same_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    chw = torch.from_numpy(pixels).permute(2, 0, 1)
    sources: list[Any] = [
        pixels,
        chw,
        Image.fromarray(pixels),
        pixels.astype(np.int64),
        *(pixels.astype(kind) for kind in (np.int16, np.uint16, np.int32, np.uint32, np.uint64)),
        torch.from_numpy(pixels.astype(np.uint16)).permute(2, 0, 1),
        chw.int(),
        pixels / 255,
        chw / 255,
        (chw / 255).double().requires_grad_(),
        pixels[:, ::-1][:, ::-1],
        {"bytes": encoded(Image.fromarray(pixels), "PNG"), "path": None},
        encoded(Image.fromarray(pixels), "BMP"),
    ]
    for source in sources:
        assert np.array_equal(np.asarray(open_image(source)), pixels)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 2), (4, 3, 4)])
def test_arrays_have_one_to_four_channels(shape: tuple[int, ...]) -> None:
    opened = open_image(np.full(shape, 255, dtype=np.uint8))
    assert opened.size == (3, 4)
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert open_image(np.ones(shape, dtype=bool)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 5), (2, 4, 3, 3), (0, 3, 3)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"Expected an array as an array \(height, width\[, channels\]\)"):
        open_image(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("value", [-1.0, 255.0, float("nan"), float("inf")])
def test_floats_out_of_range_are_refused_rather_than_clipped(value: float) -> None:
    with pytest.raises(DataError, match="or floats from 0 to 1, but got float64 from"):
        open_image(np.full((2, 2), value))
    with pytest.raises(DataError, match="or floats from 0 to 1, but got float32 from"):
        open_image(torch.full((3, 2, 2), value))


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.array([[0, 1000]], np.uint16), r"If its values have 10 bits, convert all images alike: \(array >> 2\)"),
        (np.array([[0, 4095]], np.int16), r"If its values have 12 bits, convert all images alike: \(array >> 4\)"),
        (np.array([[0, 65535]], np.int32), r"but got int32 from 0 to 65535. If its values have 16 bits.*array >> 8\)"),
        (np.array([[0, 70000]]), r"Scale all images alike to this range, such as by \(array - lowest\)"),
        (np.array([[-1, 1]]), "Scale all images alike to this range"),
        (np.array([[0, 255.0]]), r"If its values are from 0 to 255, convert all images alike: array.astype\('uint8'\)"),
    ],
)
def test_an_array_of_another_range_is_an_error_that_says_how_to_convert_it(array: np.ndarray, advice: str) -> None:
    with pytest.raises(DataError, match=f"Expected an array to hold integers from 0 to 255.*{advice}"):
        open_image(array)


def test_what_is_no_image_at_all_is_refused() -> None:
    for source in (3, None, {"label": 1}, ["a.jpg"]):
        with pytest.raises(DataError, match="Expected an image: a path, bytes, a PIL image, an array or a tensor"):
            open_image(source)  # type: ignore[arg-type]  # on purpose


def test_an_image_in_memory_is_left_as_it_was(picture: Picture) -> None:
    gray = picture("red").convert("L")
    before = gray.tobytes()
    open_image(gray)
    assert (gray.mode, gray.tobytes()) == ("L", before)


def png_of(width: int, height: int) -> bytes:
    """A file that says so, without its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8000, 6250), (1, 50_000_000)])
def test_an_upload_of_so_many_pixels_is_taken(width: int, height: int) -> None:
    check_upload(png_of(width, height))


@pytest.mark.parametrize(
    ("width", "height", "got"),
    [(8000, 6251, "8,000 x 6,251"), (20_000, 5000, "20,000 x 5,000"), (90_000, 9000, "more")],
)
def test_an_upload_of_more_pixels_is_refused_before_it_is_decoded(width: int, height: int, got: str) -> None:
    with pytest.raises(DataError, match=f"Expected an image of at most 50,000,000 pixels, but the upload has {got}."):
        check_upload(png_of(width, height))


@pytest.mark.parametrize("content", [b"", b"text", b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_an_upload_that_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(BadImageError, match="Expected an image, but the upload is .* Send another file."):
        check_upload(content)
