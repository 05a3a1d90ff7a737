"""Box IoU and average precision by hand, and against the definitions in fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbacnn.errors import ArgumentError, NumericsError, ShapeError, TargetError
from numbacnn.metrics import average_precision, box_iou, mean_average_precision
from numbacnn.tensor import Tensor

STYLES = ["coco", "voc", "voc2007"]
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [0, 20, 10, 30]
NO_BOXES, NONE = np.zeros((0, 4)), np.zeros(0, int)


def test_box_iou():
    a, b = [[0, 0, 2, 2], [1, 1, 1, 5]], [[1, 1, 3, 3], [0, 0, 2, 2], [2, 0, 4, 2], [1, 1, 1, 5]]
    np.testing.assert_array_equal(box_iou(a, b), [[1 / 7, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(box_iou(Tensor(np.array(a, np.float32)), b), box_iou(a, b))
    assert box_iou([], b).shape == (0, 4)
    assert box_iou([[0, 0, 10, 10]], [[2, 4, 4, 9]]) == 0.1  # one within the other


@pytest.mark.parametrize("style", STYLES)
def test_perfect_detections(style):
    truth = [[A, B], [C], []]
    labels = [[3, 7], [3], []]
    labels = [np.array(k, int) for k in labels]
    found = average_precision(truth, [[0.9, 0.1], [0.5], []], labels, truth, labels, style=style)
    assert list(found) == [3, 7]
    for values in found.values():
        np.testing.assert_array_equal(values, np.ones(10 if style == "coco" else 1))
    scores = [[0.9, 0.1], [0.5], []]
    assert mean_average_precision(truth, scores, labels, truth, labels, style=style) == 1.0


@pytest.mark.parametrize("style", STYLES)
def test_nothing_found_and_nothing_there(style):
    assert mean_average_precision([NO_BOXES], [[]], [NONE], [[A]], [[1]], style=style) == 0.0
    assert math.isnan(mean_average_precision([[A]], [[0.5]], [[1]], [NO_BOXES], [NONE], style=style))
    assert math.isnan(mean_average_precision([], [], [], [], [], style=style))
    assert average_precision([[A]], [[0.5]], [[1]], [NO_BOXES], [NONE], style=style) == {}


@pytest.mark.parametrize(
    ("style", "expected"),
    [("voc", 5 / 6), ("voc2007", (6 + 5 * 2 / 3) / 11), ("coco", (51 + 50 * 2 / 3) / 101)],
)
def test_a_duplicate_is_wrong(style, expected):
    # right, wrong, right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1
    boxes, scores = [[B, A, A]], [[0.7, 0.9, 0.8]]
    found = average_precision(boxes, scores, [[0] * 3], [[A, B]], [[0, 0]], style=style, thresholds=[0.5])
    assert found[0] == pytest.approx(expected)
    # One that comes after all the right ones takes nothing away
    last = mean_average_precision([[A, A]], [[0.9, 0.8]], [[0, 0]], [[A]], [[0]], style=style)
    assert last == 1.0


@pytest.mark.parametrize("style", STYLES)
def test_images_and_classes_are_kept_apart(style):
    # The box of another image, and that of another class, are wrong
    other = mean_average_precision(
        [[B], [A]], [[0.9], [0.9]], [[0], [0]], [[A], [B]], [[0], [0]], style=style
    )
    assert other == 0.0
    found = average_precision([[A, B]], [[0.9, 0.8]], [[1, 2]], [[A, B]], [[0, 2]], style=style)
    assert {k: v.mean() for k, v in found.items()} == {0: 0.0, 2: 1.0}


def test_scores_order_all_images_together():
    # The wrong one of the second image comes between: precision 1, 1/2, 2/3
    boxes, scores, labels = [[B, A], [C]], [[0.2, 0.9], [0.5]], [[0, 0], [0]]
    value = mean_average_precision(boxes, scores, labels, [[A, B], NO_BOXES], [[0, 0], NONE], style="voc")
    assert value == pytest.approx(5 / 6)


def test_the_threshold_itself_is_reached():
    # IoU 6/10, which is among COCO's thresholds: right at 0.5, 0.55, 0.6
    found = average_precision([[[0, 0, 10, 6]]], [[0.9]], [[0]], [[A]], [[0]])
    np.testing.assert_array_equal(found[0], [1] * 3 + [0] * 7)
    options = {"style": "voc", "thresholds": [0.6, 0.61]}
    assert mean_average_precision([[[0, 0, 10, 6]]], [[0.9]], [[0]], [[A]], [[0]], **options) == 0.5


def test_a_taken_box_leaves_the_next_best_to_coco_alone():
    boxes, truth = [[A, [0, 0.5, 10, 10.5]]], [[A, [0, 2, 10, 12]]]  # the second's IoU: 0.90 and 0.74
    arguments = boxes, [[0.9, 0.8]], [[0, 0]], truth, [[0, 0]]
    assert mean_average_precision(*arguments, thresholds=[0.5]) == 1.0
    assert mean_average_precision(*arguments, style="voc") == 0.5


def test_coco_counts_a_hundred_detections_of_an_image():
    wrong = [[B] * 100 + [A]], [[0.9] * 100 + [0.8]], [[0] * 101], [[A]], [[0]]
    assert mean_average_precision(*wrong) == 0.0
    assert mean_average_precision(*wrong, style="voc") == pytest.approx(1 / 101)


def by_definition(boxes, scores, labels, true_boxes, true_labels, threshold, style):
    """Average precision by class, in fractions."""

    def overlap(a, b):
        width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1))
        both = max(width, 0) * max(height, 0)
        either = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - both
        return Fraction(both, either) if either else Fraction(0)

    results = {}
    for label in sorted({k for image in true_labels for k in image}):
        there = [
            (i, b)
            for i, image in enumerate(true_boxes)
            for b, k in zip(image, true_labels[i], strict=True)
            if k == label
        ]
        found = [
            (-s, i, j) for i, image in enumerate(scores) for j, s in enumerate(image) if labels[i][j] == label
        ]
        taken, curve, right = set(), [], 0
        for number, (_, i, j) in enumerate(sorted(found), 1):
            best, at = Fraction(-1), None
            for n, (image, box) in enumerate(there):
                value = overlap(boxes[i][j], box)
                if image == i and value > best and not (style == "coco" and n in taken):
                    best, at = value, n
            if best >= threshold and at not in taken:
                taken.add(at)
                right += 1
            curve.append((Fraction(right, len(there)), Fraction(right, number)))
        parts = {"coco": 100, "voc2007": 10, "voc": len(there)}[style]
        # The whole area is the mean over the recalls that one more true box gives
        recalls = [Fraction(k, parts) for k in range(1 if style == "voc" else 0, parts + 1)]
        best = [max((p for r, p in curve if r >= recall), default=Fraction(0)) for recall in recalls]
        results[label] = sum(best) / len(best)
    return results


corner, extent = st.integers(0, 3), st.integers(0, 4)
box = st.tuples(corner, corner, extent, extent).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
truths = st.lists(st.lists(st.tuples(box, st.integers(0, 1)), max_size=4), min_size=2, max_size=2)
detections = st.lists(
    st.lists(st.tuples(box, st.integers(0, 1), st.integers(0, 3)), max_size=6), min_size=2, max_size=2
)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=80, deadline=None)
@given(detections, truths, st.booleans())
def test_it_is_that_of_the_definition(style, detected, truth, repeated):
    if repeated:  # boxes that match well are rare among those drawn
        detected = [d + [(b, k, 2) for b, k in t] for d, t in zip(detected, truth, strict=True)]
    boxes, labels, scores = ([[d[k] for d in image] for image in detected] for k in range(3))
    true_boxes, true_labels = ([[t[k] for t in image] for image in truth] for k in range(2))
    whole = [np.array(k, int) for k in labels], [np.array(k, int) for k in true_labels]
    arguments = boxes, scores, whole[0], true_boxes, whole[1]
    limits = [0.25, 0.5, 0.75]
    found = average_precision(*arguments, style=style, thresholds=limits)
    expected = [by_definition(boxes, scores, labels, true_boxes, true_labels, t, style) for t in limits]
    assert list(found) == list(expected[0])
    for label, values in found.items():
        np.testing.assert_allclose(values, [float(by[label]) for by in expected], rtol=1e-12, atol=1e-12)
    if found:
        mean = mean_average_precision(*arguments, style=style, thresholds=limits)
        assert mean == pytest.approx(np.mean(list(found.values())))


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: box_iou([A], [1, 2, 3]), ShapeError, r"box_iou: expected boxes \(N, 4\), got \(3,\)"),
        (
            lambda: box_iou([A], [[10, 0, 0, 10]]),
            ArgumentError,
            r"box_iou: expected x0 <= x1 .*\[10\.0, 0\.0",
        ),
        (lambda: box_iou([[0, 0, 1, math.inf]], [A]), NumericsError, "box_iou: expected finite boxes"),
        (
            lambda: average_precision([[A]], [[0.5], []], [[1]], [[A]], [[1]]),
            ShapeError,
            "average_precision: expected boxes, scores and labels of as many images, got 1, 2 and 1",
        ),
        (
            lambda: average_precision([[A]], [[0.5]], [[1]], [[A], [B]], [[1], [1]]),
            ShapeError,
            "true boxes and true labels of as many images, got 1, 2 and 2",
        ),
        (
            lambda: mean_average_precision([[A]], [[0.5, 0.5]], [[1]], [[A]], [[1]]),
            ShapeError,
            "mean_average_precision: expected one label and one score",
        ),
        (lambda: average_precision([[A]], [[0.5]], [[1.0]], [[A]], [[1]]), TargetError, "integer labels"),
        (lambda: average_precision([[A]], [[math.nan]], [[1]], [[A]], [[1]]), NumericsError, "finite scores"),
        (
            lambda: average_precision([[A]], [[0.5]], [[1]], [[A]], [[1]], style="pascal"),
            ArgumentError,
            "style among coco, voc, voc2007, got 'pascal'",
        ),
        (
            lambda: average_precision([[A]], [[0.5]], [[1]], [[A]], [[1]], thresholds=[0.0]),
            ArgumentError,
            "thresholds in",
        ),
        (
            lambda: average_precision([[A]], [[0.5]], [[1]], [[A]], [[1]], thresholds=[]),
            ArgumentError,
            "thresholds in",
        ),
    ],
)
def test_bad_arguments_are_refused(call, error, said):
    with pytest.raises(error, match=said):
        call()
