"""Published fields: what was given is what h5py, xarray, netCDF tools, VTK and pinncli read."""

import csv

import h5py
import numpy as np
import pytest

from pinncli.errors import CorruptError, UsageError
from pinncli.evaluation import FieldSet, PointSet
from pinncli.runs.exports import export
from pinncli.runs.fields import fields_bytes, read_fields
from pinncli.runs.points import points_bytes, read_points

AXES = {"t": "T", "z": "Z", "y": "Y", "x": "X"}
GRIDS = ["tx", "x", "t", "yx", "tyx", "zyx", "tzyx", "ty", "zx"]


def field_set(names, **changes):
    sizes = {"t": 3, "z": 4, "y": 5, "x": 6}
    coordinates = {name: np.linspace(0.5, 0.5 + sizes[name] / 7, sizes[name]) for name in names}
    shape = tuple(sizes[name] for name in names)
    u = np.random.default_rng(0).standard_normal(shape)
    fields = {"u": u, "residual_heat": u**2, "a_late_name": u.astype(np.float32), "reference_u": u + 1}
    texts = {"units": {"x": "m", "u": "K"}, "long_names": {"u": "température"}}
    given = {"title": "Heat α", "coordinates": coordinates, "fields": fields, "axes": AXES} | texts
    return FieldSet(**(given | changes))


def assert_same(found, given):
    assert found.title == given.title
    assert list(found.coordinates) == list(given.coordinates) and list(found.fields) == list(given.fields)
    for name, values in {**given.coordinates, **given.fields}.items():
        array = {**found.coordinates, **found.fields}[name]
        assert array.dtype == values.dtype and np.array_equal(array, values, equal_nan=True)
        assert found.units[name] == given.units.get(name, "1")
        assert found.long_names[name] == given.long_names.get(name, name)


@pytest.mark.parametrize("names", GRIDS)
def test_round_trip(tmp_path, names):
    path, given = tmp_path / "fields.h5", field_set(names)
    path.write_bytes(fields_bytes(given))
    found = read_fields(path)
    assert_same(found, given)
    assert found.axes == {name: AXES[name] for name in names}
    assert fields_bytes(given) == path.read_bytes()


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("names", GRIDS)
def test_xarray(tmp_path, names, engine):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4" if engine == "netcdf4" else engine)
    path, given = tmp_path / "fields.h5", field_set(names)
    path.write_bytes(fields_bytes(given, history="2026 pinncli solve heat1d"))
    with xarray.open_dataset(path, engine=engine) as found:
        assert set(found.coords) == set(names) and list(found.data_vars) == list(given.fields)
        for name, values in {**given.coordinates, **given.fields}.items():
            assert np.array_equal(found[name].values, values)
        assert found["u"].dims == tuple(names)
        assert found["u"].attrs["long_name"] == "température" and found["u"].attrs["units"] == "K"
        assert found[names[-1]].attrs["axis"] == AXES[names[-1]]
        assert found.attrs["Conventions"] == "CF-1.11" and found.attrs["title"] == "Heat α"
        assert found.attrs["history"] == "2026 pinncli solve heat1d"


def read_vtk(path):
    """(dimensions, origin, spacing, {name: array}) for every time step, and the times."""
    vtk = pytest.importorskip("vtk")
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    times = reader.GetOutputInformation(0).Get(vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS())
    steps = []
    for step in range(len(times or [0])):
        reader.SetStep(step)
        reader.Update()
        image = reader.GetOutputDataObject(0)
        data = image.GetPointData()
        arrays = {
            data.GetArrayName(i): vtk_to_numpy(data.GetArray(i)) for i in range(data.GetNumberOfArrays())
        }
        steps.append((image, arrays))
    return steps, times


@pytest.mark.parametrize("names", [names for names in GRIDS if names != "t"])
def test_vtk_image(tmp_path, names):
    path, given = tmp_path / "fields.vtkhdf", field_set(names)
    export(given, path, "vtkhdf")
    steps, times = read_vtk(path)
    assert (times is None) == ("t" not in names)
    if times is not None:
        assert np.array_equal(times, given.coordinates["t"])
    for step, (image, arrays) in enumerate(steps):
        assert image.GetDimensions() == tuple(len(given.coordinates.get(n, [0])) for n in "xyz")
        assert np.allclose(image.GetOrigin(), [given.coordinates.get(n, [0])[0] for n in "xyz"])
        for name, values in given.fields.items():
            assert np.array_equal(arrays[name], (values[step] if times else values).ravel())


def test_layout(tmp_path):
    path = tmp_path / "fields.h5"
    path.write_bytes(fields_bytes(field_set("tyx")))
    with h5py.File(path) as file:
        assert file["u"].chunks == (1, 5, 6)
        for name in ("t", "y", "x", "u", "a_late_name"):
            dataset = file[name]
            assert dataset.fletcher32 and dataset.shuffle and dataset.compression_opts == 4
            assert h5py.check_string_dtype(dataset.attrs.get_id("units").dtype).length is not None
        assert file["VTKHDF/PointData"].get("u", getlink=True).path == "/u"
        assert file["VTKHDF/Steps"].get("Values", getlink=True).path == "/t"
        assert file["VTKHDF"].attrs.get_id("Type").dtype == np.dtype("S9")


