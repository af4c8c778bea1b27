"""`pairsim install`: puts a simulator's package where the processes of a pool find it.

An init container runs it. The target is a link to a folder that is named after its content and complete before the link
points to it: a process never sees half of a package, and the same wheels again change nothing.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import click

from pairsim.cli.wheels import WheelError, check_name, problems, unpack

_MAX_DOWNLOAD = 512 * 2**20
_BLOCK = 2**18
_ANSWER_SECONDS = 10.0


@click.command()
@click.option(
    "--from",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of wheels; all of them are installed.",
)
@click.option("--url", "urls", multiple=True, envvar="PAIRSIM_PACKAGE_URL", help="Of a wheel; needs --sha256.")
@click.option("--sha256", "hashes", multiple=True, envvar="PAIRSIM_PACKAGE_SHA256", help="Of that wheel, in hex.")
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), help="Folder to import from (PYTHONPATH)."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=120.0, show_default=True,
    help="How long all downloads may take.",
)  # fmt: skip
def install(
    folders: tuple[Path, ...], urls: tuple[str, ...], hashes: tuple[str, ...], target: Path, seconds: float
) -> None:
    """Installs wheels as they are. What they need must be installed already or be among them."""
    if not folders and not urls:
        raise click.UsageError("name the wheels: --from FOLDER, or --url URL with --sha256 HEX")
    if len(urls) != len(hashes):
        raise click.UsageError(f"every --url takes one --sha256: there are {len(urls)} and {len(hashes)}")
    try:
        wheels = _local(folders) | _remote(urls, hashes)
        target = target.absolute()
        place = target.with_name(f".{target.name}-{_key(wheels)}")
        if target.is_symlink() and target.resolve() == place.resolve() and place.is_dir():
            click.echo(f"{target} is up to date")
            return
        _free(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-new-", dir=target.parent) as scratch:
            _build(wheels, Path(scratch), target, time.monotonic() + seconds)
            _publish(Path(scratch, "tree"), place, target)
    except WheelError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot install to {target}: {error}") from error
    click.echo(f"installed {', '.join(sorted(wheels))} to {target}")


def _local(folders: tuple[Path, ...]) -> dict[str, tuple[str, str]]:
    """Where every wheel is and its hash, by file name."""
    wheels = {}
    for folder in folders:
        found = sorted(folder.glob("*.whl"))
        if not found:
            raise WheelError(f"there is no wheel (*.whl) in {folder}")
        for path in found:
            check_name(path.name)
            with path.open("rb") as file:
                wheels[path.name] = (str(path), hashlib.file_digest(file, "sha256").hexdigest())
    return wheels


def _remote(urls: tuple[str, ...], hashes: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """The same; the hash is what the caller expects."""
    wheels = {}
    for url, digest in zip(urls, hashes, strict=True):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise WheelError(f"{url} is no http or https address")
        if re.fullmatch(r"[0-9a-fA-F]{64}", digest) is None:
            raise WheelError(f"the sha256 of {url} has 64 hex digits, not {digest!r}")
        name = urllib.parse.unquote(parts.path).rpartition("/")[2]
        check_name(name)
        wheels[name] = (url, digest.lower())
    return wheels


def _key(wheels: dict[str, tuple[str, str]]) -> str:
    """The same for the same wheels, wherever they come from."""
    text = "".join(f"{digest}  {name}\n" for name, (_, digest) in sorted(wheels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _free(target: Path) -> None:
    """Makes sure that the target is ours to set."""
    if target.is_symlink() or not target.exists():
        return
    try:
        target.rmdir()
    except OSError as error:
        raise WheelError(
            f"{target} is a file, a mount or a folder with something in it: name a folder below it, which is then made"
        ) from error


def _build(wheels: dict[str, tuple[str, str]], scratch: Path, target: Path, deadline: float) -> None:
    tree, downloads = scratch / "tree", scratch / "downloads"
    tree.mkdir()
    downloads.mkdir()
    for name, (source, digest) in sorted(wheels.items()):
        wheel = Path(source)
        if source.startswith(("http://", "https://")):
            wheel = downloads / name
            _download(source, wheel, digest, deadline)
        unpack(wheel, tree)
    sentences = list(problems(tree, target))
    if sentences:
        raise WheelError("\n".join(sentences))


def _download(url: str, to: Path, expected: str, deadline: float) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer, to.open("wb") as file:  # noqa: S310 - http(s), checked by _remote
            while block := answer.read1(_BLOCK):
                digest.update(block)
                size += len(block)
                file.write(block)
                if size > _MAX_DOWNLOAD:
                    raise WheelError(f"{url} is larger than {_MAX_DOWNLOAD >> 20} MiB")
                if time.monotonic() > deadline:
                    raise WheelError(f"{url} came too slowly: {size} bytes until the deadline (--seconds)")
    except (OSError, http.client.HTTPException) as error:
        raise WheelError(f"cannot download {url}: {error}") from error
    if digest.hexdigest() != expected:
        raise WheelError(
            f"{url} is not what it should be: its sha256 is {digest.hexdigest()}, expected {expected}; "
            "nothing was installed"
        )


def _publish(tree: Path, place: Path, target: Path) -> None:
    """Names the finished tree, points the link at it, and drops what the link pointed at before."""
    tree.chmod(0o755)
    if place.exists():
        shutil.rmtree(place)
    tree.rename(place)
    link = place.with_name(f"{place.name}-link")
    link.unlink(missing_ok=True)
    link.symlink_to(place.name)
    link.replace(target)
    for old in place.parent.glob(f".{target.name}-*"):
        if old != place and re.fullmatch(r"[0-9a-f]{24}", old.name.rpartition("-")[2]):
            shutil.rmtree(old, ignore_errors=True)
