"""What `terraform validate` would say of names if its providers could be had: every name that is used is declared.

    terraform_refs.py FOLDER ...    folders of roots; the modules that they name are looked into as well

Variables, locals, resources, data sources and modules that are not declared; inputs that a module does not have or is not
given; outputs that it does not have; variables that nothing uses. Arguments of resources are the providers' business, and are
not checked here.
"""

import pathlib
import re
import sys

import hcl2

NAME = r"[A-Za-z_][\w-]*"
# Meta-arguments of a module: no inputs.
META = {"source", "version", "providers", "count", "for_each", "depends_on"}
OTHER_ROOTS = {"var", "local", "module", "data", "path", "each", "count", "self", "terraform"}


def unquote(text: str) -> str:
    return text.strip('"')


def inputs_of(body: dict) -> set:
    return {key for key in body if not key.startswith("__") and key not in META}


class Folder:
    """What a folder declares, and what its text refers to."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.variables, self.outputs, self.locals, self.modules = {}, set(), set(), {}
        self.resources, self.data, self.text = {}, {}, ""
        for file in sorted(path.glob("*.tf")):
            self.read(file)

    def read(self, file: pathlib.Path) -> None:
        text = file.read_text()
        self.text += "\n".join(re.sub(r"^\s*#.*", "", line) for line in text.splitlines()) + "\n"
        parsed = hcl2.loads(text)
        for block in parsed.get("variable", []):
            self.variables |= {unquote(name): body for name, body in block.items()}
        for block in parsed.get("output", []):
            self.outputs |= {unquote(name) for name in block}
        for block in parsed.get("locals", []):
            self.locals |= {unquote(name) for name in block if not name.startswith("__")}
        for block in parsed.get("module", []):
            self.modules |= {unquote(name): body for name, body in block.items()}
        for kind, found in (("resource", self.resources), ("data", self.data)):
            for block in parsed.get(kind, []):
                for what, named in block.items():
                    found.setdefault(unquote(what), set()).update(unquote(name) for name in named)

    def complaints(self) -> list[str]:
        wrong = []
        used = set(re.findall(rf"\bvar\.({NAME})", self.text))
        wrong += [f"var.{name} is not declared" for name in used - self.variables.keys()]
        wrong += [f"variable {name} is used by nothing" for name in self.variables.keys() - used]
        named = set(re.findall(rf"\blocal\.({NAME})", self.text))
        wrong += [f"local.{name} is not declared" for name in named - self.locals]
        for what, name in re.findall(rf"\bdata\.({NAME})\.({NAME})", self.text):
            if name not in self.data.get(what, ()):
                wrong.append(f"data.{what}.{name} is not declared")
        plain = re.sub(rf"\bdata\.{NAME}\.{NAME}", "", self.text)
        for what, name in re.findall(r"(?<![\w.\"-])((?:aws|google)_\w+)\.([a-z_]\w*)", plain):
            if name not in self.resources.get(what, ()):
                wrong.append(f"{what}.{name} is not declared")
        return wrong + self.of_modules()

    def of_modules(self) -> list[str]:
        wrong = []
        inner = {name: Folder((self.path / unquote(body["source"])).resolve()) for name, body in self.modules.items()}
        for name, body in self.modules.items():
            given, known = inputs_of(body), inner[name].variables
            wanted = {variable for variable, declared in known.items() if "default" not in declared}
            wrong += [f"module {name} has no variable {one}" for one in given - known.keys()]
            wrong += [f"module {name} is not given {one}" for one in wanted - given]
        for name, output in re.findall(rf"\bmodule\.({NAME})(?:\[[^\]]*\])?\.({NAME})", self.text):
            if name not in inner:
                wrong.append(f"module.{name} is not declared")
            elif output not in inner[name].outputs:
                wrong.append(f"module.{name} has no output {output}")
        return wrong


def check(root: pathlib.Path, seen: dict) -> None:
    root = root.resolve()
    if root in seen:
        return
    folder = Folder(root)
    seen[root] = sorted(set(folder.complaints()))
    for body in folder.modules.values():
        check(root / unquote(body["source"]), seen)


def main() -> None:
    seen = {}
    for argument in sys.argv[1:]:
        check(pathlib.Path(argument), seen)
    wrong = [f"{root.name}: {complaint}" for root, complaints in seen.items() for complaint in complaints]
    print(f"terraform: names of {len(seen)} folders looked up")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
