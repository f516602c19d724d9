"""The way to a gateway, and what stands in it: played by small servers of this machine."""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import sys
import threading

import dask
import pytest

from beampipe.clusters.gateway_door import door_arguments, find_address, import_gateway, open_door
from beampipe.clusters.site_files import load_site
from beampipe.errors import (
    GatewayAccessError,
    GatewayAnswerError,
    GatewayUnreachableError,
    ProviderError,
    SiteInvalidError,
)


@contextlib.contextmanager
def answering(status, body=b"", content_type="application/json"):
    """A server that says one thing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def make_site(folders):
    def make(address="", auth="simple"):
        text = f'provider = "gateway"\ngateway_address = "{address}"\ngateway_auth = "{auth}"\n'
        (folders["user"] / "gate.toml").write_text(text)
        return load_site("gate")

    return make


def ask(site):
    with open_door(site) as gateway:
        return gateway.cluster_options()


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (404, b"<html>Not found</html>", GatewayAnswerError, "is no gateway"),
        (200, b"<html>Log in</html>", GatewayAnswerError, "is no gateway"),
        (200, b'{"x": 1}', GatewayAnswerError, "is no gateway"),
        (200, b"[]", GatewayAnswerError, "is no gateway"),
        (500, b'{"error": "database is locked"}', GatewayAnswerError, "database is locked"),
        (401, b'{"error": "who are you"}', GatewayAccessError, "authentication: basic"),
        (401, b"", GatewayAccessError, "gateway.auth.kwargs"),
        (500, b'{"error": "Failure verifying API token"}', GatewayAccessError, "verifying"),
        (500, b'{"error": "Permission failure of token"}', GatewayAccessError, "has expired"),
        (403, b'{"error": "go away"}', GatewayAccessError, "does not allow this"),
        (502, b"", GatewayUnreachableError, "in front of it answers 502"),
        (503, b"", GatewayUnreachableError, "in front of it answers 503"),
        (418, b"", GatewayAnswerError, "418"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_answers_are_told_apart(make_site, status, body, error, words):
    content_type = "text/html" if body.startswith(b"<") else "application/json"
    with answering(status, body, content_type) as address:
        with pytest.raises(error, match=words) as caught:
            ask(make_site(address))
        assert caught.value.address == address


def test_a_long_page_is_cut(make_site):
    with (
        answering(404, b"<p>x</p>\n" * 1000, "text/html") as address,
        pytest.raises(GatewayAnswerError) as caught,
    ):
        ask(make_site(address))
    assert len(caught.value.why) < 400


def test_nobody_there(make_site):
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        site = make_site(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(GatewayUnreachableError, match="does not answer"):
            ask(site)


def test_one_that_speaks_no_http(make_site):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises((GatewayAnswerError, GatewayUnreachableError)):
            ask(make_site(f"http://127.0.0.1:{server.getsockname()[1]}"))
        thread.join()


def test_an_address_is_needed(make_site):
    site = make_site()
    assert find_address(site) == ""
    with pytest.raises(SiteInvalidError, match="set `gateway_address`"):
        door_arguments(site)
    with dask.config.set({"gateway.address": "http://in.dasks.config"}):
        assert find_address(site) == "http://in.dasks.config"
        assert door_arguments(site)["address"] == "http://in.dasks.config"


@pytest.mark.usefixtures("folders")
def test_a_token_is_needed_where_the_hub_gives_them(make_site, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    site = make_site("http://127.0.0.1:1", auth="jupyterhub")
    with pytest.raises(GatewayAccessError, match="the Hub's token page"):
        door_arguments(site)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "planted-secret")
    with answering(401) as address:
        site = make_site(address, auth="jupyterhub")
        assert vars(door_arguments(site)["auth"]) == {"api_token": "planted-secret"}
        with pytest.raises(GatewayAccessError) as caught:
            ask(site)
    assert "jupyterhub" in caught.value.why
    assert "planted-secret" not in str(caught.value)


def test_arguments_for_another_kind_of_authentication_are_not_taken(make_site, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    shown = {"username": "alice", "password": "x"}
    with dask.config.set({"gateway.auth.type": "basic", "gateway.auth.kwargs": shown}):
        auth = door_arguments(make_site("http://a"))["auth"]
        assert (auth.username, auth.password) == ("alice", "x")
        kerberos = door_arguments(make_site("http://a", auth="kerberos"))["auth"]
        assert type(kerberos).__name__ == "KerberosAuth"
        hub = door_arguments(make_site("http://a", auth="jupyterhub"))["auth"]
        assert vars(hub) == {"api_token": "t"}
        assert door_arguments(make_site("http://a", auth=""))["auth"].username == "alice"


def test_without_kerberos_its_package_is_named(make_site):
    with (
        answering(401) as address,
        pytest.raises(GatewayAccessError, match=r"kinit.*dask-gateway\[kerberos\]"),
    ):
        ask(make_site(address, auth="kerberos"))


def test_the_package_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_gateway", None)
    with pytest.raises(ProviderError, match=r"pip install 'beampipe\[gateway\]'"):
        import_gateway()


def test_environment_variables_may_stand_in_dasks_configuration(make_site, monkeypatch):
    monkeypatch.setitem(os.environ, "WHERE", "there")
    with dask.config.set({"gateway.address": "http://{WHERE}"}):
        assert find_address(make_site()) == "http://there"
