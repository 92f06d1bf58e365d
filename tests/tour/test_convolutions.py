"""The tutorials' numbers of pages 1 to 9: images, convolution, sizes, feature maps, pooling, receptive fields."""

import math

import numpy as np
import pytest
import torch

from tests.samples import CONF
from tour.activations import ACTIVATIONS, activated, changed_by_relu_after_pooling, slope
from tour.arithmetic import convolve, correlate, output_size, pooled
from tour.convolution import BINARY, CROSS, GRAY
from tour.curve_detector import RECEPTIVE_FIELD, curve_filter, scene
from tour.feature_maps import LAYERS, convolution, fully_connected_weights, parameters, partial_maps
from tour.image import block, inverted
from tour.kernels import KERNELS, even_answer, value_range
from tour.material import Photo, luma
from tour.networks import network
from tour.pooling import BLOCK, difference
from tour.receptive_field import fields
from tour.sizes import CASES, alexnets_first, same_padding


def test_the_block_of_what_computers_see_is_the_grid_of_project_euler() -> None:
    numbers = block()
    assert (numbers.shape, numbers.dtype, numbers.min(), numbers.max()) == ((20, 20), np.uint8, 0, 99)
    assert numbers.sum() == 18_934
    lines = [numbers, numbers.T, skewed(numbers), skewed(numbers[:, ::-1])]
    products = [np.lib.stride_tricks.sliding_window_view(line.astype(int), 4, axis=1).prod(axis=-1).max() for line in lines]
    assert max(products) == 70_600_674


def skewed(numbers: np.ndarray) -> np.ndarray:
    """Return the diagonals as columns, filled with zeros; then as rows."""
    rows, columns = numbers.shape
    wide = np.zeros((rows, rows + columns), int)
    for row in range(rows):
        wide[row, row : row + columns] = numbers[row]
    return wide.T


@pytest.mark.parametrize(
    ("colour", "brightness"), [((255, 0, 0), 76.24), ((0, 255, 0), 149.69), ((0, 0, 255), 29.07), ((255, 255, 255), 255)]
)
def test_luma_weighs_green_most(colour: tuple[int, int, int], brightness: float) -> None:
    assert luma(np.array(colour, np.uint8)) == pytest.approx(brightness, abs=0.006)


def test_the_inverse_of_white_is_black() -> None:
    assert inverted(np.array([0, 99, 255], np.uint8)).tolist() == [255, 156, 0]


def test_the_curve_detector_answers_6600_on_its_curve_and_0_beside_it() -> None:
    answers = correlate(scene(), curve_filter())
    assert answers.shape == (26, 26)
    assert (answers[0, 0], answers[0, -1]) == (6600, 0)
    assert (answers[1, 0], answers.max()) == (9000, 9000)  # one pixel below, where the tutorial does not look


def test_a_true_convolution_turns_the_filter() -> None:
    assert correlate(RECEPTIVE_FIELD, curve_filter()).item() == 6600
    assert convolve(RECEPTIVE_FIELD, curve_filter()).item() == 3600


def test_five_by_five_by_hand_valid_same_and_full() -> None:
    same = [[2, 2, 3, 1, 1], [1, 4, 3, 4, 1], [1, 2, 4, 3, 3], [1, 2, 3, 4, 1], [0, 2, 2, 1, 1]]
    assert correlate(BINARY, CROSS).tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert correlate(BINARY, CROSS, padding=1).tolist() == same
    assert correlate(BINARY, CROSS, padding=2).shape == (7, 7)


def test_gray_values_by_hand() -> None:
    sums = [[429, 505, 686, 856], [261, 792, 412, 640], [633, 653, 851, 751], [608, 913, 713, 657]]
    assert correlate(GRAY, CROSS).tolist() == sums
    assert correlate(GRAY, CROSS, stride=2).tolist() == [[429, 686], [633, 851]]
    assert correlate(GRAY, CROSS, padding=1)[1:-1, 1:-1].tolist() == sums
    assert pooled(sums, "max").tolist() == [[792, 856], [913, 851]]


@pytest.mark.parametrize(
    ("name", "weights", "lowest", "highest"),
    [
        ("identity", 1, 0, 255),
        ("edges, diagonal", 0, -510, 510),
        ("edges, 4 neighbours", 0, -1020, 1020),
        ("edges, 8 neighbours", 0, -2040, 2040),
        ("sharpen", 1, -1020, 1275),
        ("box blur", 1, 0, 255),
        ("Gaussian blur", 1, 0, 255),
    ],
)
def test_a_kernels_weights_say_what_it_can_answer(name: str, weights: int, lowest: int, highest: int) -> None:
    kernel = KERNELS[name]
    assert kernel.sum() == pytest.approx(weights)
    assert even_answer(kernel) == pytest.approx(7 * weights)
    assert value_range(kernel) == pytest.approx((lowest, highest))


