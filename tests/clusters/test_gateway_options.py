from __future__ import annotations

import pytest
from dask_gateway import options as client

from beampipe.clusters.gateway_options import (
    Offered,
    choose_options,
    describe_choices,
    read_offer,
)
from beampipe.clusters.site_files import load_site
from beampipe.errors import GatewayOptionError

OFFER = client.Options(
    client.String("conda_env", "", label="Conda environment"),
    client.String("pixi_project", ""),
    client.Select("queue", "batch", options=["batch", "short"]),
    client.Integer("worker_cores", 1, min=1, max=16),
    client.Float("worker_memory", 4.0, label="Memory per worker (GiB)", min=1, max=64),
    client.Bool("preemptible", default=False),
    client.Mapping("env", {}, label="Variables"),
)


@pytest.fixture
def make_site(folders):
    """A site at a gateway, by what its profile says."""

    def make(text="", **overrides):
        (folders["user"] / "gate.toml").write_text(f'provider = "gateway"\n{text}')
        return load_site("gate", **overrides)

    return make


def chosen(site, offer=OFFER, configured=None):
    found = choose_options(site, read_offer(offer), configured or {})
    return {name: choice.value for name, choice in found.items()}


def test_what_is_offered_is_read_with_its_bounds():
    offered = read_offer(OFFER)
    assert offered["worker_cores"] == Offered(
        name="worker_cores", kind="integer", label="worker_cores", default=1, least=1, most=16
    )
    assert offered["worker_cores"].bounds == "1 to 16"
    assert offered["queue"].bounds == "one of 'batch', 'short'"
    assert offered["worker_memory"].kind == "float"
    assert offered["env"].kind == "mapping"
    assert Offered(name="a", kind="integer", least=1).bounds == "at least 1"
    assert Offered(name="a", kind="integer", most=9).bounds == "at most 9"
    assert Offered(name="a", kind="string").bounds == ""


def test_the_keys_of_a_site_become_its_options(make_site, monkeypatch):
    monkeypatch.setenv("NB_UID", "1001")
    monkeypatch.setenv("A_SECRET", "never")
    site = make_site(
        'cores = 2\nmemory = "6 GiB"\nqueue = "short"\nconda = "/depot/µ env"\n'
        'variables = { A = "b" }\ngateway_variables = ["NB_UID", "NOT_SET"]\n'
        "gateway_options = { preemptible = true }\n"
    )
    assert chosen(site) == {
        "worker_cores": 2,
        "worker_memory": 6,
        "queue": "short",
        "conda_env": "/depot/µ env",
        "env": {"NB_UID": "1001", "A": "b"},
        "preemptible": True,
    }


def test_what_nobody_said_is_not_sent(make_site):
    assert chosen(make_site()) == {}
    assert chosen(make_site(), configured={"worker_cores": 3, "image": "of another gateway"}) == {
        "worker_cores": 3
    }
    assert chosen(make_site("cores = 2"), configured={"worker_cores": 3}) == {"worker_cores": 2}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (client.Float("worker_memory", 1.0, label="Memory"), 2.5),
        (client.Float("worker_memory", 1.0, label="Memory (MiB)"), 2560),
        (client.Float("memory", 1.0, label="GB"), 2.684),
        (client.Integer("memory", 1, label="in bytes"), 2684354560),
        (client.String("worker_memory", "1G"), "2560M"),
    ],
    ids=["GiB", "MiB", "GB", "bytes", "text"],
)
def test_memory_is_counted_as_the_gateway_counts(make_site, option, value):
    assert chosen(make_site('memory = "2560 MiB"'), client.Options(option)) == {option.field: value}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gateway_options = { worker_core = 1 }", "did you mean 'worker_cores'"),
        ("gateway_options = { banana = 1 }", "it offers 'conda_env', 'pixi_project', 'queue'"),
        ('gateway_options = { worker_cores = "2" }', "takes a whole number"),
        ("gateway_options = { worker_cores = true }", "takes a whole number"),
        ("gateway_options = { worker_cores = 1.5 }", "takes a whole number"),
        ('gateway_options = { worker_memory = "4" }', "takes a number"),
        ("gateway_options = { conda_env = 3 }", "takes a text"),
        ("gateway_options = { preemptible = 1 }", "takes true or false"),
        ('gateway_options = { env = "A=b" }', "takes a table"),
        ("cores = 17", r"takes 1 to 16; the value comes from `cores` \(.*gate.toml:2\)"),
        ('memory = "512 MiB"', "takes 1 to 64"),
        ('queue = "shrt"', "did you mean 'short'"),
        ('queue = "long"', "one of 'batch', 'short'"),
        ('account = "cms"', "no option for `account` of site 'gate'"),
        ("cores = 2\ngateway_options = { worker_cores = 3 }", "has two values"),
    ],
    ids=str,
)
def test_what_cannot_be_sent_is_an_error_that_helps(make_site, text, words):
    with pytest.raises(GatewayOptionError, match=words):
        chosen(make_site(text))


def test_one_value_said_twice_is_one(make_site):
    site = make_site("cores = 2\ngateway_options = { worker_cores = 2 }")
    assert chosen(site) == {"worker_cores": 2}


def test_memory_that_is_no_whole_number_is_refused_where_it_must_be(make_site):
    offer = client.Options(client.Integer("worker_memory", 1))
    with pytest.raises(GatewayOptionError, match="whole GiB; `memory` is 2.5"):
        chosen(make_site('memory = "2560 MiB"'), offer)


def test_a_table_of_another_name_is_no_place_for_variables(make_site):
    site = make_site('variables = { A = "b" }')
    offer = client.Options(
        client.String("environment", "a conda environment"), client.Mapping("environment_vars", {})
    )
    assert chosen(site, offer) == {"environment_vars": {"A": "b"}}


def test_what_would_be_sent_is_shown_with_its_meaning_and_no_secret(make_site):
    site = make_site('cores = 2\nvariables = { TOKEN = "hush" }')
    offered = read_offer(OFFER)
    text = describe_choices(choose_options(site, offered, {}), offered)
    assert "worker_cores = 2  # worker_cores; 1 to 16; from `cores`" in text
    assert "env = { TOKEN }  # Variables" in text
    assert '# queue = "batch"  # queue; one of' in text
    assert "hush" not in text
    assert describe_choices({}, {}) == "# Nothing is sent; the gateway's defaults hold.\n"


# What Purdue's gateways offer, as their configuration is published.
PURDUE = client.Options(
    client.String("conda_env", ""),
    client.String("pixi_project", ""),
    client.String("pixi_env", "default"),
    client.Integer("worker_cores", 1, min=1, max=16),
    client.Float("worker_memory", 4, min=1, max=64, label="Memory per worker (GiB)"),
    client.Mapping("env", {}),
)


@pytest.mark.parametrize("name", ["purdue-slurm", "purdue-k8s"])
def test_the_shipped_profiles_fit_what_their_gateways_are_known_to_offer(
    folders, name, monkeypatch
):
    for variable in ("NB_UID", "NB_GID", "X509_USER_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/bin")
    site = load_site(name, pixi="/depot/project", gateway_options={"pixi_env": "gpu"})
    assert chosen(site, PURDUE) == {
        "pixi_project": "/depot/project",
        "pixi_env": "gpu",
        "worker_cores": 1,
        "worker_memory": 4,
        "env": {"PATH": "/bin"},
    }
