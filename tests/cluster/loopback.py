"""An API server on loopback without nodes, for what needs thousands of pods; their processes are fakes."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.cluster.commands import run
from tests.cluster.native import tools
from tests.cluster.native.images import ROOT
from tests.cluster.native.pki import Pki
from tests.cluster.native.sandbox import ClusterError, wait
from tests.harness import free_ports

NAMESPACE = "pairsim"
CONTROLLER = "system:serviceaccount:pairsim:pairsim-controller"
_AT_ONCE = 40
_POLICY = """{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules":
[{"level": "Metadata", "users": ["%s"]}, {"level": "None"}]}"""


class Loopback:
    """Etcd, API server and the real controller as processes that end with the test's."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._programs = folder, tools.programs()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        store, peer, api, self.http = free_ports(4)
        self._store, self._peer, self.url = (
            f"{s}://127.0.0.1:{p}" for s, p in (("http", store), ("http", peer), ("https", api))
        )
        self._api_port = api
        self.pki = Pki(folder / "pki", self.url)
        self.admin = self.pki.kubeconfig("admin", "admin", "system:masters")

    def open(self) -> None:
        """Starts etcd and the API server, and applies what a world's namespace needs."""
        self._start(
            "etcd",
            self._programs["etcd"],
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls={self._store}",
            f"--advertise-client-urls={self._store}",
            f"--listen-peer-urls={self._peer}",
            f"--initial-advertise-peer-urls={self._peer}",
            f"--initial-cluster=default={self._peer}",
            "--unsafe-no-fsync",
        )
        certificate, key = self.pki.pair("apiserver", "kube-apiserver", "kube", ("127.0.0.1", "10.96.0.1"))
        (self._folder / "audit.json").write_text(_POLICY % CONTROLLER)
        self._start(
            "kube-apiserver",
            self._programs["kube-apiserver"],
            f"--etcd-servers={self._store}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._api_port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.pki.ca}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.pki.accounts_public}",
            f"--service-account-signing-key-file={self.pki.accounts_key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self._folder / 'audit.json'}",
            f"--audit-log-path={self._folder / 'audit.log'}",
        )
        wait("the API server is ready", self._ready, 60)
        self.kubectl("create", "namespace", NAMESPACE)
        base = ROOT / "manifests" / "base"
        for name in ("crd-areas", "crd-planes", "controller-rbac"):
            self.kubectl("apply", "-n", NAMESPACE, "-f", str(base / f"{name}.yaml"))
        self.kubectl("wait", "--for=condition=Established", "crd/areas.pairsim.io", "crd/planes.pairsim.io")

    def control(self) -> int:
        """Starts the controller with the rights of its Role; its pid."""
        own = self.pki.kubeconfig("controller", CONTROLLER, "system:serviceaccounts")
        words = ("-m", "controller.main", "--kubeconfig", str(own), "--namespace", NAMESPACE)
        return self._start("controller", sys.executable, *words, "--http", f"127.0.0.1:{self.http}")

    def close(self) -> None:
        for process in reversed(self._processes.values()):
            process.kill()
            process.wait(10)

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        return run(*self.kubectl_command(*words), stdin=stdin, seconds=seconds)

    def kubectl_command(self, *words: str) -> list[str]:
        return [str(self._programs["kubectl"]), f"--kubeconfig={self.admin}", *words]

    async def write(self, method: str, requests: list[tuple[str, Any]]) -> None:
        """Sends many bodies to paths, some at a time.

        Raises:
            ClusterError: One was refused.
        """
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        context.load_cert_chain(*self.pki.pair("writer", "writer", "system:masters"))
        kind = "application/json" if method == "POST" else "application/merge-patch+json"
        gate = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=_AT_ONCE)) as http:

            async def one(path: str, body: Any) -> None:
                data, headers = json.dumps(body), {"Content-Type": kind}
                async with gate, http.request(method, self.url + path, data=data, headers=headers) as answer:
                    if answer.status >= 300:
                        raise ClusterError(f"{method} {path}: {await answer.text()}")

            await asyncio.gather(*(one(path, body) for path, body in requests))

    def audit(self) -> int:
        """How many requests the controller has sent."""
        return (self._folder / "audit.log").read_bytes().count(b"\n")

    def _start(self, name: str, *command: str | Path) -> int:
        with (self._folder / f"{name}.log").open("ab") as out:
            # A test that is killed takes them along.
            words = ("setpriv", "--pdeathsig", "KILL", *map(str, command))
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._processes[name] = process
        return process.pid

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz", seconds=5) == "ok"
        except ClusterError:
            return False
