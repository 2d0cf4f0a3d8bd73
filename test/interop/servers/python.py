"""XML-RPC server on CPython's xmlrpc.server, as README.md says.

usage: python.py HTTP-VERSION OUT-FILE    HTTP/1.0, the library's own default, or HTTP/1.1
"""
import sys
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

http_version, out_file = sys.argv[1:]


class Handler(SimpleXMLRPCRequestHandler):
    protocol_version = http_version


def show(value):
    if isinstance(value, str):
        return "s:" + value.encode("utf-8").hex()
    if isinstance(value, int) and not isinstance(value, bool):
        return "i:%d" % value
    if isinstance(value, dict):
        members = sorted(name.encode("utf-8").hex() + "=" + show(member) for name, member in value.items())
        return "{" + ",".join(members) + "}"
    return "?:" + type(value).__name__


def record(method):
    def call(*params):
        with open(out_file, "a") as out:
            out.write(" ".join([method] + [show(param) for param in params]) + "\n")
        return 1

    return call


server = SimpleXMLRPCServer(("127.0.0.1", 0), requestHandler=Handler, logRequests=False)
for name in ("block_ip", "other"):
    server.register_function(record(name), name)
print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
