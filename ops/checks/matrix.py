"""Computes who may talk to whom from rendered NetworkPolicies, and holds it against ops/security/allowed.yaml.

    matrix.py NAME=FILE ...    rendered manifests of the overlay NAME, each

A connection needs the leave of both ends: of the egress policies that select the sender and the ingress policies that select
the receiver. A pod that no policy of a direction selects may do anything in it; all of them together allow what any one does.
"""

import ipaddress
import itertools
import pathlib
import sys

import yaml

ALLOWED = pathlib.Path(__file__).resolve().parent.parent / "security" / "allowed.yaml"
# The namespace whose policies these are; every namespace has its name as a label.
NAME_LABEL = "kubernetes.io/metadata.name"
# Ports that nothing names are asked for as well.
OTHERS = {("TCP", 22), ("TCP", 80), ("TCP", 10250), ("UDP", 443), ("SCTP", 7100)}


def selects(selector: dict, labels: dict) -> bool:
    """Of label selectors: all of it has to hold, so that an empty one selects everything."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        key, operator, values = rule["key"], rule["operator"], rule.get("values", [])
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[operator]
        if not holds:
            return False
    return True


def is_peer(peer: dict, end: dict, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        if "address" not in end:
            return False
        address = ipaddress.ip_address(end["address"])
        within = address in ipaddress.ip_network(block["cidr"])
        return within and all(address not in ipaddress.ip_network(cidr) for cidr in block.get("except", []))
    if "address" in end:
        return False
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {NAME_LABEL: end["namespace"]}):
            return False
    elif end["namespace"] != namespace:
        return False
    return selects(peer.get("podSelector", {}), end["labels"])


def names_port(ports: list | None, protocol: str, number: int) -> bool:
    if not ports:
        return True
    for port in ports:
        if port.get("protocol", "TCP") != protocol:
            continue
        first = port.get("port")
        if first is None or first <= number <= port.get("endPort", first):
            return True
    return False


def is_allowed(policies: list, direction: str, end: dict, other: dict, protocol: str, number: int) -> bool:
    """Whether `end` may have a connection in a direction, with `other`."""
    if "address" in end:
        return True
    peers = "from" if direction == "Ingress" else "to"
    applying = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == end["namespace"]
        and direction in policy["spec"].get("policyTypes", ["Ingress"])
        and selects(policy["spec"]["podSelector"], end["labels"])
    ]
    if not applying:
        return True
    for policy in applying:
        for rule in policy["spec"].get(direction.lower()) or []:
            among = rule.get(peers)
            namespace = policy["metadata"]["namespace"]
            if not among or any(is_peer(peer, other, namespace) for peer in among):
                if names_port(rule.get("ports"), protocol, number):
                    return True
    return False


def ports_of(manifests: list) -> set:
    """Every port that a policy or a container names."""
    found = set(OTHERS)
    for manifest in manifests:
        if manifest["kind"] == "NetworkPolicy":
            spec = manifest["spec"]
            for rule in (spec.get("ingress") or []) + (spec.get("egress") or []):
                found |= {(port.get("protocol", "TCP"), port["port"]) for port in rule.get("ports") or [] if "port" in port}
        elif "template" in manifest.get("spec", {}):
            for container in manifest["spec"]["template"]["spec"]["containers"]:
                found |= {(port.get("protocol", "TCP"), port["containerPort"]) for port in container.get("ports", [])}
    return found


def computed(manifests: list, ends: dict, ports: set) -> set:
    policies = [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
    ours = {policy["metadata"]["namespace"] for policy in policies}
    found = set()
    for sender, receiver in itertools.product(ends, ends):
        source, target = ends[sender], ends[receiver]
        if not {source.get("namespace"), target.get("namespace")} & ours:
            continue
        for protocol, number in ports:
            if is_allowed(policies, "Egress", source, target, protocol, number) and is_allowed(
                policies, "Ingress", target, source, protocol, number
            ):
                found.add((sender, receiver, f"{protocol}/{number}"))
    return found


def intended(allowed: list, overlay: str) -> set:
    found = set()
    for rule in allowed:
        if overlay in rule.get("in", [overlay]):
            found |= set(itertools.product(rule["from"], rule["to"], rule["ports"]))
    return found


def compare(overlay: str, manifests: list, table: dict) -> list[str]:
    want = intended(table["allowed"], overlay)
    ports = ports_of(manifests) | {(port.split("/")[0], int(port.split("/")[1])) for _, _, port in want}
    have = computed(manifests, table["ends"], ports)
    asked = len(table["ends"]) ** 2 * len(ports)
    print(f"{overlay}: {len(have)} connections allowed of {asked} asked for, {len(want)} intended")
    wrong = [f"{overlay}: {sender} -> {receiver} {port} is allowed, and should not be" for sender, receiver, port in sorted(have - want)]
    return wrong + [f"{overlay}: {sender} -> {receiver} {port} is denied, and should not be" for sender, receiver, port in sorted(want - have)]


def main() -> None:
    table = yaml.safe_load(ALLOWED.read_text())
    wrong = []
    for argument in sys.argv[1:]:
        overlay, path = argument.split("=", 1)
        manifests = [manifest for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()) if manifest]
        wrong += compare(overlay, manifests, table)
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
