# Tables and plots. `summary` and `curves` follow the cells; `tables` and `plots` are the same
# commands without inputs or outputs, so they work on whatever records exist and never train.

RECORDS = [
    *(f"{RUN}/cells/{name}/records.parquet" for name in CELLS),
    *(f"{RUN}/baselines/{name}/records.parquet" for name in CONFIG.baselines),
]
FIGURES = sorted({(cell.options.fusion, cell.options.head.kind) for cell in CELLS.values()})


rule matrix:
    output:
        matrix=f"{RUN}/matrix.csv",
        config=f"{RUN}/config.json",
    log:
        f"{RUN}/logs/matrix.log",
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
        comparison=f"{RUN}/tables/comparison.md",
        comparison_csv=f"{RUN}/tables/comparison.csv",
        strategies=f"{RUN}/tables/strategies.md",
        seeds=f"{RUN}/tables/seeds.md",
        protocols=f"{RUN}/tables/protocols.md",
        claims=f"{RUN}/tables/claims.md",
        claims_csv=f"{RUN}/tables/claims.csv",
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
        decimals=CONFIG.tables.decimals,
        intervals="--intervals" if CONFIG.tables.intervals else "",
    shell:
        "logged {log:q} counterpoint tables --run {params.run:q} --decimals {params.decimals}"
        " {params.intervals}"


rule curves:
    input:
        matrix=rules.matrix.output.matrix,
        figures=rules.summary.output.cells,
    output:
        [f"{RUN}/plots/accuracy-{fusion}-{head}.{CONFIG.plots.format}" for fusion, head in FIGURES],
        [f"{RUN}/plots/{name}.{CONFIG.plots.format}" for name in ("rates", "heatmap")],
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


onsuccess:
    shell("test ! -f {RUN}/tables/summary.txt || cat {RUN}/tables/summary.txt")


onerror:
    shell(
        "if test -f {RUN}/matrix.csv; then counterpoint tables --run {RUN}"
        " --decimals {CONFIG.tables.decimals} || true; counterpoint status --run {RUN} --failed; fi"
    )
