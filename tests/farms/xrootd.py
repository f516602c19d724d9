"""Real XRootD servers: one that asks for a proxy or a token, or several behind a redirector."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.environments import grid
from tests.farms.daemons import Daemons, free_port, run, wait_until

USER = "nobody"  # the server refuses to be root
LIBRARIES = ("libXrdSecgsi-5.so", "libXrdSecztn-5.so", "libXrdAccSciTokens-5.so")
COMMON = """
oss.localroot {folder}
all.export /data
all.adminpath {folder}/admin
all.pidpath {folder}/admin
xrd.network nodnr
xrd.timeout hail 5 kill 3
"""
GSI = """
xrootd.seclib libXrdSec.so
sec.protparm gsi -certdir:{folder}/certs -cert:{folder}/hostcert.pem
sec.protparm gsi -key:{folder}/hostkey.pem -crl:0 -gmapopt:0
sec.protocol gsi
sec.protbind * only gsi
"""
TOKENS = """
xrootd.seclib libXrdSec.so
xrd.tls {folder}/hostcert.pem {folder}/hostkey.pem
xrd.tlsca certdir {folder}/certs
xrootd.tls capable all
ofs.authorize 1
ofs.authlib libXrdAccSciTokens.so config={folder}/scitokens.cfg
sec.protocol ztn
sec.protbind * only ztn
"""
ASKS = {"": "", "proxy": GSI, "token": TOKENS}
CLUSTERED = """
all.role {role}
all.manager localhost:{cms_port}
cms.delay startup 1 servers 1 lookup 1 drop 1 service 1
cms.ping 1 log 0 usage 60
"""
POLICY = """access_id_CA X509 '/DC=ch/DC=test/CN=Test CA'
pos_rights globus CA:sign
cond_subjects globus '"*"'
"""


def is_installed() -> bool:
    libraries = {path.name for path in Path("/usr/lib").glob("*/libXrd*")}
    return shutil.which("xrootd") is not None and libraries.issuperset(LIBRARIES)


def need_xrootd() -> None:
    """Skip where servers cannot be started, or fail in CI."""
    reason = ""
    if os.geteuid() != 0:
        reason = "the server is started by root, as another user"
    elif not is_installed():
        reason = "xrootd is not installed: tests/farms/install.sh"
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


class XRootD:
    """Serves the folder `data`; as a context, with a `url` that names it.

    Parameters
    ----------
    asks : {"", "proxy", "token"}
        What clients must show.
    hosts : sequence of str
        The names or addresses that clients know it by.
    n_servers : int
        More than one: data servers behind a redirector; each of them has all files.
    """

    def __init__(
        self, asks: str = "", *, hosts: Sequence[str] = ("localhost",), n_servers: int = 1
    ) -> None:
        need_xrootd()
        # Not below pytest's own folder, which only root may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="bpf-xrootd-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.certificates = self.folder / "certs"
        self.asks = asks
        self.names = [f"data{number}" for number in range(1, n_servers + 1)]
        self.daemons = Daemons(self.folder)
        self._lay_out(hosts)

    @property
    def url(self) -> str:
        """Its folder of data, to clients on this machine."""
        return self.url_at("localhost")

    def url_at(self, host: str) -> str:
        """Its folder of data, by another of its names."""
        return f"root://{host}:{self.port}//data"

    def __enter__(self) -> Self:
        try:
            try:
                self.start()
            except ChildProcessError:  # most likely somebody has taken the port meanwhile
                self.port = free_port()
                self.start()
            self.folder.chmod(0o755)  # it has closed it
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.daemons.stop()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start all of it, or all of it anew."""
        if len(self.names) == 1:
            self._start("xrootd", "data1", self.port)
            wait_until(self._is_there, "the XRootD server")
            return
        cms_port = free_port()
        log = self.folder / "log" / "redirector" / "cmsd.log"
        log.unlink(missing_ok=True)  # it tells when all is there
        self._start("cmsd", "redirector", cms_port, role="manager", cms_port=cms_port)
        self._start("xrootd", "redirector", self.port, role="manager", cms_port=cms_port)
        for name in self.names:
            for program in ("xrootd", "cmsd"):
                self._start(program, name, free_port(), role="server", cms_port=cms_port)
        for port in (self.port, cms_port):
            wait_until(lambda port=port: self._answers(port), "the redirector")
        wait_until(lambda: self._count_servers(log) >= len(self.names), f"data servers; see {log}")

    def serving(self, file: str) -> str:
        """The data server that has a file of `data` open; empty if none has."""
        for pid, daemon in self.daemons.running().items():
            opened = [os.path.realpath(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
            if daemon.startswith("xrootd-data") and str(self.data / file) in opened:
                return daemon.removeprefix("xrootd-")
        return ""

    def trust_issuer(self, url: str) -> None:
        """Take tokens of an issuer; before it is started."""
        section = f"[Issuer mine]\nissuer = {url}\nbase_path = /data\ndefault_user = {USER}\n"
        (self.folder / "scitokens.cfg").write_text(section)

    def kill(self, *names: str) -> None:
        """End servers as a power cut does, with the programs that speak for them; all if none."""
        for name in names or ["redirector", *self.names]:
            for pid, daemon in self.daemons.running().items():
                if daemon.endswith(f"-{name}"):
                    os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda name=name: (
                    not any(each.endswith(f"-{name}") for each in self.daemons.running().values())
                ),
                f"the end of {name}",
            )

    def restart(self) -> None:
        """Take all connections away."""
        self.kill()
        self.start()

    def environment(self, **more: str) -> dict[str, str]:
        """What a client needs: whom to trust, and what a test adds; no credential of others."""
        mine = {name: text for name, text in os.environ.items() if "BEARER" not in name}
        mine.pop("X509_USER_PROXY", None)
        nowhere = {"XDG_RUNTIME_DIR": str(self.folder / "none")}
        return mine | nowhere | {"X509_CERT_DIR": str(self.certificates)} | more

    def _start(self, program: str, name: str, port: int, **cluster: object) -> None:
        text = COMMON + ASKS[self.asks] if program == "xrootd" else COMMON
        if cluster:
            text += CLUSTERED
        configuration = self.folder / f"{program}-{name}.cfg"
        configuration.write_text(text.format(folder=self.folder, **cluster))
        (self.folder / "log" / name).mkdir(exist_ok=True)
        argv = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", program]
        argv += ["-c", str(configuration), "-p", str(port), "-n", name]
        argv += ["-l", f"{self.folder}/log/{program}.log"]
        if self.asks == "token":  # it takes the issuer's keys by HTTPS, and trusts whom we trust
            argv = [*_TRUSTING, str(self.certificates / "ca.pem"), *argv]
        self._hand_over()
        here: Mapping[str, str] = {
            "PATH": os.environ["PATH"], "HOME": "/", "XDG_CACHE_HOME": str(self.folder / "admin"),
        }  # fmt: skip
        self.daemons.start(f"{program}-{name}", argv, here)

    def _lay_out(self, hosts: Sequence[str]) -> None:
        self.folder.chmod(0o755)
        for name in ("data", "admin", "certs", "log"):
            (self.folder / name).mkdir()
        certificate = self.certificates / "ca.pem"
        grid.write(certificate, grid.to_pem(grid.authority().certificate), 0o644)
        number = run("openssl", "x509", "-in", str(certificate), "-noout", "-hash").strip()
        certificate.with_name(f"{number}.0").symlink_to("ca.pem")
        certificate.with_name(f"{number}.signing_policy").write_text(POLICY)
        write_host(self.folder, hosts)

    def _hand_over(self) -> None:
        """Its files are its own; it refuses keys that are not."""
        who = pwd.getpwnam(USER)
        for path in (self.folder, *self.folder.rglob("*")):
            if path.parent != self.data:  # those of tests stay whose they are
                os.chown(path, who.pw_uid, who.pw_gid, follow_symlinks=False)

    @staticmethod
    def _count_servers(log: Path) -> int:
        """Data servers that the redirector knows, once it works."""
        text = log.read_text() if log.exists() else ""
        return text.count(" logged in.") - 1 if "manager service enabled" in text else 0

    def _is_there(self) -> bool:
        if not self.daemons.running():
            logs = [*self.folder.glob("log/**/xrootd.log"), *self.folder.glob("*.out")]
            said = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in logs)
            raise ChildProcessError(f"the XRootD server ended\n{said}")
        return self._answers(self.port)

    @staticmethod
    def _answers(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# libcurl looks nowhere else.
_TRUSTING = (
    *("unshare", "--mount", "sh", "-c"),
    f'mount --bind "$0" {_BUNDLE} && exec "$@"',
)


def write_host(folder: Path, hosts: Sequence[str]) -> None:
    """Write certificate and key of a server."""
    above, key = grid.authority(), grid.rsa_key(7)
    made = grid.builder(grid.name("/DC=ch/DC=test/CN=localhost"), above.certificate.subject, key)
    # Of a server known by its address the client wants to read it in this form.
    forms = [form for host in hosts for form in (host, f"[::ffff:{host}]")]
    names = [x509.DNSName(name) for name in dict.fromkeys((*forms, "localhost"))]
    made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    grid.write(folder / "hostcert.pem", grid.to_pem(made.sign(above.key, hashes.SHA256())), 0o644)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, form, plain)
    grid.write(folder / "hostkey.pem", pem, 0o400)
