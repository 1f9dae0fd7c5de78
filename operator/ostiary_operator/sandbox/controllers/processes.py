"""Containers as processes of this machine, each pod with a loopback address of its own.

Nothing is isolated: this is for trying things out, with one's own programs. The image says nothing but which
command to run where the container names none.
"""

import asyncio
import base64
import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp

from ostiary_operator.sandbox.api.values import at
from ostiary_operator.sandbox.controllers.desk import Desk
from ostiary_operator.sandbox.controllers.kubelet import Condition

Json = dict[str, Any]

_LOOK = 0.5
"""Seconds between looks at a process that has no probe, or is being stopped."""
_LONGEST_MESSAGE, _LONGEST_LOG_MESSAGE = 4096, 2048
"""Bytes of a termination message that are kept, and of a log in its place."""
_FIRST, _BLOCKS = 64, 64 * 256
"""Blocks of 256 loopback addresses, from 127.64.0.0 on."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@dataclass
class _Running:
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    logs: dict[str, Path] = field(default_factory=dict)
    messages: dict[str, Path] = field(default_factory=dict)
    good: int = 0
    bad: int = 0
    ready: bool = False
    told: bool = False
    killed: bool = False


class ProcessRuntime:
    """Runs the containers of pods as child processes."""

    def __init__(self, desk: Desk, folder: Path, commands: Mapping[str, list[str]] | None = None) -> None:
        """`commands` has the command of each image that pods name without one; logs go into `folder`."""
        self._desk = desk
        self._folder = folder
        self._commands = dict(commands or {})
        self._running: dict[str, _Running] = {}
        self._addresses = 0
        # Other clusters of this machine, and other users', have pods too: each draws a block of its own.
        high, low = divmod(secrets.randbelow(_BLOCKS), 256)
        self._block = f"127.{_FIRST + high}.{low}"

    def address(self, pod: Json) -> str:
        """A loopback address that no other pod has, until 250 others have come."""
        self._addresses += 1
        return f"{self._block}.{self._addresses % 250 + 2}"

    async def start(self, pod: Json) -> None:
        """Starts one process for each container."""
        uid = pod["metadata"]["uid"]
        before = self._running.get(uid)
        made = _Running()
        if before is not None:
            await self._kill(before)
        self._running[uid] = made
        self._folder.mkdir(parents=True, exist_ok=True)
        for container in pod["spec"]["containers"]:
            environment = self._environment(pod, container)
            message = self._folder / f"{uid}-{container['name']}.message"
            message.write_bytes(b"")
            made.messages[container["name"]] = message
            command = self._command(container, environment, message)
            path = self._folder / f"{uid}-{container['name']}.log"
            made.logs[container["name"]] = path
            with path.open("ab") as log:
                made.processes.append(await self._spawn(command, environment, container, log))

    async def _spawn(
        self, command: list[str], environment: dict[str, str], container: Json, log: IO[bytes]
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                cwd=container.get("workingDir"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise ValueError(f"container {container['name']} did not start: {error}") from error

    def _command(self, container: Json, environment: Mapping[str, str], message: Path) -> list[str]:
        """The words of the command. The path of the termination message is a file of this machine, as no path
        is the pod's own here.
        """
        words = [
            *(container.get("command") or self._commands.get(container["image"]) or ()),
            *(container.get("args") or ()),
        ]
        if not words or not (container.get("command") or container["image"] in self._commands):
            raise ValueError(
                f"container {container['name']} names no command and image {container['image']!r} is not "
                "known here: set `command`"
            )
        expanded = [_expanded(word, environment) for word in words]
        its_path = container.get("terminationMessagePath") or ""
        expanded = [str(message) if word == its_path else word for word in expanded]
        if expanded[0] == "python":
            expanded[0] = sys.executable
        return expanded

    def _environment(self, pod: Json, container: Json) -> dict[str, str]:
        made = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        made["HOSTNAME"] = pod["metadata"]["name"]
        namespace = pod["metadata"]["namespace"]
        for source in container.get("envFrom") or ():
            for bucket, word in (("configmaps.", "configMapRef"), ("secrets.", "secretRef")):
                if word in source:
                    data = self._data(
                        bucket, namespace, source[word]["name"], source[word].get("optional", False)
                    )
                    made |= {source.get("prefix", "") + key: value for key, value in data.items()}
        for variable in container.get("env") or ():
            if "valueFrom" in variable:
                value = self._looked_up(pod, variable["valueFrom"])
                if value is not None:
                    made[variable["name"]] = value
            else:
                made[variable["name"]] = _expanded(variable.get("value", ""), made)
        return made

    def _looked_up(self, pod: Json, source: Json) -> str | None:
        if reference := source.get("fieldRef"):
            return str(_field(pod, reference["fieldPath"]))
        for bucket, word in (("configmaps.", "configMapKeyRef"), ("secrets.", "secretKeyRef")):
            if reference := source.get(word):
                optional = reference.get("optional", False)
                data = self._data(bucket, pod["metadata"]["namespace"], reference["name"], optional)
                if reference["key"] not in data and not optional:
                    raise ValueError(f"couldn't find key {reference['key']} in {word} {reference['name']}")
                return data.get(reference["key"])
        return None

    def _data(self, bucket: str, namespace: str, name: str, optional: bool) -> dict[str, str]:
        found = self._desk.get(bucket, (namespace, name))
        if found is None:
            if optional:
                return {}
            raise ValueError(f'{bucket.rstrip("s.")} "{name}" not found')
        data = found.get("data") or {}
        if bucket == "secrets.":
            return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
        return dict(data)

    async def look(self, pod: Json) -> Condition:
        """Whether the processes run, and pass the readiness probe of each container that has one."""
        running = self._running.get(pod["metadata"]["uid"])
        if running is None:
            return Condition(exit_code=137)
        for process, container in zip(running.processes, pod["spec"]["containers"], strict=True):
            if process.returncode is not None:
                code = process.returncode
                await self._kill(running)
                return Condition(
                    exit_code=code if code >= 0 else 128 - code,
                    message=_last_words(running, container, well=code == 0),
                )
        probes = [
            (one, probe)
            for one in pod["spec"]["containers"]
            if (probe := one.get("readinessProbe")) is not None
        ]
        if not probes:
            return Condition(ready=True, look_again=_LOOK)
        passed = all([await self._probe(pod, container, probe) for container, probe in probes])
        running.good, running.bad = (running.good + 1, 0) if passed else (0, running.bad + 1)
        first = probes[0][1]
        if running.good >= first.get("successThreshold", 1):
            running.ready = True
        elif running.bad >= first.get("failureThreshold", 3) or not running.ready:
            running.ready = False
        pause = float(first.get("periodSeconds", 10))
        return Condition(ready=running.ready, look_again=pause if running.ready else min(pause, _LOOK))

    async def _probe(self, pod: Json, container: Json, probe: Json) -> bool:
        limit = float(probe.get("timeoutSeconds", 1))
        address = at(pod, "status", "podIP", default="127.0.0.1")
        try:
            async with asyncio.timeout(limit):
                if action := probe.get("httpGet"):
                    return await _http(action, container, address)
                if action := probe.get("tcpSocket") or probe.get("grpc"):
                    port = _port(action["port"], container)
                    _, writer = await asyncio.open_connection(action.get("host") or address, port)
                    writer.close()
                    return True
                if action := probe.get("exec"):
                    environment = self._environment(pod, container)
                    process = await asyncio.create_subprocess_exec(
                        *action["command"], env=environment, stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.DEVNULL,
                    )  # fmt: skip
                    return await process.wait() == 0
        except (OSError, TimeoutError, aiohttp.ClientError):
            return False
        return True

    async def stop(self, pod: Json, grace: float) -> float:
        """SIGTERM, and SIGKILL when the grace period is over."""
        running = self._running.get(pod["metadata"]["uid"])
        if running is None or all(process.returncode is not None for process in running.processes):
            return 0.0
        if not running.told:
            running.told = True
            _signal(running, signal.SIGTERM)
        if grace <= 0:
            await self._kill(running)
            return 0.0
        return min(0.05, grace)

    async def _kill(self, running: _Running) -> None:
        running.killed = True
        _signal(running, signal.SIGKILL)
        for process in running.processes:
            await process.wait()

    def forget(self, uid: str) -> None:
        """Drops a pod and its logs."""
        running = self._running.pop(uid, None)
        for path in (*running.logs.values(), *running.messages.values()) if running else ():
            path.unlink(missing_ok=True)

    async def log(self, pod: Json, container: str, tail: int | None) -> bytes:
        """What a container wrote."""
        running = self._running.get(pod["metadata"]["uid"])
        path = running.logs.get(container) if running else None
        data = path.read_bytes() if path is not None and path.exists() else b""
        if tail is None:
            return data
        lines = data.splitlines(keepends=True)
        return b"".join(lines[max(len(lines) - tail, 0) :]) if tail else b""

    async def close(self) -> None:
        """Ends all processes."""
        for running in self._running.values():
            await self._kill(running)
        self._running.clear()


def _last_words(running: _Running, container: Json, *, well: bool) -> str:
    """The termination message; or the end of the log, where a container that did not end well asks for it."""
    said = running.messages[container["name"]].read_bytes()[:_LONGEST_MESSAGE]
    if not said and not well and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        said = running.logs[container["name"]].read_bytes()[-_LONGEST_LOG_MESSAGE:]
    return said.decode(errors="replace")


def _signal(running: _Running, number: signal.Signals) -> None:
    for process in running.processes:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` as the variable's value; `$$` as a dollar; what is unknown stays."""

    def one(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1], match[0])

    return _REFERENCE.sub(one, text)


def _field(pod: Json, path: str) -> object:
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if found:
        return (pod["metadata"].get(found[1]) or {}).get(found[2], "")
    return at(pod, *path.split("."), default="")


def _port(port: int | str, container: Json) -> int:
    if isinstance(port, int):
        return port
    named = {one.get("name"): one["containerPort"] for one in container.get("ports") or ()}
    return int(named.get(port, 0))


async def _http(action: Json, container: Json, address: str) -> bool:
    scheme = action.get("scheme", "HTTP").lower()
    place = f"{action.get('host') or address}:{_port(action['port'], container)}"
    url = f"{scheme}://{place}{action.get('path', '/')}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, ssl=False, allow_redirects=False) as response,
    ):
        return 200 <= response.status < 400
