"""Folders, zips and downloads: the same tree from each, and nothing dangerous from any."""

import functools
import hashlib
import http.server
import random
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from counterpoint.corpus import sources
from counterpoint.corpus.sources import (
    LARGE_ENTRY_BYTES,
    MAX_TEXT_BYTES,
    checked_fingerprint,
    download,
    fingerprint,
    is_pair_file,
    open_source,
)
from counterpoint.errors import InputError

TREE = {
    "training/law/juries/pro/pro01a-point.txt": "a point",
    "training/law/juries/pro/pro01b-counter.txt": "a counter",
    "training/law/juries/metadata.txt": "about",
    "notes.txt": "at the top",
}
FOLDERS = {"training", "training/law", "training/law/juries", "training/law/juries/pro"}


def write_zip(path: Path, entries: Mapping[str, str | bytes], folders: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if folders:
            for folder in sorted(FOLDERS):
                archive.writestr(f"{folder}/", "")
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def patched(path: Path, magic: bytes, offset: int, value: bytes) -> Path:
    """Overwrite bytes at an offset within the first header that starts with `magic`."""
    data = bytearray(path.read_bytes())
    start = data.index(magic) + offset
    data[start : start + len(value)] = value
    path.write_bytes(data)
    return path


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


# A tree is the same wherever it lies


def test_folder_and_zip_give_the_same_tree(write_tree: Callable, tmp_path: Path) -> None:
    folder = open_source(str(write_tree(TREE)))
    bare = open_source(str(write_zip(tmp_path / "bare.zip", TREE)))
    full = open_source(str(write_zip(tmp_path / "full.zip", TREE, folders=True)))
    for source in (folder, bare, full):
        assert sorted(source.files()) == sorted(TREE)
        assert sorted(source.folders()) == sorted(FOLDERS)
        assert {path: source.read(path).decode() for path in TREE} == TREE


def test_an_empty_folder_of_a_zip_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("training/law/", "")
    source = open_source(str(path))
    assert list(source.files()) == []
    assert set(source.folders()) == {"training", "training/law"}


def test_the_attributes_that_macos_adds_are_ignored(tmp_path: Path) -> None:
    added = {"__MACOSX/training/law/juries/pro/._pro01a-point.txt": b"\x00\x05\x16\x07"}
    source = open_source(str(write_zip(tmp_path / "mac.zip", {**TREE, **added})))
    assert sorted(source.files()) == sorted(TREE)
    assert set(source.folders()) == FOLDERS


def test_links_between_folders_are_not_followed(write_tree: Callable) -> None:
    root = write_tree(TREE)
    (root / "training" / "loop").symlink_to(root)
    assert sorted(open_source(str(root)).files()) == sorted(TREE)


def test_a_folder_that_cannot_be_read_is_named(write_tree: Callable) -> None:
    root = write_tree(TREE)
    source = open_source(str(root))
    path = next(iter(TREE))
    shutil.rmtree(root)
    with pytest.raises(InputError, match=f"{root}: cannot be read: No such file"):
        list(source.files())
    with pytest.raises(InputError, match=f"{path}: cannot be read: No such file"):
        source.stamp(path, contents=False)


def test_the_sample_needs_no_path() -> None:
    source = open_source("sample")
    assert any(path.endswith("pro01a-point.txt") for path in source.files())


# What a zip must not hold


@pytest.mark.parametrize(
    "name",
    [
        "../escape.txt",
        "training/../../escape.txt",
        "training\\..\\..\\escape.txt",
        "..\\escape.txt",
        "/etc/escape.txt",
        "\\escape.txt",
        "C:\\escape.txt",
        "c:/escape.txt",
    ],
)
def test_an_entry_that_leaves_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bad.zip", {**TREE, name: "x"})
    with pytest.raises(InputError) as error:
        open_source(str(path))
    assert str(path) in str(error.value)
    assert repr(name) in str(error.value)


def test_dots_within_a_name_are_no_way_out(tmp_path: Path) -> None:
    name = "training/law/what..now/pro/pro01a-point.txt"
    source = open_source(str(write_zip(tmp_path / "dots.zip", {name: "x"})))
    assert source.read(name) == b"x"


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "link.zip"
    entry = zipfile.ZipInfo("training/link.txt")
    entry.create_system = 3  # Unix, where the upper 16 bits are the mode
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match=r"training/link\.txt.*is a link"):
        open_source(str(path))


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"training/bomb.txt": bytes(LARGE_ENTRY_BYTES + 1)})
    assert path.stat().st_size < 20_000
    with pytest.raises(InputError, match=r"training/bomb\.txt.*bomb"):
        open_source(str(path))


