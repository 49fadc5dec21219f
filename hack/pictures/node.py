"""Stands in for a node: runs the Pods' programs as processes of this machine, and reports them to the API server."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from hack.pictures.errors import PictureError

if TYPE_CHECKING:
    from pathlib import Path

    from hack.kubectl import Kubectl

WAIT_SECONDS = 120


@dataclass(frozen=True)
class Node:
    """The node of a namespace; its one replica is the service at `service_url`."""

    kubectl: Kubectl
    namespace: str
    service_url: str
    folder: Path

    def report_ready(self, selector: str) -> None:
        """Mark the selected Pod as ready. Its program is running already."""
        pod = self._pod(selector)
        since = _now()
        ready = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
        self._report(pod, {"phase": "Running", "conditions": ready, "startTime": since})

    def run_exam(self, selector: str) -> None:
        """Run the selected exam's Pod to its end, and report its termination message. Raises PictureError."""
        pod = self._pod(selector)
        [container] = pod["spec"]["containers"]
        values = {each["name"]: _environment(each, pod) for each in container["env"]}
        started = _now()
        command = [sys.executable, "-m", "hack.pictures.exam_pod", self._mounted(pod)]
        done = subprocess.run(
            [*command, *self._arguments(pod, container, values)],
            env={**os.environ, **self._api_address()}, capture_output=True, text=True, check=False, timeout=500,
        )  # fmt: skip
        if done.returncode:
            raise PictureError(f"The exam's Pod {pod['metadata']['name']} failed: {done.stderr}")
        ended = {
            "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": _now(),
            "message": (self.folder / "termination-log").read_text(),
        }  # fmt: skip
        state = {
            "name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0,
            "state": {"terminated": ended},
        }  # fmt: skip
        self._report(pod, {"phase": "Succeeded", "containerStatuses": [state]})

    def _pod(self, selector: str) -> dict[str, Any]:
        """Return the selected Pod as soon as it exists."""
        until = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < until:
            listed = self.kubectl("get", "pods", "-n", self.namespace, "-l", selector, "-o", "json")
            if pods := json.loads(listed)["items"]:
                pod: dict[str, Any] = pods[0]
                return pod
            time.sleep(1)
        raise PictureError(f"There is no Pod {selector} in {self.namespace} after {WAIT_SECONDS} s.")

    def _report(self, pod: dict[str, Any], status: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        patch = json.dumps({"status": status})
        self.kubectl(
            "patch", "pod", name, "-n", self.namespace, "--subresource=status", "--type=merge", "-p", patch
        )

    def _arguments(self, pod: dict[str, Any], container: dict[str, Any], values: dict[str, str]) -> list[str]:
        """Return the container's arguments; the questions and the service are at their places on this machine."""
        own = {"questions": str(self._questions(pod)), "url": self.service_url}
        arguments = []
        for each in container["args"]:
            filled = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], each)
            name = filled.removeprefix("--").partition("=")[0]
            arguments.append(f"--{name}={own[name]}" if name in own else filled)
        return arguments

    def _questions(self, pod: dict[str, Any]) -> Path:
        [source] = [each["configMap"] for each in pod["spec"]["volumes"] if "configMap" in each]
        [item] = source["items"]
        config_map = json.loads(
            self.kubectl("get", "configmap", source["name"], "-n", self.namespace, "-o", "json")
        )
        path = self.folder / "questions.jsonl"
        path.write_text(config_map["data"][item["key"]])
        return path

    def _mounted(self, pod: dict[str, Any]) -> str:
        """Write the files of the Pod's ServiceAccount; return their folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        account = pod["spec"]["serviceAccountName"]
        token = self.kubectl("create", "token", account, "-n", self.namespace).strip()
        authority = self._cluster()["certificate-authority-data"]
        (self.folder / "token").write_text(token)
        (self.folder / "namespace").write_text(self.namespace)
        (self.folder / "ca.crt").write_bytes(base64.b64decode(authority))
        return str(self.folder)

    def _api_address(self) -> dict[str, str]:
        server = urllib.parse.urlsplit(self._cluster()["server"])
        return {
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }

    def _cluster(self) -> dict[str, str]:
        config = yaml.safe_load(self.kubectl("config", "view", "--raw", "--minify", "--flatten"))
        cluster: dict[str, str] = config["clusters"][0]["cluster"]
        return cluster


def _environment(variable: dict[str, Any], pod: dict[str, Any]) -> str:
    """Return a variable's value, from itself or from a label or annotation of the Pod."""
    if "value" in variable:
        return str(variable["value"])
    match = re.fullmatch(
        r"metadata\.(labels|annotations)\['(.+)'\]", variable["valueFrom"]["fieldRef"]["fieldPath"]
    )
    assert match
    return str(pod["metadata"][match[1]][match[2]])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
