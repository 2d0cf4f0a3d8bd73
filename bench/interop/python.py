"""XML-RPC server on CPython's xmlrpc.server, as README.md says.

usage: python.py HTTP-VERSION [multicall]    HTTP/1.0, the library's own default, or HTTP/1.1
"""
import os
import signal
import sys
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

executed = 0


class Handler(SimpleXMLRPCRequestHandler):
    protocol_version = sys.argv[1]


def block_ip(event, *params):
    global executed
    executed += 1
    return 1


def end(number, frame):
    print("executed=%d" % executed, flush=True)
    os._exit(0)


server = SimpleXMLRPCServer(("127.0.0.1", 0), requestHandler=Handler, logRequests=False)
server.register_function(block_ip)
if "multicall" in sys.argv[2:]:
    server.register_multicall_functions()
signal.signal(signal.SIGTERM, end)
print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
