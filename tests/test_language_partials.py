"""Partials as data."""

from pinncli.language.partials import Partial, downward_closure


def test_labels() -> None:
    assert Partial("u", (0, 0)).label(("x", "t")) == "u"
    assert Partial("u", (2, 1)).label(("x", "t")) == "u_xxt"
    assert Partial("u", (1, 1)).label(("r", "angle")) == "d(u, r, angle)"
    assert Partial("u", (0, 0), laplacian=True).label(("x", "t")) == "lap(u)"
    assert [Partial("u", (2, 1)).order, Partial("u", (0, 0), laplacian=True).order] == [3, 2]


def test_downward_closure() -> None:
    assert downward_closure([(2, 0), (1, 1)]) == ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1))
    assert downward_closure([]) == ()
