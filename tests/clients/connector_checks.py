"""One connector at a time: the four operations, the reference page's examples, and what is refused."""

import json
import re

from nodeum_sdk.models import CloudConnector

from job_checks import poll
from support import ATTRIBUTES, codes, equal, parsed_error, refused

# The example bodies of the API's reference page, byte for byte: one request body for create, update and test,
# and the answers.
EXAMPLE_REQUEST = """{
  "name": "text",
  "url": "text",
  "url_proxy": "text",
  "provider": "generic_s3",
  "region": "text",
  "access_key": "text",
  "secret_key": "text",
  "options": "text"
}"""
EXAMPLE_CONNECTOR = """{
  "id": 1,
  "name": "text",
  "url": "text",
  "url_proxy": "text",
  "provider": "generic_s3",
  "region": "text",
  "access_key": "text",
  "secret_key": "text",
  "options": "text"
}"""
EXAMPLE_JOB = """{
  "job_id": "6f4d759d-48e9-43c8-ab24-640f5ea63922",
  "status": "queued"
}"""


def check_create_show_update_destroy(world):
    """Create, show by id and by name, update, destroy."""
    world.delete_all()
    api = world.admin.connectors
    secret = world.secret("crud")
    sent = CloudConnector(name="Archive", url="https://objects.example:8443/base", provider="cloudian_hyperstore",
                          url_proxy="http://proxy.example:3128", region="eu-west-1", access_key="access",
                          secret_key=secret, options="use_path_request_style,retries=5,not_known_to_us=1")
    created, status, headers = api.create_cloud_connector_with_http_info(cloud_connector_body=sent)
    equal(status, 201, "status of create")
    assert isinstance(created.id, int) and created.id >= 1, created.id
    assert headers["Location"].endswith(f"/api/v2/cloud_connectors/{created.id}"), headers["Location"]
    equal(headers["Cache-Control"], "no-store", "Cache-Control of an answer that holds a secret")
    expected = dict(sent.to_dict(), id=created.id)
    equal(created.to_dict(), expected, "the connector created")
    equal(list(sorted(world.admin.last_json())), sorted(ATTRIBUTES), "attributes of the answer")
    for identifier in (str(created.id), "Archive"):
        equal(api.show_cloud_connector(cloud_connector_id=identifier).to_dict(), expected, f"show {identifier}")
    equal(api.show_cloud_connector(cloud_connector_id=created.id).to_dict(), expected, "show by an integer")

    # What was shown can be sent back as it is.
    shown = api.show_cloud_connector(cloud_connector_id="Archive")
    equal(api.update_cloud_connector(cloud_connector_id="Archive", cloud_connector_body=shown).to_dict(), expected,
          "update with what was shown")
    # Attributes left out keep their value; the client leaves out None, so an empty text clears.
    expected.update(region="eu-west-2", url_proxy=None, options=None)
    updated, status, _ = api.update_cloud_connector_with_http_info(
        cloud_connector_id=str(created.id),
        cloud_connector_body=CloudConnector(region="eu-west-2", url_proxy="", options=""))
    equal(status, 200, "status of update")
    equal(updated.to_dict(), expected, "the connector updated")
    equal(api.update_cloud_connector(cloud_connector_id="Archive", cloud_connector_body={"access_key": None}).to_dict(),
          dict(expected, access_key=None), "an attribute cleared by null")
    renamed = api.update_cloud_connector(cloud_connector_id="Archive",
                                         cloud_connector_body=CloudConnector(name="Store", access_key="access"))
    equal(renamed.to_dict(), dict(expected, name="Store"), "the connector renamed")
    refused(world.admin, 404, api.show_cloud_connector, cloud_connector_id="Archive")
    equal(api.show_cloud_connector(cloud_connector_id="Store").id, created.id, "id by the new name")

    # Only what is required: the rest is there as null, the provider has its default.
    small = api.create_cloud_connector(cloud_connector_body=CloudConnector(name="small", url="10.0.0.2:9000"))
    equal(small.to_dict(), dict(dict.fromkeys(ATTRIBUTES), id=small.id, name="small", url="10.0.0.2:9000",
                                provider="generic_s3"), "the smallest connector")
    assert small.id > created.id, f"id {small.id} after {created.id}"
    equal(sorted(world.admin.last_json()), sorted(ATTRIBUTES), "attributes of the smallest connector")

    for identifier in ("Store", str(small.id)):
        answer, status, _ = api.destroy_cloud_connector_with_http_info(cloud_connector_id=identifier)
        equal((answer, status, world.admin.client.last_response.data), (None, 204, ""), f"destroy {identifier}")
        refused(world.admin, 404, api.destroy_cloud_connector, cloud_connector_id=identifier)
    equal(api.index_cloud_connectors().count, 0, "count after destroying")
    later = api.create_cloud_connector(cloud_connector_body=CloudConnector(name="Store", provider="wasabi"))
    assert later.id > small.id, f"id {later.id} was used before"
    api.destroy_cloud_connector(cloud_connector_id="Store")


