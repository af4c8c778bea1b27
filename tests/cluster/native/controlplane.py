"""The control plane: etcd, API server, controller manager, scheduler and cluster DNS, as plain processes."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cluster.native.network import CONTROL, PODS, SERVICES
from tests.cluster.native.pki import Pki
from tests.cluster.native.sandbox import HOME, ClusterError, Program, Sandbox, wait

URL = f"https://{CONTROL}:6443"
DNS = "10.96.0.10"
_FIRST_SERVICE = "10.96.0.1"
_STORE = "http://127.0.0.1:2379"

# A Service without pods: cluster DNS is a process of the control plane's machine here.
_DNS_SERVICE = f"""
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec:
  clusterIP: {DNS}
  ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kube-dns, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
endpoints: [{{addresses: [{CONTROL}], conditions: {{ready: true}}}}]
"""


class ControlPlane:
    """The processes of the control plane."""

    def __init__(self, sandbox: Sandbox, programs: dict[str, Path]) -> None:
        self._sandbox, self._programs = sandbox, programs
        self.pki = Pki(HOME / "pki", URL)
        self.kubeconfig = self.pki.kubeconfig("admin", "admin", "system:masters")
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
        self._server = self.pki.pair("apiserver", "kube-apiserver", "kube", (*names, _FIRST_SERVICE, CONTROL))
        self._client = self.pki.pair("apiserver-client", "admin", "system:masters")
        self._api: Program | None = None

    def open(self) -> None:
        """Starts all processes; returns when pods can be created."""
        self._etcd()
        self.start_api()
        self._managers()
        self._dns()
        self.kubectl("apply", "-f", "-", stdin=_DNS_SERVICE.encode())
        wait("the default service account is there", lambda: self._there("serviceaccount", "default"), 30)

    def start_api(self) -> None:
        """Starts the API server with its stored objects; returns when it is ready."""
        pki, (certificate, key), (client, client_key) = self.pki, self._server, self._client
        self._api = self._start(
            "kube-apiserver",
            f"--etcd-servers={_STORE}",
            "--bind-address=::",
            f"--advertise-address={CONTROL}",
            "--secure-port=6443",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={pki.ca}",
            f"--kubelet-client-certificate={client}",
            f"--kubelet-client-key={client_key}",
            f"--kubelet-certificate-authority={pki.ca}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki.accounts_public}",
            f"--service-account-signing-key-file={pki.accounts_key}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            # For daemons such as Chaos Mesh's, which are tried by hand; the world's own namespace forbids them still.
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={self._audit_policy()}",
            f"--audit-log-path={HOME / 'logs' / 'audit.log'}",
        )
        wait("the API server is ready", self._ready, 60)

    def stop_api(self) -> None:
        """Kills the API server; its stored objects stay."""
        assert self._api is not None
        self._api.kill()

    def hang_api(self, *, hangs: bool) -> None:
        """Pauses or resumes the API server: connections stay open, and requests get no answer."""
        assert self._api is not None
        self._api.signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def kubectl(self, *words: str, stdin: bytes = b"", seconds: float = 60.0) -> str:
        """Runs kubectl as the cluster's administrator."""
        config = f"--kubeconfig={self.kubeconfig}"
        return self._sandbox.run(self._programs["kubectl"], config, *words, stdin=stdin, seconds=seconds)

    def _etcd(self) -> None:
        peer = "http://127.0.0.1:2380"
        self._start(
            "etcd",
            f"--data-dir={HOME / 'data' / 'etcd'}",
            f"--listen-client-urls={_STORE}",
            f"--advertise-client-urls={_STORE}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )

    def _managers(self) -> None:
        manager = self.pki.kubeconfig("manager", "system:kube-controller-manager", "kube")
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={manager}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.pki.accounts_key}",
            f"--root-ca-file={self.pki.ca}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--cluster-cidr={PODS}",
            # A dead node is told from a live one in seconds, so that tests of it are short.
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=4s",
        )
        scheduler = self.pki.kubeconfig("scheduler", "system:kube-scheduler", "kube")
        self._start("kube-scheduler", f"--kubeconfig={scheduler}", "--leader-elect=false", "--bind-address=127.0.0.1")

    def _dns(self) -> None:
        config = HOME / "pki" / "Corefile"
        config.write_text(
            f".:53 {{\n  bind {CONTROL}\n  errors\n  kubernetes cluster.local {{\n"
            f"    kubeconfig {self.kubeconfig} test\n    ttl 1\n  }}\n}}\n"
        )
        self._start("coredns", f"-conf={config}")

    def _audit_policy(self) -> Path:
        path = self.pki.folder / "audit.json"
        account = "system:serviceaccount:pairsim:pairsim-controller"
        # Who asked for what: the tests compare it with what the controller may do, and count its requests.
        path.write_text(
            '{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": '
            f'[{{"level": "Metadata", "users": ["{account}"]}}, {{"level": "None"}}]}}'
        )
        return path

    def _start(self, name: str, *words: str) -> Program:
        return self._sandbox.start(name, self._programs[name], *words, net="control")

    def _ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz", seconds=5) == "ok"
        except ClusterError:
            return False

    def _there(self, kind: str, name: str) -> bool:
        try:
            return bool(self.kubectl("get", kind, name, "-o", "name"))
        except ClusterError:
            return False
