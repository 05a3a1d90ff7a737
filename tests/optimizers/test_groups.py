"""Which parameters a group holds, what it may set, and what is refused."""

import numpy as np
import pytest

from numbacnn.errors import ArgumentError
from numbacnn.layers import Conv2D, Dense, Flatten, Sequential
from numbacnn.optimizers import SGD, Adam, AdamW, Group, Lion, is_norm_or_bias
from numbacnn.parameter import Parameter
from numbacnn.regularizers import L1, L2
from numbacnn.tensor import Tensor


def ones(*names, shape=(2, 2)):
    made = [Parameter(np.ones(shape), name) for name in names]
    for p in made:
        p.grad = Tensor(np.ones(shape))
    return made


def values(parameters):
    return [float(p.value.numpy().flat[0]) for p in parameters]


def test_groups_by_pattern_list_and_function():
    a, b, c, d = parameters = ones("one.kernel", "one.bias", "two.kernel", "three.kernel")
    groups = [
        Group("one.*", lr_scale=0.5),
        Group([c], lr_scale=0.25),
        Group(lambda p: p.name.startswith("three"), lr_scale=0.0),
    ]
    SGD(0.4, groups=groups).step(parameters)
    np.testing.assert_allclose(values([a, b, c, d]), [0.8, 0.8, 0.9, 1.0])


def test_schedules_set_the_rate_of_all_groups():
    parameters = ones("a", "b")
    optimizer = SGD(0.4, groups=[Group("b", lr_scale=0.5)])
    optimizer.step(parameters)
    optimizer.lr = 0.2
    optimizer.step(parameters)
    np.testing.assert_allclose(values(parameters), [0.4, 0.7])


def test_a_group_may_step_by_another_rule_of_its_kind():
    parameters = ones("a", "b")
    optimizer = SGD(0.1, momentum=0.5, nesterov=True, groups=[Group("b", momentum=0.0, nesterov=False)])
    for _ in range(2):
        optimizer.step(parameters)
    np.testing.assert_allclose(values(parameters), [1 - 0.15 - 0.1 * (1 + 0.5 * 1.5), 0.8])


def test_penalties_of_groups_take_the_place_of_the_layers():
    parameters = ones("a", "b", "c")
    for p in parameters:
        p.penalty = L2(1.0)
    groups = [Group("b", penalty=None), Group("c", penalty=L1(3.0))]
    SGD(0.1, groups=groups).step(parameters)
    np.testing.assert_allclose(values(parameters), [0.8, 0.9, 0.6])


def test_clipping_by_value_may_differ():
    parameters = ones("a", "b")
    SGD(1.0, clip_value=0.5, groups=[Group("b", clip_value=0.25)]).step(parameters)
    np.testing.assert_allclose(values(parameters), [0.5, 0.75])


def test_norms_and_biases_are_told_by_name_and_shape():
    kernel, bias = ones("a.kernel", "a.bias")
    assert not is_norm_or_bias(kernel) and is_norm_or_bias(bias)
    assert [is_norm_or_bias(p) for p in ones("n.gamma", "n.beta")] == [True, True]
    assert is_norm_or_bias(Parameter(np.ones(3), "activation.alpha"))
    model = Sequential([Conv2D(2, 3), Flatten(), Dense(2)])
    model.build((4, 4, 1), 0)
    assert [is_norm_or_bias(p) for p in model.parameters] == [False, True, False, True]


@pytest.mark.parametrize("kind", [AdamW, Lion])
def test_decay_leaves_out_norms_and_biases_on_request(kind):
    kernel, bias = parameters = ones("a.kernel", "a.bias")
    for p in parameters:
        p.grad = Tensor(np.zeros((2, 2)))
    kind(0.5, weight_decay=0.5, decay_norms_and_biases=False).step(parameters)
    np.testing.assert_allclose(values([kernel, bias]), [0.75, 1.0])


def test_frozen_parameters_are_held_by_their_group_and_stay():
    a, b = ones("a", "b")
    b.trainable = False
    optimizer = SGD(0.1, groups=[Group("b", lr_scale=0.5)])
    optimizer.step([a, b])
    b.trainable = True
    optimizer.step([a, b])
    np.testing.assert_allclose(values([a, b]), [0.8, 0.95])


def test_what_is_met_later_finds_its_group():
    a, b, c = ones("a", "b", "bb")
    optimizer = SGD(0.1, groups=[Group("b*", lr_scale=0.5)])
    optimizer.step([a, b])
    optimizer.step([c])
    np.testing.assert_allclose(values([a, b, c]), [0.9, 0.95, 0.95])


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (lambda a, b: [Group("*"), Group([b])], r"SGD: expected one group for b, got Group\('\*'"),
        (lambda a, b: [Group("c*", lr_scale=2.0)], r"groups of some parameters.*'c\*'"),
        (lambda a, b: [Group([Parameter(np.ones(2), "other")])], "of none of them"),
        (lambda a, b: [Group("a", lr=0.1)], "'lr'; scale the rate by lr_scale"),
        (lambda a, b: [Group("a", beta1=0.1)], "settings of a group among .*momentum.*'beta1'"),
        (lambda a, b: [Group("a", clip_norm=1.0)], "'clip_norm'"),
        (lambda a, b: [Group("a", momentum=2.0)], r"SGD: expected momentum in \[0, 1\)"),
        (lambda a, b: [Group("a", lr_scale=-1.0)], "Group: expected lr_scale"),
        (lambda a, b: [Group("a", penalty=3)], "Group: expected a penalty or None"),
    ],
)
def test_what_cannot_be_is_refused_by_name(groups, said):
    parameters = ones("a", "b")
    with pytest.raises(ArgumentError, match=said):
        SGD(0.1, groups=groups(*parameters)).step(parameters)
    np.testing.assert_allclose(values(parameters), 1.0)


def test_settings_and_repr_tell_the_groups():
    optimizer = Adam(groups=[Group("a", lr_scale=0.5, penalty=None, beta1=0.5)], clip_norm=1.0)
    assert optimizer.settings()["clip_norm"] == 1.0
    shown = repr(optimizer)
    assert shown.startswith("Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08, clip_norm=1.0, groups=")
    assert "Group('a', lr_scale=0.5, beta1=0.5, penalty=None)" in shown
