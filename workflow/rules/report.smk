# Tables, plots and the page. `summarise` makes them all once every record is there. `tables`, `plots`
# and `report` are the same commands without inputs from cells and without outputs: they work on
# whatever records exist, never train, and always run.

RECORDS = [
    *(str(RUN.cell(name).mark) for name in CELLS),
    *(str(RUN.baseline(name)) for name in BASELINES),
]
CURVES = sorted(
    {(cell.options.fusion, cell.options.head.kind) for cell in CELLS.values() if cell.columns}
)
FORMATS = {"md": "Markdown", "csv": "CSV"}
TABLE_FILES = [
    ("comparison", "md"),
    ("comparison", "csv"),
    ("strategies", "md"),
    ("seeds", "md"),
    ("protocols", "md"),
    ("tasks", "md"),
    ("claims", "md"),
    ("claims", "csv"),
]
if has_axis_table():
    TABLE_FILES += [("axis", "md"), ("axis", "csv")]


rule summarise:
    input:
        arguments=rules.corpus.output.arguments,
        # From a function, because snakemake hashes a list anew for each of its files.
        records=lambda wildcards: RECORDS,
    output:
        scores=str(RUN.scores),
        summary=str(RUN.tables / "summary.txt"),
        tables=[
            report(
                str(RUN.tables / f"{name}.{ending}"),
                caption=f"../report/{name}.rst",
                category="Tables",
                labels={"table": name, "format": FORMATS[ending]},
            )
            for name, ending in TABLE_FILES
        ],
        latex=[
            str(RUN.tables / f"{name}.tex")
            for name in ("comparison-dev", "comparison-test", "baselines")
        ],
        curves=[
            report(
                str(RUN.plots / f"accuracy-{fusion}-{head}.{CONFIG.plots.format}"),
                caption="../report/curves.rst",
                category="Learning curves",
                labels={"fusion": fusion, "head": head},
            )
            for fusion, head in CURVES
        ],
        overview=[
            report(
                str(RUN.plots / f"{name}.{CONFIG.plots.format}"),
                caption="../report/overview.rst",
                category="All cells",
                labels={"figure": name},
            )
            for name in ("rates", "heatmap")
        ],
        page=report(
            str(RUN.report),
            caption="../report/page.rst",
            category="Report",
            labels={"page": "everything"},
        ),
    log:
        str(RUN.logs / "summarise.log"),
    conda:
        ENVIRONMENT
    params:
        run=run_folder,
        # Read from the run's folder by the command; here, so that they count.
        config=dump(CONFIG),
        tables=TABLES,
        plots=PLOTS,
    shell:
        "logged {log:q} counterpoint summarise --run {params.run:q} {params.tables} {params.plots}"


rule tables:
    log:
        str(RUN.logs / "tables.log"),
    conda:
        ENVIRONMENT
    params:
        run=run_folder,
        tables=TABLES,
    shell:
        "logged {log:q} counterpoint tables --run {params.run:q} {params.tables}"


rule plots:
    log:
        str(RUN.logs / "plots.log"),
    conda:
        ENVIRONMENT
    params:
        run=run_folder,
        plots=PLOTS,
    shell:
        "logged {log:q} counterpoint plots --run {params.run:q} {params.plots}"


rule report:
    log:
        str(RUN.logs / "report.log"),
    conda:
        ENVIRONMENT
    params:
        run=run_folder,
        tables=TABLES,
    shell:
        "logged {log:q} counterpoint report --run {params.run:q} {params.tables}"


onsuccess:
    shell("test ! -f {RUN.tables}/summary.txt || cat {RUN.tables}/summary.txt")


onerror:
    shell(
        "if test -f {RUN.matrix}; then counterpoint tables --run {RUN.path} {TABLES} || true;"
        " counterpoint status --run {RUN.path} --failed; fi"
    )