def test_a_large_entry_that_hardly_shrinks_is_no_bomb(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(LARGE_ENTRY_BYTES + 1)
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("video.bin", noise)
        archive.writestr("small.txt", "text")
    assert open_source(str(path)).read("small.txt") == b"text"


@pytest.mark.parametrize(("limit", "value"), [("MAX_ENTRIES", 3), ("MAX_TOTAL_BYTES", 20)])
def test_the_whole_of_a_zip_has_limits(
    limit: str, value: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TREE has 4 entries of 7 + 9 + 5 + 10 = 31 bytes.
    path = write_zip(tmp_path / "many.zip", TREE)
    monkeypatch.setattr(sources, limit, {"MAX_ENTRIES": 4, "MAX_TOTAL_BYTES": 31}[limit])
    open_source(str(path))
    monkeypatch.setattr(sources, limit, value)
    with pytest.raises(InputError, match=rf"many\.zip.*refused above {value}"):
        open_source(str(path))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_text_may_be_as_large_as_the_limit_and_no_larger(
    kind: str, write_tree: Callable, tmp_path: Path
) -> None:
    files = {"fits.txt": b"x" * MAX_TEXT_BYTES, "over.txt": b"x" * (MAX_TEXT_BYTES + 1)}
    path = write_tree(files) if kind == "folder" else write_zip(tmp_path / "large.zip", files)
    source = open_source(str(path))
    assert len(source.read("fits.txt")) == MAX_TEXT_BYTES
    with pytest.raises(InputError, match=rf"over\.txt.*{MAX_TEXT_BYTES + 1}"):
        source.read("over.txt")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "secret.zip", {"secret.txt": "text"})
    # Bit 0 of the flags, at 6 in the local header and at 8 in the central one.
    patched(patched(path, LOCAL, 6, b"\x01"), CENTRAL, 8, b"\x01")
    with pytest.raises(InputError, match=r"secret\.zip.*secret\.txt.*encrypted"):
        open_source(str(path)).read("secret.txt")


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "odd.zip", {"odd.txt": "text"})
    patched(patched(path, LOCAL, 8, b"\x63"), CENTRAL, 10, b"\x63")
    with pytest.raises(InputError, match=r"odd\.zip.*odd\.txt"):
        open_source(str(path)).read("odd.txt")


# Damage


def test_a_damaged_entry_is_refused_by_name(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "damaged.zip", {"fine.txt": "fine", "hurt.txt": "text " * 99})
    data = bytearray(path.read_bytes())
    data[data.index(b"hurt.txt") + len(b"hurt.txt") + 4] ^= 0xFF
    path.write_bytes(data)
    source = open_source(str(path))
    assert source.read("fine.txt") == b"fine"
    with pytest.raises(InputError, match=r"damaged\.zip.*hurt\.txt.*cannot be read"):
        source.read("hurt.txt")


def test_a_zip_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "whole.zip", TREE).read_bytes()
    path = tmp_path / "cut.zip"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"cut\.zip: not a zip file"):
            open_source(str(path))


