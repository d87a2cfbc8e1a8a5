#!/usr/bin/env python3
"""Drives a running connectord with schemathesis, from the API document that it serves, with every check on.

usage: document_checks.py BINARY [SECONDS]
Two rounds of SECONDS each (40 without it), with the user's password and with an API key, each against a new data
directory. Afterwards the service's own log must show no 500, only documented statuses, and a success of every
operation.
Everything runs in a network namespace of its own: addresses that schemathesis makes up lead nowhere. Where there can be
none, connectors are not tested, and that is said.
"""

import ctypes
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from support import PASSWORD, USER, Connectord, World, equal  # noqa: E402

ROUND_SECS = 40
SEED = 20260501
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
TEST = "/api/v2/cloud_connectors/-/test"
FOLDER = os.path.dirname(os.path.abspath(__file__))
# Answered before a route is known: an address that is none, and a method that an address does not take.
WITHOUT_ROUTE = {400, 404, 405, 414, 421}
# Half of the ids in paths are small numbers, so that something is often there.
CONFIGURATION = """
[dictionaries]
ids = { values = ["1", "2", "3", "4", "5", "6", "7", "8"] }
[parameters]
"path.cloud_connector_id" = { dictionary = "ids", probability = 0.5 }
"path.api_key_id" = { dictionary = "ids", probability = 0.5 }
"""
SAVED = {"url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "s"}

# It sends wrong credentials by the hundred and wants 401 for each; that they are limited is tested elsewhere.
NO_LIMIT_OF_FAILURES = {
    "CONNECTORD_LIMITS_FAILURES_PER_ADDRESS": "1000000",
    "CONNECTORD_LIMITS_FAILURES_PER_USER_AND_ADDRESS": "1000000",
}


def leave_network():
    """Whether this process now has a network of its own, with nothing but a loopback device."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0 and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        fcntl.ioctl(device, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
    return True


def credentials_of_admin(world):
    """with the password of a user"""
    return f'[auth.openapi.password]\nusername = "{USER}"\npassword = "{PASSWORD}"\n', None


def credentials_of_key(world):
    """with an API key that may not see secrets"""
    key_id, key = world.make_key("schemathesis", ("*", "*"))
    return f'[auth.openapi.key]\nbearer = "{key}"\n', str(key_id)


def run_schemathesis(address, directory, credentials, own_key_id, seconds, excluded):
    config = os.path.join(directory, "schemathesis.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION + credentials)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTORD_")}
    environment.update(PYTHONPATH=FOLDER, PYTHONDONTWRITEBYTECODE="1", SCHEMATHESIS_HOOKS="document_hooks")
    if own_key_id is not None:
        environment["DOCUMENT_CHECKS_OWN_KEY_ID"] = own_key_id
    command = [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "--config-file", config, "--no-color",
               "run", f"http://{address}/api/v2/openapi.json", "--checks", "all", "--max-time", str(seconds),
               "--seed", str(SEED), "--continue-on-failure", "--generation-database", "none", "--warnings", "off"]
    command += [argument for path in excluded for argument in ("--exclude-path", path)]
    finished = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds * 3 + 120,
                              encoding="utf-8", errors="replace")
    equal(finished.returncode, 0, "status of schemathesis, which said:\n" + finished.stdout)
    made = re.search(r"(\d+) generated", finished.stdout)
    return int(made.group(1)) if made else 0


def check_log(printed, document, excluded):
    """What the service's log says of the requests: returns how many there were."""
    line = re.compile(r' request method=(\S+) route="([^"]*)" status=(\d+) ')
    answered = [match.groups() for match in map(line.search, printed) if match]
    seen = {(method, route, int(status)) for method, route, status in answered}
    succeeded = set()
    for method, route, status in sorted(seen):
        assert status < 500 or status == 503, f"{method} {route}: {status}"
        if not route:
            assert status in WITHOUT_ROUTE, f"{method}: {status} without a route"
            continue
        documented = document["paths"][route]["get" if method == "HEAD" else method.lower()]["responses"]
        assert str(status) in documented, f"{method} {route}: {status} is not in the document"
        if status < 300:
            succeeded.add((method.lower(), route))
    wanted = {(method, path) for path, methods in document["paths"].items() for method in methods
              if path not in excluded}
    equal(sorted(wanted - succeeded), [], "operations that never succeeded")
    assert "panicked" not in "".join(printed)
    return len(answered)


def check_round(binary, directory, credentials_of, seconds, excluded):
    server = Connectord(binary, directory, NO_LIMIT_OF_FAILURES)
    try:
        world = World(server, None)
        credentials, own_key_id = credentials_of(world)
        document = json.loads(world.raw("GET", "/openapi.json")[2])
        for number in range(1, 6):
            world.raw("POST", "/cloud_connectors", json.dumps({"name": f"saved {number}", **SAVED}))
        before = len(server.printed)
        cases = run_schemathesis(server.address, directory, credentials, own_key_id, seconds, excluded)
        equal(server.stop(), 0, "status of connectord")
        requests = check_log(server.printed[before:], document, excluded)
        assert requests > 300, f"only {requests} requests"
        return f"{cases} cases, {requests} requests"
    finally:
        server.kill()


def main():
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: document_checks.py BINARY [SECONDS]")
    binary = os.path.abspath(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) == 3 else ROUND_SECS
    rounds = [credentials_of_admin, credentials_of_key]
    excluded = []
    if not leave_network():
        print("skipped: tests of made-up connectors: this process may not make a network namespace, run it as root")
        excluded = [TEST]
    failed = 0
    for credentials_of in rounds:
        title = f"schemathesis {credentials_of.__doc__}"
        with tempfile.TemporaryDirectory(prefix="connectord-document-") as directory:
            try:
                said = check_round(binary, directory, credentials_of, seconds, excluded)
            except Exception as exception:  # pylint: disable=broad-except
                failed += 1
                print(f"FAILED  {title}\n{exception}", flush=True)
            else:
                print(f"ok      {title}: {said}", flush=True)
    print(f"{len(rounds) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
