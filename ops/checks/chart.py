"""The chart and kustomize say the same: the base is the chart with its own values, and the overlay of a region is what the
chart says otherwise with that region's. Both are written by this script.

    chart.py write    makes ops/kustomize/base and the overlays of regions anew
    chart.py check    lints and renders the chart with each file of values; fails if kustomize is not what the chart says
"""

import functools
import pathlib
import sys

import helm_python
import yaml

OPS = pathlib.Path(__file__).resolve().parent.parent
CHART = OPS / "helm" / "orrery"
BASE = OPS / "kustomize" / "base"
OVERLAYS = OPS / "kustomize" / "overlays"
HEADER = "# Made from ops/helm/orrery by ops/checks/chart.py: change it there.\n"
# What people know about the chart and its linter does not.
TOLERATED = {"icon is recommended"}


@functools.cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(str(CHART))


def render(values: dict) -> dict[str, str]:
    """Manifests by the name of their template."""
    made = chart().render(values, name="orrery", namespace="orrery", is_install=True)
    names = {path: pathlib.PurePath(path).name for path in sorted(made)}
    return {name: made[path] for path, name in names.items() if name.endswith(".yaml")}


def documents(text: str) -> list[dict]:
    return [document for document in yaml.safe_load_all(text) if document]


def plain(text: str) -> str:
    """Nothing of Helm is left in it."""
    text = text.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize")
    lines = (line.rstrip() for line in text.strip("-\n").splitlines())
    return HEADER + "\n".join(line for line in lines if line) + "\n"


def objects(values: dict) -> dict[tuple[str, str], dict]:
    manifests = [manifest for text in render(values).values() for manifest in documents(plain(text))]
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}


def changed(before, after):
    """What has to be merged into `before` to have `after`; lists are given whole."""
    difference = {key: None for key in before if key not in after}
    for key, value in after.items():
        if isinstance(value, dict) and isinstance(before.get(key), dict):
            value = changed(before[key], value)
            if not value:
                continue
        elif key in before and before[key] == value:
            continue
        difference[key] = value
    return difference


def region(values: pathlib.Path) -> dict[str, str]:
    """The overlay of a region: objects that it has besides, and what it changes in the others."""
    common, own = objects({}), objects(yaml.safe_load(values.read_text()))
    if gone := common.keys() - own.keys():
        sys.exit(f"{values.name}: a region leaves out {sorted(gone)}")
    added = [manifest for key, manifest in own.items() if key not in common]
    patches = []
    for key, before in common.items():
        if difference := changed(before, own[key]):
            names = {field: before["metadata"][field] for field in ("name", "namespace")}
            metadata = {**names, **difference.get("metadata", {})}
            which = {"apiVersion": before["apiVersion"], "kind": key[0]}
            patches.append({**which, **difference, "metadata": metadata})
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "orrery",
        "resources": ["../production", "added.yaml"],
        "patches": [{"path": "changed.yaml"}],
    }
    return {
        "kustomization.yaml": HEADER + yaml.safe_dump(kustomization, sort_keys=False),
        "added.yaml": HEADER + yaml.safe_dump_all(added, sort_keys=False, width=200),
        "changed.yaml": HEADER + yaml.safe_dump_all(patches, sort_keys=False, width=200),
    }


def made() -> dict[pathlib.Path, str]:
    """Every file that is made, by its path."""
    files = {BASE / name: plain(text) for name, text in render({}).items() if documents(text)}
    for values in sorted(CHART.parent.glob("values-*-*-?.yaml")):
        folder = OVERLAYS / values.stem.removeprefix("values-")
        files |= {folder / name: text for name, text in region(values).items()}
    return files


def rules() -> list[str]:
    """What is wrong with the alerts that the chart hands on: they must be the tested ones, all of them."""
    folder = OPS / "monitoring" / "prometheus" / "rules"
    tested = {f"orrery-{path.stem}": yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}
    given = {name: made["spec"] for (kind, name), made in objects({}).items() if kind == "PrometheusRule"}
    wrong = [f"PrometheusRule {name} is not what {folder.name}/ has" for name in tested if given.get(name) != tested[name]]
    print(f"alerts and recordings: {sum(len(group['rules']) for one in given.values() for group in one['groups'])}")
    return wrong + [f"PrometheusRule {name} is in no file of {folder.name}/" for name in given.keys() - tested.keys()]


def check() -> list[str]:
    wrong = rules()
    report = helm_python.lint(str(CHART))
    wrong += [f"lint: {error}" for error in report["errors"]]
    wrong += [f"lint: {m['path']}: {m['error']}" for m in report["messages"] if m["error"] not in TOLERATED]
    for values in [None, *sorted(CHART.parent.glob("values-*.yaml"))]:
        given = yaml.safe_load(values.read_text()) if values else {}
        kinds = [d["kind"] for text in render(given).values() for d in documents(text)]
        print(f"chart with {values.name if values else 'its own values'}: {len(kinds)} objects")
    for path, text in made().items():
        if not path.exists() or path.read_text() != text:
            wrong.append(f"{path.relative_to(OPS.parent)} is not what the chart says: run ops/checks/chart.py write")
    return wrong


def main() -> None:
    if sys.argv[1:] == ["write"]:
        for path, text in made().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    elif sys.argv[1:] == ["check"]:
        wrong = check()
        sys.exit("\n".join(wrong) if wrong else 0)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
