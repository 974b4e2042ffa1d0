"""A server that plays a node: the page's own files with the headers that the node sends, and answers that are made up.

What it says is decided by `World`, which tests change while the page looks on.
"""

import asyncio
import http
import json
import mimetypes
import random
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import websockets.asyncio.server
from websockets.datastructures import Headers
from websockets.http11 import Response

FILES = Path(__file__).parents[2] / "src" / "serve" / "dashboard"
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ISSUERS = ["GA5ZSEJYB37JRC5AVCIA5MOP4RHTM335X2KGX3IHOJAPP5RE34K4KZVN", "GDGQVOKHW4VEJRU2TETD6DBRKEO5ERCNF353LW5WBFW3JJWQ2BRQ6KDD"]
ASSETS = ["native", f"USDC:{ISSUERS[0]}", f"EURC:{ISSUERS[1]}", f"AQUA:{ISSUERS[1]}", f"yXLM:{ISSUERS[0]}", f"SHX:{ISSUERS[1]}", f"KKKKKKKKKKKK:{ISSUERS[0]}", None]
CONTRACT = "CDG5XBZJM3BN7D3T5D4OOTVU6R5GOAU6PHKUQTV7C5Q6OFQUCDXPEJTN"
PART = 500
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def text_time(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class World:
    """What the node would know. Everything may be changed by a test, under `lock`."""

    def __init__(self, seed=1, first=53_312_000, every=1.0, events=24):
        self.random = random.Random(seed)
        self.lock = threading.RLock()
        self.every = every
        self.events_per_ledger = events
        self.first = first
        self.tip = first + 40
        self.started = time.time()
        self.closed = {}
        self.made = {}
        self.accounts = ["G" + "".join(self.random.choices(ALPHABET, k=55)) for _ in range(12)]
        self.reasons = []
        self.lag = 0
        self.age = 4
        self.moves = True
        self.token = None
        self.gone = False
        self.failing = {}
        self.node_names = ["a", "b", "c"]
        self.node_states = {}
        self.restarts = {}
        self.states = {}
        self.errors = {}
        self.quarantined = []
        self.regions = {"region": None, "traffic": False, "decision": None, "concerns": [], "regions": []}
        self.history = {}
        self.feed_log = []
        self.feed_refuses = False
        self.rates = (1.0, float(events))
        self.extra_events = {}

    def close_ledger(self):
        with self.lock:
            if self.moves:
                self.tip += 1

    def ledger(self, sequence):
        """The events of a ledger, the same whenever it is asked for."""
        with self.lock:
            if sequence not in self.made:
                self.made[sequence] = self.make_ledger(sequence)
            return self.made[sequence]

    def make_ledger(self, sequence):
        chance = random.Random(sequence)
        closed = datetime.fromtimestamp(self.started, timezone.utc) + timedelta(seconds=5 * (sequence - self.first - 45))
        events = []
        for index in range(self.events_per_ledger):
            kind = chance.choices(["transfer", "fee", "mint", "burn", "clawback"], [55, 35, 5, 3, 2])[0]
            asset = "native" if kind == "fee" else chance.choice(ASSETS)
            amount = str(chance.choice([1, 100, 10**7, 10**10, 10**13]) * chance.randrange(1, 9999))
            if kind == "fee" and chance.random() < 0.1:
                amount = "-" + amount
            sender, receiver = chance.sample(self.accounts, 2)
            events.append(self.event(sequence, closed, index, kind, asset, amount, sender, receiver, chance))
        return {"closed_at": text_time(closed), "events": events + self.extra_events.get(sequence, [])}

    def event(self, sequence, closed, index, kind, asset, amount, sender, receiver, chance):
        code, _, issuer = (asset or "").partition(":")
        return {
            "ledger_sequence": sequence, "closed_at": text_time(closed), "tx_hash": f"{chance.getrandbits(256):064x}",
            "tx_index": index + 1, "op_index": None if kind == "fee" else 1, "event_index": 0, "ledger_event_index": index,
            "event_id": f"{sequence * 2**32 + index:019d}-{0:010d}", "kind": kind, "op_type": None if kind == "fee" else "payment",
            "contract_id": CONTRACT, "asset": asset, "asset_code": code if issuer else None, "asset_issuer": issuer or None,
            "from": None if kind == "mint" else sender, "to": receiver if kind in ("transfer", "mint") else None, "amount": amount,
            "to_muxed_id": None, "to_memo_text": None, "to_memo_hash": None, "tx_successful": True,
        }

    def matching(self, sequence, wanted):
        def is_wanted(event):
            return (
                ("kind" not in wanted or event["kind"] in wanted["kind"])
                and ("asset" not in wanted or event["asset"] in wanted["asset"])
                and ("account" not in wanted or event["from"] in wanted["account"] or event["to"] in wanted["account"])
                and ("min_amount" not in wanted or int(event["amount"]) >= int(wanted["min_amount"]))
            )

        return [event for event in self.ledger(sequence)["events"] if is_wanted(event)]

    def status(self):
        return {
            "node": self.node_names[0], "version": "0.1.0", "network": "testnet", "tip": str(self.tip),
            "tip_closed_at": self.ledger(self.tip)["closed_at"], "checkpoint": str(self.tip - 3), "oldest": str(self.first),
            "lag_ledgers": self.lag, "lag_seconds": self.age + 5 * (self.lag or 0), "ready": not self.reasons, "reasons": self.reasons,
            "nodes": len(self.node_names), "pipelines": [{"name": "main", "state": "running", "parked": None}],
            "rates": {"ledgers_per_second": self.rates[0], "events_per_second": self.rates[1]},
            "feed": {"connections": 1, "subscriptions": 1, "evicted": 0},
        }

    def actor(self, path, children=(), measures=None):
        restarts = self.restarts.get(path, 0)
        # A supervisor counts those of its children.
        below = sum(child["restarts_total"] for child in children)
        actor = {
            "age_seconds": time.time() - self.started, "children": list(children), "id": path.split("/", 1)[1].split("/")[-1],
            "incarnation": 1 + restarts, "kind": "supervisor" if children else "worker", "last_error": self.errors.get(path),
            "mailbox_depth": None if children else self.random.randrange(3), "restarts_in_window": below,
            "restarts_total": restarts, "state": self.states.get(path, "running"),
        }
        if measures:
            actor["measures"] = measures
        return actor

    def tree(self):
        nodes = []
        for entry in self.nodes():
            name = entry["name"]
            measures = {
                "checkpoint": self.tip - 3, "in_flight_batches": 1, "in_flight_bytes": 23_190, "lag_ledgers": self.lag,
                "lag_seconds": 4, "ledgers_per_second": self.rates[0], "left_ledgers": None, "processed": self.tip,
            }
            live = f"{name}/pipelines/main/live"
            sinks = [self.actor(f"{live}/sink/token_transfers"), self.actor(f"{live}/sink/ledgers")]
            for sink, table in zip(sinks, ("token_transfers", "ledgers")):
                sink["id"] = f"sink/{table}"
            stages = sinks + [self.actor(f"{live}/processor"), self.actor(f"{live}/fetcher")]
            main = self.actor(f"{name}/pipelines/main", [self.actor(live, stages, measures)], measures)
            cluster = [self.actor(f"{name}/cluster/{child}") for child in ("gateway", "links", "flight", "acceptor", "lease")]
            serving = [self.actor(f"{name}/serving/{child}") for child in ("hub", "http")]
            children = [
                self.actor(f"{name}/cluster", cluster), self.actor(f"{name}/coordinator"),
                self.actor(f"{name}/pipelines", [main]), self.actor(f"{name}/serving", serving),
            ]
            is_dead = entry["state"] == "dead"
            exchange = {"durable": 9, "in_flight_bytes": 23_190, "in_flight_bytes_max": 9, "received_bytes": 9, "sent_bytes": 9, "streams": 2}
            root = {"id": "node", "kind": "supervisor", "state": "running", "children": children}
            nodes.append({**entry, "error": "no answer within 2 s" if is_dead else None, "exchange": None if is_dead else exchange,
                          "now_ms": 1, "pipeline": None, "tree": None if is_dead else root})
        return {
            "checkpoint": self.tip - 3, "coordinator": {"epoch": 1, "incarnation": 1, "node": self.node_names[0]}, "lag_ledgers": self.lag,
            "lag_seconds": 4, "ledgers_per_second": self.rates[0], "newest": self.tip, "nodes": nodes,
        }

    def nodes(self):
        return [
            {
                "address": f"127.0.0.1:{7101 + index}", "capacity": 2, "coordinator": index == 0 and len(self.node_names) > 0,
                "draining": False, "incarnation": 1, "load": [0.5, 1.0, 0.25, 0.75][index % 4], "name": name, "protocol": 1,
                "roles": ["fetcher", "processor", "sink", "coordinator", "gateway"], "state": self.node_states.get(name, "alive"),
                "version": "0.1.0",
            }
            for index, name in enumerate(self.node_names)
        ]

    def assets(self, window):
        scale = 24 if window == "24h" else 1
        found = []
        for index, asset in enumerate(ASSETS):
            events = (4100 >> index) * scale
            kinds = {
                "transfer": {"count": events * 6 // 10, "volume": str(98_765_432_101_234_567 * scale >> (3 * index))},
                "mint": {"count": events // 20, "volume": str(5 * 10**9)}, "burn": {"count": events // 40, "volume": str(10**9)},
            }
            if asset == "native":
                kinds["fee"] = {"count": events * 3 // 10, "volume": "1234567"}
            found.append({"asset": asset, "contract_id": CONTRACT, "events": events, "by_kind": kinds})
        return {"window": window, "from_ledger": str(self.tip - 720 * scale), "to_ledger": str(self.tip), "assets": found}

    def answer(self, path, query):
        """Status and JSON of an endpoint."""
        if path in self.failing:
            return self.failing[path]
        if path == "/v1/status":
            return 200, self.status()
        if path == "/v1/tree":
            return 200, self.tree()
        if path == "/v1/nodes":
            return 200, self.nodes()
        if path == "/v1/regions":
            return 200, self.regions
        if path == "/v1/assets":
            return 200, self.assets("24h" if "window=24h" in query else "1h")
        if path == "/v1/quarantine":
            return 200, self.quarantined
        if path.startswith("/v1/actors/"):
            actor = path.removeprefix("/v1/actors/").replace("%2F", "/")
            return 200, {"path": actor, "restarts": self.history.get(actor, [])}
        return 404, {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "nothing is served here"}


class Stub:
    """Serves a world on a free port, on a thread of its own."""

    def __init__(self, world):
        self.world = world
        self.requests = []
        self.port = None
        self.loop = asyncio.new_event_loop()
        self.is_up = threading.Event()
        threading.Thread(target=self.loop.run_until_complete, args=(self.run(),), daemon=True).start()
        assert self.is_up.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    async def run(self):
        self.ended = asyncio.Event()
        async with websockets.asyncio.server.serve(
            self.feed, "127.0.0.1", 0, process_request=self.request, select_subprotocol=lambda _, offered: "orrery.feed" if "orrery.feed" in offered else None
        ) as server:
            self.server = server
            self.port = server.sockets[0].getsockname()[1]
            clock = asyncio.create_task(self.clock())
            self.is_up.set()
            await self.ended.wait()
            clock.cancel()

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)

    def drop_feeds(self, code=1011, reason=""):
        """Closes every feed that is open."""

        async def close():
            for connection in list(self.server.connections):
                await connection.close(code, reason)

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)

    async def clock(self):
        while True:
            await asyncio.sleep(self.world.every)
            self.world.close_ledger()

    async def request(self, connection, request):
        path, _, query = request.path.partition("?")
        self.requests.append(request.path)
        world = self.world
        if world.gone:
            connection.transport.abort()
            return None
        if path == "/v1/feed":
            offered = request.headers.get("Sec-WebSocket-Protocol", "")
            is_refused = world.feed_refuses or (world.token and f"bearer.{world.token}" not in offered)
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no\n") if is_refused else None
        if path.startswith("/v1/"):
            if world.token and request.headers.get("Authorization") != f"Bearer {world.token}":
                return self.json(401, {"title": "Unauthorized", "status": 401, "detail": "a token is wanted"})
            with world.lock:
                return self.json(*world.answer(path, query))
        name = "index.html" if path == "/" else path.removeprefix("/dashboard/")
        file = FILES / name
        if "/" in name or not file.is_file():
            return self.json(404, {"title": "Not Found", "status": 404, "detail": "nothing is served here"})
        kind = {".js": "text/javascript"}.get(file.suffix) or mimetypes.guess_type(name)[0]
        return self.reply(200, f"{kind}; charset=utf-8" if kind != "image/svg+xml" else kind, file.read_bytes())

    def json(self, status, value):
        kind = "application/json" if status < 400 else "application/problem+json"
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.reply(status, kind, body)

    def reply(self, status, kind, body):
        headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-cache", **SECURITY})
        return Response(status, http.HTTPStatus(status).phrase, headers, body)

    async def feed(self, connection):
        world = self.world
        async for message in connection:
            subscribe = json.loads(message)
            with world.lock:
                world.feed_log.append(subscribe)
            origin = subscribe["from"]
            ledger, _, event = origin.partition(":")
            last = world.tip if origin == "latest" else int(ledger) - (1 if event else 0)
            subscribed = {"type": "subscribed", "id": subscribe["id"], "oldest": str(world.first), "tip": str(world.tip)}
            await connection.send(json.dumps(subscribed))
            follower = asyncio.create_task(self.follow(connection, subscribe, last))
            follower.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def follow(self, connection, subscribe, last):
        world = self.world
        while True:
            while last < world.tip:
                last += 1
                ledger, events = world.ledger(last), world.matching(last, subscribe["filter"])
                # A large ledger comes in parts, each with the place behind it.
                for start in range(0, len(events), PART):
                    part, is_last = events[start:start + PART], start + PART >= len(events)
                    cursor = str(last) if is_last else f"{last}:{part[-1]['ledger_event_index']}"
                    frame = {"type": "events", "id": subscribe["id"], "ledger": last, "closed_at": ledger["closed_at"], "count": len(part),
                             "events": part, "cursor": cursor}
                    await connection.send(json.dumps(frame))
                heartbeat = {"type": "heartbeat", "tip": str(world.tip), "lag_ms": 812}
                if last < world.tip:
                    heartbeat["cursors"] = {subscribe["id"]: str(last)}
                await connection.send(json.dumps(heartbeat))
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    stub = Stub(World())
    print(stub.url, flush=True)
    threading.Event().wait()
