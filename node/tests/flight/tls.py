"""Lists flights over TLS with a token, without one, and with one that is forged.

    ORRERY_TOKEN=TOKEN python3 tls.py URL CA.pem NAME
"""

import os
import sys

import pyarrow.flight as flight

url, authority, name = sys.argv[1:]
with open(authority, "rb") as file:
    client = flight.connect(url, tls_root_certs=file.read(), override_hostname=name)
token = os.environ["ORRERY_TOKEN"]


def flights(*headers):
    return len(list(client.list_flights(options=flight.FlightCallOptions(headers=list(headers)))))


assert flights((b"authorization", b"Bearer " + token.encode())) == 3
forged = token[:-1] + ("a" if token[-1] != "a" else "b")
for headers in [[], [(b"authorization", b"Bearer " + forged.encode())], [(b"authorization", token.encode())]]:
    try:
        flights(*headers)
        raise SystemExit(f"{headers} are let in")
    except flight.FlightUnauthenticatedError as refusal:
        assert "Authorization" in str(refusal) or "not known here" in str(refusal), refusal
print("agreed")
