"""The way to a gateway's server: address, authentication, and its errors told apart."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from beampipe.clusters.site import Site
from beampipe.errors import (
    BeampipeError,
    GatewayAccessError,
    GatewayAnswerError,
    GatewayUnreachableError,
    ProviderError,
    SiteInvalidError,
)

_CONNECT_S = 15.0
_ANSWER_S = 60.0
_BEHIND_A_PROXY = {502, 503, 504}
_UNKNOWN, _FORBIDDEN = 401, 403
# What dask-gateway calls them.
_AUTH: Final[Mapping[str, str]] = MappingProxyType(
    {"simple": "basic", "jupyterhub": "jupyterhub", "kerberos": "kerberos"}
)
_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "basic": "put name and password into `gateway.auth.kwargs` of dask-gateway's configuration "
        "(~/.config/dask/gateway.yaml, mode 0600)",
        "jupyterhub": "set JUPYTERHUB_API_TOKEN: a server of the Hub has it (and a new one after "
        "each start of that server), else request one on the Hub's token page; it needs the scope "
        "`access:services` for the gateway",
        "kerberos": "`kinit` gets a ticket, `klist` shows how long it is good for; the package is "
        "dask-gateway[kerberos]",
    }
)
_OVER: Final = (
    "the Hub does not know the token: it is wrong or has expired, or the server that it was given "
    "to has been stopped; "
)
_NARROW: Final = (
    "the token may be good, but not for the gateway: the scope `access:services!service=...` is "
    "missing; "
)
_LONGEST_WORDS = 300


def import_gateway() -> Any:
    """The package dask-gateway.

    Raises
    ------
    ProviderError
        ``cluster-provider``: it is not installed.
    """
    try:
        return importlib.import_module("dask_gateway")
    except ImportError as error:
        raise ProviderError(
            "Clusters of a gateway need the package dask-gateway.",
            why=str(error),
            fix="pip install 'beampipe[gateway]', in the version that the facility's gateway has",
            known=(),
        ) from error


def door_arguments(site: Site) -> dict[str, Any]:
    """What `dask_gateway.Gateway` is told of where the gateway is, and who we are.

    Raises
    ------
    SiteInvalidError
        ``site-invalid``: no address is known.
    GatewayAccessError
        ``gateway-access``: there is no token to show.
    """
    address = find_address(site)
    if not address:
        raise SiteInvalidError(
            f"The address of the gateway of site '{site.name}' is not known.",
            why="neither `gateway_address` nor dask-gateway's own configuration "
            "(`gateway.address`) says it; a facility's notebooks usually have the latter",
            fix="set `gateway_address`",
            key="gateway_address",
            origin=site.origin("gateway_address"),
        )
    try:
        auth = _make_auth(site)
    except (TypeError, ValueError, ImportError) as error:
        raise GatewayAccessError(
            f"There is nothing to show to the gateway of site '{site.name}'.",
            why=str(error),
            fix=_find_remedy(site),
        ) from error
    return {
        "address": address,
        "proxy_address": site.gateway_proxy_address or None,
        "public_address": site.gateway_public_address or None,
        "auth": auth,
    }


def find_address(site: Site) -> str:
    """The address of a site's gateway; empty where it is not known."""
    return site.gateway_address or str(_configured("gateway.address") or "")


def find_auth(site: Site) -> str:
    """How one proves who one is, in dask-gateway's words."""
    return _AUTH.get(site.gateway_auth) or str(_configured("gateway.auth.type") or "basic")


def _configured(key: str) -> Any:
    """A value of dask-gateway's own configuration, which may name environment variables."""
    import_gateway()
    import dask
    from dask_gateway.utils import format_template

    return format_template(dask.config.get(key, None))


def _make_auth(site: Site) -> Any:
    import dask
    from dask_gateway import auth

    if not site.gateway_auth:
        return auth.get_auth()
    kind = _AUTH[site.gateway_auth]
    makers = {"basic": auth.BasicAuth, "jupyterhub": auth.JupyterHubAuth}
    is_same = dask.config.get("gateway.auth.type", None) == kind
    given = dask.config.get("gateway.auth.kwargs", None) if is_same else None
    arguments = {name: auth.format_template(text) for name, text in (given or {}).items()}
    return makers.get(kind, auth.KerberosAuth)(**arguments)


def limit_patience(gateway: Any) -> None:
    """Let requests end in a minute; of itself, a lost one would take five."""
    import aiohttp

    gateway._request_kwargs["timeout"] = aiohttp.ClientTimeout(  # noqa: SLF001 (no other way)
        total=_ANSWER_S, sock_connect=_CONNECT_S
    )


