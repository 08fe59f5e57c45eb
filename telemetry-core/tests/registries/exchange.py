"""What Confluent's own client makes of a record, and what it reads of ours.

Arguments: what to do, the registry's address, then for `read` a message in hex, for `register` a
subject, a schema and the names it refers to.
"""
import json
import sys

from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

SCHEMA = json.dumps({
    "type": "record", "name": "Beat", "namespace": "exchange", "fields": [
        {"name": "bpm", "type": "int"},
        {"name": "source", "type": ["null", "string"], "default": None},
    ]})
RECORD = {"bpm": 65, "source": "strap"}


def main(what, url, *rest):
    client = SchemaRegistryClient.new_client({"url": url})
    # The subject is the topic's name, as a stream's name is its subject.
    options = {"subject.name.strategy": lambda context, name: context.topic}
    context = SerializationContext("exchange.Beat", MessageField.VALUE, [])
    if what == "write":
        message = AvroSerializer(client, SCHEMA, conf=options)(RECORD, context)
        return {"message": message.hex()}
    if what == "write-header":
        options["schema.id.serializer"] = header_schema_id_serializer
        message = AvroSerializer(client, SCHEMA, conf=options)(RECORD, context)
        headers = {name: value.hex() for name, value in context.headers}
        return {"message": message.hex(), "headers": headers}
    if what == "read":
        return AvroDeserializer(client)(bytes.fromhex(rest[0]), context)
    if what == "register":
        subject, schema, *names = rest
        references = [SchemaReference(name, name, 1) for name in names]
        schema = Schema(schema, "AVRO", references)
        return {"id": client.register_schema(subject, schema)}
    raise SystemExit(f"unknown: {what}")


print(json.dumps(main(*sys.argv[1:])))
