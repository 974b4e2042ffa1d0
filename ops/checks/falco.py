"""Tries the rules of ops/security/falco.yaml on events: what each is for it tells, and what a node does it leaves alone.

The conditions are read by a small part of Falco's grammar: and, or, not, brackets, =, !=, in, startswith, exists, and the macros
and lists of the file. What is not in it is an error.
"""

import pathlib
import re
import sys

import yaml

RULES = pathlib.Path(__file__).resolve().parent.parent / "security" / "falco.yaml"
TOKEN = re.compile(r'\s*("[^"]*"|[()]|,|!=|=|[^\s(),=!]+)')
NEEDED = {"rule", "desc", "condition", "output", "priority", "tags"}

POD = {"container.id": "c", "k8s.ns.name": "orrery", "container.name": "orrery", "proc.exepath": "/usr/bin/orrery", "evt.dir": "<"}
OPEN = {"evt.type": "openat", "fd.typechar": "f"}
CALL = {"evt.type": "connect", "fd.typechar": "4"}
# Rule, or None for what a node does every day; and the event.
EVENTS = [
    ("Orrery starts another program", {"evt.type": "execve", "proc.exepath": "/bin/sh"}),
    (None, {"evt.type": "execve"}),
    (None, {"evt.type": "execve", "proc.exepath": "/bin/sh", "k8s.ns.name": "default"}),
    ("Orrery writes outside of its state", {**OPEN, "evt.is_open_write": "true", "fd.name": "/etc/passwd"}),
    (None, {**OPEN, "evt.is_open_write": "true", "fd.name": "/var/lib/orrery/audit.jsonl"}),
    ("Orrery listens where it should not", {"evt.type": "listen", "fd.sport": "4444"}),
    (None, {"evt.type": "listen", "fd.sport": "7100"}),
    (None, {"evt.type": "listen"}),
    ("Orrery calls somebody unknown", {**CALL, "fd.sport": "22"}),
    (None, {**CALL, "fd.sport": "443"}),
    ("Orrery is looked into by another process", {"evt.type": "ptrace", "proc.exepath": "/usr/bin/gdb"}),
    ("A key of Orrery is read by another program",
     {**OPEN, "evt.is_open_read": "true", "fd.name": "/etc/orrery/certificates/orrery-sink-0/node.key", "proc.exepath": "/bin/cat"}),
    (None, {**OPEN, "evt.is_open_read": "true", "fd.name": "/etc/orrery/certificates/orrery-sink-0/node.key"}),
    ("Orrery asks Kubernetes", {"evt.type": "connect", "fd.sport": "6443"}),
]


class Condition:
    """One condition, as a function of an event."""

    def __init__(self, text: str, macros: dict, lists: dict):
        self.tokens, self.at = TOKEN.findall(text), 0
        self.macros, self.lists = macros, lists
        self.holds = self.either()
        if self.at != len(self.tokens):
            raise ValueError(f"unexpected {self.tokens[self.at]} in: {text}")

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        self.at += 1
        return self.tokens[self.at - 1]

    def either(self):
        parts = [self.both()]
        while self.peek() == "or":
            self.take()
            parts.append(self.both())
        return lambda event: any(part(event) for part in parts)

    def both(self):
        parts = [self.single()]
        while self.peek() == "and":
            self.take()
            parts.append(self.single())
        return lambda event: all(part(event) for part in parts)

    def single(self):
        word = self.take()
        if word == "not":
            inner = self.single()
            return lambda event: not inner(event)
        if word == "(":
            inner = self.either()
            if self.take() != ")":
                raise ValueError("a bracket is not closed")
            return inner
        if "." not in word:
            return Condition(self.macros[word], self.macros, self.lists).holds
        return self.comparison(word)

    def comparison(self, field: str):
        operator = self.take()
        if operator == "exists":
            return lambda event: field in event
        if operator == "in":
            values = self.values()
            return lambda event: event.get(field) in values
        value = self.take().strip('"')
        return {
            "=": lambda event: event.get(field) == value,
            "!=": lambda event: event.get(field) != value,
            "startswith": lambda event: event.get(field, "").startswith(value),
        }[operator]

    def values(self) -> set:
        if self.take() != "(":
            raise ValueError("a list stands in brackets")
        found = set()
        while (word := self.take()) != ")":
            if word != ",":
                found |= {str(item) for item in self.lists.get(word, [word.strip('"')])}
        return found


def main() -> None:
    items = yaml.safe_load(RULES.read_text())
    macros = {item["macro"]: item["condition"] for item in items if "macro" in item}
    lists = {item["list"]: item["items"] for item in items if "list" in item}
    rules = {item["rule"]: item for item in items if "rule" in item}
    wrong = [f"{name}: {key} is missing" for name, rule in rules.items() for key in NEEDED - rule.keys()]
    holds = {name: Condition(rule["condition"], macros, lists).holds for name, rule in rules.items()}
    for expected, event in EVENTS:
        told = {name for name, condition in holds.items() if condition({**POD, **event})}
        if expected is None and told:
            wrong.append(f"{sorted(told)} tell what a node does every day: {event}")
        if expected is not None and expected not in told:
            wrong.append(f"{expected} does not tell {event}")
    wrong += [f"{name}: no event tries it" for name in rules.keys() - {expected for expected, _ in EVENTS}]
    print(f"falco: {len(rules)} rules, {len(EVENTS)} events")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
