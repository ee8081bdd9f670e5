"""A report through securesystemslib and in-toto-attestation. usage: verify.py dsse KEY ENVELOPE | statement FILE"""

import importlib.metadata
import json
import sys


def dsse(key_path, envelope_path):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    key = SSlibKey.from_crypto(load_pem_public_key(open(key_path, "rb").read()))
    accepted = Envelope.from_dict(json.load(open(envelope_path))).verify([key], 1)
    print("verified by key", list(accepted)[0][:16])


def statement(path):
    import in_toto_attestation.v1.statement_pb2 as statement_pb2
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.v1.statement import Statement

    message = ParseDict(json.load(open(path)), statement_pb2.Statement())
    Statement.copy_from_pb(message).validate()
    print("valid,", len(message.subject), "subjects")


command, *arguments = sys.argv[1:]
if command == "version":
    print(arguments[0], importlib.metadata.version(arguments[0]))
else:
    {"dsse": dsse, "statement": statement}[command](*arguments)
