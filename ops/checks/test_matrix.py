"""What Kubernetes says of NetworkPolicies, held against matrix.py."""

import copy

import matrix

PODS = {
    "a": {"namespace": "ours", "labels": {"role": "a"}},
    "b": {"namespace": "ours", "labels": {"role": "b"}},
    "other": {"namespace": "theirs", "labels": {"role": "a"}},
    "near": {"address": "10.1.0.1"},
    "far": {"address": "203.0.113.1"},
}
PORTS = {("TCP", 1), ("TCP", 2), ("UDP", 1)}


def policy(pods: dict, **spec) -> dict:
    kinds = [kind for kind in ("Ingress", "Egress") if kind.lower() in spec]
    spec = {"podSelector": pods, "policyTypes": kinds, **spec}
    return {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "ours"}, "spec": spec}


def reached(policies: list, target: str, ports: set = PORTS) -> set:
    return {(sender, port) for sender, receiver, port in matrix.computed(policies, PODS, ports) if receiver == target}


DENY = policy({}, ingress=[], egress=[])


def test_what_nobody_selects_is_open():
    only_a = policy({"matchLabels": {"role": "a"}}, ingress=[])
    assert ("far", "TCP/1") in reached([only_a], "b")
    assert not reached([only_a], "a")


def test_both_ends_have_to_allow():
    lets_in = policy({"matchLabels": {"role": "b"}}, ingress=[{"from": [{"podSelector": {}}]}])
    assert not reached([DENY, lets_in], "b")
    lets_out = policy({"matchLabels": {"role": "a"}}, egress=[{"to": [{"podSelector": {}}], "ports": [{"port": 1}]}])
    assert reached([DENY, lets_in, lets_out], "b") == {("a", "TCP/1")}


def test_a_pod_selector_alone_means_the_policy_s_own_namespace():
    lets_in = policy({"matchLabels": {"role": "b"}}, ingress=[{"from": [{"podSelector": {"matchLabels": {"role": "a"}}}]}])
    senders = {sender for sender, _ in reached([lets_in], "b")}
    assert senders == {"a"}


def test_selectors_of_one_peer_hold_together_and_peers_apart():
    theirs = {"namespaceSelector": {"matchLabels": {matrix.NAME_LABEL: "theirs"}}}
    b = {"matchLabels": {"role": "b"}}
    together = policy(b, ingress=[{"from": [{**theirs, "podSelector": b}]}])
    assert not reached([together], "b")
    apart = policy(b, ingress=[{"from": [theirs, {"podSelector": b}]}])
    assert {sender for sender, _ in reached([apart], "b")} == {"other", "b"}


def test_blocks_are_of_addresses_and_have_holes():
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}
    lets_out = policy({}, egress=[{"to": [block]}])
    allowed = matrix.computed([lets_out], PODS, PORTS)
    assert {receiver for sender, receiver, _ in allowed if sender == "a"} == {"far"}


def test_ranges_of_ports_and_protocols():
    lets_in = policy({"matchLabels": {"role": "b"}}, ingress=[{"ports": [{"protocol": "TCP", "port": 1, "endPort": 2}]}])
    assert {port for _, port in reached([lets_in], "b")} == {"TCP/1", "TCP/2"}


def test_expressions():
    check = lambda operator, labels, expect, **more: (
        matrix.selects({"matchExpressions": [{"key": "k", "operator": operator, **more}]}, labels) is expect
    )
    assert check("In", {"k": "x"}, True, values=["x"])
    assert check("In", {}, False, values=["x"])
    assert check("NotIn", {}, True, values=["x"])
    assert check("NotIn", {"k": "x"}, False, values=["x"])
    assert check("Exists", {"k": "x"}, True)
    assert check("DoesNotExist", {"k": "x"}, False)


def test_one_connection_too_many_or_too_few_is_told():
    table = {"ends": PODS, "allowed": [{"from": ["a"], "to": ["b"], "ports": ["TCP/1"]}]}
    lets_in = policy({"matchLabels": {"role": "b"}}, ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 1}]}])
    lets_out = policy({"matchLabels": {"role": "a"}}, egress=[{"to": [{"podSelector": {}}], "ports": [{"port": 1}]}])
    exact = [DENY, lets_in, lets_out]
    # `a` may also ask itself, and its own ingress denies that.
    assert matrix.compare("x", exact, table) == []
    assert matrix.compare("x", [DENY, lets_in], table) == ["x: a -> b TCP/1 is denied, and should not be"]
    wider = copy.deepcopy(exact)
    wider[1]["spec"]["ingress"][0]["from"].append({"namespaceSelector": {}})
    assert matrix.compare("x", wider, table) == ["x: other -> b TCP/1 is allowed, and should not be"]
