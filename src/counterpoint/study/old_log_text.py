"""The text logs of the original study, to epochs: one line an event, in Chinese.

    开始第0个epoch的训练                               opens epoch 0
    当前第10个mini batch，当前loss为2.35…              a loss
    训练集top1 accuracy为0.26666666666666666           of the training set; 验证集 dev, 测试集 test

The original study evaluates at the end of each epoch. So the accuracies that follow an opening line
are that epoch's, and those before the first opening line belong to no epoch of the file and are
left out.

Its evaluation shows the classifier the answer and asks the first pairs of a split alone: all of
them are of the protocol `legacy-subset` (docs/original-study.md). How many it asks is found from
the values.
"""

import codecs
import hashlib
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.study.denominators import Denominator, denominator
from counterpoint.study.old_log import OldEpoch, OldLog, Source
from counterpoint.study.protocol import ASKED, PAIRS, protocol_of

ROLES = {"训练集": "train", "验证集": "dev", "测试集": "test"}
"""A split's name in the logs to its role, in the order of the lines of an epoch."""

BLOCK = 1 << 20
"""Bytes that are read at a time, and that a line may have."""

ENCODINGS = ("UTF-8", "GB18030")

# Full-width punctuation is escaped, so that nobody takes it for the other.
_SPACE = r"[^\S\n]*"
_IS = r"(?:[^\S\n]|[为是:=\uff1a\uff1d])*"
_NUMBER = (
    r"[-+]?(?:\d+(?:[.\uff0e]\d*)?|[.\uff0e]\d+)(?:[eE][-+]?\d+)?"
    # Neither half a number, nor a percentage, nor a number with a unit.
    r"(?![\da-zA-Z]|[.\uff0e]\d|[^\S\n]*[%\uff05])"
)
_EVENT = re.compile(
    rf"(?P<role>训练集|验证集|测试集){_SPACE}top{_SPACE}[-_]?1{_SPACE}accuracy{_IS}"
    rf"(?P<accuracy>{_NUMBER})?"
    rf"|开始第{_SPACE}(?P<epoch>\d{{1,9}}){_SPACE}个{_SPACE}epoch"
    rf"|当前{_SPACE}loss{_IS}(?P<loss>{_NUMBER})?",
    re.IGNORECASE,
)
# A number cut off after its eighth decimal shows with four as it would whole; an exponent has two
# digits.
_SAFELY_CUT = re.compile(r"0\.\d{8,}|\d(?:\.\d+)?[eE]-\d\d")


@dataclass
class _Losses:
    """The batch losses between two other events."""

    total: float = 0.0
    count: int = 0
    bad: int = 0
    """How many more are no finite number."""
    bad_line: int = 0
    """The first line that has one."""

    def put(self, value: float, line: int) -> None:
        if math.isfinite(value):
            self.total += value
            self.count += 1
        else:
            self.bad += 1
            self.bad_line = self.bad_line or line

    def add(self, other: "_Losses") -> None:
        self.total += other.total
        self.count += other.count
        self.bad += other.bad
        self.bad_line = self.bad_line or other.bad_line


@dataclass(frozen=True)
class _Opening:
    line: int
    epoch: int


@dataclass(frozen=True)
class _Accuracy:
    line: int
    role: str
    value: float


_Event = _Losses | _Opening | _Accuracy


@dataclass
class _Epoch:
    number: int
    line: int
    """Where it begins."""
    losses: _Losses
    accuracy: dict[str, float] = field(default_factory=dict)

    def record(self) -> OldEpoch:
        """The epoch's record."""
        count = self.losses.count
        accuracy = {role: self.accuracy[role] for role in ROLES.values() if role in self.accuracy}
        return OldEpoch(self.number, self.losses.total / count if count else None, accuracy)


def read_log(path: Path, name: str) -> OldLog:
    """Read an old log; the file is held in memory a block at a time.

    Raises:
        InputError: a line that is neither UTF-8 nor GB18030, no accuracy line, an accuracy that
            is no fraction, epochs that do not rise by one, or one within the log that lacks
            accuracies.
    """
    text = _Text(path)
    notes: list[str] = []
    events = list(_events(text, notes))
    epochs = _whole(path, _grouped(path, events, notes), notes)
    bad = [epoch.losses for epoch in epochs if epoch.losses.bad]
    if bad:
        count = sum(losses.bad for losses in bad)
        notes.append(
            f"line {bad[0].bad_line}: a loss that is no finite number; {count} such in all are "
            "kept out of the means"
        )
    records = [epoch.record() for epoch in epochs]
    queries = _queries(records)
    source = Source(
        # A name from another system may be no UTF-8.
        file=os.fsencode(path.name).decode("utf-8", "backslashreplace"),
        sha256=text.digest.hexdigest(),
        encoding=" and ".join(name for name in ENCODINGS if name in text.encodings),
        lines=text.lines,
        protocol=protocol_of({role: found.n for role, found in queries.items()}),
        notes=notes,
        queries=queries,
    )
    return OldLog(name, records, source)


