"""A system exported: its model in a folder of its own, with a card."""

from pathlib import Path

from counterpoint.errors import InputError
from counterpoint.retrieval.card import Stated, Trained, card
from counterpoint.retrieval.retriever import Retriever
from counterpoint.retrieval.systems import named_system
from counterpoint.runs.folder import CellFolder, find_run, read_run, run_and_cell


def export(system: str, run: Path | None, out: Path, stated: Stated) -> str:
    """Write a system's model folder (`model_folder`).

    Args:
        system: a cell's folder, or a name as `systems.named_system` takes it.
        run: folder of the run; the only one where none is given.
        out: the folder, which is not there yet, or empty.
        stated: what only the user knows, for the card.

    Returns:
        The full name of the system.

    Raises:
        InputError: there is no such system, or it cannot be exported.
        OSError: the folder is not empty, or cannot be written.
    """
    if CellFolder(Path(system)).options.is_file():
        if run is not None:
            raise InputError(f"{system}: is a cell's folder, which names its run; leave out --run")
        path = Path(system)
        retriever = Retriever.load(path)
        of_run, name = run_and_cell(path)
        there = read_run(of_run.path) if of_run.matrix.is_file() else None
        trained = Trained(there, name, CellFolder(path), retriever.options)
    else:
        there = read_run(run or find_run())
        name, folder = named_system(there, system)
        retriever = Retriever.load(there.folder.path, name)
        trained = Trained(there, name, folder, retriever.options)
    retriever.save(out, card(trained, stated, out.absolute().name))
    return name
