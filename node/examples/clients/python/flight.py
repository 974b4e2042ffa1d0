"""Reads tables and follows the live feed over Arrow Flight, as record batches.

    python3 flight.py grpc://127.0.0.1:8080 list
    python3 flight.py grpc://127.0.0.1:8080 read fees.parquet '{"table":"token_transfers","filter":{"kind":["fee"]}}'
    python3 flight.py grpc://127.0.0.1:8080 follow folder '{"table":"live","from":"oldest"}' to=53312000

`read` reads the parts of a range beside each other. `follow` writes each batch to a file of its own, whose name is the cursor
behind it, and goes on behind the last of them after any end, its own or the server's: no row is left out and none comes twice.
Several servers, separated by commas, are followed in turn: a cursor means the same on each.
Where the node serves with TLS, write grpc+tls://; a token stands in ORRERY_TOKEN. Needs pyarrow.
"""

import itertools
import json
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.flight as flight
import pyarrow.parquet as parquet


def options():
    token = os.environ.get("ORRERY_TOKEN")
    headers = [(b"authorization", b"Bearer " + token.encode())] if token else []
    return flight.FlightCallOptions(headers=headers)


def cursor_of(text):
    """A cursor as it is ordered: an event of a ledger stands before the end of that ledger."""
    ledger, _, event = text.partition(":")
    return (int(ledger), int(event) if event else float("inf"))


def batches(client, ticket):
    """The batches of a ticket, each with the cursor behind it; some have no rows, and only move the cursor on."""
    for chunk in client.do_get(flight.Ticket(json.dumps(ticket)), options()):
        yield chunk.data, json.loads(chunk.app_metadata.to_pybytes())["cursor"]


def read(client, asked):
    """A range as a table, its parts read beside each other."""
    info = client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(asked)), options())
    with ThreadPoolExecutor(4) as pool:
        parts = pool.map(lambda part: client.do_get(part.ticket, options()).read_all(), info.endpoints)
        return pa.concat_tables(parts)


def follow(urls, ticket, seen=None):
    """Batches without an end, each with the cursor behind it, from whichever of the servers has them."""
    attempt = 0
    for url in itertools.cycle(urls):
        try:
            with flight.connect(url) as client:
                for rows, cursor in batches(client, {**ticket, "from": seen} if seen else ticket):
                    attempt = 0
                    yield rows, cursor
                    seen = cursor
        except (flight.FlightUnauthenticatedError, flight.FlightUnauthorizedError):
            raise
        except (flight.FlightError, OSError) as error:
            print(f"{str(error).splitlines()[0]}; connecting again", file=sys.stderr)
        attempt += 1
        time.sleep(random.uniform(0, min(10, 0.2 * 2**attempt)))


def kept(folder):
    """The cursors of the files in a folder, in order."""
    names = (name.removesuffix(".parquet") for name in os.listdir(folder) if name.endswith(".parquet"))
    return sorted((name.replace("-", ":") for name in names), key=cursor_of)


def keep(folder, rows, cursor):
    """Writes a batch whole or not at all."""
    path = os.path.join(folder, cursor.replace(":", "-") + ".parquet")
    with open(path + ".new", "wb") as file:
        parquet.write_table(pa.Table.from_batches([rows]), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def main(url, command, *rest):
    urls = url.split(",")
    if command != "follow" and len(urls) > 1:
        raise SystemExit(f"{command} asks one server, not {url}")
    if command == "list":
        with flight.connect(url) as client:
            for info in client.list_flights(options=options()):
                name, held = info.descriptor.path[0].decode(), json.loads(info.app_metadata)
                print(name, "rows", info.total_records, "oldest", held["oldest"], "tip", held["tip"])
    elif command == "read":
        path, asked = rest
        with flight.connect(url) as client:
            parquet.write_table(read(client, json.loads(asked)), path)
    elif command == "follow":
        folder, ticket, *last = rest
        os.makedirs(folder, exist_ok=True)
        last = int(last[0].removeprefix("to=")) if last else None
        seen = (kept(folder) or [None])[-1]
        for rows, cursor in follow(urls, json.loads(ticket), seen):
            if rows.num_rows:
                keep(folder, rows, cursor)
            if last is not None and cursor_of(cursor) >= (last, float("inf")):
                return
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
