from __future__ import annotations

import subprocess
import sys

import pytest
from coffea.nanoevents import BaseSchema, NanoAODSchema, PHYSLITESchema

from beampipe.errors import SchemaError
from beampipe.reading.schemas import resolve_schema, schema_name, schema_names


class OwnSchema(BaseSchema):
    """A schema that coffea does not have."""


def test_every_schema_of_coffea_is_found_by_its_name():
    for name in schema_names():
        found = resolve_schema(name)
        assert found is not None
        assert issubclass(found, BaseSchema)
        assert schema_name(name) == name
    assert {"NanoAODSchema", "PFNanoAODSchema", "PHYSLITESchema", "EDM4HEPSchema"} <= set(
        schema_names()
    )


@pytest.mark.parametrize("said", ["NanoAODSchema", "NanoAOD", "nanoaod", NanoAODSchema])
def test_a_schema_may_be_said_in_several_ways(said):
    assert resolve_schema(said) is NanoAODSchema


@pytest.mark.parametrize("said", [None, "none", "None"])
def test_no_schema_means_plain_branches(said):
    assert resolve_schema(said) is None
    assert schema_name(said) == "none"


def test_a_class_of_ones_own_is_taken_and_named_with_its_module():
    assert resolve_schema(OwnSchema) is OwnSchema
    assert schema_name(OwnSchema).endswith("test_schemas:OwnSchema")


def test_an_unknown_name_gets_the_closest_ones():
    with pytest.raises(SchemaError, match="did you mean PHYSLITESchema") as caught:
        resolve_schema("PHYSLIGHTSchema")
    assert caught.value.code == "reading-schema"
    assert "NanoAODSchema" in caught.value.why


@pytest.mark.parametrize("nonsense", [int, 7, NanoAODSchema.v7, PHYSLITESchema.__init__])
def test_what_is_no_schema_is_refused(nonsense):
    with pytest.raises(SchemaError, match="is not a schema"):
        resolve_schema(nonsense)


def test_importing_the_reader_imports_nothing_heavy():
    code = (
        "import sys; import beampipe.reading.reader, beampipe.reading.schemas;"
        "heavy = {'awkward', 'coffea', 'uproot', 'numpy', 'distributed'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
