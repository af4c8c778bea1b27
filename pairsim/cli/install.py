"""`pairsim install`: unpacks the package of a simulator to a folder from which the processes of a pool import it.

An init container runs this command. The target is a symbolic link to a folder that is named after its content. The link
is set when the folder is complete, so that a process never sees half of a package, and the same wheels again change
nothing.
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

from pairsim.addresses import is_http_url
from pairsim.cli.wheels import WheelError, check_name, find_problems, unpack

_MAX_DOWNLOAD_BYTES = 512 * 2**20
_BLOCK_BYTES = 2**18
_ANSWER_SECONDS = 10.0


@click.command()
@click.option(
    "--from",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of wheels, all of which are installed. May be repeated.",
)
@click.option("--url", "urls", multiple=True, envvar="PAIRSIM_PACKAGE_URL", help="Address of a wheel; needs --sha256.")
@click.option(
    "--sha256", "hashes", multiple=True, envvar="PAIRSIM_PACKAGE_SHA256", help="SHA-256 of that wheel, in hex."
)
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), help="Folder to import from (PYTHONPATH)."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=120.0, show_default=True,
    help="Time limit of all downloads together, in seconds.",
)  # fmt: skip
def install(
    folders: tuple[Path, ...], urls: tuple[str, ...], hashes: tuple[str, ...], target: Path, seconds: float
) -> None:
    """Installs wheels as they are. Their dependencies must be installed already or be among them."""
    if not folders and not urls:
        raise click.UsageError("name the wheels: --from FOLDER, or --url URL with --sha256 HEX")
    if len(urls) != len(hashes):
        raise click.UsageError(f"every --url takes one --sha256: {len(urls)} and {len(hashes)} were given")
    try:
        wheels = _local_wheels(folders) | _remote_wheels(urls, hashes)
        target = target.absolute()
        place = target.with_name(f".{target.name}-{_content_key(wheels)}")
        if target.is_symlink() and target.resolve() == place.resolve() and place.is_dir():
            click.echo(f"{target} is up to date")
            return
        _ensure_replaceable(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-new-", dir=target.parent) as scratch:
            _build(wheels, Path(scratch), target, time.monotonic() + seconds)
            _publish(Path(scratch, "tree"), place, target)
    except WheelError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot install to {target}: {error}") from error
    click.echo(f"installed {', '.join(sorted(wheels))} to {target}")


def _local_wheels(folders: tuple[Path, ...]) -> dict[str, tuple[str, str]]:
    """Returns the path and the hash of every wheel, by file name."""
    wheels = {}
    for folder in folders:
        found = sorted(folder.glob("*.whl"))
        if not found:
            raise WheelError(f"{folder} holds no wheel (*.whl)")
        for path in found:
            check_name(path.name)
            with path.open("rb") as file:
                wheels[path.name] = (str(path), hashlib.file_digest(file, "sha256").hexdigest())
    return wheels


def _remote_wheels(urls: tuple[str, ...], hashes: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Returns the address and the expected hash of every wheel, by file name."""
    wheels = {}
    for url, digest in zip(urls, hashes, strict=True):
        if not is_http_url(url):
            raise WheelError(f"{url} is not an http or https address")
        if re.fullmatch(r"[0-9a-fA-F]{64}", digest) is None:
            raise WheelError(f"the sha256 of {url} has 64 hex digits, not {digest!r}")
        name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]
        check_name(name)
        wheels[name] = (url, digest.lower())
    return wheels


def _content_key(wheels: dict[str, tuple[str, str]]) -> str:
    """Returns a key that depends on the names and hashes of the wheels only, not on where they come from."""
    text = "".join(f"{digest}  {name}\n" for name, (_, digest) in sorted(wheels.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _ensure_replaceable(target: Path) -> None:
    """Checks that the target is a link, an empty folder or missing, so that the link can be set.

    Raises:
        WheelError: The target has another content, which this command must not replace.
    """
    if target.is_symlink() or not target.exists():
        return
    try:
        target.rmdir()
    except OSError as error:
        raise WheelError(
            f"{target} is a file, a mount or a folder that is not empty: name a folder below it, which will be created"
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
    sentences = list(find_problems(tree, target))
    if sentences:
        raise WheelError("\n".join(sentences))


def _download(url: str, to: Path, expected: str, deadline: float) -> None:
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer, to.open("wb") as file:  # noqa: S310 - http(s), checked by _remote
            while block := answer.read1(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
                file.write(block)
                if size > _MAX_DOWNLOAD_BYTES:
                    raise WheelError(f"{url} is larger than {_MAX_DOWNLOAD_BYTES >> 20} MiB")
                if time.monotonic() > deadline:
                    raise WheelError(f"{url} came too slowly: {size} bytes until the deadline (--seconds)")
    except (OSError, http.client.HTTPException) as error:
        raise WheelError(f"cannot download {url}: {error}") from error
    if digest.hexdigest() != expected:
        raise WheelError(
            f"{url} has an unexpected content: its sha256 is {digest.hexdigest()}, expected {expected}; "
            "nothing was installed"
        )


def _publish(tree: Path, place: Path, target: Path) -> None:
    """Renames the finished tree, points the link to it, and deletes the tree that the link pointed to before."""
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