def check_example_bodies(world):
    """The example bodies of the reference page, as they stand."""
    world.delete_all()
    example = json.loads(EXAMPLE_REQUEST)
    status, _, text = world.raw("POST", "/cloud_connectors", EXAMPLE_REQUEST)
    equal(status, 201, f"status of the example for create, answer {text}")
    created = json.loads(text)
    expected = dict(json.loads(EXAMPLE_CONNECTOR), id=created["id"])
    equal(created, expected, "the answer to create")
    for method, target, body in (
            ("PUT", "/cloud_connectors/text", EXAMPLE_REQUEST),
            ("PUT", "/cloud_connectors/text", EXAMPLE_CONNECTOR),
            ("GET", "/cloud_connectors/text", None),
            ("GET", f"/cloud_connectors/{created['id']}", None)):
        status, _, text = world.raw(method, target, body)
        equal((status, json.loads(text)), (200, expected), f"{method} {target}")
    status, _, text = world.raw("GET", "/cloud_connectors")
    equal((status, json.loads(text)), (200, {"count": 1, "cloud_connectors": [expected]}), "the list")

    # The page's test body names no server that exists: it is taken, and the job ends with a reason.
    status, _, text = world.raw("PUT", "/cloud_connectors/-/test", EXAMPLE_REQUEST)
    equal(status, 202, f"status of the example for test, answer {text}")
    job = json.loads(text)
    assert set(json.loads(EXAMPLE_JOB)) <= set(job), job
    equal([type(job[name]) for name in ("job_id", "status", "progress", "total")], [str, str, int, int], "types")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", job["job_id"]), job["job_id"]
    _, failure = poll(world.admin, job["job_id"])
    equal(failure["status"], "failed", "status of the example's test")
    status, headers, text = world.raw("GET", "/cloud_connectors/-/test?job_id=text")
    equal(status, 404, "status of the page's job_id=text")
    parsed_error(world.admin, text, headers)
    # The page writes the credentials in plain words: that is not Basic authentication.
    status, headers, text = world.raw("GET", "/cloud_connectors", authorization="Basic username:password")
    equal(status, 401, "status of the page's Authorization header")
    parsed_error(world.admin, text, headers)

    # The same through the client.
    status, _, text = world.raw("DELETE", "/cloud_connectors/text")
    equal((status, text), (204, ""), "DELETE /cloud_connectors/text")
    api = world.admin.connectors
    made = api.create_cloud_connector(cloud_connector_body=CloudConnector(**example))
    equal({name: value for name, value in made.to_dict().items() if name != "id"}, example, "the example by the client")
    api.destroy_cloud_connector(cloud_connector_id="text")


