# Baselines to per-query records, all in one process, because loading costs more than one of them.
# Cells evaluate themselves.


rule baselines:
    input:
        arguments=rules.corpus.output.arguments,
        features=features_of(CONFIG.encoder) if set(BASELINES) & set(ENCODING_BASELINES) else [],
    output:
        records=[str(RUN.baseline(name)) for name in BASELINES],
        ties=[str(RUN.baseline_ties(name)) for name in BASELINES],
    log:
        str(RUN.logs / "baselines.log"),
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.threads
    params:
        names=BASELINES,
        features=lambda wildcards, input: (["--features", input.features] if input.features else []),
        out=lambda wildcards, output: folder_of(folder_of(output.records[0])),
        version=BASELINES_VERSION,
        threads=CONFIG.resources.threads,
    shell:
        "logged {log:q} counterpoint baselines {params.names} --arguments {input.arguments:q}"
        " {params.features:q} --threads {params.threads} --out {params.out:q}"
