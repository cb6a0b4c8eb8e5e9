"""Samplers and boxes: where points lie, how many, how evenly, and that they repeat."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pinncli.errors import ProblemError
from pinncli.geometry import SAMPLERS, Drawn, Sampler, draw_points, stream_seed
from pinncli.shapes import Domain, Geometry
from pinncli.shapes.domain import Predicate

BOX = Domain(
    names=("x", "y", "t"),
    low=(-1.0, 0.0, 2.0),
    high=(1.0, 0.5, 5.0),
    geometry=Geometry(("x", "y"), (-1.0, 0.0), (1.0, 0.5), {}),
)
LINE = Domain(names=("t",), low=(0.0,), high=(4.0,), geometry=None)
RANDOM = [name for name in SAMPLERS if name != "grid"]
seeds = st.integers(0, 2**40)


# --- samplers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
@given(n=st.integers(1, 200), dimension=st.integers(1, 4), seed=seeds)
def test_samplers_fill_the_open_cube_with_n_points(name: str, n: int, dimension: int, seed: int) -> None:
    points = SAMPLERS[name](n, dimension, seed)
    assert (points.shape, points.dtype) == ((n, dimension), torch.float64)
    assert bool(((points > 0) & (points < 1)).all())
    assert torch.equal(points, SAMPLERS[name](n, dimension, seed))


@pytest.mark.parametrize("name", RANDOM)
@given(seed=seeds)
def test_another_seed_gives_other_points(name: str, seed: int) -> None:
    assert not torch.equal(SAMPLERS[name](16, 2, seed), SAMPLERS[name](16, 2, seed + 1))


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_leave_the_global_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    SAMPLERS[name](64, 3, 1)
    assert torch.equal(torch.get_rng_state(), state)


@given(n=st.integers(1, 100), dimension=st.integers(1, 4), seed=seeds)
def test_latin_has_one_point_in_every_slice_of_every_axis(n: int, dimension: int, seed: int) -> None:
    slices = (SAMPLERS["latin"](n, dimension, seed) * n).floor().long()
    assert all(sorted(slices[:, k].tolist()) == list(range(n)) for k in range(dimension))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_samplers_are_uniform(name: str, dimension: int) -> None:
    # chi-square over 4^d cells: mean 4^d - 1, deviation sqrt(2 (4^d - 1))
    cells, n = 4**dimension, 4096
    places = (SAMPLERS[name](n, dimension, 11) * 4).long()
    flat = (places * 4 ** torch.arange(dimension)).sum(1)
    counts = torch.bincount(flat, minlength=cells).double()
    statistic = float(((counts - n / cells) ** 2).sum() / (n / cells))
    assert statistic <= (cells - 1) + 4 * (2 * (cells - 1)) ** 0.5
    assert SAMPLERS[name](n, dimension, 11).mean(0).tolist() == pytest.approx([0.5] * dimension, abs=0.02)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_sobol_fills_every_elementary_cell_equally(dimension: int) -> None:
    cells = (SAMPLERS["sobol"](4**dimension * 8, dimension, 3) * 4).long()
    assert (cells * 4 ** torch.arange(dimension)).sum(1).bincount().tolist() == [8] * 4**dimension


def test_a_full_grid_is_the_cell_centres_and_a_thinned_one_a_part_of_them() -> None:
    assert sorted(SAMPLERS["grid"](4, 1, 0).flatten().tolist()) == [0.125, 0.375, 0.625, 0.875]
    full = {tuple(p) for p in SAMPLERS["grid"](9, 2, 0).tolist()}
    assert full == {((i + 0.5) / 3, (j + 0.5) / 3) for i in range(3) for j in range(3)}
    thinned = [tuple(p) for p in SAMPLERS["grid"](7, 2, 0).tolist()]
    assert len(set(thinned)) == 7
    assert set(thinned) < full


@given(seed=st.integers(0, 2**31), draw=st.integers(0, 2**21))
def test_streams_are_distinct_and_fit_a_generator(seed: int, draw: int) -> None:
    names = ["interior/0", "interior/1", "x-1/0", "x1/0", "theta", "rad/0"]
    found = [stream_seed(seed, draw, name) for name in names] + [stream_seed(seed, draw + 1, names[0])]
    assert len(set(found)) == len(found)
    assert all(0 <= s < 2**63 for s in found)
    assert found[:6] == [stream_seed(seed, draw, name) for name in names]


@pytest.mark.parametrize("name", ["uniform", "latin"])  # sobol's points come in the same order each time
def test_streams_are_independent(name: str) -> None:
    streams = [SAMPLERS[name](2000, 1, stream_seed(0, k, "interior")).flatten() for k in range(4)]
    correlation = torch.corrcoef(torch.stack(streams)) - torch.eye(4, dtype=torch.float64)
    assert float(correlation.abs().max()) < 0.1


# --- boxes -----------------------------------------------------------------------------------------


def box_of(ranges: list[tuple[float, float]]) -> Domain:
    names = tuple("xyzt"[: len(ranges)])
    low, high = tuple(low for low, _ in ranges), tuple(low + span for low, span in ranges)
    return Domain(names, low, high, Geometry(names, low, high, {}))


boxes = st.lists(st.tuples(st.floats(-100, 100), st.floats(0.01, 100)), min_size=1, max_size=4).map(box_of)


def sample(
    domain: Domain,
    labels: tuple[str, ...],
    count: int,
    sampler: Sampler,
    seed: int,
    draw: int,
    where: Predicate | None = None,
) -> Drawn:
    return draw_points(domain, labels, [count] * len(labels), sampler, seed, draw, where)


def inside(box: Domain, points: Tensor) -> bool:
    low, high = (torch.tensor(ends, dtype=torch.float64) for ends in (box.low, box.high))
    return bool(((points >= low) & (points <= high)).all())


@given(
    box=boxes,
    name=st.sampled_from(list(SAMPLERS)),
    count=st.integers(1, 50),
    seed=seeds,
    draw=st.integers(0, 9),
)
def test_interior_points_lie_inside_and_have_no_normal(
    box: Domain, name: str, count: int, seed: int, draw: int
) -> None:
    found = sample(box, ("interior",), count, SAMPLERS[name], seed, draw)
    assert found.points.shape == found.normals.shape == (count, len(box.names))
    assert len(found) == count
    assert inside(box, found.points)
    assert not found.normals.any()
    again = sample(box, ("interior",), count, SAMPLERS[name], seed, draw)
    assert torch.equal(again.points, found.points)


@given(box=boxes, name=st.sampled_from(list(SAMPLERS)), count=st.integers(1, 50), seed=seeds)
def test_side_points_lie_exactly_on_their_side_with_its_outward_normal(
    box: Domain, name: str, count: int, seed: int
) -> None:
    for axis, coordinate in enumerate(box.names):
        for sign, end in ((-1, box.low[axis]), (1, box.high[axis])):
            found = sample(box, (f"{coordinate}{'+' if sign > 0 else '-'}",), count, SAMPLERS[name], seed, 0)
            assert len(found) == (count if len(box.names) > 1 else 1)
            assert inside(box, found.points)
            assert bool((found.points[:, axis] == end).all())
            expected = torch.zeros_like(found.normals)
            expected[:, axis] = sign
            assert torch.equal(found.normals, expected)


@pytest.mark.parametrize("name", RANDOM)
def test_draws_and_seeds_differ(name: str) -> None:
    def points(seed: int, draw: int) -> Tensor:
        return sample(BOX, ("interior",), 32, SAMPLERS[name], seed, draw).points

    different = [points(0, 0), points(0, 1), points(1, 0), points(1, 1)]
    assert not any(torch.equal(a, b) for k, a in enumerate(different) for b in different[:k])


def test_sides_come_in_the_order_of_the_labels_each_with_its_own_points() -> None:
    sampler = SAMPLERS["uniform"]
    both = sample(BOX, ("x+", "x-"), 40, sampler, 5, 2)
    right, left = (sample(BOX, (label,), 40, sampler, 5, 2) for label in ("x+", "x-"))
    assert torch.equal(both.points, torch.cat([right.points, left.points]))
    assert torch.equal(both.normals, torch.cat([right.normals, left.normals]))
    assert not torch.equal(right.points[:, 1:], left.points[:, 1:])
    assert not torch.equal(right.points[:, 1:], sample(BOX, ("interior",), 40, sampler, 5, 2).points[:, 1:])


def test_the_boundary_is_all_sides_of_space_by_their_length() -> None:
    found = sample(BOX, ("boundary",), 600, SAMPLERS["sobol"], 0, 0)
    sides = [(k, sign) for k in (0, 1) for sign in (-1, 1)]
    counts = [int((found.normals[:, k] == sign).sum()) for k, sign in sides]
    assert counts == [60, 60, 240, 240]  # of lengths 0.5 and 2, and none on the ends of time
    assert not found.normals[:, 2].any()


def test_a_side_of_a_line_is_one_point() -> None:
    both = sample(LINE, ("t-", "t+"), 50, SAMPLERS["sobol"], 0, 0)
    assert both.points.tolist() == [[0.0], [4.0]]
    assert both.normals.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("name", RANDOM)
def test_points_spread_over_the_whole_box(name: str) -> None:
    points = sample(BOX, ("interior",), 4000, SAMPLERS[name], 1, 0).points
    assert points.mean(0).tolist() == pytest.approx([0.0, 0.25, 3.5], abs=0.05)
    assert points.std(0).tolist() == pytest.approx([2 / 12**0.5, 0.5 / 12**0.5, 3 / 12**0.5], rel=0.05)


@pytest.mark.parametrize("name", list(SAMPLERS))
@pytest.mark.parametrize("labels", [("interior",), ("x-", "t+")])
def test_where_keeps_a_part_with_the_full_count(name: str, labels: tuple[str, ...]) -> None:
    found = sample(BOX, labels, 100, SAMPLERS[name], 4, 1, where=lambda p: p[:, 1] > 0.45)
    assert len(found) == 100 * len(labels)
    assert bool((found.points[:, 1] > 0.45).all())
    assert len({tuple(p) for p in found.points.tolist()}) == len(found)
    again = sample(BOX, labels, 100, SAMPLERS[name], 4, 1, where=lambda p: p[:, 1] > 0.45)
    assert torch.equal(again.points, found.points)


@pytest.mark.parametrize(("labels", "place"), [(("interior",), "the interior"), (("y+",), "side y+")])
def test_where_that_keeps_nothing_is_an_error_that_says_where(labels: tuple[str, ...], place: str) -> None:
    with pytest.raises(ProblemError, match="almost no point") as caught:
        sample(BOX, labels, 10, SAMPLERS["uniform"], 0, 0, where=lambda p: p[:, 0] > 7.0)
    assert place in str(caught.value)
