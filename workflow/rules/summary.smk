# Tables, plots and the page. `summary`, `curves` and `page` follow the cells; `tables`, `plots` and
# `report` are the same commands without inputs or outputs, so they work on whatever records exist
# and never train.

RECORDS = [
    *(f"{RUN}/cells/{name}/records.parquet" for name in CELLS),
    *(f"{RUN}/baselines/{name}/records.parquet" for name in CONFIG.baselines),
]
FIGURES = sorted({(cell.options.fusion, cell.options.head.kind) for cell in CELLS.values()})
TABLES = f"--decimals {CONFIG.tables.decimals}{' --intervals' * CONFIG.tables.intervals}"
MARGINS = {cell.options.retrieval_loss.margin for cell in CELLS.values()}


rule matrix:
    output:
        matrix=f"{RUN}/matrix.csv",
        config=f"{RUN}/config.json",
    log:
        f"{RUN}/logs/matrix.log",
    # Early, because `counterpoint status` looks at it.
    priority: 100
    conda:
        ENVIRONMENT
    params:
        config=dump(CONFIG),
        out=lambda wildcards, output: folder_of(output.matrix),
    shell:
        "logged {log:q} counterpoint matrix --config {params.config:q} --out {params.out:q}"


rule summary:
    input:
        matrix=rules.matrix.output.matrix,
        records=RECORDS,
    output:
        cells=f"{RUN}/tables/cells.csv",
        comparison=report(
            f"{RUN}/tables/comparison.md",
            caption="../report/comparison.rst",
            category="Tables",
            labels={"table": "comparison", "format": "Markdown"},
        ),
        comparison_csv=report(
            f"{RUN}/tables/comparison.csv",
            caption="../report/comparison.rst",
            category="Tables",
            labels={"table": "comparison", "format": "CSV"},
        ),
        strategies=report(
            f"{RUN}/tables/strategies.md",
            caption="../report/strategies.rst",
            category="Tables",
            labels={"table": "strategies", "format": "Markdown"},
        ),
        seeds=report(
            f"{RUN}/tables/seeds.md",
            caption="../report/seeds.rst",
            category="Tables",
            labels={"table": "seeds", "format": "Markdown"},
        ),
        protocols=report(
            f"{RUN}/tables/protocols.md",
            caption="../report/protocols.rst",
            category="Tables",
            labels={"table": "protocols", "format": "Markdown"},
        ),
        tasks=report(
            f"{RUN}/tables/tasks.md",
            caption="../report/tasks.rst",
            category="Tables",
            labels={"table": "tasks", "format": "Markdown"},
        ),
        claims=report(
            f"{RUN}/tables/claims.md",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "claims", "format": "Markdown"},
        ),
        claims_csv=report(
            f"{RUN}/tables/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "claims", "format": "CSV"},
        ),
        # Only where cells differ in the margin.
        margins=[
            report(
                f"{RUN}/tables/margins.{ending}",
                caption="../report/margins.rst",
                category="Tables",
                labels={"table": "margins", "format": name},
            )
            for name, ending in (("Markdown", "md"), ("CSV", "csv"))
            if len(MARGINS) > 1
        ],
        latex=[
            f"{RUN}/tables/{name}.tex"
            for name in ("comparison-dev", "comparison-test", "baselines")
        ],
        summary=f"{RUN}/tables/summary.txt",
    log:
        f"{RUN}/logs/tables.log",
    conda:
        ENVIRONMENT
    params:
        run=folder_of_matrix,
        how=TABLES,
    shell:
        "logged {log:q} counterpoint tables --run {params.run:q} {params.how}"


rule curves:
    input:
        matrix=rules.matrix.output.matrix,
        figures=rules.summary.output.cells,
    output:
        [
            report(
                f"{RUN}/plots/accuracy-{fusion}-{head}.{CONFIG.plots.format}",
                caption="../report/curves.rst",
                category="Learning curves",
                labels={"fusion": fusion, "head": head},
            )
            for fusion, head in FIGURES
        ],
        [
            report(
                f"{RUN}/plots/{name}.{CONFIG.plots.format}",
                caption="../report/overview.rst",
                category="All cells",
                labels={"figure": name},
            )
            for name in ("rates", "heatmap")
        ],
    log:
        f"{RUN}/logs/plots.log",
    conda:
        ENVIRONMENT
    params:
        run=folder_of_matrix,
        format=CONFIG.plots.format,
        dpi=CONFIG.plots.dpi,
    shell:
        "logged {log:q} counterpoint plots --run {params.run:q} --format {params.format} --dpi {params.dpi}"


rule page:
    input:
        matrix=rules.matrix.output.matrix,
        arguments=rules.corpus.output.arguments,
        tables=rules.summary.output,
    output:
        report(
            f"{RUN}/report/index.html",
            caption="../report/page.rst",
            category="Report",
            labels={"page": "everything"},
        ),
    log:
        f"{RUN}/logs/report.log",
    conda:
        ENVIRONMENT
    params:
        run=folder_of_matrix,
        how=TABLES,
    shell:
        "logged {log:q} counterpoint report --run {params.run:q} {params.how}"


use rule summary as tables with:
    input:
        matrix=rules.matrix.output.matrix,
    output:
        [],


use rule curves as plots with:
    input:
        matrix=rules.matrix.output.matrix,
    output:
        [],


use rule page as report with:
    input:
        matrix=rules.matrix.output.matrix,
    output:
        [],


onsuccess:
    shell("test ! -f {RUN}/tables/summary.txt || cat {RUN}/tables/summary.txt")


onerror:
    shell(
        "if test -f {RUN}/matrix.csv; then counterpoint tables --run {RUN} {TABLES} || true;"
        " counterpoint status --run {RUN} --failed; fi"
    )
