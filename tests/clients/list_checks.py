"""Lists: every filter operator, orders, pages."""

import json
from urllib.parse import urlencode

from nodeum_sdk.models import CloudConnector

from support import codes, equal, parsed_error, refused

FILTERED = [
    {"name": "alpha", "provider": "amazon_aws_s3", "region": "eu-west-1", "access_key": "KEY1"},
    {"name": "beta", "provider": "generic_s3", "url": "http://10.0.0.2:9000", "url_proxy": "http://proxy.example:3128",
     "region": "eu-west-2", "access_key": "KEY2"},
    {"name": "Gamma", "provider": "wasabi", "region": "us-east-1", "access_key": "key3"},
    {"name": "delta_x", "provider": "scality_ring", "url": "https://ring.example"},
    {"name": "delta%y", "provider": "scality_ring", "url": "https://ring.example/second", "region": "eu-west-1"},
    {"name": "école", "provider": "openstack_swift", "url": "https://swift.example", "region": "Paris 3",
     "access_key": "=odd"},
    {"name": "n7", "provider": "dell_emc_ecs", "url": "https://ecs.example:9021"},
    {"name": "n8", "provider": "dell_emc_ecs", "url": "https://ecs.example:9022"},
    {"name": "n9", "provider": "dell_emc_ecs", "url": "https://ecs.example:9023"},
    {"name": "n10", "provider": "dell_emc_ecs", "url": "https://ecs.example:9024"},
    {"name": "n11", "provider": "dell_emc_ecs", "url": "https://ecs.example:9025"},
]
NUMBERED = ["n7", "n8", "n9", "n10", "n11"]
WITH_REGION = ["alpha", "beta", "Gamma", "delta%y", "école"]

# Filters and the names that they leave, in the order of the ids.
FILTERS = [
    ({"name": "alpha"}, ["alpha"]),
    ({"name": "=alpha"}, ["alpha"]),
    ({"name": "Alpha"}, []),
    ({"name": "!=alpha", "provider": "!=dell_emc_ecs"}, ["beta", "Gamma", "delta_x", "delta%y", "école"]),
    ({"name": ">n1"}, ["école", "n7", "n8", "n9", "n10", "n11"]),
    ({"name": ">=n7"}, ["école", "n7", "n8", "n9"]),
    ({"name": "<beta"}, ["alpha", "Gamma"]),
    ({"name": "<=beta"}, ["alpha", "beta", "Gamma"]),
    ({"name": "><alpha|Gamma|nothing"}, ["alpha", "Gamma"]),
    ({"name": "!><alpha|Gamma|beta", "provider": "!~dell%"}, ["delta_x", "delta%y", "école"]),
    ({"name": "~%ta"}, ["beta"]),
    ({"name": "~GAMMA"}, ["Gamma"]),
    ({"name": "~delta__"}, ["delta_x", "delta%y"]),
    ({"name": "~delta_x"}, ["delta_x"]),
    ({"name": "~delta\\__"}, ["delta_x"]),
    ({"name": "~delta\\%_"}, ["delta%y"]),
    ({"name": "~_cole"}, ["école"]),
    ({"name": "~ÉCOLE"}, []),
    ({"name": "~delta"}, []),
    ({"name": "~%"}, [one["name"] for one in FILTERED]),
    ({"name": "!~%a%"}, ["école"] + NUMBERED),
    ({"url": "http://10.0.0.2:9000"}, ["beta"]),
    ({"url": "~https://ring.example%"}, ["delta_x", "delta%y"]),
    ({"url": ""}, ["alpha", "Gamma"]),
    ({"url_proxy": "http://proxy.example:3128"}, ["beta"]),
    ({"url_proxy": "!="}, ["beta"]),
    ({"url_proxy": "="}, [one["name"] for one in FILTERED if one["name"] != "beta"]),
    ({"provider": "scality_ring"}, ["delta_x", "delta%y"]),
    ({"provider": "><wasabi|generic_s3"}, ["beta", "Gamma"]),
    ({"region": "eu-west-1"}, ["alpha", "delta%y"]),
    ({"region": "Paris 3"}, ["école"]),
    ({"region": ""}, ["delta_x"] + NUMBERED),
    ({"region": "!="}, WITH_REGION),
    # An unset attribute fails =, comparisons, >< and ~, and holds for !=, !>< and !~.
    ({"region": "!=eu-west-1"}, ["beta", "Gamma", "delta_x", "école"] + NUMBERED),
    ({"region": ">=eu-west-1"}, ["alpha", "beta", "Gamma", "delta%y"]),
    ({"region": "<us"}, ["alpha", "beta", "delta%y", "école"]),
    ({"region": "><eu-west-1|eu-west-2"}, ["alpha", "beta", "delta%y"]),
    ({"region": "!><eu-west-1|eu-west-2"}, ["Gamma", "delta_x", "école"] + NUMBERED),
    ({"region": "~%"}, WITH_REGION),
    ({"region": "!~eu%"}, ["Gamma", "delta_x", "école"] + NUMBERED),
    ({"access_key": "KEY1"}, ["alpha"]),
    ({"access_key": "~key_"}, ["alpha", "beta", "Gamma"]),
    ({"access_key": "==odd"}, ["école"]),
    ({"access_key": "=odd"}, []),
    ({"access_key": "><=odd|KEY1"}, ["alpha", "école"]),
    ({"region": "eu-west-1", "provider": "scality_ring"}, ["delta%y"]),
    ({"region": "eu-west-1", "provider": "wasabi"}, []),
]

