"""Resolves datums with fastavro: a case a line in, the reader's bytes in hex or null a line out."""
import io
import json
import sys

import fastavro


def resolve(case):
    writer, reader = (fastavro.parse_schema(json.loads(case[k])) for k in ("writer", "reader"))
    datum = io.BytesIO(bytes.fromhex(case["bytes"]))
    value = fastavro.schemaless_reader(datum, writer, reader, return_record_name=True)
    if datum.read(1):
        return None
    out = io.BytesIO()
    fastavro.schemaless_writer(out, reader, value)
    return out.getvalue().hex()


for line in sys.stdin:
    try:
        said = resolve(json.loads(line))
    except Exception:
        said = None
    print(json.dumps(said))
