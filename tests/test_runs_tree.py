"""A tree comes back exactly: types, dtypes, shapes, bits and the order of its names."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pinncli.errors import CorruptError
from pinncli.runs.hdf5 import build, opened
from pinncli.runs.tree import _DTYPES, read_tree, write_tree


def round_trip(tree):
    data = build("test", (1, 0), lambda root: write_tree(root, tree))
    with opened(data, "file", "test", (1, 0)) as root:
        tree = read_tree(root, "file")
    return tree


def bits(tensor):
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy().tobytes()


def same(left, right):
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, torch.Tensor):
        return (
            isinstance(right, torch.Tensor)
            and (left.dtype, left.shape) == (right.dtype, right.shape)
            and bits(left) == bits(right)
        )
    if isinstance(left, np.ndarray):
        return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())
    return type(left) is type(right) and (left == right or (math.isnan(left) and math.isnan(right)))


def _tensor(array):
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), arrays, arrays.map(_tensor)
)
trees = st.dictionaries(
    names, st.recursive(leaves, lambda s: st.dictionaries(names, s, max_size=4)), max_size=5
)


@settings(deadline=None, max_examples=80)
@given(trees)
def test_round_trip(tree):
    assert same(tree, round_trip(tree))


@pytest.mark.parametrize("dtype", _DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_every_dtype(dtype, shape):
    tensor = torch.arange(6)[: int(np.prod(shape))].reshape(shape).to(dtype)
    assert same({"a": tensor}, round_trip({"a": tensor}))


def test_views_gradients_and_conjugates():
    matrix = torch.arange(12.0).reshape(3, 4).requires_grad_()
    z = torch.tensor([1 + 2j, 3 - 1j])
    found = round_trip({"t": matrix.T, "s": matrix[:, ::2], "conj": z.conj(), "imag": z.conj().imag})
    assert torch.equal(found["t"], matrix.detach().T) and torch.equal(found["s"], matrix.detach()[:, ::2])
    assert torch.equal(found["conj"], z.conj().resolve_conj()) and torch.equal(found["imag"], z.conj().imag)
    assert not found["t"].requires_grad


def test_random_generator_continues():
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    state = round_trip({"generator": generator.get_state()})["generator"]
    expected = torch.rand(4, generator=generator)
    assert torch.equal(torch.rand(4, generator=torch.Generator().set_state(state)), expected)


def test_large_arrays_are_split_into_chunks():
    big = torch.arange(3_000_000, dtype=torch.float64).reshape(1000, 3000)
    assert torch.equal(round_trip({"H": big})["H"], big)


@pytest.mark.parametrize(
    "leaf", [object(), [1], (1,), 1j, b"x", np.array(["a"]), np.array([{}], dtype=object)]
)
def test_nothing_else_can_be_in_a_tree(leaf):
    with pytest.raises(TypeError, match=r"/a/b: .* cannot be in a checkpoint"):
        round_trip({"a": {"b": leaf}})


def test_names():
    for name in ("", 1):
        with pytest.raises(TypeError, match="no name"):
            round_trip({name: 1})


def test_a_leaf_of_unknown_kind_is_named():
    def fill(root):
        write_tree(root, {"a": {"b": 1}})
        root["a/b"].attrs["kind"] = "code"

    data = build("test", (1, 0), fill)
    message = r"file: /a/b: .*'code' is no kind of leaf"
    with pytest.raises(CorruptError, match=message), opened(data, "file", "test", (1, 0)) as root:
        read_tree(root, "file")