def check_errors(world):
    """422 and 404 bodies parse as the client's Error, and name every problem at once."""
    world.delete_all()
    api = world.admin.connectors
    secret = world.secret("error")
    create = api.create_cloud_connector

    taken = create(cloud_connector_body=CloudConnector(name="backup", provider="wasabi"))
    body = refused(world.admin, 422, create, cloud_connector_body=CloudConnector(name="backup", provider="wasabi"))
    equal(body, {"messages": ["Name has already been taken"],
                 "details": {"name": [{"error": "taken", "value": "backup"}]}}, "the body of a taken name")
    # CloudConnector refuses a wrong provider before it is sent, so these bodies are dictionaries.
    cases = [
        ({"provider": "wasabi"}, {"name": ["blank"]}),
        ({"name": None, "provider": "wasabi"}, {"name": ["blank"]}),
        ({"name": "x"}, {"url": ["blank"]}),
        ({"name": "x", "url": "http://x.example", "provider": "floppy_disk"}, {"provider": ["invalid"]}),
        ({"name": "x", "url": "ftp://x"}, {"url": ["invalid"]}),
        ({"name": "x", "url": "http://user:word@x.example"}, {"url": ["invalid"]}),
        ({"name": "x", "url": "http://x.example/?query=1"}, {"url": ["invalid"]}),
        ({"name": "x", "url": "http://x.example", "url_proxy": "ftp://proxy.example"}, {"url_proxy": ["invalid"]}),
        ({"name": 5, "provider": "wasabi"}, {"name": ["invalid"]}),
        ({"name": ["x"], "provider": "wasabi"}, {"name": ["invalid"]}),
        ({"name": "x", "provider": "wasabi", "secret_key": 5}, {"secret_key": ["invalid"]}),
        ({"name": "x", "provider": "wasabi", "region": "r" * 1025}, {"region": ["too_long"]}),
        ({"name": "x", "provider": "wasabi", "options": "o" * 4097}, {"options": ["too_long"]}),
        ({"name": "x", "provider": "wasabi", "secret_key": secret + "s" * 1025}, {"secret_key": ["too_long"]}),
        ({"name": "backup", "url": "ftp://x", "provider": "generic_s3", "secret_key": secret, "access_key": 7},
         {"name": ["taken"], "url": ["invalid"], "access_key": ["invalid"]}),
    ]
    for sent, expected in cases:
        body = refused(world.admin, 422, create, cloud_connector_body=sent)
        shown = {name: value if len(str(value)) < 80 else f"{len(value)} characters" for name, value in sent.items()}
        equal(codes(body), expected, f"codes of {shown}")
        equal(len(body["messages"]), len(expected), f"number of messages of {shown}")
        assert secret not in json.dumps(body), "a secret is echoed"
    equal(api.index_cloud_connectors().count, 1, "count after what was refused")
    # The client sends no body at all for an empty dictionary.
    equal(world.raw("POST", "/cloud_connectors", "{}")[0], 422, "status of an empty object")
    # Attributes that are not known, and the read-only id, are ignored.
    odd = create(cloud_connector_body={"id": 77777, "name": "odd", "provider": "wasabi", "colour": "blue", "n": [1]})
    assert odd.id != 77777, odd.id
    body = refused(world.admin, 422, api.update_cloud_connector, cloud_connector_id="odd",
                   cloud_connector_body=CloudConnector(name="backup"))
    equal(codes(body), {"name": ["taken"]}, "codes of an update to a taken name")
    body = refused(world.admin, 422, api.update_cloud_connector, cloud_connector_id="odd",
                   cloud_connector_body=CloudConnector(name=""))
    equal(codes(body), {"name": ["blank"]}, "codes of an update to no name")
    body = refused(world.admin, 422, api.update_cloud_connector, cloud_connector_id="odd",
                   cloud_connector_body=CloudConnector(provider="generic_s3"))
    equal(codes(body), {"url": ["blank"]}, "codes of an update to a provider that needs a url")
    api.destroy_cloud_connector(cloud_connector_id="odd")

    for identifier in ("x", "999999", "9" * 40, "é", "a/b"):
        body = refused(world.admin, 404, api.show_cloud_connector, cloud_connector_id=identifier)
        equal(body["details"], {"base": [{"error": "not_found"}]}, f"details of {identifier}")
        refused(world.admin, 404, api.destroy_cloud_connector, cloud_connector_id=identifier)
        refused(world.admin, 404, api.update_cloud_connector, cloud_connector_id=identifier,
                cloud_connector_body=CloudConnector(region="r"))
    equal(refused(world.admin, 404, api.show_cloud_connector, cloud_connector_id="x")["messages"],
          ["Cloud connector 'x' was not found"], "messages of a 404")
    refused(world.admin, 404, world.admin.users.show_api_key, api_key_id="999999")
    for job_id in ("text", "6f4d759d-48e9-43c8-ab24-640f5ea63922"):
        refused(world.admin, 404, api.test_result_cloud_connector, job_id=job_id)
    status, headers, text = world.raw("GET", "/cloud_connectors/-/test")
    equal((status, list(codes(parsed_error(world.admin, text, headers)))), (422, ["job_id"]), "no job_id")
    refused(world.admin, 422, api.test_cloud_connector, cloud_connector_body={"provider": "floppy_disk"})
    api.destroy_cloud_connector(cloud_connector_id=str(taken.id))

    # Providers that are newer than the client: the server takes them, the client's own validation does not.
    for provider in ("quantum_activescale", "datacore_swarm"):
        try:
            CloudConnector(name="newer", provider=provider)
        except ValueError:
            pass
        else:
            raise AssertionError(f"the client knows {provider}")
        status, _, text = world.raw("POST", "/cloud_connectors", json.dumps(
            {"name": "newer", "provider": provider, "url": "https://newer.example"}))
        equal(status, 201, f"status of the provider {provider}, answer {text}")
        equal(world.raw("DELETE", "/cloud_connectors/newer")[0], 204, "status of DELETE")