def _queries(epochs: Sequence[OldEpoch]) -> dict[str, Denominator]:
    """Role to how many queries its accuracies are over."""
    return {
        role: denominator((epoch.accuracy[role] for epoch in epochs), (ASKED[role], PAIRS[role]))
        for role in epochs[0].accuracy
    }


class _Text:
    """A file's text in blocks of whole lines, and what is learnt of the file on the way."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.encodings: set[str] = set()
        self.digest = hashlib.sha256()

    def blocks(self) -> Iterator[str]:
        """Block by block; `lines` counts those of the blocks before."""
        with self.path.open("rb") as stream:
            while block := stream.read(BLOCK):
                rest = stream.readline(BLOCK)
                if len(rest) == BLOCK and not rest.endswith(b"\n"):
                    line = self.lines + block.count(b"\n") + 1
                    raise InputError(
                        f"{self.path}, line {line}: longer than {BLOCK} bytes; expected a log, "
                        "one line an event"
                    )
                block += rest
                self.digest.update(block)
                yield self._decode(block if self.lines else block.removeprefix(codecs.BOM_UTF8))
                self.lines += block.count(b"\n") + (not block.endswith(b"\n"))

    def _decode(self, block: bytes) -> str:
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError:
            *lines, last = block.split(b"\n")
            decoded = [self._decode_line(line, self.lines + i) for i, line in enumerate(lines, 1)]
            decoded.append(self._decode_line(last, self.lines + len(lines) + 1, ended=False))
            return "\n".join(decoded)
        if not block.isascii():
            self.encodings.add("UTF-8")
        return text

    def _decode_line(self, line: bytes, number: int, *, ended: bool = True) -> str:
        for encoding in ENCODINGS:
            try:
                # A line without an end may have been cut within a character.
                text = (
                    line.decode(encoding)
                    if ended
                    else codecs.getincrementaldecoder(encoding)().decode(line)
                )
            except UnicodeDecodeError:
                continue
            # What is left of a cut line may read as either.
            if not line.isascii() and (ended or not self.encodings):
                self.encodings.add(encoding)
            return text
        raise InputError(
            f"{self.path}, line {number}: neither UTF-8 nor GB18030: {line[:40]!r}; convert the "
            "file to UTF-8"
        )


def _events(text: _Text, notes: list[str]) -> Iterator[_Event]:
    """The events of a log in order, neighbouring losses as one."""
    fewest = math.inf
    for block in text.blocks():
        line, at = text.lines + 1, 0
        losses = _Losses()
        for match in _EVENT.finditer(block):
            line += block.count("\n", at, match.start())
            at = match.start()
            if match["role"] is None and match["epoch"] is None:
                losses.put(_number(match["loss"]), line)
                continue
            yield losses
            losses = _Losses()
            if match["epoch"] is not None:
                yield _Opening(line, int(match["epoch"]))
                continue
            decimals = len((match["accuracy"] or "").replace("\uff0e", ".").partition(".")[2])
            if _cut(block, match):
                if match["accuracy"] is None or decimals < fewest:
                    notes.append(
                        f"line {line}: left out, because the file ends within it and its number "
                        "may be cut; if it is whole, end the file with a line break"
                    )
                    continue
                notes.append(
                    f"line {line}: the file ends within it; its number is taken for whole, as "
                    "others of the file are as short"
                )
            fewest = min(fewest, decimals)
            yield _Accuracy(line, ROLES[match["role"]], _fraction(text.path, line, match))
        yield losses


def _number(text: str | None) -> float:
    """A number as the logs write it; not-a-number where there is none."""
    return math.nan if text is None else float(text.replace("\uff0e", "."))


def _cut(block: str, match: "re.Match[str]") -> bool:
    """Whether the file may end within an accuracy's number."""
    # Only the last block can end without a line break.
    value = match["accuracy"]
    if value is None:
        return "\n" not in block[match.end() :]
    return match.end() == len(block) and not _SAFELY_CUT.fullmatch(value)


