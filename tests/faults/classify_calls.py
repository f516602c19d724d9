"""Do what makes this machine and its C library fail, and print what kind of error comes of it.

Runs by itself, with `errno_shim.c` preloaded, as its limits and faults are the whole process's:
``python classify_calls.py SHIM FILE ERRNO...`` prints a JSON object of [kind, rule] by name.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import sys
import threading

import numpy as np

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import FileSpec
from beampipe.datasets.second_tries import SecondTries
from beampipe.error_kinds import classify_error
from beampipe.reading.loading import ColumnLoader
from beampipe.reading.trees import TreePool

_, SHIM, FILE, *ERRNOS = sys.argv
shim = ctypes.CDLL(SHIM)
found = {}


def set_fault(**values):
    for name, value in values.items():
        ctypes.c_int.in_dll(shim, f"fault_{name}").value = value


def note(name, call):
    try:
        call()
    except BaseException as error:  # noqa: BLE001 (which one is the question)
        verdict = classify_error(error)
        found[name] = [verdict.kind, verdict.rule, f"{type(error).__name__}: {error}"]
    else:
        found[name] = ["nothing", "", ""]


def count(url):
    return count_file(FileSpec((url,)), "DY", tries=SecondTries(waits_s=()))


def read_column(number):
    pool = TreePool()
    opened = pool.get(ENTRY)
    set_fault(errno=number, on_open=0)
    try:
        ColumnLoader(opened, 0, 1000).load("x")
    finally:
        set_fault(errno=0)
        pool.close()


def limited(what, room, call):
    before = resource.getrlimit(what)
    resource.setrlimit(what, (room, before[1]))
    try:
        call()
    finally:
        resource.setrlimit(what, before)


def open_many():
    files = []
    while True:
        files.append(open(os.devnull))  # noqa: PTH123, SIM115


def open_file(number):
    set_fault(errno=number, on_open=1)
    try:
        count(FILE)
    finally:
        set_fault(errno=0)


def write_to_full_disk():
    with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123
        file.write(b"x")


def start_thread():
    threading.stack_size(1 << 30)
    try:
        threading.Thread(target=int).start()
    finally:
        threading.stack_size(0)


def ask_name_server(answer):
    set_fault(gai=answer)
    try:
        count("http://door.invalid/a.root")
    finally:
        set_fault(gai=0)


ENTRY = count(FILE)
(ctypes.c_char * 4096).in_dll(shim, "fault_path").value = os.fsencode(os.path.basename(FILE))  # noqa: PTH119
for number in map(int, ERRNOS):
    note(f"open {number}", lambda number=number: open_file(number))
    if number != errno.EAGAIN:  # Python's files take it for "nothing yet", and ask again
        note(f"read {number}", lambda number=number: read_column(number))
for answer in (-2, -3, -4):
    note(f"name server {answer}", lambda answer=answer: ask_name_server(answer))
note("disk", write_to_full_disk)
note("files", lambda: limited(resource.RLIMIT_NOFILE, 100, open_many))
with open("/proc/self/statm") as statm:  # noqa: PTH123
    used = int(statm.read().split()[0]) * resource.getpagesize()
ROOM = used + 300_000_000
note("numpy", lambda: limited(resource.RLIMIT_AS, ROOM, lambda: np.ones(10**9)))
note("python", lambda: limited(resource.RLIMIT_AS, ROOM, lambda: bytearray(10**10)))
note("mmap", lambda: limited(resource.RLIMIT_AS, ROOM, lambda: mmap.mmap(-1, 10**10)))
note("thread", lambda: limited(resource.RLIMIT_AS, ROOM, start_thread))
sys.stdout.write(json.dumps(found))
