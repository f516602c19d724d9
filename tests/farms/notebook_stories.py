"""The story of a notebook whose JupyterLab is a job, with a kernel that runs a cell."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import uuid
from pathlib import Path
from typing import Any

from storytelling import SYSTEM, list_queue, tell, wait_for
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from beampipe.clusters.notebooks import Notebook, look_at, open_notebook, stop_notebook
from beampipe.clusters.site_files import load_site

CELL = "import os, beampipe; print(6 * 7, os.getcwd())"


async def run_cell(book: Notebook) -> dict[str, Any]:
    """Start a kernel and run a cell in it, by the address that people get."""
    way = book.describe()
    token = (book.folder / "token").read_text()
    trusted = ssl.create_default_context(cafile=str(book.folder / "certificate.pem"))
    trusted.check_hostname = False
    place = f"{way['host']}:{way['port']}"
    how: dict[str, Any] = {"headers": {"Authorization": f"token {token}"}, "ssl_options": trusted}
    started = await AsyncHTTPClient().fetch(
        HTTPRequest(f"https://{place}/api/kernels", method="POST", body="{}", **how)
    )
    kernel = json.loads(started.body)["id"]
    channel = await websocket_connect(
        HTTPRequest(f"wss://{place}/api/kernels/{kernel}/channels", **how)
    )
    header = {"msg_id": uuid.uuid4().hex, "session": "x", "username": "x", "version": "5.3"}
    content = {"code": CELL, "silent": False}
    await channel.write_message(
        json.dumps(
            {
                "header": {**header, "msg_type": "execute_request"},
                "parent_header": {},
                "metadata": {},
                "channel": "shell",
                "content": content,
            }
        )
    )
    while True:
        message = json.loads(str(await asyncio.wait_for(channel.read_message(), 90)))
        if message["msg_type"] == "stream":
            channel.close()
            printed, folder = message["content"]["text"].split(maxsplit=1)
            return {"printed": int(printed), "folder": folder.strip()}


def notebook() -> dict[str, Any]:
    """JupyterLab on a node, from its start to its end."""
    os.environ["XDG_STATE_HOME"] = str(Path.cwd() / "state µ")
    told: list[str] = []
    site = load_site(SYSTEM, memory="500 MiB")
    book = open_notebook("mine", site, work=Path.cwd(), say=told.append)
    found = asyncio.run(run_cell(book))
    was = look_at(book)
    stop_notebook(book)
    wait_for(lambda: not any(each == book.tag for each in list_queue()), "an empty queue")
    return {
        "printed": found["printed"],
        "here": found["folder"] == str(Path.cwd()),
        "was": was,
        "told": bool(told),
    }


if __name__ == "__main__":
    tell(notebook)
