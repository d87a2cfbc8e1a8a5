"""What the checks of the published client share: the running program, the client's sessions, comparisons."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import threading
from types import SimpleNamespace

import nodeum_sdk
from nodeum_sdk.exceptions import ApiException
from nodeum_sdk.models import Error as ErrorModel

USER = "admin"
PASSWORD = "published client: a password with spaces"
READY_SECS = 60
STOP_SECS = 20

ATTRIBUTES = ["id", "name", "url", "url_proxy", "provider", "region", "access_key", "secret_key", "options"]


class Connectord:
    """The program under test: started with an empty directory, everything that it prints is kept."""

    def __init__(self, binary, directory, settings=()):
        self.data_directory = os.path.join(directory, "data")
        password_file = os.path.join(directory, "admin-password")
        with open(password_file, "w", encoding="utf-8") as file:
            file.write(PASSWORD + "\n")
        os.chmod(password_file, 0o600)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONNECTORD_")}
        environment.update(settings)
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", "127.0.0.1:0", "--data-dir", self.data_directory,
             "--admin-password-file", password_file],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            text=True, encoding="utf-8", errors="replace")
        self.printed = []
        self.address = None
        self.ready = threading.Event()
        self.readers = [threading.Thread(target=self.read, args=(self.process.stdout, True), daemon=True),
                        threading.Thread(target=self.read, args=(self.process.stderr, False), daemon=True)]
        for reader in self.readers:
            reader.start()
        if not self.ready.wait(READY_SECS) or self.address is None:
            self.kill()
            raise SystemExit("connectord printed no ready line on its standard output:\n" + self.tail())

    def read(self, stream, may_be_ready):
        for line in stream:
            self.printed.append(line)
            found = may_be_ready and re.search(r"listening on http://(127\.0\.0\.1:\d+)\s*$", line)
            if found and self.address is None:
                self.address = found.group(1)
                self.ready.set()
        if may_be_ready:
            self.ready.set()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECS)
        for reader in self.readers:
            reader.join(STOP_SECS)
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def tail(self):
        return "".join(self.printed[-12:])


class Session:
    """The client's APIs with one set of credentials."""

    def __init__(self, address, **credentials):
        configuration = nodeum_sdk.Configuration(host=f"http://{address}/api/v2", **credentials)
        assert configuration.client_side_validation
        self.client = nodeum_sdk.ApiClient(configuration)
        self.connectors = nodeum_sdk.CloudConnectorsApi(self.client)
        self.users = nodeum_sdk.UsersApi(self.client)

    def last_json(self):
        """The last answer's body as it came, for what the client's models leave out."""
        return json.loads(self.client.last_response.data)


class World:
    """What the groups share."""

    def __init__(self, server, swift):
        self.server = server
        self.swift = swift
        self.admin = Session(server.address, username=USER, password=PASSWORD)
        # Every secret that a group sends; none may be found in a file or in the log afterwards.
        self.secrets = [PASSWORD]

    def with_key(self, key, prefix="Bearer"):
        prefixes = {"Authorization": prefix} if prefix else {}
        return Session(self.server.address, api_key={"Authorization": key}, api_key_prefix=prefixes)

    def make_key(self, name, *scopes, session=None):
        """A new key: its id and the whole key. ApiKeyFull of this client has neither `name` nor `key`, so the body is
        a dictionary, and the key is read from the answer as it came."""
        session = session or self.admin
        session.users.create_api_key(api_key_body={
            "name": name,
            "api_key_scopes": [{"controller": controller, "action": action} for controller, action in scopes],
        })
        answer = session.last_json()
        self.secrets.append(answer["key"])
        return answer["id"], answer["key"]

    def secret(self, label):
        """A secret that can be told apart from everything else on the disk."""
        value = f"never-written-{label}-{len(self.secrets)}"
        self.secrets.append(value)
        return value

    def raw(self, method, target, body=None, headers=None, authorization="admin"):
        """A request as other clients write it, where this one cannot: returns status, headers, text."""
        connection = http.client.HTTPConnection(self.server.address, timeout=30)
        sent = dict(headers or {})
        if authorization == "admin":
            token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            sent["Authorization"] = "Basic " + token
        elif authorization is not None:
            sent["Authorization"] = authorization
        if body is not None:
            body = body.encode()
            sent.setdefault("Content-Type", "application/json")
        connection.request(method, "/api/v2" + target, body=body, headers=sent)
        response = connection.getresponse()
        text = response.read().decode("utf-8")
        connection.close()
        return response.status, response.headers, text

    def delete_all(self):
        for connector in self.admin.connectors.index_cloud_connectors().cloud_connectors:
            self.admin.connectors.destroy_cloud_connector(cloud_connector_id=str(connector.id))


def equal(got, expected, what=""):
    assert got == expected, f"{what or 'value'}: expected {expected!r}, got {got!r}"


def refused(session, status, call, **arguments):
    """The call must be refused with this status and a body that parses as the client's Error: returns the raw body."""
    try:
        answer = call(**arguments)
    except ApiException as exception:
        equal(exception.status, status, f"status of {call.__name__}{arguments}, answer {exception.body}")
        return parsed_error(session, exception.body, exception.headers)
    raise AssertionError(f"{call.__name__}{arguments}: expected {status}, got an answer: {answer}")


def parsed_error(session, text, headers):
    """Deserialises with the client's own deserialiser, which wants an object with `data`."""
    assert "application/json" in headers["Content-Type"], headers["Content-Type"]
    model = session.client.deserialize(SimpleNamespace(data=text), "Error")
    assert isinstance(model, ErrorModel), text
    assert model.messages and all(isinstance(message, str) and message for message in model.messages), text
    assert model.details, text
    body = json.loads(text)
    equal(sorted(body), ["details", "messages"], "attributes of the error body")
    for attribute, problems in body["details"].items():
        equal(len(model.details[attribute]), len(problems), f"problems of {attribute}")
        for problem in problems:
            assert isinstance(problem["error"], str), text
            if "value" in problem:
                assert isinstance(problem["value"], str) and len(problem["value"]) <= 64, text
    return body


def codes(body):
    """{"name": ["taken"]} of an error body."""
    return {attribute: [problem["error"] for problem in problems] for attribute, problems in body["details"].items()}
