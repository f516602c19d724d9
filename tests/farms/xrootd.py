"""A real XRootD server that asks for a proxy, with an authority of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.environments import grid
from tests.farms.daemons import PATIENCE_S, free_port, wait_until

USER = "nobody"  # the server refuses to be root
LIBRARY = "libXrdSecgsi-5.so"
CONFIGURATION = """
oss.localroot {folder}
all.export /data
all.adminpath {folder}/admin
all.pidpath {folder}/admin
xrd.network nodnr
xrootd.seclib libXrdSec.so
sec.protparm gsi -certdir:{folder}/certs -cert:{folder}/hostcert.pem
sec.protparm gsi -key:{folder}/hostkey.pem -crl:0 -gmapopt:0
sec.protocol gsi
sec.protbind * only gsi
"""
POLICY = """access_id_CA X509 '/DC=ch/DC=test/CN=Test CA'
pos_rights globus CA:sign
cond_subjects globus '"*"'
"""


def is_installed() -> bool:
    found = Path("/usr/lib").glob(f"*/{LIBRARY}")
    return shutil.which("xrootd") is not None and any(found)


class GsiServer:
    """Serves the folder `data`; as a context, with a `url` that names it."""

    def __init__(self) -> None:
        # Not below pytest's own folder, which only root may enter.
        self.folder = Path(tempfile.mkdtemp(prefix="bpf-xrootd-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.url = f"root://localhost:{self.port}//data"  # the name in its certificate

    def __enter__(self) -> Self:
        self._lay_out()
        argv = ["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "xrootd"]
        argv += ["-c", f"{self.folder}/xrootd.cfg", "-p", str(self.port)]
        argv += ["-l", f"{self.folder}/log"]
        self._process = subprocess.Popen(argv, env={"PATH": os.environ["PATH"], "HOME": "/"})
        try:
            wait_until(self._answers, "the XRootD server")
        except TimeoutError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        shutil.rmtree(self.folder)

    def environment(self, proxy: Path) -> dict[str, str]:
        """What a client needs: whom to trust, and its proxy."""
        certificates = str(self.folder / "certs")
        here = {"X509_CERT_DIR": certificates, "X509_USER_PROXY": str(proxy)}
        mine = {name: text for name, text in os.environ.items() if "BEARER" not in name}
        return mine | here | {"XRD_CONNECTIONRETRY": "2"}

    def _lay_out(self) -> None:
        self.folder.chmod(0o755)
        for name in ("data", "admin", "certs"):
            (self.folder / name).mkdir()
        certificate = self.folder / "certs" / "ca.pem"
        grid.write(certificate, grid.to_pem(grid.authority().certificate), 0o644)
        number = subprocess.run(
            ["openssl", "x509", "-in", certificate, "-noout", "-hash"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        certificate.with_name(f"{number}.0").symlink_to("ca.pem")
        certificate.with_name(f"{number}.signing_policy").write_text(POLICY)
        self._write_host()
        (self.folder / "xrootd.cfg").write_text(CONFIGURATION.format(folder=self.folder))
        who = pwd.getpwnam(USER)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, who.pw_uid, who.pw_gid, follow_symlinks=False)

    def _write_host(self) -> None:
        above, key = grid.authority(), grid.rsa_key(7)
        made = grid.builder(
            grid.name("/DC=ch/DC=test/CN=localhost"), above.certificate.subject, key
        )
        made = made.add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False
        )
        certificate = made.sign(above.key, hashes.SHA256())
        grid.write(self.folder / "hostcert.pem", grid.to_pem(certificate), 0o644)
        form = serialization.PrivateFormat.TraditionalOpenSSL
        plain = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, form, plain)
        grid.write(self.folder / "hostkey.pem", pem, 0o400)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
