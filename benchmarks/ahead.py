"""Reading ahead from a server that is far away, against reading when it is time.

    python benchmarks/ahead.py [--delay-ms 30] [--rounds 5]

A web server of our own answers every request after a delay; one process runs over a file there,
with reading ahead and without in turn. Told is the median of the ratios of the times.
"""

import argparse
import http.server
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

import numpy as np

import beampipe as bp
from beampipe.datasets.samples import make_data
from beampipe.reading import ahead

EVENTS, CHUNK = 400_000, 10_000


def process(events):
    """Use a few columns, and compute for about as long as they take to come."""
    pt = np.asarray(events.MET.pt)
    for _ in range(30):
        pt = np.sqrt(pt * pt + 1)
    time.sleep(0.03)
    return {"n": len(events), "sum": float(pt.sum())}


def serve(path, delay_s):
    """Serve a file, late; ranges as uproot asks for them."""
    content = memoryview(path.read_bytes())

    class Late(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, *, body):
            time.sleep(delay_s)
            asked = self.headers.get("Range")
            begin, stop = 0, len(content)
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                begin, stop = int(first), min(int(last) + 1 if last else stop, stop)
            self.send_response(206 if asked else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(stop - begin))
            if asked:
                self.send_header("Content-Range", f"bytes {begin}-{stop - 1}/{len(content)}")
            self.end_headers()
            if body:
                self.wfile.write(content[begin:stop])

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/{path.name}"


def run(url, folder, number, *, is_ahead):
    ahead._LEAST_SHARE = 0.1 if is_ahead else float("inf")  # noqa: SLF001 (there is no setting)
    began = time.perf_counter()
    result = bp.run(
        process,
        {"DY": [url]},
        client="inline",
        chunksize=CHUNK,
        run_dir=folder / f"run-{number}",
        fresh=True,
        progress=False,
    )
    return time.perf_counter() - began, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--delay-ms", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        mock.patch.dict(os.environ, {"BEAMPIPE_COLUMN_CACHE": "off", "XDG_CACHE_HOME": name}),
    ):
        folder = Path(name)
        make_data(folder / "data", files=1, events=EVENTS, seed=1)
        (path,) = (folder / "data").rglob("*.root")
        url = serve(path, options.delay_ms / 1000)
        run(url, folder, "warm", is_ahead=True)
        ratios = []
        for number in range(options.rounds):
            with_s, result = run(url, folder, f"{number}-a", is_ahead=True)
            without_s, other = run(url, folder, f"{number}-b", is_ahead=False)
            if result.output != other.output:
                raise SystemExit("the results differ")
            ratios.append(without_s / with_s)
            n_ahead = result.metrics["chunks_ahead"]
            print(f"ahead {with_s:.2f} s ({n_ahead:.0f} chunks), without {without_s:.2f} s")
        print(f"without over with, median of {options.rounds}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
