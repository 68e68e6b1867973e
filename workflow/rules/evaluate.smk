# Baselines to per-query records. Cells evaluate themselves.


rule baseline:
    input:
        arguments=rules.corpus.output.arguments,
        features=base_features,
    output:
        records=str(RUN.baseline("{baseline}")),
        ties=str(RUN.baseline_ties("{baseline}")),
    log:
        str(RUN.logs / "baselines" / "{baseline}.log"),
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.threads
    params:
        features=lambda wildcards, input: (["--features", input.features] if input.features else []),
        version=BASELINES_VERSION,
        threads=CONFIG.resources.threads,
    shell:
        "logged {log:q} counterpoint baseline {wildcards.baseline} --arguments {input.arguments:q}"
        " {params.features:q} --threads {params.threads} --out {output.records:q}"
