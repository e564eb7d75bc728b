"""The other ways in: the dev container and Binder say what the project says."""

from __future__ import annotations

import json
import os
import re

import yaml

from pglab.home import course_root

ROOT = course_root()


def test_binder_has_the_packages_of_environment_yml() -> None:
    def packages(path: str) -> tuple[list[str], list[str]]:
        told = yaml.safe_load((ROOT / path).read_text())["dependencies"]
        by_pip = next(part["pip"] for part in told if isinstance(part, dict))
        return [part for part in told if isinstance(part, str)], [part for part in by_pip if part != "-e ."]

    assert packages("binder/environment.yml") == packages("environment.yml")
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK), name


def test_the_dev_container_builds_the_compose_files_image() -> None:
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text()
    told = json.loads(re.sub(r"(?m)^\s*//.*$", "", text))
    build = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["lab"]["build"]
    assert (ROOT / ".devcontainer" / told["build"]["dockerfile"]).resolve() == ROOT / build["dockerfile"]
    assert told["build"]["target"] == build["target"]
    assert (
        f"useradd --create-home --uid 1000 --shell /bin/bash {told['remoteUser']}"
        in (ROOT / build["dockerfile"]).read_text()
    )