def test_the_size_formula_on_every_example_of_the_texts() -> None:
    sizes = [float(output_size(*case)) for case, _ in CASES]
    assert sizes == [30, 28, 26, 296, 4, 5, 3, 4, 4.5, 2.5, 55, 54.25, 55.25]


@pytest.mark.parametrize(("width", "window", "padding", "places"), [(4, 2, 0, 3), (4, 2, 1, 5), (300, 2, 0, 299)])
def test_a_window_of_two_pixels(width: int, window: int, padding: int, places: int) -> None:
    assert output_size(width, window, padding, 1) == places


def test_alexnet_needs_227_pixels_or_padding() -> None:
    paper, cropped, padded = alexnets_first(224, 0), alexnets_first(227, 0), alexnets_first(224, 2)
    assert [call.output[1] for call in (paper, cropped, padded)] == [54, 55, 55]
    assert [call.unseen for call in (paper, cropped, padded)] == [1, 0, 0]


def test_padding_keeps_the_size_for_odd_kernels_and_full_padding_makes_it_larger() -> None:
    assert [same_padding(kernel) for kernel in (1, 3, 5, 7)] == [0, 1, 2, 3]
    assert same_padding(4).denominator == 2
    assert all(output_size(32, kernel, kernel - 1, 1) == 32 + kernel - 1 for kernel in (2, 3, 5))


def test_a_layer_gives_one_map_per_filter() -> None:
    assert [parameters(convolution(*sizes[:3])) for sizes, _ in LAYERS] == [76, 152, 228, 760, 2416]
    assert tuple(convolution(2, 5, 3).weight.shape) == (2, 3, 5, 5)
    assert convolution(1, 5, 3).weight.numel() == 75
    assert convolution(1, 5, 10).weight.numel() == 250
    assert fully_connected_weights() == 236_563_200_000


def test_the_slices_of_a_filter_add_up_to_its_map() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    spot = KERNELS["Gaussian blur"]
    red = luma(image) * 0 + image @ np.array([1.0, -0.5, -0.5])
    assert np.sum(partial_maps(Photo(image, "")), axis=0) == pytest.approx(correlate(red, spot))
    assert len(partial_maps(Photo(image[..., :1], ""))) == 1


def test_relu_makes_negative_values_0_and_twice_is_once() -> None:
    once = activated(np.array([-15.0, 20.0]), "ReLU")
    assert once.tolist() == [0, 20]
    assert activated(once, "ReLU").tolist() == [0, 20]
    assert slope(np.array([-15.0, 20.0]), "ReLU").tolist() == [0, 1]


def test_the_steepest_slopes() -> None:
    assert [slope(np.linspace(-4, 4, 81), name).max() for name in ACTIVATIONS] == pytest.approx([1, 1, 0.25])


def test_a_relu_after_pooled_relus_changes_nothing() -> None:
    assert changed_by_relu_after_pooling(np.random.default_rng(0).normal(size=(8, 8))) == 0


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("max", [[6, 8], [3, 4]]),
        ("average", [[3.25, 5.25], [2, 2]]),
        ("sum", [[13, 21], [8, 8]]),
        ("L2", [[7.9373, 11.5326], [4.2426, 5.0990]]),
    ],
)
def test_pooling_by_hand(kind: str, result: list[list[float]]) -> None:
    assert pooled(BLOCK, kind) == pytest.approx(np.array(result), abs=5e-5)


def test_pooling_makes_a_shift_by_a_pixel_matter_less() -> None:
    smooth = np.hypot(*np.mgrid[-8:8, -8:9]) % 5
    assert difference(smooth, "max", 4) < difference(smooth, "max", 1)


def test_a_shift_within_the_window_changes_nothing_after_pooling() -> None:
    maps = np.zeros((4, 5))
    maps[0, 1] = 9  # of columns 0 and 1, before the shift and after it
    assert difference(maps, "max", 2) == 0
    assert difference(maps, "max", 1) == pytest.approx(math.sqrt(2))


def test_lenets_receptive_fields_by_formula_and_by_gradient() -> None:
    torch.manual_seed(0)
    found = fields(network(CONF, "lenet", 1, 32, 10))
    assert [field.call.field.size for field in found] == [5, 6, 14, 16, 32]
    assert [(field.box.height, field.box.width) for field in found] == [(side, side) for side in (5, 6, 14, 16, 32)]
    assert all(field.box.top <= 16 < field.box.top + field.box.height for field in found)  # around the middle
