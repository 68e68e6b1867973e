"""How many questions a running server answers: requests a second, milliseconds, what it refused.

    counterpoint serve INDEX &
    python -m benchmarks.serve --corpus sample --seconds 60 --markdown serve.md

The load is wrk's (`apt-get install wrk`): each client asks again as soon as it is answered, and the
points of a corpus are asked in turn. On the server's own machine it takes its share of the cores.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from counterpoint.cli.shared import positive
from counterpoint.corpus import opening
from counterpoint.corpus.arguments import pairs_of
from counterpoint.errors import InputError
from counterpoint.io.atomic import write_text
from counterpoint.io.text import markdown_table

SCRIPT = r"""
local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
  bodies, statuses, place = {}, {}, 0
  for line in io.lines(arguments[1]) do table.insert(bodies, line) end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if arguments[2] then wrk.headers["Authorization"] = "Bearer " .. arguments[2] end
end

function request()
  place = place % #bodies + 1
  return wrk.format(nil, "/search", nil, bodies[place])
end

function response(status) statuses[status] = (statuses[status] or 0) + 1 end

function done(summary, latency)
  local counts, parts = {}, {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      counts[status] = (counts[status] or 0) + count
    end
  end
  for status, count in pairs(counts) do
    table.insert(parts, string.format('"%d": %d', status, count))
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"seconds": %f, "median": %f, "p99": %f, "longest": %f, "broken": %d, ' ..
    '"statuses": {%s}}\n',
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, errors.connect + errors.read + errors.write + errors.timeout,
    table.concat(parts, ", ")))
end
"""


@dataclass(frozen=True)
class Load:
    """What so many clients saw."""

    clients: int
    seconds: float
    median: float
    """Milliseconds from a question to its answers, as the two that follow; of refusals too."""
    p99: float
    longest: float
    broken: int
    """Connections that failed, or on which nothing came for 30 seconds."""
    statuses: Mapping[str, int]
    """HTTP status to the number of responses."""


def load_of(clients: int, printed: str) -> Load:
    """What wrk printed at its end."""
    [line] = [line for line in printed.splitlines() if line.startswith("RESULT ")]
    told: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return Load(clients, **told)


def measure(url: str, bodies: Path, clients: int, seconds: int, token: str | None) -> Load:
    """Let so many clients ask for so long.

    Raises:
        InputError: there is no wrk, or it failed.
    """
    if shutil.which("wrk") is None:
        raise InputError("the load comes from wrk, which is not installed; apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        given = [str(bodies), *([] if token is None else [token])]
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"]
        ended = subprocess.run(
            [*command, "-s", script.name, url, "--", *given],
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        raise InputError(f"wrk: {ended.stderr.strip() or ended.stdout.strip()}")
    return load_of(clients, ended.stdout)


def row(load: Load) -> dict[str, object]:
    """A load as a row of the table."""
    answered = load.statuses.get("200", 0)
    others = {status: n for status, n in load.statuses.items() if status not in ("200", "503")}
    return {
        "clients": load.clients,
        "answers a second": f"{answered / load.seconds:.1f}",
        "median (ms)": f"{load.median:.1f}",
        "99th percentile (ms)": f"{load.p99:.1f}",
        "longest (ms)": f"{load.longest:.1f}",
        "200": f"{answered:,}",
        "503": f"{load.statuses.get('503', 0):,}",
        "other statuses": f"{sum(others.values()):,}",
        "broken": f"{load.broken:,}",
    }


def questions(corpus: str, k: int) -> list[str]:
    """Bodies of requests: a corpus's different points, in its order."""
    read = opening.read_all(corpus)
    points = [point.text for split in read.roles for point, _ in pairs_of(read.split(split))]
    return [json.dumps({"text": text, "k": k}) for text in dict.fromkeys(points)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--corpus", default="sample", help="whose points are asked")
    parser.add_argument("--clients", type=positive, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=positive, default=60, help="of each number of clients")
    parser.add_argument("-k", type=positive, default=10, help="answers to a question")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    given = parser.parse_args(arguments)
    token = None if given.token_file is None else given.token_file.read_text().strip()
    with urlopen(f"{given.url}/healthz") as answer:
        answer.read()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as bodies:
        bodies.write("\n".join(questions(given.corpus, given.k)) + "\n")
        bodies.flush()
        loads = [
            measure(given.url, Path(bodies.name), clients, given.seconds, token)
            for clients in given.clients
        ]
    table = markdown_table([row(load) for load in loads])
    print(table, end="")
    if given.markdown is not None:
        write_text(given.markdown, table)


if __name__ == "__main__":
    main()