def test_points_outside_the_domain(tmp_path):
    given = field_set("tyx")
    outside = np.zeros((3, 5, 6), dtype=bool)
    outside[:, 2:4, 3] = True
    for name, values in given.fields.items():
        given.fields[name] = np.where(outside, values.dtype.type("nan"), values)
    given.fields["error_u"] = np.full((3, 5, 6), np.nan)
    path = tmp_path / "fields.h5"
    path.write_bytes(fields_bytes(given))
    assert_same(read_fields(path), given)
    with h5py.File(path) as file:
        assert np.array_equal(file["domain_mask"][()] == 0, outside) and file["domain_mask"].dtype == np.uint8
        assert np.isnan(file["u"].attrs["_FillValue"]) and np.isnan(file["u"].fillvalue)
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(path, engine="h5netcdf") as found:
        assert np.array_equal(np.isnan(found["u"].values), outside)
    assert np.array_equal(np.isnan(read_vtk(path)[0][0][1]["u"]), outside[0].ravel())


def test_complex_and_uneven(tmp_path):
    path, h = tmp_path / "fields.h5", np.arange(6) * (1 + 2j)
    given = field_set("x", fields={"h": h}, coordinates={"x": np.arange(6.0) ** 2})
    path.write_bytes(fields_bytes(given))
    found = read_fields(path)
    assert np.array_equal(found.fields["h_real"], h.real) and np.array_equal(found.fields["h_imag"], h.imag)
    with h5py.File(path) as file:
        assert "VTKHDF" not in file
    with pytest.raises(UsageError, match="evenly spaced"):
        export(given, tmp_path / "a.vtkhdf", "vtkhdf")
    with pytest.raises(UsageError, match="evenly spaced"):
        export(field_set("t"), tmp_path / "a.vtkhdf", "vtkhdf")
    with pytest.raises(UsageError, match=r"ends in \.vtkhdf"):
        export(field_set("x"), tmp_path / "a.h5", "vtkhdf")
    with pytest.raises(UsageError, match="no format; choose one of hdf5, netcdf"):
        export(given, tmp_path / "a", "xml")
    assert list(tmp_path.iterdir()) == [path]


def test_one_point_along_every_axis(tmp_path):
    given = field_set("tx", coordinates={"t": np.ones(1), "x": np.ones(1)}, fields={"u": np.array([[2.0]])})
    path = tmp_path / "fields.vtkhdf"
    export(given, path, "vtkhdf")
    assert_same(read_fields(path), given)
    assert read_vtk(path)[0][0][1]["u"] == [2.0]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"u: shape \(2,\), but the coordinates have \(6,\)"):
        fields_bytes(field_set("x", fields={"u": np.zeros(2)}))
    with pytest.raises(ValueError, match="one length"):
        points_bytes(PointSet("", {"x": np.zeros(3)}, {"u": np.zeros(2)}, {}, {}))


def test_csv_and_netcdf(tmp_path):
    given = field_set("tyx")
    export(given, tmp_path / "a.csv", "csv")
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["x", "y", "t", *given.fields] and len(rows) == 90
    t, y, x = np.meshgrid(*given.coordinates.values(), indexing="ij")
    for name, values in {"t": t, "y": y, "x": x, "u": given.fields["u"]}.items():
        assert np.array_equal([float(row[name]) for row in rows], values.ravel())
    export(given, tmp_path / "a.nc", "netcdf")
    assert_same(read_fields(tmp_path / "a.nc"), given)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_points(tmp_path, n):
    x, t, u = np.random.default_rng(1).standard_normal((3, n))
    given = PointSet("sensors", {"x": x, "t": t}, {"u": u}, {"x": "m"}, {"u": "measured"})
    path = tmp_path / "points.vtkhdf"
    export(given, path, "vtkhdf")
    found = read_points(path)
    assert_same(found, given)
    with pytest.raises(CorruptError, match="'pinncli points', not 'pinncli fields'"):
        read_fields(path)
    for engine in ("h5netcdf", "netcdf4"):
        xarray = pytest.importorskip("xarray")
        pytest.importorskip("netCDF4" if engine == "netcdf4" else engine)
        with xarray.open_dataset(path, engine=engine) as data:
            assert data["u"].dims == ("point",) and np.array_equal(data["u"].values, u)
            assert {"x", "t", "point"} <= set(data.coords)
    [(cloud, arrays)], _ = read_vtk(path)
    assert cloud.GetNumberOfPoints() == cloud.GetNumberOfVerts() == n
    assert [cloud.GetPoint(i) for i in range(n)] == [(value, 0.0, 0.0) for value in x]
    if n:
        assert np.array_equal(arrays["u"], u) and np.array_equal(arrays["t"], t)
    export(given, tmp_path / "points.csv", "csv")
    assert (tmp_path / "points.csv").read_text().splitlines()[0] == "x,t,u"
