"""Addresses of static files that change when their content does, so they may be kept for ever."""

import gzip
import hashlib
import json
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request, url_for

COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg")
WORTH_COMPRESSING = 1024


class AssetMissing(LookupError):
    """A page names a file that is not there: `make run` fetches third-party files."""


@lru_cache(maxsize=256)
def _fingerprint(path: Path, changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=256)
def _of_ours(name: str, fingerprint: str, root: str) -> str:
    """Return an address below `root`, where the whole app hangs: each page names five or six."""
    return url_for("static", filename=name, v=fingerprint)


@lru_cache(maxsize=8)
def _manifest(path: Path, changed_ns: int) -> dict[str, str]:
    names: dict[str, str] = json.loads(path.read_text())
    return names


@lru_cache(maxsize=64)
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def address(static: Path, name: str) -> str:
    """Return the address of `name` ("css/base.css", "vendor/htmx.js").

    Third-party files are found through `vendor/manifest.json`, which maps the plain name to one
    with a hash in it; ours carry `?v=` and a hash.

    Raises:
        AssetMissing: there is no such file.
    """
    if name.startswith("vendor/"):
        manifest = static / "vendor" / "manifest.json"
        if not manifest.exists():
            raise AssetMissing(f"{manifest} is missing")
        plain = name.removeprefix("vendor/")
        try:
            hashed = _manifest(manifest, manifest.stat().st_mtime_ns)[plain]
        except KeyError:
            raise AssetMissing(f"{plain} is not in {manifest}") from None
        return url_for("static", filename=f"vendor/{hashed}")
    path = static / name
    try:
        changed_ns = path.stat().st_mtime_ns
    except FileNotFoundError:
        raise AssetMissing(f"{path} is missing") from None
    return _of_ours(name, _fingerprint(path, changed_ns), request.script_root)


def join(app: Flask) -> None:
    """Give templates `asset()`, and static files long lives and compression."""
    static = Path(app.static_folder or "static")

    @app.template_global()
    def asset(name: str) -> str:
        return address(static, name)

    @app.after_request
    def keep_and_compress(response: Response) -> Response:
        if request.endpoint != "static" or response.status_code != 200:
            return response
        hashed = "v" in request.args or request.path.startswith("/static/vendor/")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if hashed else "no-cache"
        )
        # Only static files: compressing pages that hold a CSRF token would let it be guessed
        # from the length of the answer (BREACH).
        if not (response.content_type or "").startswith(COMPRESSIBLE):
            return response
        response.vary.add("Accept-Encoding")
        if not request.accept_encodings["gzip"] or request.range:
            return response
        response.direct_passthrough = False
        body = response.get_data()
        if len(body) >= WORTH_COMPRESSING:
            response.set_data(_gzipped(body))
            response.headers["Content-Encoding"] = "gzip"
        return response
