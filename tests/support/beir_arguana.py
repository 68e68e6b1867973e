"""Debates in the shape in which BEIR publishes ArguAna.

Every text is a document, titled by its debate; every point of a split is a query, under the id of
its own document and without the title; its counter is the one relevant document. In the published
files one judgement names a document that the corpus lacks, and so it does here.

    python -m tests.support.beir_arguana CORPUS SPLIT FOLDER
"""

import sys
from pathlib import Path

from counterpoint.corpus import opening
from counterpoint.corpus.arguments import pairs_of
from tests.support.beir import jsonl, qrels


def write_beir_arguana(corpus: str, split: str, folder: Path) -> str:
    """Write it; return the id of the document that is judged and lacking."""
    read = opening.read_all(corpus, [split])
    pairs = pairs_of(read.split(split))
    lacking = pairs[0][1].id
    documents = {
        argument.id: {"title": argument.debate.replace("-", " "), "text": argument.text}
        for argument in read.split(split)
        if argument.id != lacking
    }
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(jsonl(documents))
    (folder / "queries.jsonl").write_text(jsonl({point.id: point.text for point, _ in pairs}))
    judged = [(point.id, counter.id, 1) for point, counter in pairs]
    (folder / "qrels" / "test.tsv").write_text(qrels(judged))
    return lacking


if __name__ == "__main__":
    print(write_beir_arguana(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
