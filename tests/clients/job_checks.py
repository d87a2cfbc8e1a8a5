"""Tests of connectors: against servers that are not there, and against OpenStack Swift."""

import http.client
import json
import time
from urllib.parse import quote

from nodeum_sdk.models import CloudConnector

from support import equal

POLL_SECS = 60

BUCKET_ATTRIBUTES = ["id", "cloud_connector_id", "pool_id", "name", "file_count", "file_size_sum", "location", "price",
                     "options"]


def poll(session, job_id):
    """Polls as a user of the client does, until the job ends: returns the buckets or None, and the job or None."""
    deadline = time.monotonic() + POLL_SECS
    while True:
        buckets, status, _ = session.connectors.test_result_cloud_connector_with_http_info(job_id=job_id)
        if status == 200:
            return buckets.cloud_buckets, None
        equal(status, 202, "status of a job that has not completed")
        # The client takes every answer for a bucket list; the 202's job is deserialised from the same answer.
        equal(buckets.cloud_buckets, None, "buckets of a job that has not completed")
        job = session.client.deserialize(session.client.last_response, "ActiveJobStatus")
        equal(job.job_id, job_id, "job_id")
        if job.status == "failed":
            return None, session.last_json()
        assert job.status in ("queued", "working"), job.status
        assert time.monotonic() < deadline, f"the job is still {job.status} after {POLL_SECS} s"
        time.sleep(0.1)


def failed_job(session, body):
    """Tests a connector that cannot be reached: returns the job's error."""
    job = session.connectors.test_cloud_connector(cloud_connector_body=body)
    assert job.status in ("queued", "working", "completed", "failed"), job.status
    buckets, failure = poll(session, job.job_id)
    equal(buckets, None, "buckets of a connector that cannot work")
    equal(failure["status"], "failed", "status")
    error = failure["error"]
    assert isinstance(error["code"], str) and error["code"], failure
    assert isinstance(error["message"], str) and len(error["message"]) > 10, failure
    return error


def check_test_failures(world):
    """Tests against servers that are not there end as failed, and say why."""
    world.delete_all()
    session = world.admin
    secret = world.secret("unreachable")
    refusing = "http://127.0.0.1:1"
    error = failed_job(session, CloudConnector(url=refusing, region="us-east-1", access_key="a", secret_key=secret,
                                               options="use_path_request_style"))
    assert secret not in json.dumps(error), "a secret is echoed"
    # No name is needed, and a taken one is no problem.
    saved = session.connectors.create_cloud_connector(cloud_connector_body=CloudConnector(
        name="saved", url=refusing, region="us-east-1", access_key="a", secret_key=secret))
    failed_job(session, CloudConnector(name="saved", url=refusing, access_key="a", secret_key=secret))
    failed_job(session, CloudConnector(id=saved.id))
    # A key may test, and read its own job's result.
    _, key = world.make_key("tester", ("cloud_connectors", "test"))
    failed_job(world.with_key(key, None), CloudConnector(url=refusing, access_key="a", secret_key=secret))
    world.delete_all()


def check_test_swift(world):
    """Tests against OpenStack Swift, with right and with wrong credentials."""
    world.delete_all()
    containers = ["client-archive", "client-backup", "client-photos"]
    make_containers(world.swift, containers)
    session = world.admin
    right = {"url": f"http://{world.swift}", "region": "us-east-1", "access_key": "test:tester",
             "secret_key": "testing", "options": "use_path_request_style"}

    def buckets_of(caller, body):
        job, status, _ = caller.connectors.test_cloud_connector_with_http_info(cloud_connector_body=body)
        equal(status, 202, "status of test")
        buckets, failure = poll(caller, job.job_id)
        equal(failure, None, "failure of a connector that is right")
        for bucket in caller.last_json()["cloud_buckets"]:
            equal(sorted(bucket), sorted(BUCKET_ATTRIBUTES), "attributes of a bucket")
        names = [bucket.name for bucket in buckets]
        assert set(containers) <= set(names), names
        assert all(type(bucket).__name__ == "CloudBucket" for bucket in buckets), buckets

    buckets_of(session, CloudConnector(**right))
    saved = session.connectors.create_cloud_connector(cloud_connector_body=CloudConnector(name="swift", **right))
    buckets_of(session, CloudConnector(id=saved.id))
    buckets_of(session, session.connectors.show_cloud_connector(cloud_connector_id="swift"))
    _, key = world.make_key("swift", ("cloud_connectors", "test"), ("cloud_connectors", "show"))
    caller = world.with_key(key)
    # The saved secret, which the caller may not read, is used where everything else is the saved too.
    buckets_of(caller, caller.connectors.show_cloud_connector(cloud_connector_id="swift"))
    buckets_of(caller, CloudConnector(id=saved.id))

    wrong_secret = world.secret("wrong")
    for changed in ({"secret_key": wrong_secret}, {"access_key": "test:nobody"}):
        error = failed_job(session, CloudConnector(**dict(right, **changed)))
        text = json.dumps(error)
        assert wrong_secret not in text and "AWS4-HMAC-SHA256" not in text, text
    failed_job(session, CloudConnector(id=saved.id, secret_key=wrong_secret))
    world.delete_all()


def make_containers(swift, names):
    """Through Swift's own API, so that the list does not come from the S3 side that is tested."""
    def request(method, path, headers):
        connection = http.client.HTTPConnection(swift, timeout=30)
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        response.read()
        connection.close()
        assert 200 <= response.status <= 299, f"Swift answered {response.status} to {method} {path}"
        return response.headers

    token = request("GET", "/auth/v1.0", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})["X-Auth-Token"]
    for name in names:
        request("PUT", "/v1/AUTH_test/" + quote(name), {"X-Auth-Token": token})
