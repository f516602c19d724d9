from __future__ import annotations

import pytest

from beampipe.datasets.fileset_shape import DatasetShape, FileShape, check_shape, closest_key
from beampipe.errors import FilesetFormError


def check(shape, value):
    return check_shape(shape, value, where="file 'Z → µµ.root'")


def test_what_coffea_writes_is_taken():
    shape = check(
        FileShape,
        {
            "object_path": "Events",
            "steps": [[10, 20], [0, 10]],
            "num_entries": 20,
            "uuid": "u",
            "format": "root",
            "lfn": None,
            "pfn": None,
            "num_selected_entries": 20,
        },
    )
    assert shape.steps == [(10, 20), (0, 10)]
    assert shape.describes_one_file
    assert not check(FileShape, {"object_path": "Events"}).describes_one_file
    assert check(DatasetShape, {"files": [], "compressed_form": None, "did": None}).files == []


@pytest.mark.parametrize(
    ("shape", "value", "word"),
    [
        (DatasetShape, {"files": [], "tree": "Events"}, "did you mean 'treename'"),
        (DatasetShape, {"files": [], "metdata": {}}, "did you mean 'metadata'"),
        (DatasetShape, {"files": [], "xyzzy": 1}, "unknown key 'xyzzy'"),
        (DatasetShape, {"files": [], 5: 1}, "unknown key '5'"),
        (DatasetShape, {"files": [], "treename": 5}, "treename"),
        (DatasetShape, {"files": [], "metadata": [1]}, "metadata"),
        (DatasetShape, {"files": [], "metadata": {5: 1}}, "metadata"),
        (FileShape, {"object_pat": "x"}, "did you mean 'object_path'"),
        (FileShape, {"steps": []}, "steps"),
        (FileShape, {"steps": [[0, 5, 6]]}, "steps.0"),
        (FileShape, {"steps": [[-1, 5]]}, "steps.0.0"),
        (FileShape, {"steps": [[5, 4]]}, "ends before it begins"),
        (FileShape, {"steps": [[0, 10], [9, 20]]}, "overlap"),
        (FileShape, {"num_entries": "many"}, "num_entries"),
        (FileShape, {"num_entries": True}, "not true or false"),
        (FileShape, {"replicas": "a.root"}, "replicas"),
    ],
)
def test_mistakes_are_named(shape, value, word):
    with pytest.raises(FilesetFormError) as caught:
        check(shape, value)
    assert word in caught.value.why
    assert "Z → µµ" in caught.value.message
    assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize("shape", [DatasetShape, FileShape])
def test_parquet_is_called_that(shape):
    with pytest.raises(FilesetFormError, match="ROOT files only"):
        check(
            shape,
            {"files": [], "format": "parquet"} if shape is DatasetShape else {"format": "parquet"},
        )


def test_the_closest_key():
    assert closest_key("file", ["files", "treename"]) == "; did you mean 'files'?"
    assert closest_key("xyzzy", ["files", "treename"]) == ""
