"""nginx as a byte pump: one worker, nothing buffered. The floor under every gateway; the distribution's package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmarks.environments import FOLDER, EnvironmentFailed, last_line

_PACKAGE_SECONDS = 60
_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream backend {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /readyz {{ return 200; }}
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


def program() -> Path:
    """Find nginx, or fetch the distribution's package and unpack it beside the environments, changing nothing else.

    Raises:
        EnvironmentFailed: There is none, and none can be fetched.
    """
    installed = shutil.which("nginx")
    unpacked = FOLDER / "nginx" / "usr" / "sbin" / "nginx"
    if installed is not None:
        return Path(installed)
    if not unpacked.exists():
        _fetch(unpacked.parents[2])
    return unpacked


def _fetch(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise EnvironmentFailed("there is no nginx, and no apt-get to fetch it with")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run(["apt-get", "download", "--quiet", "nginx"], folder)
        for package in folder.glob("nginx_*.deb"):
            _run(["dpkg", "--extract", str(package), str(folder)], folder)
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailed(last_line(error.stderr) or f"{error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailed(last_line(str(error).encode())) from error


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_PACKAGE_SECONDS)


def version() -> str:
    """The version, as nginx says it."""
    said = subprocess.run([program(), "-v"], check=True, capture_output=True, text=True).stderr
    return said.strip().rpartition("/")[2].partition(" ")[0]


def command(folder: Path, port: int, upstream: int) -> list[str]:
    """Write a configuration into a folder, and give the command that runs nginx with it."""
    path = folder / "nginx.conf"
    path.write_text(_CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
    return [str(program()), "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(path)]
