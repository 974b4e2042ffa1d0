"""Evaluates the ValidatingAdmissionPolicy with a CEL interpreter: pods of ours pass, and each mistake is refused.

    admission.py FILE ...    rendered manifests
"""

import copy
import json
import pathlib
import sys

import celpy
import yaml

# What is done to a pod of ours, and a word of the refusal.
MISTAKES = [
    (lambda spec: spec["containers"][0]["securityContext"].update(readOnlyRootFilesystem=False), "readOnlyRootFilesystem"),
    (lambda spec: spec["containers"][0].pop("securityContext"), "readOnlyRootFilesystem"),
    (lambda spec: spec["containers"][0]["resources"].pop("limits"), "limits"),
    (lambda spec: spec["containers"][0].update(image="elsewhere.example/orrery:0.1.0"), "runs here"),
    (lambda spec: spec["containers"][0].update(image=spec["containers"][0]["image"].split(":")[0] + ":latest"), "moves"),
    (lambda spec: spec.update(initContainers=[{"name": "x", "image": "busybox:1"}]), "runs here"),
    (lambda spec: spec.update(hostNetwork=True), "hostNetwork"),
    (lambda spec: spec.pop("automountServiceAccountToken"), "automountServiceAccountToken"),
    (lambda spec: spec.update(ephemeralContainers=[{"name": "debug"}]), "debugging"),
]


def refusals(policy: dict, spec: dict) -> list[str]:
    environment = celpy.Environment()

    def value(expression: str, names: dict):
        return environment.program(environment.compile(expression)).evaluate(names)

    given = {"object": celpy.json_to_cel(json.loads(json.dumps({"spec": spec})))}
    variables = celpy.celtypes.MapType()
    for variable in policy["spec"].get("variables", []):
        variables[celpy.celtypes.StringType(variable["name"])] = value(variable["expression"], given)
    names = {**given, "variables": variables}
    return [rule["message"] for rule in policy["spec"]["validations"] if not value(rule["expression"], names)]


def check(path: str) -> list[str]:
    manifests = [manifest for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()) if manifest]
    policy = next(manifest for manifest in manifests if manifest["kind"] == "ValidatingAdmissionPolicy")
    pods = {m["metadata"]["name"]: m["spec"]["template"]["spec"] for m in manifests if m["kind"] == "StatefulSet"}
    wrong = [f"{path}: {name} is refused: {why}" for name, spec in pods.items() for why in refusals(policy, spec)]
    for place, (mistake, word) in enumerate(MISTAKES):
        spec = copy.deepcopy(next(iter(pods.values())))
        mistake(spec)
        if not any(word in why for why in refusals(policy, spec)):
            wrong.append(f"{path}: mistake {place} ({word}) is let in")
    print(f"{path}: {len(pods)} pods are let in, {len(MISTAKES)} mistakes refused")
    return wrong


if __name__ == "__main__":
    complaints = [complaint for argument in sys.argv[1:] for complaint in check(argument)]
    sys.exit("\n".join(complaints) if complaints else 0)
