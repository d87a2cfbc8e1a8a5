"""Who may do and see what: credentials, secrets, API keys, and nothing left behind in plain words."""

import json
import os
import re
import time

from nodeum_sdk.exceptions import ApiException
from nodeum_sdk.models import ApiKeyFull, ApiKeyScope, CloudConnector

from support import ATTRIBUTES, PASSWORD, USER, Session, codes, equal, parsed_error, refused


def check_authentication(world):
    """Basic, Bearer key and bare key; wrong, missing and insufficient credentials."""
    equal(world.admin.connectors.index_cloud_connectors().count, 0, "count at the first start")
    _, key = world.make_key("lists", ("cloud_connectors", "index"))
    assert key.startswith("cd1_"), "the key's prefix"
    for prefix in ("Bearer", None):
        session = world.with_key(key, prefix)
        equal(session.connectors.index_cloud_connectors().count, 0, f"count with prefix {prefix}")
        body = refused(session, 403, session.connectors.create_cloud_connector,
                       cloud_connector_body=CloudConnector(name="x", provider="wasabi"))
        assert any("cloud_connectors / create" in message for message in body["messages"]), body
        refused(session, 403, session.connectors.show_cloud_connector, cloud_connector_id="1")
        refused(session, 403, session.users.index_api_keys)

    _, nothing = world.make_key("nothing")
    session = world.with_key(nothing)
    refused(session, 403, session.connectors.index_cloud_connectors)
    _, everything = world.make_key("everything", ("*", "*"))
    session = world.with_key(everything)
    equal(session.connectors.index_cloud_connectors().count, 0, "count with a key for everything")

    last = key[-1]
    wrong = [
        Session(world.server.address),
        Session(world.server.address, username=USER, password=PASSWORD + "x"),
        Session(world.server.address, username="nobody", password=PASSWORD),
        Session(world.server.address, username=USER, password=""),
        world.with_key(key[:-1] + ("a" if last != "a" else "b")),
        world.with_key(key[:-1] + ("a" if last != "a" else "b"), None),
        world.with_key("cd1_", None),
        world.with_key("something", "Bearer"),
        world.with_key("username:password", "Basic"),
        world.with_key(key, "Token"),
    ]
    for session in wrong:
        refused(session, 401, session.connectors.index_cloud_connectors)
        refused(session, 401, session.connectors.show_cloud_connector, cloud_connector_id="1")
        refused(session, 401, session.connectors.create_cloud_connector,
                cloud_connector_body=CloudConnector(name="x", provider="wasabi"))
    status, headers, _ = world.raw("GET", "/cloud_connectors", authorization=None)
    equal(status, 401, "status without credentials")
    assert headers["WWW-Authenticate"].startswith('Basic realm="'), headers["WWW-Authenticate"]


