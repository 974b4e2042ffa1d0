"""Follows the live feed and keeps its place in a file, so that it goes on where it was after any end, its own or the server's.

    python3 follow.py http://127.0.0.1:8080 place.txt --from oldest kind=transfer asset=native
    python3 follow.py https://eu.example,https://us.example place.txt

Of several servers, also of several regions, it reads at the first that is in traffic, and goes on at another one when that one
fails, sends its readers elsewhere or has not what comes next: a cursor is the same everywhere.

Prints one event a line as JSON. Needs nothing but Python. The place is written once a message was printed: who is killed in
between prints that message again the next time, so that no event is lost. Whoever stores events keeps the place with them, in one
transaction, or leaves out what it has by `event_id`.
"""

import http.client
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit


def cursor_of(text):
    """A cursor as it is ordered: an event of a ledger stands before the end of that ledger."""
    ledger, _, event = text.partition(":")
    return (int(ledger), int(event) if event else float("inf"))


def is_new(event, seen):
    place = (event["ledger_sequence"], event["ledger_event_index"])
    return seen is None or place > cursor_of(seen)


class Refused(Exception):
    """A server does not serve this cursor, this filter or this token."""


def connect(server, timeout):
    url = urlsplit(server)
    https = url.scheme == "https"
    return (http.client.HTTPSConnection if https else http.client.HTTPConnection)(url.netloc, timeout=timeout)


def standing(server):
    """0 if traffic belongs there, 1 if not, 2 if nobody answers."""
    connection = connect(server, 2)
    try:
        connection.request("GET", "/healthz/traffic")
        return 1 if connection.getresponse().status == 503 else 0
    except (OSError, http.client.HTTPException):
        return 2
    finally:
        connection.close()


def choose(servers, failed):
    """Who answers, has not just failed and is in traffic, in the order given. Who is not in traffic is better than nobody."""
    if len(servers) == 1:
        return servers[0]
    with ThreadPoolExecutor(len(servers)) as pool:
        standings = dict(zip(servers, pool.map(standing, servers)))
    return min(servers, key=lambda server: (standings[server] == 2, server in failed, standings[server]))


def frames(server, query, seen, start):
    """The server-sent events of one connection, as (cursor, message)."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": seen or start}
    token = os.environ.get("ORRERY_TOKEN")
    if token:
        headers["Authorization"] = "Bearer " + token
    connection = connect(server, 35)
    try:
        connection.request("GET", "/v1/feed.sse?" + query, headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            problem = answer.read().decode()
            # What is busy or starting may pass; what is refused will be refused again, unless another server knows better.
            raise (ConnectionError if answer.status in (429, 502, 503, 504) else Refused)(problem)
        cursor = None
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                cursor = value
            elif name == "data":
                yield cursor, json.loads(value)
    finally:
        connection.close()


def keep(path, cursor):
    """Writes the place whole or not at all."""
    with open(path + ".new", "w") as file:
        file.write(cursor)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def main(servers, path, *rest):
    servers = servers.split(",")
    rest = list(rest)
    start = "latest"
    if "--from" in rest:
        at = rest.index("--from")
        start = rest[at + 1]
        del rest[at : at + 2]
    # Ends behind this ledger, where one is given: to=53312000.
    last = next((int(pair[3:]) for pair in rest if pair.startswith("to=")), None)
    query = urlencode([tuple(pair.split("=", 1)) for pair in rest if not pair.startswith("to=")])
    seen = None
    if os.path.exists(path):
        with open(path) as file:
            seen = file.read().strip() or None
    attempt, failed, refused = 0, set(), set()
    server = choose(servers, failed)
    while True:
        try:
            for cursor, message in frames(server, query, seen, start):
                attempt, failed, refused = 0, set(), set()
                if message["type"] == "events":
                    for event in message["events"]:
                        if is_new(event, seen) and (last is None or event["ledger_sequence"] <= last):
                            print(json.dumps(event), flush=True)
                elif message["type"] == "gap":
                    print("ledgers were lost:", message["from"], "to", message["to"], file=sys.stderr)
                # A cursor never goes back, whatever a server that has just restarted says.
                if cursor and (seen is None or cursor_of(cursor) > cursor_of(seen)):
                    seen = cursor
                    keep(path, seen)
                if last is not None and seen and cursor_of(seen) >= (last, float("inf")):
                    return
            problem = "the server closed the connection"
        except (OSError, http.client.HTTPException) as error:
            problem = error
        except Refused as error:
            problem = error
            refused.add(server)
            if len(refused) == len(servers):
                raise SystemExit(f"{server}: {problem}") from error
        # Another server may be well: only when all have failed, it pays to wait for long.
        if server in failed or len(failed) + 1 >= len(servers):
            attempt, failed = attempt + 1, set()
        failed.add(server)
        ended, server = server, choose(servers, failed)
        print(f"{ended}: {problem}; going on at {server} behind {seen or start}", file=sys.stderr)
        time.sleep(random.uniform(0, min(10, 0.2 * 2**attempt)))


if __name__ == "__main__":
    main(*sys.argv[1:])
