#!/usr/bin/env python3
"""Drives a running connectord with nodeum-sdk 1.88.0, unchanged and with its own validation on.

usage: published_client.py BINARY
Starts the binary on a free port with an empty data directory, and stops it with SIGTERM at the end. One line for each
group of checks; the exit status is 1 if any failed. With CONNECTORD_TEST_SWIFT=HOST:PORT (see tests/servers/swift)
connectors are also tested against a real object store; without it that group is skipped, and says so.
"""

import os
import sys
import tempfile
import traceback

# The other files of this folder are read as modules: no folder of compiled ones shall appear beside them.
sys.dont_write_bytecode = True

import access_checks  # noqa: E402
import connector_checks  # noqa: E402
import job_checks  # noqa: E402
import list_checks  # noqa: E402
import name_checks  # noqa: E402
from support import Connectord, World  # noqa: E402

# In this order; each leaves no connector behind, and the last one ends the program.
GROUPS = [
    access_checks.check_authentication,
    connector_checks.check_create_show_update_destroy,
    connector_checks.check_example_bodies,
    list_checks.check_lists,
    name_checks.check_names,
    connector_checks.check_errors,
    access_checks.check_secrets,
    access_checks.check_api_keys,
    job_checks.check_test_failures,
    job_checks.check_test_swift,
    access_checks.check_stop,
]


def explain(exception):
    """What went wrong, and where in our own files: the client's own frames say nothing to a reader."""
    folder = os.path.dirname(os.path.abspath(__file__))
    frames = [frame for frame in traceback.extract_tb(exception.__traceback__)
              if os.path.dirname(os.path.abspath(frame.filename)) == folder]
    return "".join(traceback.format_list(frames) + traceback.format_exception_only(type(exception), exception))


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: published_client.py BINARY")
    swift = os.environ.get("CONNECTORD_TEST_SWIFT")
    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="connectord-client-") as directory:
        server = Connectord(os.path.abspath(sys.argv[1]), directory)
        try:
            world = World(server, swift)
            for group in GROUPS:
                title = group.__doc__.rstrip(".")
                if group is job_checks.check_test_swift and not swift:
                    print(f"skipped: {title}: CONNECTORD_TEST_SWIFT is not set", flush=True)
                    skipped += 1
                    continue
                try:
                    group(world)
                except Exception as exception:  # pylint: disable=broad-except
                    failed += 1
                    print(f"FAILED  {title}\n{explain(exception)}\nthe last lines that connectord printed:\n"
                          + server.tail(), flush=True)
                else:
                    passed += 1
                    print(f"ok      {title}", flush=True)
        finally:
            server.kill()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