def check_secrets(world):
    """A key without get_secret_key sees no secret, in any answer; nor can it send one elsewhere."""
    world.delete_all()
    secret = world.secret("hidden")
    password = world.secret("proxy")
    proxy = f"http://user:{password}@proxy.example:3128"
    masked = "http://user:***@proxy.example:3128"
    world.admin.connectors.create_cloud_connector(cloud_connector_body=CloudConnector(
        name="kept", url="https://kept.example", url_proxy=proxy, secret_key=secret, access_key="access"))

    ordinary = [("cloud_connectors", action) for action in ("index", "show", "create", "update", "destroy", "test")]
    _, blind_key = world.make_key("blind", *ordinary)
    _, star_key = world.make_key("star", ("*", "*"))
    _, star_action_key = world.make_key("star action", ("cloud_connectors", "*"))
    _, seeing_key = world.make_key("seeing", ("cloud_connectors", "*"), ("cloud_connectors", "get_secret_key"))

    for label, key in (("blind", blind_key), ("star", star_key), ("star action", star_action_key)):
        session = world.with_key(key)
        api = session.connectors
        answers = {}
        shown = api.show_cloud_connector(cloud_connector_id="kept")
        answers["show"] = session.last_json()
        equal((shown.secret_key, shown.url_proxy), (None, masked), f"{label}: show")
        index = api.index_cloud_connectors()
        answers["index"] = session.last_json()["cloud_connectors"][0]
        equal(index.cloud_connectors[0].secret_key, None, f"{label}: index")
        own = world.secret("own")
        api.create_cloud_connector(cloud_connector_body=CloudConnector(name="own", url="https://own.example",
                                                                       secret_key=own))
        answers["create"] = session.last_json()
        api.update_cloud_connector(cloud_connector_id="own", cloud_connector_body=CloudConnector(region="r"))
        answers["update"] = session.last_json()
        for operation, answer in answers.items():
            equal(sorted(answer), sorted(set(ATTRIBUTES) - {"secret_key"}), f"{label}: attributes of {operation}")
            for hidden in (secret, password, own):
                assert hidden not in json.dumps(answer), f"{label}: {operation} shows a secret"
        equal(world.admin.connectors.show_cloud_connector(cloud_connector_id="own").secret_key, own,
              f"{label}: the secret kept over an update")
        # What it was shown can be sent back, and changes nothing.
        api.update_cloud_connector(cloud_connector_id="kept", cloud_connector_body=shown)
        kept = world.admin.connectors.show_cloud_connector(cloud_connector_id="kept")
        equal((kept.secret_key, kept.url_proxy), (secret, proxy), f"{label}: what was shown, sent back")
        for changed in ({"url": "https://elsewhere.example"}, {"url_proxy": "http://elsewhere.example"},
                        {"provider": "scality_ring"}, {"access_key": "another"}, {"options": "no_check_certificate"}):
            body = refused(session, 422, api.update_cloud_connector, cloud_connector_id="kept",
                           cloud_connector_body=changed)
            equal(codes(body), {"secret_key": ["blank"]}, f"{label}: codes of {changed}")
        refused(session, 422, api.test_cloud_connector,
                cloud_connector_body={"id": shown.id, "url": "https://elsewhere.example"})
        equal(list(session.connectors.index_cloud_connectors(url_proxy=masked).cloud_connectors)[0].name, "kept",
              f"{label}: a filter sees the masked form")
        equal(api.index_cloud_connectors(url_proxy=f"~%{password}%").count, 0, f"{label}: a filter sees no password")
        api.destroy_cloud_connector(cloud_connector_id="own")

    for session in (world.admin, world.with_key(seeing_key), world.with_key(seeing_key, None)):
        shown, _, headers = session.connectors.show_cloud_connector_with_http_info(cloud_connector_id="kept")
        equal((shown.secret_key, shown.url_proxy), (secret, proxy), "with the right to see it")
        equal(headers["Cache-Control"], "no-store", "Cache-Control")
        equal(session.connectors.index_cloud_connectors().cloud_connectors[0].secret_key, secret, "index")
        moved = session.connectors.update_cloud_connector(cloud_connector_id="kept",
                                                          cloud_connector_body={"url": "https://moved.example"})
        equal(moved.secret_key, secret, "update")
        session.connectors.update_cloud_connector(cloud_connector_id="kept",
                                                  cloud_connector_body={"url": "https://kept.example"})
    session = world.with_key(blind_key)
    replaced = world.secret("replaced")
    session.connectors.update_cloud_connector(cloud_connector_id="kept", cloud_connector_body=CloudConnector(
        url="https://new.example", secret_key=replaced))
    equal(world.admin.connectors.show_cloud_connector(cloud_connector_id="kept").secret_key, replaced, "replaced")
    world.delete_all()


def pairs(key):
    return [(scope.controller, scope.action) for scope in key.api_key_scopes]