@contextlib.contextmanager
def open_door(site: Site) -> Iterator[Any]:
    """Talk to a site's gateway, from code that is not asynchronous.

    Yields
    ------
    dask_gateway.Gateway

    Raises
    ------
    GatewayUnreachableError, GatewayAnswerError, GatewayAccessError
    """
    package = import_gateway()
    gateway = package.Gateway(**door_arguments(site))
    try:
        limit_patience(gateway)
        with explained(site):
            yield gateway
    finally:
        close_for_good(gateway)


def close_for_good(gateway: Any) -> None:
    """Close a gateway's client, and leave it nothing to do when it is collected.

    It would close itself once more, fail because its loop has ended, and say so on the screen.
    """
    if hasattr(gateway, "_loop_runner"):
        with contextlib.suppress(RuntimeError):  # it is closed already
            gateway.close()
        del gateway._loop_runner  # noqa: SLF001


@contextlib.contextmanager
def explained(site: Site) -> Iterator[None]:
    """Tell apart what goes wrong on the way to a site's gateway.

    Raises
    ------
    GatewayUnreachableError, GatewayAnswerError, GatewayAccessError
    """
    import aiohttp
    from dask_gateway import GatewayClusterError, GatewayServerError

    try:
        yield
    except BeampipeError:
        raise
    except aiohttp.ClientResponseError as error:
        raise _explain_response(site, error) from error
    except GatewayServerError as error:
        if "token" in str(error).lower():  # the Hub does not know it any more: 500, not 401
            raise _no_access(site, f"{_judge_token(str(error))}it answers: {error}") from error
        raise _no_gateway(site, str(error)) from error
    except (aiohttp.InvalidURL, GatewayClusterError) as error:
        raise _no_gateway(site, str(error)) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _unreachable(site, str(error) or "no answer in time") from error
    except ImportError as error:
        raise _no_access(site, str(error)) from error
    except (ValueError, LookupError, TypeError) as error:  # 404, or an answer of another service
        raise _no_gateway(site, str(error)) from error


def _explain_response(site: Site, error: Any) -> BeampipeError:
    words = f"{error.status} {error.message}".strip()
    if error.status == _FORBIDDEN:
        return GatewayAccessError(
            f"The gateway of site '{site.name}' knows who we are, and does not allow this.",
            why=f"it answers {words} (authentication: {find_auth(site)})",
            fix="a cluster belongs to the user who started it; behind JupyterHub, see whether the "
            "token has the scope `access:services` for the gateway",
            address=find_address(site),
        )
    if error.status == _UNKNOWN:
        narrow = find_auth(site) == "jupyterhub"
        return _no_access(site, f"{_NARROW if narrow else ''}it answers {words}")
    if error.status in _BEHIND_A_PROXY:
        return _unreachable(site, f"what stands in front of it answers {words}")
    return _no_gateway(site, words)


def _judge_token(words: str) -> str:
    """What a Hub's refusal means: of wrong tokens and of those that are over it says the same."""
    return _OVER if "permission" in words.lower() else ""


def _unreachable(site: Site, why: str) -> GatewayUnreachableError:
    return GatewayUnreachableError(
        f"The gateway of site '{site.name}' at {find_address(site)} does not answer.",
        why=_shorten(why),
        fix="see whether it is up, and whether this host may reach it: most gateways serve their "
        f"facility's hosts only (`gateway_address` is from {site.origin('gateway_address')})",
        address=find_address(site),
    )


def _no_gateway(site: Site, why: str) -> GatewayAnswerError:
    return GatewayAnswerError(
        f"What answers at {find_address(site)} is no gateway, or one that has failed.",
        why=_shorten(why) or "its answer makes no sense",
        fix=f"see `gateway_address` (from {site.origin('gateway_address')}) of site '{site.name}'; "
        "behind JupyterHub it ends in /services/dask-gateway, as a rule",
        address=find_address(site),
    )


def _no_access(site: Site, why: str) -> GatewayAccessError:
    return GatewayAccessError(
        f"The gateway of site '{site.name}' does not let us in.",
        why=f"{_shorten(why)} (authentication: {find_auth(site)})",
        fix=_find_remedy(site),
        address=find_address(site),
    )


def _find_remedy(site: Site) -> str:
    other = "see `gateway.auth` of dask-gateway's configuration"
    return _REMEDIES.get(find_auth(site), other)


def _shorten(words: str) -> str:
    """A page of another service may be long."""
    flat = " ".join(words.split())
    return flat if len(flat) <= _LONGEST_WORDS else f"{flat[:_LONGEST_WORDS]} ..."
