"""Make the reference files of the problem library anew, and print how far each is to be trusted.

    python problems/references/regenerate.py [NAME...] [--into FOLDER]

`accuracy` in a file is the largest relative L2 difference that refining the space or the time discretisation
makes; the checks printed after it compare with another method and with conserved quantities. Needs numpy,
scipy and h5py. All files take about twenty minutes on one core, half of it for schrodinger.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import cole_hopf
import conduction
import etdrk4
import field_data
import h5py
import harmonic
import in_one_coordinate
import in_two_dimensions
import inverse_data
import measurements
import numpy as np
import random_fields
import solids
import split_step
from fourier import Array
from reference import Reference, difference, drift

INTERVALS = 256


def burgers(nu: float, printed: str) -> Reference:
    """Cole-Hopf."""
    x, t = np.linspace(-1, 1, INTERVALS + 1), np.linspace(0, 1, 101)
    u = cole_hopf.burgers_grid(x, t, nu)
    return Reference(
        title=f"Burgers' equation, nu = {printed}, u(x, 0) = -sin(pi x)",
        made_by="cole_hopf.py: Cole-Hopf integral, trapezoidal rule, 401 nodes",
        coordinates={"x": x, "t": t},
        values={"u": u},
        refinements={
            "twice the nodes": difference(u, cole_hopf.burgers_grid(x, t, nu, cole_hopf.trapezoid(801))),
            "Gauss-Hermite": difference(u, cole_hopf.burgers_grid(x, t, nu, cole_hopf.gauss_hermite())),
        },
        checks={
            "ETDRK4": difference(etdrk4.solve(etdrk4.burgers(nu), 2048, t, 80), u),
            "odd symmetry": difference(-u[::-1], u),
        },
    )


def allen_cahn() -> Reference:
    """Fourier ETDRK4."""
    t = np.linspace(0, 1, 101)
    equation = etdrk4.allen_cahn()
    u = etdrk4.solve(equation, 4096, t, 80)
    return Reference(
        title="Allen-Cahn equation, u_t = 1e-4 u_xx + 5 (u - u^3), u(x, 0) = x^2 cos(pi x), periodic",
        made_by="etdrk4.py: Fourier ETDRK4, 4096 points, 8000 steps",
        coordinates={"x": np.linspace(-1, 1, INTERVALS + 1), "t": t},
        values={"u": u},
        refinements={
            "half the points": difference(etdrk4.solve(equation, 2048, t, 80), u),
            "half the steps": difference(etdrk4.solve(equation, 4096, t, 40), u),
        },
        checks={"even symmetry": difference(u[::-1], u)},
    )


def kdv() -> Reference:
    """Fourier ETDRK4."""
    t = np.linspace(0, 1, 101)
    equation = etdrk4.kdv()
    u = etdrk4.solve(equation, 512, t, 400)
    return Reference(
        title="Korteweg-de Vries equation, u_t + u u_x + 0.022^2 u_xxx = 0, u(x, 0) = cos(pi x), periodic",
        made_by="etdrk4.py: Fourier ETDRK4, 512 points, 40000 steps",
        coordinates={"x": np.linspace(-1, 1, INTERVALS + 1), "t": t},
        values={"u": u},
        refinements={
            "twice the points": difference(etdrk4.solve(equation, 1024, t, 400), u),
            "half the steps": difference(etdrk4.solve(equation, 512, t, 200), u),
        },
        checks={"drift of mass": drift(u), "drift of momentum": drift(u**2)},
    )


def kuramoto_sivashinsky() -> Reference:
    """Fourier ETDRK4 on [-pi, pi], stored on [0, 2 pi], where the problem is stated."""
    t = np.linspace(0, 0.5, 101)
    equation = etdrk4.kuramoto_sivashinsky()
    u = etdrk4.solve(equation, 512, t, 80)
    return Reference(
        title="Kuramoto-Sivashinsky equation, u_t + (100/16) u u_x + (100/16^2) u_xx + (100/16^4) u_xxxx "
        "= 0, u(x, 0) = cos(x) (1 + sin(x)), periodic",
        made_by="etdrk4.py: Fourier ETDRK4, 512 points, 8000 steps",
        coordinates={"x": np.linspace(0, 2 * np.pi, INTERVALS + 1), "t": t},
        values={"u": u},
        refinements={
            "twice the points": difference(etdrk4.solve(equation, 1024, t, 80), u),
            "half the steps": difference(etdrk4.solve(equation, 512, t, 40), u),
        },
        checks={"mean": float(np.abs(u[:-1].mean(axis=0)).max())},
    )


def schrodinger() -> Reference:
    """Split-step Fourier."""
    t = np.linspace(0, np.pi / 2, 81)
    h = split_step.solve(16384, t, 320)
    return Reference(
        title="Nonlinear Schrodinger equation, i h_t + h_xx/2 + |h|^2 h = 0, h(x, 0) = 2 sech(x), periodic",
        made_by="split_step.py: fourth-order split-step Fourier, 16384 points, 25600 steps",
        coordinates={"x": np.linspace(-5, 5, INTERVALS + 1), "t": t},
        values={"h_real": h.real, "h_imag": h.imag},
        refinements={
            "half the steps": difference(split_step.solve(16384, t, 160), h),
            "half the points, twice the steps": difference(split_step.solve(8192, t, 640), h),
        },
        checks={
            "ETDRK4": difference(etdrk4.solve(etdrk4.schrodinger(), 16384, t, 160), h),
            "even symmetry": difference(h[::-1], h),
        },
    )


REFERENCES: dict[str, Callable[[], Reference]] = {
    "burgers1d": lambda: burgers(0.01 / np.pi, "0.01/pi"),
    "burgers1d_viscous": lambda: burgers(0.01, "0.01"),
    "allen_cahn": allen_cahn,
    "kdv": kdv,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
    "schrodinger": schrodinger,
    **in_one_coordinate.MAKERS,
    **in_two_dimensions.MAKERS,
    **conduction.MAKERS,
}
SAMPLES = ("burgers_inverse", *measurements.EXPERIMENTS)


def file_bytes(reference: Reference) -> bytes:
    """The HDF5 file: a 1-D dataset per coordinate, an N-D dataset per component, attributes at the root."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.attrs["layout"] = reference.layout
        file.attrs["title"] = reference.title
        file.attrs["made_by"] = reference.made_by
        file.attrs["accuracy"] = float(f"{max(reference.refinements.values()):.1e}")
        for name, values in {**reference.coordinates, **reference.values}.items():
            file.create_dataset(
                name, data=values, chunks=values.shape, compression="gzip", shuffle=True, fletcher32=True
            )
    return buffer.getvalue()


