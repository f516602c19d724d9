"""Thousands of stub workers in one process, that speak Dask's real protocol over real sockets.

What is real: each has its own connection to the scheduler and registers, takes ``compute-task``,
``free-keys``, ``steal-request`` and the like, answers ``task-finished`` with a size, gives data
away when it is asked to (``get_data``), sends heartbeats when the scheduler wants them, and is
reached under an address of its own (127.x.y.z, one listener for all). Summaries and merges are
computed by the functions of Beampipe over real partials, manifests and all.

What is modelled: the time of a bundle (a timer instead of a processor), the transfer between
workers (a delay), the size of values (a number), and the nanny, which tells of a death after
`NOTICE_S` what the crumbs of a real worker would say. Heartbeats share a few connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import json
import os
import pickle
import random
import time
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import count

import dask
import psutil
from distributed.batched import BatchedSend
from distributed.comm import CommClosedError, connect, listen
from distributed.core import ConnectionPool
from distributed.protocol import to_serialize
from distributed.versions import get_versions

from beampipe.datasets.chunks import chunk_range
from beampipe.execution import context_plugin
from beampipe.execution.manifest import DoneChunk, Manifest
from beampipe.execution.partials import Partial, summarize_partial
from beampipe.execution.summaries import Told, summaries_topic, write_summary

NOTICE_S = 0.3
SMALL_TASK_S = 0.002
LATENCY_S, BYTES_PER_S = 0.001, 1e9
FETCH_AGAIN_S = 0.2
AT_ONCE = 100
TYPE = pickle.dumps(Partial)


@dataclass(frozen=True)
class Model:
    """How the workers of a simulation behave.

    Attributes
    ----------
    chunk_s, spread : float
        Time of a chunk: log-normal, with this mean and this sigma of its logarithm [s].
    slow : float
        Part of the bundles that take ten times as long.
    deaths : float
        Part of the workers that die, evenly over `span_s`; another takes their place.
    late : float
        Part of the workers that come only at a third of `span_s`.
    span_s : float
        About how long the run takes [s].
    value_bytes : int
        What the value of a partial is said to weigh [bytes].
    """

    workers: int
    chunk_s: float = 1.0
    spread: float = 0.3
    slow: float = 0.0
    deaths: float = 0.0
    late: float = 0.0
    span_s: float = 60.0
    value_bytes: int = 100_000


class Stubs:
    """All stub workers, and what they have in common."""

    def __init__(self, scheduler, model):
        self.scheduler, self.model = scheduler, model
        self.workers, self.numbers = {}, count()
        self.where = {}  # key: the workers that have it
        self.rng = random.Random(7)
        self.pool = ConnectionPool(limit=64)
        self.versions = get_versions()
        self.gate = asyncio.Semaphore(AT_ONCE)
        self.tasks = set()
        self.prefix = None
        self.died = self.chunks = self.bundles = 0
        self.busy_s = self.lost_s = self.longest_s = self.past_s = 0.0
        self.ends = deque(maxlen=200_000)
        self.heartbeat_s = 5.0

    async def start(self):
        await self.pool.start()
        self.listener = await listen("tcp://0.0.0.0:0", self.answer)
        self.port = self.listener.contact_address.rpartition(":")[2]
        late = int(self.model.late * self.model.workers)
        await asyncio.gather(*(self.join() for _ in range(self.model.workers - late)))
        self.spawn(self.beat())
        return late

    def spawn(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def join(self):
        n = next(self.numbers)
        address = f"tcp://127.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}:{self.port}"
        worker = self.workers[address] = Stub(self, address, n)
        await worker.register()

    async def trouble(self, late):
        """Late joiners and deaths, from the moment that the run begins."""
        model, loop = self.model, asyncio.get_running_loop()
        for _ in range(late):
            loop.call_later(model.span_s / 3, lambda: self.spawn(self.join()))
        n_deaths = round(model.deaths * model.workers)
        for number in range(n_deaths):
            when = model.span_s * (0.1 + 0.7 * (number + self.rng.random()) / n_deaths)
            loop.call_later(when, self.kill_one)

    def kill_one(self):
        address = self.rng.choice(list(self.workers))
        self.workers.pop(address).die()
        self.died += 1
        asyncio.get_running_loop().call_later(5.0, lambda: self.spawn(self.join()))

    async def beat(self):
        """Each worker's heartbeat, as often as the scheduler asks for."""
        while True:
            begin = time.monotonic()
            for address, worker in list(self.workers.items()):
                if worker.stream is not None:
                    with contextlib.suppress(OSError, CommClosedError):
                        await worker.heartbeat(address)
                pause = self.heartbeat_s / max(len(self.workers), 1)
                ahead = begin - time.monotonic()
                begin += pause
                if ahead > -pause:
                    await asyncio.sleep(pause)

    async def answer(self, comm):
        """What others ask of a worker: its address is the one that they called."""
        with contextlib.suppress(OSError, CommClosedError, KeyError):
            worker = self.workers[comm.local_address]
            while worker.is_alive:
                message = await comm.read()
                op, reply = message.pop("op"), message.pop("reply", True)
                close = message.pop("close", False)
                if op == "get_data":
                    await worker.give(comm, message["keys"])
                elif reply:
                    await comm.write({"status": "OK"} if op.startswith("plugin") else "OK")
                if close:
                    break
        comm.abort()

    async def tell_of_death(self, worker, crumbs):
        await asyncio.sleep(NOTICE_S)
        if self.prefix is None:
            return
        notice = {
            "worker": worker,
            "seen": {"exit_code": -9, "memory_bytes": 10**9, "memory_limit_bytes": 4 * 10**9},
            "crumbs": {"has_nanny": True, "begun": crumbs},
        }
        scheduler = self.pool(self.scheduler)
        message = {"beampipe": json.dumps(notice)}
        await scheduler.log_event(topic=f"{self.prefix}-exits", msg=message)

    def stats(self):
        me = psutil.Process()
        cpu, now = me.cpu_times(), time.monotonic()
        there = [worker.since for worker in self.workers.values() if worker.since is not None]
        return {
            "cpu_s": cpu.user + cpu.system,
            "rss": me.memory_info().rss,
            "workers": len(self.workers),
            "died": self.died,
            "chunks": self.chunks,
            "bundles": self.bundles,
            "busy_s": self.busy_s,
            "present_s": self.past_s + sum(now - since for since in there),
            "lost_s": self.lost_s,
            "longest_s": self.longest_s,
            "ends": list(self.ends),
        }


