"""Asks the program whether it takes what the manifests give it: each role's settings, flags and files, as its pod has them.

    settings.py ORRERY FILE ...    the binary, and rendered manifests

Also that what is probed is a port that the pod has, and that the time to stop is longer than the program takes.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

# What Kubernetes fills in.
FIELDS = {"metadata.name": "orrery-role-0", "status.podIP": "10.0.0.1"}


def environment(container: dict, maps: dict) -> dict:
    made = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        if "value" in variable:
            made[variable["name"]] = variable["value"]
        elif field := source.get("fieldRef"):
            made[variable["name"]] = FIELDS[field["fieldPath"]]
        elif key := source.get("configMapKeyRef"):
            made[variable["name"]] = maps[key["name"]][key["key"]]
        elif not source["secretKeyRef"].get("optional"):
            raise ValueError(f"{variable['name']} is in a secret that has to be there")
    return made


def authorities(maps: dict, folder: pathlib.Path, orrery: str) -> str:
    """The region's file, with certificates of authorities that are there."""
    text = maps["orrery-region"]["orrery.toml"].replace("/etc/orrery/region", str(folder))
    for name in maps["orrery-region"]:
        if name.endswith("-ca.pem"):
            subprocess.run([orrery, "certs", "init", "--dir", folder / f"{name}.d", "--cluster", "x"], check=True, capture_output=True)
            (folder / name).write_bytes((folder / f"{name}.d" / "ca.pem").read_bytes())
    return text


def check(orrery: str, path: str) -> list[str]:
    manifests = [manifest for manifest in yaml.safe_load_all(pathlib.Path(path).read_text()) if manifest]
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    wrong = []
    sets = [m for m in manifests if m["kind"] == "StatefulSet"]
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        (folder / "orrery.toml").write_text(authorities(maps, folder, orrery))
        subprocess.run([orrery, "certs", "init", "--dir", folder / "ca", "--cluster", "x"], check=True, capture_output=True)
        subprocess.run([orrery, "certs", "issue", FIELDS["metadata.name"], "--dir", folder / "ca"], check=True, capture_output=True)
        for manifest in sets:
            name, spec = manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
            container = spec["containers"][0]
            variables = environment(container, maps)
            # What the flags say, as variables: `config check` takes no others.
            flags = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"][1:])
            variables["ORRERY_CLUSTER__ROLES"] = flags["roles"]
            variables["ORRERY_CLUSTER__LISTEN"] = flags["listen"].replace("$(POD_IP)", FIELDS["status.podIP"])
            variables["ORRERY_CLUSTER__CERTIFICATES"] = str(folder / "ca" / FIELDS["metadata.name"])
            variables["ORRERY_NODE__NAME"] = FIELDS["metadata.name"]
            ran = subprocess.run(
                [orrery, "config", "check", "--config", folder / "orrery.toml"],
                env={"PATH": os.environ["PATH"], **variables}, capture_output=True, text=True, timeout=60, check=False,
            )
            if ran.returncode != 0:
                wrong.append(f"{path}: {name}: {ran.stderr.strip()}")
            help_text = subprocess.run([orrery, "run", "--help"], capture_output=True, text=True, check=True).stdout
            wrong += [f"{path}: {name}: run has no --{flag}" for flag in flags if f"--{flag}" not in help_text]
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if container[probe]["httpGet"]["port"] not in ports:
                    wrong.append(f"{path}: {name}: {probe} asks a port that the pod has not")
            stop = int(variables["ORRERY_NODE__STOP_WITHIN_SECONDS"]) + container["lifecycle"]["preStop"]["sleep"]["seconds"]
            if spec["terminationGracePeriodSeconds"] <= stop:
                wrong.append(f"{path}: {name}: killed after {spec['terminationGracePeriodSeconds']} s, drained within {stop}")
    print(f"{path}: the program takes the settings of {len(sets)} roles")
    return wrong


if __name__ == "__main__":
    complaints = [complaint for argument in sys.argv[2:] for complaint in check(sys.argv[1], argument)]
    sys.exit("\n".join(complaints) if complaints else 0)
