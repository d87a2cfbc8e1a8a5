"""Names of every kind, in bodies, paths and filters."""

import json
import re

from nodeum_sdk.models import CloudConnector

from support import codes, equal, parsed_error, refused

NAMES = [
    "two words", "three  spaces", "a/b", "/", "//", "a/../b", "../a", "-/test", "a+b", "+", "100%", "%", "%41", "a%2Fb",
    "%zz", 'double"quote', "it's", "`tick`", "naïve café", "Größe", "日本語", "имя", "שם", "😀", "e\u0301",
    "a?b#c", "a&b=c", "a;b,c", "a|b", "back\\slash", "<tag>", "{brace}", "[bracket]", "=x", "!=x", "~x", "><x",
    "-1", "1e5", "0x1", "1 2", "...", "--", "null", "test", "a:desc", "*", "$HOME",
    "a" * 255, "é" * 255, "😀" * 255, "%" * 255, "/" * 255, "1" * 254 + "x",
]
BAD_NAMES = [
    ("", "blank"), ("1", "invalid"), ("0123456789", "invalid"), ("-", "invalid"), (".", "invalid"), ("..", "invalid"),
    (" a", "invalid"), ("a ", "invalid"), ("a\nb", "invalid"), ("a\tb", "invalid"), ("a\u0000b", "invalid"),
    ("a\u007fb", "invalid"), ("a\u0085b", "invalid"), ("a" * 256, "too_long"), ("😀" * 256, "too_long"),
]


def check_names(world):
    """Names of every kind: created, found, updated and destroyed by name."""
    world.delete_all()
    api = world.admin.connectors
    for name in NAMES:
        label = ascii(name[:40])
        created = api.create_cloud_connector(cloud_connector_body=CloudConnector(name=name, provider="wasabi"))
        equal(created.name, name, f"name of create {label}")
    for name in NAMES:
        label = ascii(name[:40])
        shown = api.show_cloud_connector(cloud_connector_id=name)
        equal(shown.name, name, f"name of show {label}")
        found = api.index_cloud_connectors(name="=" + name)
        equal([one.id for one in found.cloud_connectors], [shown.id], f"ids of the filter {label}")
        refused(world.admin, 422, api.create_cloud_connector,
                cloud_connector_body=CloudConnector(name=name, provider="wasabi"))
        updated = api.update_cloud_connector(cloud_connector_id=name, cloud_connector_body=CloudConnector(region="r"))
        equal((updated.id, updated.region), (shown.id, "r"), f"update by name {label}")
    for position, name in enumerate(NAMES):
        label = ascii(name[:40])
        api.destroy_cloud_connector(cloud_connector_id=name)
        refused(world.admin, 404, api.show_cloud_connector, cloud_connector_id=name)
        equal(api.index_cloud_connectors(limit=0).count, len(NAMES) - position - 1, f"count after destroying {label}")
    for name, code in BAD_NAMES:
        body = refused(world.admin, 422, api.create_cloud_connector,
                       cloud_connector_body={"name": name, "provider": "wasabi"})
        equal(codes(body), {"name": [code]}, f"codes of the name {ascii(name[:40])}")
        if code == "too_long":
            equal(body["details"]["name"][0]["count"], 255, "count")
    equal(api.index_cloud_connectors().count, 0, "count after bad names")

    # One published client sends a space as +: a literal + first, then a space, and 409 where both exist.
    plus = api.create_cloud_connector(cloud_connector_body=CloudConnector(name="a+b", provider="wasabi"))
    equal(json.loads(world.raw("GET", "/cloud_connectors/a+b")[2])["id"], plus.id, "a+b alone")
    space = api.create_cloud_connector(cloud_connector_body=CloudConnector(name="a b", provider="wasabi"))
    status, headers, text = world.raw("GET", "/cloud_connectors/a+b")
    equal(status, 409, "status where both names exist")
    sentence = " ".join(parsed_error(world.admin, text, headers)["messages"])
    assert re.search(rf"\b{plus.id}\b", sentence) and re.search(rf"\b{space.id}\b", sentence), sentence
    equal(api.show_cloud_connector(cloud_connector_id="a+b").id, plus.id, "a%2Bb")
    equal(json.loads(world.raw("GET", "/cloud_connectors/a%20b")[2])["id"], space.id, "a%20b")
    api.destroy_cloud_connector(cloud_connector_id="a+b")
    equal(json.loads(world.raw("GET", "/cloud_connectors/a+b")[2])["id"], space.id, "a+b for a space")
    api.destroy_cloud_connector(cloud_connector_id="a b")