@dataclass(eq=False)
class Stub:
    """One worker of one thread."""

    stubs: Stubs
    address: str
    number: int
    stream: BatchedSend | None = None
    is_alive: bool = True
    data: dict = field(default_factory=dict)
    ready: list = field(default_factory=list)
    waiting: dict = field(default_factory=dict)
    running: str | None = None
    begun: tuple | None = None
    timer: asyncio.TimerHandle | None = None
    comm: object = None
    since: float | None = None

    def metrics(self):
        return {
            "task_counts": {"memory": len(self.data)},
            "bandwidth": {"total": 1e8, "workers": {}, "types": {}},
            "digests_total_since_heartbeat": {},
            "managed_bytes": 0,
            "spilled_bytes": {"memory": 0, "disk": 0},
            "transfer": {},
            "event_loop_interval": 0.02,
            "cpu": 100.0,
            "memory": 500_000_000,
            "time": time.time(),
            "host_net_io": {"read_bps": 0.0, "write_bps": 0.0},
            "host_disk_io": {"read_bps": 0.0, "write_bps": 0.0},
            "num_fds": 30,
        }

    async def register(self):
        stubs = self.stubs
        async with stubs.gate:
            comm = await connect(stubs.scheduler, timeout=300)
            await comm.write(
                {
                    "op": "register-worker",
                    "reply": False,
                    "address": self.address,
                    "status": "running",
                    "nthreads": 1,
                    "name": f"stub-{self.number}",
                    "now": time.time(),
                    "resources": {},
                    "memory_limit": 4 * 10**9,
                    "local_directory": "/nowhere",
                    "services": {},
                    "nanny": None,
                    "pid": os.getpid(),
                    "versions": stubs.versions,
                    "metrics": self.metrics(),
                    "extra": {},
                    "stimulus_id": f"worker-connect-{time.time()}",
                    "server_id": f"Worker-{self.number}",
                }
            )
            response = await comm.read()
        stubs.heartbeat_s = response["heartbeat-interval"]
        for name in response["worker-plugins"]:
            stubs.prefix = name if name.startswith("beampipe-") else stubs.prefix
        self.comm, self.since = comm, time.monotonic()
        self.stream = BatchedSend(interval="2ms")
        self.stream.start(comm)
        stubs.spawn(self.hear())

    async def hear(self):
        handlers = {
            "compute-task": self.compute,
            "free-keys": self.free,
            "remove-replicas": self.free,
            "steal-request": self.let_steal,
        }
        with contextlib.suppress(OSError, CommClosedError):
            while self.is_alive:
                for message in await self.comm.read():
                    handler = handlers.get(message.pop("op"))
                    if handler is not None:
                        handler(**message)

    async def heartbeat(self, address):
        scheduler = self.stubs.pool(self.stubs.scheduler)
        response = await scheduler.heartbeat_worker(
            address=address, now=time.time(), metrics=self.metrics(), executing={}, extensions={}
        )
        self.stubs.heartbeat_s = response.get("heartbeat-interval", self.stubs.heartbeat_s)

    async def give(self, comm, keys):
        data = {key: to_serialize(self.data[key]) for key in keys if key in self.data}
        await comm.write({"status": "OK", "data": data})
        await comm.read()

    def die(self):
        """As by a signal: everything on it is gone, and its connections are cut."""
        self.is_alive = False
        crumbs = []
        if self.since is not None:
            self.stubs.past_s += time.monotonic() - self.since
        if self.timer is not None:
            self.timer.cancel()
        if self.timer is not None and self.begun is not None:
            bundle, begin, ends = self.begun
            at = time.monotonic() - begin
            self.stubs.lost_s += at
            chunk = next((c for c, e in zip(bundle.chunks, ends, strict=False) if e > at), None)
            if chunk is not None:
                crumbs = [[bundle.number, chunk.plan.file.uuid, chunk.k, []]]
        for key in list(self.data):
            self.drop(key)
        self.ready.clear()
        if self.comm is not None:
            self.comm.abort()
        self.stubs.spawn(self.stubs.tell_of_death(self.address, crumbs))

    # -- tasks ------------------------------------------------------------------------------

    def compute(self, *, key, run_id, priority, run_spec, who_has, nbytes, **_):
        if key in self.waiting or key == self.running:
            return
        missing = [dep for dep in who_has if dep not in self.data]
        self.waiting[key] = (run_id, run_spec, tuple(who_has))
        if not missing:
            self.make_ready(key, priority)
            return
        delay_s = LATENCY_S + sum(nbytes[dep] for dep in missing) / BYTES_PER_S
        self.later(delay_s, self.fetch, key, priority, missing)

    def later(self, delay_s, function, *args):
        return asyncio.get_running_loop().call_later(delay_s, function, *args)

    def fetch(self, key, priority, wanted):
        """Take values from other workers; until they are (again) somewhere, try again."""
        if not self.is_alive or key not in self.waiting:
            return
        for dep in wanted:
            for peer in self.stubs.where.get(dep, ()):
                self.keep(dep, peer.data[dep])
                break
        missing = [dep for dep in wanted if dep not in self.data]
        if missing:
            self.later(FETCH_AGAIN_S, self.fetch, key, priority, missing)
            return
        self.send({"op": "add-keys", "keys": wanted, "stimulus_id": f"add-{time.time()}"})
        self.make_ready(key, priority)

    def keep(self, key, value):
        self.data[key] = value
        self.stubs.where.setdefault(key, []).append(self)

    def drop(self, key):
        if key in self.data:
            del self.data[key]
            holders = self.stubs.where[key]
            holders.remove(self)
            if not holders:
                del self.stubs.where[key]

    def send(self, message):
        if self.is_alive:
            self.stream.send(message)

    def make_ready(self, key, priority):
        heapq.heappush(self.ready, (tuple(priority), key))
        self.go_on()

    def go_on(self):
        while self.running is None and self.ready:
            _, key = heapq.heappop(self.ready)
            if key not in self.waiting:
                continue
            self.running = key
            _, spec, _ = self.waiting[key]
            if spec.func is context_plugin.run_with_plugin:
                self.begin_bundle(key, spec)
            else:
                self.timer = self.later(SMALL_TASK_S, self.end_small, key)

    def begin_bundle(self, key, spec):
        stubs, model = self.stubs, self.stubs.model
        stubs.prefix, packed = spec.args[:2]
        bundle = pickle.loads(packed)  # noqa: S301 (from the driver)
        slow = 10.0 if stubs.rng.random() < model.slow else 1.0
        mu = -(model.spread**2) / 2
        ends, at = [], 0.0
        for _ in bundle.chunks:
            at += slow * model.chunk_s * stubs.rng.lognormvariate(mu, model.spread)
            ends.append(at)
            if at > bundle.budget_s:
                break
        self.begun = (bundle, time.monotonic(), ends)
        self.timer = self.later(ends[-1], self.end_bundle, key)

    def end_bundle(self, key):
        bundle, _, ends = self.begun
        stubs, done = self.stubs, bundle.chunks[: len(ends)]
        chunks = tuple(
            DoneChunk(chunk.plan.file.uuid, chunk.k, chunk.plan.n_chunks, *chunk_range(chunk))
            for chunk in done
        )
        rest = tuple((chunk.plan.file.uuid, chunk.k) for chunk in bundle.chunks[len(ends) :])
        partial = Partial(
            Manifest(bundle.dataset, chunks),
            {"n": sum(chunk.stop - chunk.start for chunk in chunks)},
            {"bundle_s": ends[-1], "process_s": ends[-1], "bundles": 1},
            remainder=rest,
        )
        stubs.chunks += len(chunks)
        stubs.bundles += 1
        stubs.busy_s += ends[-1]
        stubs.longest_s = max(stubs.longest_s, ends[-1])
        stubs.ends.append((time.time(), len(chunks), ends[-1]))
        self.begun = None
        summary = replace(summarize_partial(partial), worker=self.address)
        message = write_summary(Told(key, summary))
        topic = summaries_topic(stubs.prefix)
        self.send({"op": "log-event", "topic": topic, "msg": message})
        self.finish(key, partial, ends[-1])

    def end_small(self, key):
        if not self.is_alive:
            return
        if key in self.waiting:
            _, spec, deps = self.waiting[key]
            if all(dep in self.data for dep in deps):
                self.finish(key, spec({dep: self.data[dep] for dep in deps}), SMALL_TASK_S)
                return
            self.waiting.pop(key)
        self.running = None
        self.go_on()

    def finish(self, key, value, spent_s):
        self.running = None
        if key in self.waiting and self.is_alive:  # else it was let go meanwhile
            run_id, _, _ = self.waiting.pop(key)
            self.keep(key, value)
            now = time.time()
            self.send(
                {
                    "op": "task-finished",
                    "status": "OK",
                    "key": key,
                    "run_id": run_id,
                    "nbytes": self.stubs.model.value_bytes if isinstance(value, Partial) else 1000,
                    "type": TYPE,
                    "typename": "Partial",
                    "metadata": {},
                    "thread": 1,
                    "startstops": [{"action": "compute", "start": now - spent_s, "stop": now}],
                    "stimulus_id": f"task-finished-{now}",
                }
            )
        self.go_on()

    def free(self, *, keys, **_):
        for key in keys:
            self.drop(key)
            self.waiting.pop(key, None)

    def let_steal(self, *, key, stimulus_id, **_):
        state = "executing" if key == self.running else "ready" if key in self.waiting else None
        state = "memory" if key in self.data else state
        message = {"op": "steal-response", "key": key, "state": state, "stimulus_id": stimulus_id}
        if state == "ready":
            self.waiting.pop(key)
        self.send(message)


async def receive(pipe):
    """The next message of a pipe; meanwhile the loop runs."""
    while not pipe.poll():  # noqa: ASYNC110 (a pipe has no event)
        await asyncio.sleep(0.05)
    return pipe.recv()


def serve(scheduler, model, settings, pipe):
    """What the process of the stubs runs: answers ``stats`` and ``begin`` until ``end``."""
    dask.config.set(settings)

    async def run():
        stubs = Stubs(scheduler, model)
        late = await stubs.start()
        pipe.send("ready")
        while True:
            asked = await receive(pipe)
            if asked == "end":
                os._exit(0)  # ten thousand connections are closed at once so
            if asked == "begin":
                await stubs.trouble(late)
            pipe.send(stubs.stats())

    asyncio.run(run())
