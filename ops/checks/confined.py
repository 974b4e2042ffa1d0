"""Runs a program under a seccomp profile as a container runtime would: the filter first, then the program in this process.

    confined.py PROFILE.json PROGRAM ARGUMENTS ...

Needs libseccomp. No privilege: the process may never gain one again (no_new_privs).
"""

import errno
import json
import os
import sys

import pyseccomp

OPERATORS = {"SCMP_CMP_EQ": pyseccomp.EQ, "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ}


def action(rule: dict, otherwise: int):
    if rule["action"] == "SCMP_ACT_ALLOW":
        return pyseccomp.ALLOW
    if rule["action"] == "SCMP_ACT_ERRNO":
        return pyseccomp.ERRNO(rule.get("errnoRet", otherwise))
    sys.exit(f"unknown action {rule['action']}")


def arguments(rule: dict) -> list:
    made = []
    for given in rule.get("args", []):
        operator = OPERATORS[given["op"]]
        values = (given["value"], given["valueTwo"]) if operator == pyseccomp.MASKED_EQ else (given["value"],)
        made.append(pyseccomp.Arg(given["index"], operator, *values))
    return made


def load(profile: dict) -> None:
    otherwise = profile.get("defaultErrnoRet", errno.EPERM)
    if profile["defaultAction"] != "SCMP_ACT_ERRNO":
        sys.exit("a profile that allows what it does not name is none")
    only = pyseccomp.SyscallFilter(defaction=pyseccomp.ERRNO(otherwise))
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            try:
                number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
            except ValueError:
                number = -1
            if number < 0:
                # This architecture has it not; another has.
                continue
            only.add_rule(action(rule, otherwise), name, *arguments(rule))
    only.load()


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        load(json.load(file))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