@pytest.mark.parametrize(
    ("magic", "offset", "value"),
    [
        pytest.param(CENTRAL, 6, b"\xff", id="made for a newer version of the format"),
        # Flag 0x800 says that the name, which stands at 46, is UTF-8.
        pytest.param(CENTRAL, 46, b"\xa0", id="a name that is not the UTF-8 it claims to be"),
        pytest.param(CENTRAL, 42, b"\xff\xff\xff\x7f", id="an entry beyond the end of the file"),
        pytest.param(b"PK\x05\x06", 16, b"\xff\xff\xff\x7f", id="a directory beyond the end"),
    ],
)
def test_a_damaged_directory_is_refused(
    magic: bytes, offset: int, value: bytes, tmp_path: Path
) -> None:
    path = patched(write_zip(tmp_path / "hurt.zip", {"éa.txt": "text"}), magic, offset, value)

    def read_all() -> None:
        source = open_source(str(path))
        for name in source.files():
            source.read(name)

    with pytest.raises(InputError, match=r"hurt\.zip"):
        read_all()


def test_damage_anywhere_ends_in_the_text_or_in_a_refusal(tmp_path: Path) -> None:
    texts = {f"training/law/juries/pro/pro{n:02d}a-point.txt": f"text {n} " * 20 for n in range(4)}
    data = write_zip(tmp_path / "whole.zip", texts).read_bytes()
    allowed = {text.encode() for text in texts.values()}
    path = tmp_path / "hurt.zip"
    choose = random.Random(20261123)
    refused = 0
    for _ in range(400):
        hurt = bytearray(data)
        hurt[choose.randrange(len(hurt))] = choose.randrange(256)
        path.write_bytes(hurt)
        try:
            source = open_source(str(path))
            for name in source.files():
                # The checksum stands in the zip, so what is read is what was written.
                assert source.read(name) in allowed
        except InputError:
            refused += 1
    assert refused > 60


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.zip"
    path.write_text("this is text")
    with pytest.raises(InputError, match=r"corpus\.zip: not a zip.*expected a folder or a zip"):
        open_source(str(path))


# Paths and variables