# The order, and the names in it, of the first six.
ORDERS = [
    (["name"], ["Gamma", "alpha", "beta", "delta%y", "delta_x", "école"]),
    (["name:desc"], ["école", "delta_x", "delta%y", "beta", "alpha", "Gamma"]),
    (["provider", "name"], ["alpha", "beta", "école", "delta%y", "delta_x", "Gamma"]),
    (["provider:desc", "name:desc"], ["Gamma", "delta_x", "delta%y", "école", "beta", "alpha"]),
    (["region:asc", "name:desc"], ["delta_x", "école", "delta%y", "alpha", "beta", "Gamma"]),
    (["region"], ["delta_x", "école", "alpha", "delta%y", "beta", "Gamma"]),
    (["provider:desc", "id"], ["Gamma", "delta_x", "delta%y", "école", "beta", "alpha"]),
    (["url", "access_key:desc"], ["Gamma", "alpha", "beta", "delta_x", "delta%y", "école"]),
    (["url_proxy:desc", "id:desc"], ["beta", "école", "delta%y", "delta_x", "Gamma", "alpha"]),
]


def check_lists(world):
    """Every filter operator, orders of two attributes, pages."""
    world.delete_all()
    api = world.admin.connectors
    identifiers = {}
    for one in FILTERED:
        identifiers[one["name"]] = api.create_cloud_connector(cloud_connector_body=CloudConnector(**one)).id

    def names(**arguments):
        answer = api.index_cloud_connectors(**arguments)
        return answer.count, [connector.name for connector in answer.cloud_connectors]

    everything = [one["name"] for one in FILTERED]
    equal(names(), (len(everything), everything), "all, in the order of the ids")
    for arguments, expected in FILTERS:
        equal(names(**arguments), (len(expected), expected), f"filter {arguments}")

    # Ids compare as numbers: as text, 9 would come after 10.
    ninth, tenth = identifiers["n9"], identifiers["n10"]
    first = identifiers["alpha"]
    for value, expected in (
            (str(ninth), ["n9"]), (f"={ninth}", ["n9"]), (f"!={first}", everything[1:]),
            (f">{ninth}", ["n10", "n11"]), (f">={ninth}", ["n9", "n10", "n11"]),
            (f"<{tenth}", everything[:9]), (f"<={tenth}", everything[:10]),
            (f"><{first}|{tenth}|999999", ["alpha", "n10"]), (f"!><{first}|{tenth}", everything[1:9] + ["n11"])):
        equal(names(id=value), (len(expected), expected), f"filter id {value}")
    for value in ("~1", "!~1", "one", ">one", "><1|one", "1.5", "99999999999999999999999x"):
        body = refused(world.admin, 422, api.index_cloud_connectors, id=value)
        equal(codes(body), {"id": ["invalid"]}, f"codes of id={value}")

    six = "><" + "|".join(everything[:6])
    for sort_by, expected in ORDERS:
        equal(names(name=six, sort_by=sort_by), (6, expected), f"sort_by {sort_by}")
        # The other ways to write it, which other clients use: with |, repeated, as sort_by[].
        for query in ([("sort_by", "|".join(sort_by))], [("sort_by", one) for one in sort_by],
                      [("sort_by[]", one) for one in sort_by]):
            status, _, text = world.raw("GET", "/cloud_connectors?" + urlencode([("name", six)] + query))
            equal((status, [one["name"] for one in json.loads(text).get("cloud_connectors", [])]), (200, expected),
                  f"{query}")
    for sort_by in (["secret_key"], ["name:up"], ["name", "options"], ["name:asc:desc"]):
        equal(list(codes(refused(world.admin, 422, api.index_cloud_connectors, sort_by=sort_by))), ["sort_by"],
              f"sort_by {sort_by}")

    total = len(everything)
    for arguments, expected in (
            ({"limit": 2}, everything[:2]), ({"limit": 3, "offset": 2}, everything[2:5]), ({"limit": 0}, []),
            ({"offset": 9}, everything[9:]), ({"offset": 500}, []), ({"limit": 10000}, everything)):
        equal(names(**arguments), (total, expected), f"{arguments}")
    equal(names(limit=2, offset=1, provider="dell_emc_ecs", sort_by=["name"]), (5, ["n11", "n7"]), "a page of a filter")
    for arguments, code in (({"limit": -1}, None), ({"offset": -1}, None), ({"limit": "ten"}, None),
                            ({"offset": "1.5"}, None), ({"limit": 10001}, "less_than_or_equal_to")):
        found = codes(refused(world.admin, 422, api.index_cloud_connectors, **arguments))
        equal(list(found), list(arguments), f"attributes of {arguments}")
        if code:
            equal(found, {"limit": [code]}, f"codes of {arguments}")

    # Two filters of one name, and parameters that do not exist: the client cannot send them.
    for target, expected in (("?name=~n%25&name=!~n1%25", ["n7", "n8", "n9"]),
                             (f"?id=>{first}&id=<={first + 2}", everything[1:3]),
                             ("?region=Paris+3", ["école"]), ("?region=Paris%203", ["école"]),
                             ("?_=1700000000&name=n8", ["n8"])):
        status, _, text = world.raw("GET", "/cloud_connectors" + target.replace(">", "%3E").replace("<", "%3C"))
        equal((status, [one["name"] for one in json.loads(text).get("cloud_connectors", [])]), (200, expected), target)
    for parameter in ("nam", "secret_key", "options", "sort"):
        status, headers, text = world.raw("GET", f"/cloud_connectors?{parameter}=x")
        equal(status, 422, f"status of the parameter {parameter}")
        equal(list(codes(parsed_error(world.admin, text, headers))), [parameter], f"attributes of {parameter}")
    world.delete_all()