def check_api_keys(world):
    """Keys of the current user: create, index, show, update, destroy."""
    users = world.admin.users
    before = users.index_api_keys().count
    # ApiKeyFull holds only the scopes: see World.make_key.
    _, status, _ = users.create_api_key_with_http_info(api_key_body={
        "name": "tool", "api_key_scopes": [{"controller": "cloud_connectors", "action": "index"}]})
    equal(status, 201, "status of create_api_key")
    created = world.admin.last_json()
    world.secrets.append(created["key"])
    equal(sorted(created), ["api_key_scopes", "expires_at", "id", "key", "last_used_at", "name"], "attributes of a key")
    equal((created["name"], created["expires_at"], created["last_used_at"]), ("tool", None, None), "the new key")
    assert re.fullmatch(r"cd1_\S{40,}", created["key"]), "the form of a key"
    identifier = str(created["id"])

    collection = users.index_api_keys()
    equal(collection.count, before + 1, "count of keys")
    listed = {key.id: key for key in collection.api_keys}[created["id"]]
    assert re.fullmatch(r"\*+[^*]{4}", listed.key) and listed.key[-4:] == created["key"][-4:], listed.key
    equal(listed.name, "tool", "name in the list")
    page = users.index_api_keys(limit=1, offset=before)
    equal((page.count, [key.id for key in page.api_keys]), (before + 1, [created["id"]]), "a page of keys")
    refused(world.admin, 422, users.index_api_keys, limit=-1)

    shown = users.show_api_key(api_key_id=identifier)
    equal(pairs(shown), [("cloud_connectors", "index")], "scopes of show")
    equal(world.admin.last_json()["key"], listed.key, "the key is masked in show")

    session = world.with_key(created["key"])
    session.connectors.index_cloud_connectors()
    users.show_api_key(api_key_id=identifier)
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", world.admin.last_json()["last_used_at"] or ""), "last_used_at"
    refused(session, 403, session.connectors.show_cloud_connector, cloud_connector_id="1")
    # A change counts from the next request on; the scopes go as the client's own models.
    updated = users.update_api_key(api_key_id=identifier, api_key_body=ApiKeyFull(
        api_key_scopes=[ApiKeyScope(controller="cloud_connectors", action="show")]))
    equal(pairs(updated), [("cloud_connectors", "show")], "scopes of update")
    equal(world.admin.last_json()["name"], "tool", "the name is kept")
    refused(session, 404, session.connectors.show_cloud_connector, cloud_connector_id="999999")
    refused(session, 403, session.connectors.index_cloud_connectors)
    users.update_api_key(api_key_id=identifier, api_key_body={"name": "tool 2", "expires_at": "2999-01-01T00:00:00Z"})
    equal((world.admin.last_json()["name"], world.admin.last_json()["expires_at"][:10]), ("tool 2", "2999-01-01"),
          "name and expiry")
    refused(session, 404, session.connectors.show_cloud_connector, cloud_connector_id="999999")

    answer, status, _ = users.destroy_api_key_with_http_info(api_key_id=identifier)
    equal((answer, status), (None, 204), "destroy_api_key")
    refused(session, 401, session.connectors.show_cloud_connector, cloud_connector_id="999999")
    refused(world.admin, 404, users.show_api_key, api_key_id=identifier)
    refused(world.admin, 404, users.destroy_api_key, api_key_id=identifier)
    refused(world.admin, 404, users.update_api_key, api_key_id=identifier, api_key_body={"name": "x"})

    for scope in ({"controller": "moon", "action": "index"}, {"controller": "cloud_connectors", "action": "fly"},
                  {"controller": "cloud_connectors"}, {}):
        refused(world.admin, 422, users.create_api_key, api_key_body={"name": "bad", "api_key_scopes": [scope]})
    refused(world.admin, 422, users.create_api_key, api_key_body={"name": "bad", "api_key_scopes": "index"})

    short, key = world.make_key("short", ("cloud_connectors", "index"))
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    users.update_api_key(api_key_id=str(short), api_key_body={"expires_at": soon})
    session = world.with_key(key)
    session.connectors.index_cloud_connectors()
    time.sleep(3.2)
    refused(session, 401, session.connectors.index_cloud_connectors)
    users.destroy_api_key(api_key_id=str(short))

    # A key hands on no more than it holds.
    _, maker = world.make_key("maker", ("api_keys", "*"), ("cloud_connectors", "index"))
    session = world.with_key(maker)
    child, _ = world.make_key("child", ("cloud_connectors", "index"), session=session)
    for scopes in ([("cloud_connectors", "show")], [("*", "*")], [("cloud_connectors", "get_secret_key")]):
        try:
            world.make_key("more", *scopes, session=session)
        except ApiException as exception:
            assert exception.status in (403, 422), exception.status
            parsed_error(session, exception.body, exception.headers)
        else:
            raise AssertionError(f"a key made a key with {scopes}, which it does not hold itself")
    session.users.destroy_api_key(api_key_id=str(child))
    # Nor for longer than it lasts itself; its own child's expiry is its own where none is named.
    short, maker = world.make_key("short maker", ("api_keys", "*"))
    users.update_api_key(api_key_id=str(short), api_key_body={"expires_at": "2500-01-01T00:00:00Z"})
    session = world.with_key(maker)
    body = refused(session, 422, session.users.create_api_key,
                   api_key_body={"name": "longer", "expires_at": "2600-01-01T00:00:00Z"})
    equal(list(body["details"]), ["expires_at"], "attributes of an expiry that is too late")
    child, _ = world.make_key("child", session=session)
    equal(session.last_json()["expires_at"][:10], "2500-01-01", "expiry of a key made by a key")
    users.destroy_api_key(api_key_id=str(child))
    users.destroy_api_key(api_key_id=str(short))
    equal(users.index_api_keys().count, before + 1, "count of keys at the end")


def check_stop(world):
    """SIGTERM ends it with status 0, and no secret is left in a file or in the log."""
    equal(world.server.stop(), 0, "exit status after SIGTERM")
    places = {"the log": "".join(world.server.printed).encode()}
    for folder, _, files in os.walk(world.server.data_directory):
        for name in files:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                places[os.path.relpath(path, world.server.data_directory)] = file.read()
    assert len(places) > 1, "the data directory is empty"
    for number, secret in enumerate(world.secrets):
        for place, content in places.items():
            assert secret.encode() not in content, f"secret number {number} ({secret[:20]}…) stands in {place}"