@pytest.mark.parametrize("path", ["$COUNTERPOINT_X/inner", "${COUNTERPOINT_X}/inner"])
def test_a_variable_stands_for_its_value(
    path: str, write_tree: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_tree({f"inner/{name}": text for name, text in TREE.items()})
    monkeypatch.setenv("COUNTERPOINT_X", str(root))
    assert sorted(open_source(path).files()) == sorted(TREE)


def test_a_tilde_stands_for_the_home_folder(
    write_tree: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_tree(TREE)
    monkeypatch.setenv("HOME", str(root.parent))
    assert sorted(open_source(f"~/{root.name}").files()) == sorted(TREE)


def check(path: str) -> str:
    return checked_fingerprint(path, "test.yaml")


@pytest.mark.parametrize("use", [open_source, check])
def test_a_variable_that_is_not_set_is_named(
    use: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COUNTERPOINT_X", raising=False)
    with pytest.raises(InputError, match=r"\$COUNTERPOINT_X/inner.*not set"):
        use("$COUNTERPOINT_X/inner")


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("use", [open_source, check])
def test_a_variable_that_is_empty_is_not_the_folder_one_is_in(
    use: Callable, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COUNTERPOINT_X", value)
    with pytest.raises(InputError, match=r"'\$COUNTERPOINT_X' is empty"):
        use("$COUNTERPOINT_X")


@pytest.mark.parametrize("use", [open_source, check])
def test_a_path_with_nothing_at_it_is_named(use: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: no such folder or file"):
        use(str(tmp_path / "nowhere"))


# Downloads


class Server:
    """An http server on this machine that counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                outer.requests.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    write_zip(folder / "corpus.zip", TREE)
    running = Server(folder)
    yield running
    running.stop()


@pytest.fixture
def checksum(server: Server, tmp_path: Path) -> str:
    return hashlib.sha256((tmp_path / "served" / "corpus.zip").read_bytes()).hexdigest()


def test_a_download_is_the_file_and_a_corpus(server: Server, checksum: str, tmp_path: Path) -> None:
    found = download(f"{server.url}/corpus.zip", checksum, tmp_path / "cache")
    assert found.parent == tmp_path / "cache"
    assert hashlib.sha256(found.read_bytes()).hexdigest() == checksum
    assert sorted(open_source(str(found)).files()) == sorted(TREE)


def test_a_second_download_needs_no_server(server: Server, checksum: str, tmp_path: Path) -> None:
    url = f"{server.url}/corpus.zip"
    first = download(url, checksum, tmp_path / "cache")
    asked = len(server.requests)
    server.stop()
    assert download(url, checksum, tmp_path / "cache") == first
    assert len(server.requests) == asked > 0


def test_a_cached_file_is_verified_each_time(server: Server, checksum: str, tmp_path: Path) -> None:
    url = f"{server.url}/corpus.zip"
    found = download(url, checksum, tmp_path / "cache")
    whole = found.read_bytes()
    found.write_bytes(whole[:-1])
    assert download(url, checksum, tmp_path / "cache").read_bytes() == whole
    found.write_bytes(whole[:-1])
    server.stop()
    with pytest.raises(InputError, match="cannot be downloaded"):
        download(url, checksum, tmp_path / "cache")


def test_a_wrong_checksum_is_refused_and_leaves_nothing(
    server: Server, checksum: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(InputError) as error:
        download(f"{server.url}/corpus.zip", "0" * 64, cache)
    assert f"{server.url}/corpus.zip" in str(error.value)
    assert checksum in str(error.value)
    assert list(cache.rglob("*")) == []


def test_an_address_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/other\.zip.*404"):
        download(f"{server.url}/other.zip", "0" * 64, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*")) == []


def test_an_unreachable_server_is_named(server: Server, checksum: str, tmp_path: Path) -> None:
    server.stop()
    with pytest.raises(InputError, match=rf"{server.url}/corpus\.zip: cannot be downloaded"):
        download(f"{server.url}/corpus.zip", checksum, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)


def test_an_address_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gopher://x/corpus\.zip"):
        download("gopher://x/corpus.zip", "0" * 64, tmp_path / "cache")


# Fingerprints


def test_a_fingerprint_changes_with_the_files_of_a_folder_or_zip(
    write_tree: Callable, tmp_path: Path
) -> None:
    root = write_tree(TREE)
    before = fingerprint(str(root))
    assert fingerprint(str(root)) == before
    (root / next(iter(TREE))).write_text("other words, of another length")
    assert fingerprint(str(root)) != before
    found = []
    for name, text in (("a.zip", "one"), ("b.zip", "one"), ("c.zip", "two")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("training/x/y/pro/pro01a-point.txt", text)
        found.append(fingerprint(str(tmp_path / name)))
    assert found[0] == found[1] != found[2]


def test_the_samples_fingerprint_is_of_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an installation anew, with new times, trains nothing again."""
    before = fingerprint("sample")
    shutil.copytree(Path(sources.__file__).parent / "sample", tmp_path / "corpus" / "sample")
    monkeypatch.setattr(sources, "files", lambda package: tmp_path)
    assert fingerprint("sample") == before


# Files of pairs


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.TSV", "pairs.jsonl", "pairs.v2.ndjson"])
def test_a_file_of_pairs_is_known_by_its_ending(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("point,counter\np,c\n")
    assert is_pair_file(path)
    check(str(path))


@pytest.mark.parametrize("name", ["corpus", "corpus.zip", "csv", ".csv", "pairs.txt", "a.zip.gz"])
def test_no_other_ending_is_of_a_file_of_pairs(name: str) -> None:
    assert not is_pair_file(Path(name))


def test_a_file_of_pairs_has_the_fingerprint_of_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.jsonl"
    for path in (first, second):
        path.write_bytes(b"point,counter\np,c\n")
    before = hashlib.sha256(b"point,counter\np,c\n").hexdigest()[:16]
    monkeypatch.setenv("COUNTERPOINT_X", str(tmp_path))
    assert fingerprint(str(first)) == fingerprint("$COUNTERPOINT_X/b.jsonl") == before
    first.write_bytes(b"point,counter\np,d\n")
    assert fingerprint(str(first)) != before


def test_the_fingerprint_of_a_file_of_pairs_needs_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"missing\.csv: no such folder or file"):
        fingerprint(str(tmp_path / "missing.csv"))
    with pytest.raises(InputError, match=r"folder\.csv: cannot be read"):
        fingerprint(str(tmp_path / "folder.csv"))
