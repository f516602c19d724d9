from __future__ import annotations

import tomllib

import pytest
from pydantic import ValidationError

from beampipe.clusters.site import (
    Site,
    describe_value,
    find_contradictions,
    parse_ports,
    quote_toml,
)

GATEWAY = {"provider": "gateway", "batch_system": ""}


def contradictions(**values):
    return [keys for keys, _, _ in find_contradictions(Site.model_validate(values))]


@pytest.mark.parametrize(
    ("value", "ports"),
    [
        ("10000:10100", (10000, 10100)),
        ("10000-10100", (10000, 10100)),
        (8786, (8786, 8786)),
        (0, (0, 0)),
        ([1, 2], (1, 2)),
    ],
)
def test_ports_are_a_range(value, ports):
    assert parse_ports(value) == ports


@pytest.mark.parametrize("value", ["a", "2:1", "1:70000", -1, "1:2:3", [1]])
def test_what_is_no_range_is_refused(value):
    with pytest.raises(ValueError, match="ports"):
        parse_ports(value)


@pytest.mark.parametrize(
    "values",
    [
        {"memory": "8"},
        {"memory": "8 parsec"},
        {"walltime": 3600},
        {"walltime": "1:30"},
        {"cores": True},
        {"cores": 0},
        {"batch_system": "cron"},
        {"key_files": "mail"},
        {"directives": "one line"},
        {"look_every": "0.1 s"},
        {"gateway_auth": "magic"},
        {"gateway_options": "worker_cores=2"},
        {"gateway_options": "[1]"},
        {"gateway_options": {"a": [1]}},
        {"gateway_options": {"a": {"b": {}}}},
    ],
    ids=str,
)
def test_a_wrong_unit_or_value_is_refused(values):
    with pytest.raises(ValidationError):
        Site.model_validate(values)


def test_options_of_a_gateway_are_json_in_a_variable():
    site = Site.model_validate({"gateway_options": '{"worker_cores": 2, "spot": false}'})
    assert site.gateway_options == {"worker_cores": 2, "spot": False}


def test_a_job_is_shared_out_to_its_workers():
    site = Site.model_validate({"cores": 4, "memory": "8 GiB", "batch_system": "slurm"})
    assert (site.processes_per_job, site.threads_per_worker) == (4, 1)
    assert site.memory_per_worker_bytes == 2 * 2**30
    site = Site.model_validate({"cores": 4, "processes": 2, "batch_system": "slurm"})
    assert (site.processes_per_job, site.threads_per_worker) == (2, 2)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({"batch_system": ""}, ("provider", "batch_system")),
        ({"provider": "local", "batch_system": "slurm"}, ("provider", "batch_system")),
        ({"key_files": "transfer"}, ("key_files", "batch_system")),
        ({"processes": 2}, ("processes", "cores")),
        ({"cores": 64}, ("memory", "processes")),
        ({"walltime": "30 s"}, ("walltime",)),
        ({"walltime": "2 min", "lifetime_stagger": "90 s"}, ("lifetime_stagger", "walltime")),
        ({"worker_ports": 8786, "cores": 2}, ("worker_ports", "processes")),
        ({"worker_ports": "1:9", "nanny_ports": "9:12"}, ("worker_ports", "nanny_ports")),
        ({"venv": "/v", "conda": "base"}, ("venv", "conda")),
        ({"work_folder": "here"}, ("work_folder",)),
        ({"gateway_auth": "simple"}, ("provider", "gateway_auth")),
        ({"provider": "gateway"}, ("provider", "batch_system")),
        ({**GATEWAY, "walltime": "2 h"}, ("provider", "walltime")),
        ({**GATEWAY, "directives": ["a"]}, ("provider", "directives")),
        ({**GATEWAY, "tls": False}, ("provider", "tls")),
        ({**GATEWAY, "gateway_address": "gateway:8000"}, ("gateway_address",)),
        ({**GATEWAY, "gateway_public_address": "/services"}, ("gateway_public_address",)),
        (
            {"shared_folders": ["/a"], "client_folders": ["/a"]},
            ("shared_folders", "client_folders"),
        ),
    ],
    ids=str,
)
def test_values_that_cannot_hold_together_are_found(values, keys):
    assert contradictions(**{"batch_system": "slurm", **values}) == [keys]


def test_values_in_order_contradict_nothing():
    assert contradictions(batch_system="htcondor", key_files="transfer", walltime="2 min") == []
    assert contradictions(provider="local") == []
    assert contradictions(**GATEWAY, gateway_address="https://x/y", cores=64, conda="/e") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory", "3 GiB"),
        ("memory", "2 GB"),
        ("walltime", "90 min"),
        ("worker_ports", "10000:10070"),
        ("scheduler_ports", 8786),
        ("directives", ['+Image = "µ"', "\\ \t"]),
        ("variables", {"A": 'b"c'}),
        ("tls", False),
        ("cores", 4),
        ("gateway_options", {"a b": 1, "x": 2.5, "y": True, "z": 'q"', "env": {"A": "b"}}),
        ("gateway_variables", ["PATH", "NB_UID"]),
    ],
)
def test_a_value_is_written_as_a_profile_has_it(key, value):
    site = Site.model_validate({key: value})
    text = f"{key} = {describe_value(key, getattr(site, key))}"
    assert Site.model_validate(tomllib.loads(text)) == site


def test_a_text_is_quoted_so_that_toml_gives_it_back():
    text = 'a "b" \\ \n µ'
    assert tomllib.loads(f"x = {quote_toml(text)}")["x"] == text
