"""All that is pinned: the name of each golden file, and what makes its content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.contract import commands, documents, files, identifiers, kubernetes, product, servers, streams

GOLDENS: dict[str, Callable[[Path], object]] = {
    "commands": lambda _folder: commands.surface(),
    "exit_codes": commands.exit_codes,
    "documents": lambda _folder: documents.json_documents(),
    "documents_messagepack": lambda _folder: documents.messagepack_documents(),
    "verdicts": lambda _folder: documents.verdicts(),
    "settings": lambda _folder: documents.settings(),
    "definitions": lambda _folder: kubernetes.definitions(),
    "manifests": lambda _folder: kubernetes.manifests(),
    "controller_objects": lambda _folder: kubernetes.made(),
    "identifiers": lambda _folder: identifiers.identifiers(),
    "http_routes": lambda folder: asyncio.run(servers.routes(folder)),
    "http_answers": lambda folder: asyncio.run(servers.answers(folder)),
    "websockets": lambda folder: asyncio.run(streams.streams(folder)),
    "metrics": lambda folder: asyncio.run(product.metrics(folder)),
    "conditions": lambda _folder: kubernetes.conditions(),
    "events": lambda _folder: kubernetes.events(),
    "wire": lambda _folder: files.wire(),
    "files": files.files,
}
"""Each gets an empty folder and returns what JSON can hold."""