def _fraction(path: Path, line: int, match: "re.Match[str]") -> float:
    value = _number(match["accuracy"]) + 0.0  # no -0.0
    if not 0 <= value <= 1:
        shown = match.string[match.start() : match.end() + 20].splitlines()[0]
        raise InputError(
            f"{path}, line {line}: expected an accuracy from 0 to 1, found {shown!r}; correct or "
            "delete the line"
        )
    return value


def _grouped(path: Path, events: Sequence[_Event], notes: list[str]) -> list[_Epoch]:
    """Events to epochs: by the opening lines, or else by the training set's accuracy."""
    roles = {event.role for event in events if isinstance(event, _Accuracy)}
    if not roles:
        raise InputError(
            f"{path}: no accuracy line; expected lines such as '训练集top1 accuracy为0.2667' "
            f"({', '.join(f'{word} {role}' for word, role in ROLES.items())}), as the "
            "original study's scripts print them"
        )
    if any(isinstance(event, _Opening) for event in events):
        opener = None
    else:
        opener = next(role for role in ROLES.values() if role in roles)
    epochs: list[_Epoch] = []
    # Without opening lines the losses of an epoch come before all else of it.
    pending, early = _Losses(), 0
    for event in events:
        if isinstance(event, _Losses):
            (epochs[-1].losses if opener is None and epochs else pending).add(event)
            continue
        if isinstance(event, _Opening):
            epochs.append(_opened(path, event, epochs))
        elif event.role == opener:
            epochs.append(_Epoch(len(epochs), event.line, pending))
            pending = _Losses()
        if isinstance(event, _Accuracy):
            if epochs:
                _put(path, event, epochs[-1])
            else:
                early += 1
    notes += _beginning(epochs, early, opener)
    if opener is not None and pending.count:
        notes.append(f"{pending.count} losses after the last epoch's accuracies are left out")
    return epochs


def _opened(path: Path, event: _Opening, epochs: Sequence[_Epoch]) -> _Epoch:
    if epochs and event.epoch != epochs[-1].number + 1:
        before = epochs[-1]
        why = (
            "lines are missing between them"
            if event.epoch > before.number
            else f"if another run's log was appended, split the file before line {event.line} and "
            "import each part under a --name"
        )
        raise InputError(
            f"{path}, line {event.line}: epoch {event.epoch} begins after epoch {before.number} "
            f"(line {before.line}); expected epoch {before.number + 1}; {why}"
        )
    return _Epoch(event.epoch, event.line, _Losses())


def _put(path: Path, event: _Accuracy, epoch: _Epoch) -> None:
    if event.role in epoch.accuracy:
        raise InputError(
            f"{path}, line {event.line}: a second {event.role} accuracy in epoch {epoch.number}, "
            f"which begins in line {epoch.line}; expected one; if another run's log was appended, "
            "split the file there"
        )
    epoch.accuracy[event.role] = event.value


def _beginning(epochs: Sequence[_Epoch], early: int, opener: str | None) -> Iterator[str]:
    if early:
        first = "opening line" if opener is None else f"{opener} accuracy"
        yield (
            f"{early} accuracy lines before the first {first} are left out: accuracies come at the "
            "end of an epoch, so they belong to none in the file"
        )
    if epochs and epochs[0].number:
        yield (
            f"line {epochs[0].line}: the file begins with epoch {epochs[0].number}; what was "
            "before is not in it"
        )


def _whole(path: Path, epochs: list[_Epoch], notes: list[str]) -> list[_Epoch]:
    """The epochs that have every accuracy: all, or all but the last."""
    roles = [role for role in ROLES.values() if any(role in epoch.accuracy for epoch in epochs)]
    if not roles:
        raise InputError(
            f"{path}: no accuracy line within an epoch; expected accuracies at its end"
        )
    if nowhere := " and ".join(role for role in ROLES.values() if role not in roles):
        notes.append(f"no {nowhere} accuracy anywhere in the file")
    for epoch in epochs:
        missing = " and ".join(role for role in roles if role not in epoch.accuracy)
        if not missing:
            continue
        what = f"line {epoch.line}: epoch {epoch.number}, which begins there, has no {missing} "
        if epoch is not epochs[-1]:
            raise InputError(
                f"{path}, {what}accuracy, but other epochs follow; expected accuracies of all "
                "splits in every epoch; restore the lines, or delete that split's everywhere"
            )
        notes.append(f"{what}accuracy; left out, as the log ends in it")
        return epochs[:-1]
    return epochs
