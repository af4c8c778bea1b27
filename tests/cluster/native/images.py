"""Images without a registry: a pause image packed by hand, and the product's own, built from its Dockerfile.

A base image cannot be pulled everywhere, so the base is a small Debian made of its packages, kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.cluster.native.tools import CACHE

ROOT = Path(__file__).resolve().parents[3]
_BASE = "localhost/pairsim-test-base"
_SUITE = "bookworm"
_PACKAGES = "python3-minimal,python3-venv,ca-certificates"
_SECONDS = 1200.0
_CERTIFICATES = Path("/etc/ssl/certs")
# What decides how the image behaves.
_SOURCES = ("Dockerfile", "pyproject.toml", "requirements", "pairsim", "controller", "chaos")


def pause(folder: Path, name: str) -> Path:
    """Builds the pause image, which holds a pod's namespaces: a static busybox and a script."""
    script = b"#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 3600 & wait $!; done\n"
    busybox = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, data in (("bin/busybox", busybox), ("pause", script)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
        for applet in ("sh", "sleep"):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    archive = folder / "pause.tar"
    with tarfile.open(archive, "w") as tar:
        for path, data in (
            (config_name, config),
            (f"{digest}/layer.tar", layer.getvalue()),
            ("manifest.json", manifest),
        ):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive


def product(tag: str) -> Path:
    """Returns the product's image as an archive, built with its Dockerfile; reuses an archive of the same sources."""
    archive = CACHE / "images" / f"pairsim-{sources()}-{tag}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        base()
        name = f"docker.io/library/pairsim:{tag}"
        # No build of ours may reach further than pip's index, which a machine may have to know by its own settings.
        settings = [f"--build-arg={key}={value}" for key, value in _pip().items()]
        _buildah(
            "build",
            "--isolation=chroot",
            "--network=host",
            "--pull=never",
            "--layers",
            f"--volume={_CERTIFICATES}:{_CERTIFICATES}:ro",
            f"--build-arg=BASE={_BASE}:{_SUITE}",
            *settings,
            f"--tag={name}",
            str(ROOT),
        )
        for old in archive.parent.glob(f"pairsim-*-{tag}.tar"):
            old.unlink()
        fresh = archive.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        _buildah("push", name, f"docker-archive:{fresh}:{name}")
        fresh.rename(archive)
    return archive


def base() -> None:
    """Builds a Debian with Python as an image in buildah's store."""
    if _has(f"{_BASE}:{_SUITE}"):
        return
    rootfs = CACHE / f"base-{_SUITE}"
    if not (rootfs / "usr/bin/python3").exists():
        shutil.rmtree(rootfs, ignore_errors=True)
        print("making the base image (once; a minute)", flush=True)  # noqa: T201
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(rootfs)],
            check=True,
            timeout=_SECONDS,
            stdout=subprocess.DEVNULL,
        )
        for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(rootfs / folder, ignore_errors=True)
    container = _buildah("from", "--pull=never", "scratch").strip()
    try:
        _buildah("add", container, str(rootfs), "/")
        _buildah("commit", container, f"{_BASE}:{_SUITE}")
    finally:
        _buildah("rm", container)
    shutil.rmtree(rootfs)


def sources() -> str:
    """Returns a digest of all sources of the image, and of its base."""
    digest = hashlib.sha256(f"{_SUITE} {_PACKAGES}".encode())
    for source in _SOURCES:
        path = ROOT / source
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in (f for f in files if f.is_file() and "__pycache__" not in f.parts):
            digest.update(str(file.relative_to(ROOT)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _pip() -> dict[str, str]:
    """Returns the machine's own pip settings, which may name a mirror."""
    names = ("PIP_INDEX_URL", "PIP_CERT")
    found = {name: os.environ[name] for name in names if name in os.environ}
    said = subprocess.run(
        ["python3", "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    ).stdout
    for line in said.splitlines():
        key, _, value = line.partition("=")
        name = "PIP_" + key.rpartition(".")[2].replace("-", "_").upper()
        if name in names:
            found.setdefault(name, value.strip("'\""))
    bundle = _CERTIFICATES / "ca-certificates.crt"
    if bundle.exists():
        found.setdefault("PIP_CERT", str(bundle))
    return found


def _has(name: str) -> bool:
    done = subprocess.run(_command("inspect", "--type=image", name), check=False, capture_output=True)
    return done.returncode == 0


def _command(*words: str) -> list[str]:
    store = CACHE / "buildah"
    return ["buildah", f"--root={store}", f"--runroot={store}/run", *words]


def _buildah(*words: str) -> str:
    done = subprocess.run(_command(*words), check=False, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise RuntimeError(f"buildah {words[0]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout
