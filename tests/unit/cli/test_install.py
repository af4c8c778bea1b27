"""`pairsim install`: wheels that are right, wrong, dangerous, and installed again."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import platform
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pairsim.cli import main

Files = dict[str, str]


def wheel(
    folder: Path,
    name: str = "growth",
    *,
    tags: str = "py3-none-any",
    files: Files | None = None,
    requires: tuple[str, ...] = (),
    tamper: bool = False,
    unlisted: Files | None = None,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    content = {
        **(files if files is not None else {f"{name}.py": "LIMIT = 3\n"}),
        f"{info}/METADATA": metadata + "".join(f"Requires-Dist: {r}\n" for r in requires),
        f"{info}/WHEEL": "Wheel-Version: 1.0\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in content.items())
    path = folder / f"{name}-1.0-{tags}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in (content | (unlisted or {})).items():
            archive.writestr(place, text + "#" if tamper and place.endswith(".py") else text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["install", *map(str, arguments)])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """An address, the folder behind it, and the paths that were asked for."""
    folder, asked = tmp_path / "served", list[str]()
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_request(self, *_: object) -> None:
            asked.append(self.path)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_wheel_of_a_folder_can_be_imported(tmp_path: Path) -> None:
    entry_points = "[pairsim.simulators]\ngrowth = growth:Growth\n"
    files = {"growth.py": "LIMIT = 3\n", "growth-1.0.dist-info/entry_points.txt": entry_points}
    wheel(tmp_path / "from", files=files)
    done = install("--from", tmp_path / "from", "--to", tmp_path / "to/plugins")
    assert done.exit_code == 0, done.output
    code = (
        "import growth, importlib.metadata as m;"
        "print(growth.LIMIT, [e.value for e in m.entry_points(group='pairsim.simulators', name='growth')])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "to/plugins")},
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert told.stdout == "3 ['growth:Growth']\n"


def test_any_user_may_read_what_was_installed(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    assert install("--from", tmp_path / "from", "--to", tmp_path / "plugins").exit_code == 0
    assert (tmp_path / "plugins").resolve().stat().st_mode & 0o005 == 0o005


def test_programs_stay_executable(tmp_path: Path) -> None:
    made = wheel(tmp_path / "wheels", files={"growth/engine": "#!/bin/sh\n", "growth/__init__.py": ""})
    with zipfile.ZipFile(made) as archive:
        content = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in content.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFREG | (0o711 if name == "growth/engine" else 0o644)) << 16
            archive.writestr(member, data)
    assert install("--from", tmp_path / "wheels", "--to", tmp_path / "plugins").exit_code == 0
    folder = tmp_path / "plugins" / "growth"
    assert stat.S_IMODE((folder / "engine").stat().st_mode) == 0o755
    assert not (folder / "__init__.py").stat().st_mode & 0o111


def test_the_same_wheels_again_change_nothing(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    target = tmp_path / "plugins"
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    before = (target.resolve(), target.resolve().stat().st_ino)
    again = install("--from", tmp_path / "from", "--to", target)
    assert (again.exit_code, again.output) == (0, f"{target} is up to date\n")
    assert (target.resolve(), target.resolve().stat().st_ino) == before


def test_other_wheels_take_the_place_of_the_first_and_leave_nothing(tmp_path: Path) -> None:
    path = wheel(tmp_path / "from")
    target = tmp_path / "to/plugins"
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    path.unlink()
    wheel(tmp_path / "from", "decay")
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    assert sorted(p.name for p in target.iterdir()) == ["decay-1.0.dist-info", "decay.py"]
    assert len(list(target.parent.iterdir())) == 2  # the link and what it points to


def test_the_remains_of_a_killed_run_do_no_harm(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    target = tmp_path / "plugins"
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    place = target.resolve()
    target.unlink()  # killed between the name and the link
    (place / "growth.py").unlink()
    place.with_name(f"{place.name}-link").symlink_to("nowhere")
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    assert (target / "growth.py").read_text() == "LIMIT = 3\n"


def test_a_failure_keeps_the_previous_installation(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    target = tmp_path / "to/plugins"
    assert install("--from", tmp_path / "from", "--to", target).exit_code == 0
    wheel(tmp_path / "bad", "decay", tamper=True)
    assert install("--from", tmp_path / "bad", "--to", target).exit_code == 1
    assert (target / "growth.py").exists()
    assert len(list(target.parent.iterdir())) == 2


def test_a_wheel_is_downloaded_from_an_address(tmp_path: Path, served: tuple[str, Path, list[str]]) -> None:
    url, folder, asked = served
    path = wheel(folder)
    arguments = ("--url", f"{url}/{path.name}", "--sha256", sha256(path).upper(), "--to", tmp_path / "plugins")
    assert install(*arguments).exit_code == 0
    assert (tmp_path / "plugins/growth.py").exists()
    assert install(*arguments).exit_code == 0
    assert len(asked) == 1  # the second time nothing had to be downloaded


def test_wheels_come_from_a_folder_and_from_an_address_in_the_environment(
    tmp_path: Path, served: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder, _ = served
    path = wheel(folder)
    wheel(tmp_path / "from", "decay", requires=("growth>=1",))
    monkeypatch.setenv("PAIRSIM_PACKAGE_URL", f"{url}/{path.name}")
    monkeypatch.setenv("PAIRSIM_PACKAGE_SHA256", sha256(path))
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "plugins/growth.py").exists()
    assert (tmp_path / "plugins/decay.py").exists()


def test_an_unexpected_hash_is_refused_and_both_hashes_are_shown(
    tmp_path: Path, served: tuple[str, Path, list[str]]
) -> None:
    url, folder, _ = served
    path = wheel(folder)
    wrong = "0" * 64
    done = install("--url", f"{url}/{path.name}", "--sha256", wrong, "--to", tmp_path / "to/plugins")
    assert done.exit_code == 1
    assert f"its sha256 is {sha256(path)}, expected {wrong}; nothing was installed" in done.output
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name the wheels"),
        (("--url", "http://x/g-1.0-py3-none-any.whl"), "every --url takes one --sha256"),
        (("--url", "http://x/g-1.0-py3-none-any.whl", "--sha256", "abc"), "has 64 hex digits"),
        (("--url", "file:///g-1.0-py3-none-any.whl", "--sha256", "0" * 64), "not an http or https address"),
        (("--url", "http://x/g.zip", "--sha256", "0" * 64), "is not the name of a wheel"),
        (("--url", "http://127.0.0.1:1/g-1.0-py3-none-any.whl", "--sha256", "0" * 64), "cannot download"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = install(*arguments, "--to", tmp_path / "plugins")
    assert done.exit_code in {1, 2}
    assert sentence in done.output
    assert not isinstance(done.exception, ValueError)


def test_a_folder_without_wheels_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    assert "holds no wheel" in install("--from", tmp_path / "from", "--to", tmp_path / "to").output


def test_a_target_with_other_files_is_left_alone(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/mine").touch()
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 1
    assert (tmp_path / "plugins/mine").exists()


_HERE = f"cp3{sys.version_info.minor}-cp3{sys.version_info.minor}-manylinux_2_17_{platform.machine()}"


@pytest.mark.parametrize("tags", ["py3-none-any", "py2.py3-none-any", _HERE, f"cp37-abi3-linux_{platform.machine()}"])
def test_wheels_for_this_interpreter_are_accepted(tmp_path: Path, tags: str) -> None:
    wheel(tmp_path / "from", tags=tags)
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "tags",
    ["py2-none-any", "cp37-cp37m-any", "py3-none-win_amd64", "py3-none-manylinux_2_17_s390x", "py399-none-any",
     f"py3-none-musllinux_1_1_{platform.machine()}"],
)  # fmt: skip
def test_wheels_for_another_interpreter_or_machine_are_refused(tmp_path: Path, tags: str) -> None:
    wheel(tmp_path / "from", tags=tags)
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 1
    assert "is not for Python" in done.output


def test_only_what_can_be_imported_is_unpacked(tmp_path: Path) -> None:
    data = "growth-1.0.data"
    files = {f"{data}/purelib/growth.py": "", f"{data}/scripts/grow": "", f"{data}/data/etc/grow": ""}
    wheel(tmp_path / "from", files=files)
    assert install("--from", tmp_path / "from", "--to", tmp_path / "plugins").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "plugins").iterdir()) == ["growth-1.0.dist-info", "growth.py"]


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "growth-1.0.data/purelib/../../../evil.py", "a\\..\\b.py"])
def test_a_wheel_that_writes_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    wheel(tmp_path / "from", files={name: ""})
    done = install("--from", tmp_path / "from", "--to", tmp_path / "to/plugins")
    assert done.exit_code == 1
    assert "is dangerous" in done.output
    assert not list(tmp_path.rglob("evil.py"))


def test_a_wheel_with_a_changed_file_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "from", tamper=True)
    assert "is not what its RECORD says" in install("--from", tmp_path / "from", "--to", tmp_path / "to").output


def test_a_wheel_with_a_file_outside_its_record_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "from", unlisted={"more.py": ""})
    assert "is not in its RECORD" in install("--from", tmp_path / "from", "--to", tmp_path / "to").output


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_a_damaged_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "growth-1.0-py3-none-any.whl").write_bytes(content)
    done = install("--from", tmp_path, "--to", tmp_path / "to")
    assert done.exit_code == 1
    assert "cannot be unpacked" in done.output


def test_an_archive_without_record_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "growth-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("growth.py", "")
    assert "is not a wheel" in install("--from", tmp_path, "--to", tmp_path / "to").output


@pytest.mark.parametrize("module", ["numpy", "pairsim", "json"])
def test_a_wheel_that_would_hide_an_installed_module_is_refused(tmp_path: Path, module: str) -> None:
    wheel(tmp_path / "from", files={f"{module}/__init__.py": ""})
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 1
    assert f"the wheels bring '{module}'" in done.output


def test_a_missing_dependency_is_named(tmp_path: Path) -> None:
    wheel(tmp_path / "from", requires=("numpy>=2", "no_such-thing>=1", "other; extra == 'dev'"))
    done = install("--from", tmp_path / "from", "--to", tmp_path / "plugins")
    assert done.exit_code == 1
    assert "growth needs no_such-thing>=1" in done.output
    assert "other" not in done.output
    assert "numpy" not in done.output


def test_two_wheels_with_the_same_file_are_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "from")
    wheel(tmp_path / "from", "decay", files={"growth.py": ""})
    assert "and so does another wheel" in install("--from", tmp_path / "from", "--to", tmp_path / "to").output
