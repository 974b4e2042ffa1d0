"""Reads a node's tables over Arrow Flight and compares them with what the command `events` made of the same ledgers.

    python3 tables.py URL EXPECTED.parquet LAST_LEDGER

Ends with a line that begins with "agreed".
"""

import json
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight
import pyarrow.parquet as parquet

url, path, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
expected = parquet.read_table(path)
client = flight.connect(url)


def get(ticket):
    return client.do_get(flight.Ticket(ticket if isinstance(ticket, (str, bytes)) else json.dumps(ticket)))


def same(found, wanted):
    """Equal rows in equal order, in the same types but for dictionaries, which are an encoding."""
    assert found.schema.names == wanted.schema.names, (found.schema, wanted.schema)
    wanted = wanted.cast(found.schema)
    assert found.num_rows == wanted.num_rows, (found.num_rows, wanted.num_rows)
    assert found.combine_chunks().equals(wanted.combine_chunks())


# What there is.
infos = {info.descriptor.path[0].decode(): info for info in client.list_flights()}
assert list(infos) == ["token_transfers", "ledgers", "live"], infos
events, ledgers = infos["token_transfers"], infos["ledgers"]
assert events.total_records == expected.num_rows and ledgers.total_records == last - 1
assert json.loads(events.app_metadata) == {"oldest": "1", "tip": str(last)}
for name, info in infos.items():
    schema = client.get_schema(flight.FlightDescriptor.for_path(name)).schema
    assert schema == info.schema == get({"table": name}).schema, name
    assert client.get_flight_info(flight.FlightDescriptor.for_path(name)).schema == schema

# All of it, whole and in parts.
same(get({"table": "token_transfers"}).read_all(), expected)
info = client.get_flight_info(flight.FlightDescriptor.for_path("token_transfers"))
assert len(info.endpoints) > 1 and all(not endpoint.locations for endpoint in info.endpoints)
same(pa.concat_tables(get(endpoint.ticket.ticket).read_all() for endpoint in info.endpoints), expected)
sequences = get({"table": "ledgers"}).read_all()["sequence"].to_pylist()
assert sequences == list(range(2, last + 1))
ledgers = get({"table": "ledgers", "from": "9", "to": "11"}).read_all()
assert ledgers["sequence"].to_pylist() == [10, 11]

# Parts of it, by place and filter.
place = expected["ledger_sequence"]
between = expected.filter(pc.and_(pc.greater(place, 1000), pc.less_equal(place, 1500)))
same(get({"table": "token_transfers", "from": "1000", "to": "1500"}).read_all(), between)
kinds = between.filter(pc.is_in(between["kind"].cast(pa.string()), pa.array(["fee", "mint"])))
filtered = {"table": "token_transfers", "from": "1000", "to": "1500", "filter": {"kind": ["fee", "mint"]}}
same(get(filtered).read_all(), kinds)
account = next(account for account in between["from"].to_pylist() if account)
either = pc.or_kleene(pc.equal(expected["from"], account), pc.equal(expected["to"], account))
mine = {"table": "token_transfers", "filter": {"account": [account]}}
same(get(mine).read_all(), expected.filter(pc.fill_null(either, False)))
nothing = get({"table": "token_transfers", "from": str(last)})
chunks = list(nothing)
assert [chunk.data.num_rows for chunk in chunks] == [0]
assert json.loads(chunks[0].app_metadata.to_pybytes()) == {"cursor": str(last)}

# In pieces, each behind the last: a reader that goes away after any message goes on there.
pieces, cursor, streams = [], None, 0
while cursor != str(last):
    ticket = {"table": "token_transfers"} if cursor is None else {"table": "token_transfers", "from": cursor}
    reader, streams = get(ticket), streams + 1
    chunk = reader.read_chunk()
    reader.cancel()
    pieces.append(chunk.data)
    cursor = json.loads(chunk.app_metadata.to_pybytes())["cursor"]
same(pa.Table.from_batches(pieces), expected)
assert streams > 2

# Inside of a ledger.
row = between.num_rows // 2
at = f"{between['ledger_sequence'][row]}:{between['ledger_event_index'][row]}"
same(get({"table": "token_transfers", "from": at, "to": "1500"}).read_all(), between.slice(row + 1))

# Live, from the first ledger on: the same rows, and where nothing matches, batches that only move the cursor on.
pieces = []
for chunk in get({"table": "live", "from": "oldest"}):
    told = json.loads(chunk.app_metadata.to_pybytes())
    assert told["tip"] == str(last), told
    pieces.append(chunk.data)
    if told["cursor"] == str(last):
        break
same(pa.Table.from_batches(pieces), expected)
# A fee has no operation.
never = {"table": "live", "from": at, "filter": {"kind": ["fee"], "op_type": ["payment"]}}
cursor = at
for chunk in get(never):
    assert chunk.data.num_rows == 0 and chunk.data.schema == events.schema
    ahead = json.loads(chunk.app_metadata.to_pybytes())["cursor"]
    assert int(ahead.split(":")[0]) >= int(cursor.split(":")[0])
    cursor = ahead
    if cursor == str(last):
        break

# What is refused, and how.
refused = [
    ('{"table":"trades"}', KeyError, "there is no flight"),
    ("x", pa.ArrowInvalid, "give {"),
    ('{"table":"token_transfers","form":"7"}', pa.ArrowInvalid, "unknown field `form`"),
    ('{"table":"token_transfers","to":"%d"}' % (last + 1), pa.ArrowInvalid, "leave it out"),
    ('{"table":"token_transfers","from":"0"}', pa.ArrowInvalid, "cursor_too_old"),
    ('{"table":"live","from":"0"}', pa.ArrowInvalid, "cursor_too_old"),
    ('{"table":"live","from":"4000000000"}', pa.ArrowInvalid, "cursor_ahead"),
    ('{"table":"live","filter":{"kind":["gift"]}}', pa.ArrowInvalid, "filter.kind"),
]
for ticket, error, says in refused:
    try:
        get(ticket).read_all()
        raise SystemExit(f"{ticket} is not refused")
    except error as refusal:
        assert says in str(refusal), (ticket, refusal)

print(f"agreed on {expected.num_rows} rows, {len(info.endpoints)} endpoints, {streams} streams")