def write_reference(name: str, folder: Path) -> None:
    """Make one HDF5 reference and print what was measured."""
    reference = REFERENCES[name]()
    path = folder / f"{name}.h5"
    path.write_bytes(file_bytes(reference))
    print(f"{path.name}: {reference.made_by}, {path.stat().st_size / 1000:.0f} kB")
    for kind in (reference.refinements, reference.checks):
        for check, value in kind.items():
            print(f"    {check}: {value:.1e}")


def write_table(path: Path, names: Sequence[str], table: Array) -> None:
    """A CSV file of six decimals."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([f"{value:.6f}" for value in row] for row in table)


def write_field_samples(name: str, folder: Path) -> None:
    """Make the samples of a problem whose coefficient is an unknown field."""
    samples = field_data.SAMPLES[name]
    table, noise = samples.draw()
    write_table(folder / f"{name}.csv", (*samples.ranges, "u_measured"), table)
    print(f"{name}.csv: {len(table)} samples, noise of deviation {noise.std():.2g}")


def write_coefficient(name: str, folder: Path) -> None:
    """Make the random coefficient of a problem: axes x and y, values a."""
    axis, values = random_fields.FIELDS[name].table()
    path = folder / f"{name}_coefficient.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for key, data in {"x": axis, "y": axis, "a": values}.items():
            file.create_dataset(
                key, data=data, chunks=data.shape, compression="gzip", shuffle=True, fletcher32=True
            )
    print(f"{path.name}: from {values.min():.2f} to {values.max():.2f}")


def write_outline(name: str, folder: Path) -> None:
    """Make the outline of a problem's shape: its corners in turn, x and y."""
    corners = harmonic.OUTLINES[name]()
    with (folder / f"{name}.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("x", "y"), *corners.tolist()])
    print(f"{name}.csv: {len(corners)} corners")


def write_solid(name: str, folder: Path) -> None:
    """Make the surface of a problem's solid."""
    triangles = solids.SOLIDS[name]()
    (folder / f"{name}.stl").write_bytes(solids.stl_bytes(triangles))
    print(f"{name}.stl: {len(triangles)} triangles")


def write_samples(name: str, folder: Path) -> None:
    """Make the measurements of an inverse problem and print how well they determine its numbers."""
    if name == "burgers_inverse":
        header, numbers = ("x", "t", "u_measured"), ("lam", "nu")
        table, noise = inverse_data.draw()
        deviations, shifts = inverse_data.identifiability(table, noise)
    else:
        experiment = measurements.EXPERIMENTS[name]()
        header, numbers = (*experiment.points, *experiment.columns), tuple(experiment.truth)
        table, noise = experiment.draw()
        deviations, shifts = experiment.identifiability(noise)
    write_table(folder / f"{name}.csv", header, table)
    print(f"{name}.csv: {len(table)} measurements, standard deviation of the noise {noise.std():.2g}")
    for number, deviation, shift in zip(numbers, deviations, shifts, strict=True):
        print(f"    {number}: least standard deviation {deviation:.2%}, least squares off by {shift:+.2%}")


def main() -> None:
    """Make the named files, or all."""
    parser = argparse.ArgumentParser(description="Make the reference files of the problem library anew.")
    names = list(dict.fromkeys((*REFERENCES, *SAMPLES, *field_data.SAMPLES, *solids.SOLIDS)))
    here = Path(__file__).parent
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)}; default: all")
    parser.add_argument("--into", type=Path, default=here, help="folder; default: beside this script")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no such reference: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for name in arguments.names or names:
        if name in random_fields.FIELDS:
            write_coefficient(name, arguments.into)
        if name in harmonic.OUTLINES:
            write_outline(name, arguments.into)
        if name in solids.SOLIDS:
            write_solid(name, arguments.into)
        if name in REFERENCES:
            write_reference(name, arguments.into)
        if name in SAMPLES:
            write_samples(name, arguments.into)
        if name in field_data.SAMPLES:
            write_field_samples(name, arguments.into)


if __name__ == "__main__":
    main()
