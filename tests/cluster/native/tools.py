"""The programs of the cluster: some are built once from pinned Go modules, the others come with Debian's packages.

Binaries stay in a folder of the user's cache, by version, so that the next run finds them; nothing of them is in the
repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("PAIRSIM_CACHE", Path.home() / ".cache" / "pairsim")) / "cluster"
_MODULES = Path(__file__).parent.parent / "tools"
_BUILD_SECONDS = 1800.0

PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
}
"""Programs by the Debian package that has them."""

CNI = Path("/usr/lib/cni")
CNI_PACKAGE = "containernetworking-plugins"


class MissingToolsError(Exception):
    """The machine lacks programs; the text names the command that installs them."""


@dataclass(frozen=True)
class Module:
    """A Go module of pinned programs, and the packages in it that are built, by program."""

    folder: str
    requires: str
    packages: Mapping[str, str]

    @property
    def version(self) -> str:
        """Returns the version that its go.mod pins."""
        text = (_MODULES / self.folder / "go.mod").read_text()
        found = re.search(rf"^(?:require )?\s*{re.escape(self.requires)} (v[\w.+-]+)", text, re.MULTILINE)
        assert found is not None, f"{self.folder}/go.mod does not require {self.requires}"
        return found.group(1)

    @property
    def bin(self) -> Path:
        """Returns the folder of its programs."""
        return CACHE / f"{self.folder}-{self.version}"

    def programs(self) -> dict[str, Path]:
        """Returns the programs by name; builds them if they do not exist."""
        paths = {name: self.bin / name for name in self.packages}
        if not all(path.exists() for path in paths.values()):
            self._build()
        return paths

    def _build(self) -> None:
        fresh = self.bin.with_name(f"{self.bin.name}.new-{os.getpid()}")
        fresh.mkdir(parents=True, exist_ok=True)
        x, minor = "k8s.io/component-base/version", self.version.split(".")[1]
        stamp = f"-X {x}.gitVersion={self.version} -X {x}.gitMajor=1 -X {x}.gitMinor={minor} -X {x}.gitTreeState=clean"
        # With a folder as the target, programs are named after their packages, which is a version for etcd's.
        target = f"{fresh}/" if len(self.packages) > 1 else str(fresh / self.folder)
        print(f"building {self.folder} {self.version} (once; minutes)", flush=True)  # noqa: T201
        try:
            subprocess.run(
                ["go", "build", "-trimpath", "-ldflags", f"-s -w {stamp}", "-o", target, *self.packages.values()],
                cwd=_MODULES / self.folder,
                check=True,
                timeout=_BUILD_SECONDS,
            )
            shutil.rmtree(self.bin, ignore_errors=True)
            fresh.rename(self.bin)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
KUBERNETES = Module("kubernetes", "k8s.io/kubernetes", {name: f"k8s.io/kubernetes/cmd/{name}" for name in _COMMANDS})
ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"})
COREDNS = Module("coredns", "github.com/coredns/coredns", {"coredns": "github.com/coredns/coredns"})


def missing() -> list[str]:
    """Returns the reasons, as sentences, that prevent a cluster on this machine."""
    if os.geteuid() != 0:
        return ["a cluster on this machine needs root: it makes namespaces and runs kubelets"]
    said = []
    if shutil.which("go") is None and not all(m.bin.exists() for m in (KUBERNETES, ETCD, COREDNS)):
        said.append("Go 1.25 or later is not installed; the cluster's programs are built with it")
    packages = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    if not (CNI / "bridge").exists():
        packages.add(CNI_PACKAGE)
    if packages:
        said.append(
            "programs are missing; install them with: apt-get install --no-install-recommends "
            + " ".join(sorted(packages))
        )
    return said


def programs() -> dict[str, Path]:
    """Returns all built programs by name.

    Raises:
        MissingToolsError: The machine lacks something.
    """
    said = missing()
    if said:
        raise MissingToolsError("; ".join(said))
    return KUBERNETES.programs() | ETCD.programs() | COREDNS.programs()
