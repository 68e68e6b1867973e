# One rule: a cell. What a killed job leaves lies in state/, which Snakemake does not know and so
# does not delete.


rule cell:
    input:
        arguments=rules.corpus.output.arguments,
        texts=cell_texts,
    output:
        epochs=f"{CELL}/epochs.jsonl",
        records=f"{CELL}/records.parquet",
        model=f"{CELL}/model.safetensors",
        options=f"{CELL}/options.json",
        outcome=f"{CELL}/outcome.json",
        provenance=f"{CELL}/provenance.json",
        seconds=f"{CELL}/seconds.json",
    log:
        f"{RUN}/logs/cells/{SPACE.wildcard_pattern}.log",
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.threads
    resources:
        gpu=1,
        mem_mb=grown(CONFIG.resources.memory_mb),
        runtime=grown(CONFIG.resources.runtime_minutes),
        jobs_per_gpu=CONFIG.resources.jobs_per_gpu,
        # Here and not under params, because they change no result.
        trackers=TRACKERS,
        checkpoints=CHECKPOINTS,
    params:
        options=lambda wildcards: dump(cell_of(wildcards).options),
        weights=lambda wildcards: encoder_fingerprint(cell_of(wildcards).options.encoder),
        version=TRAINING_VERSION,
        # The option's value and not the rule's threads, which --cores would clip.
        threads=CONFIG.resources.threads,
        kind=lambda wildcards, input: Path(input.texts).stem,
        state=lambda wildcards: f"{RUN}/state/{cell_of(wildcards).name}",
        out=lambda wildcards, output: folder_of(output.epochs),
    shell:
        "logged {log:q} counterpoint train --arguments {input.arguments:q} --{params.kind} {input.texts:q}"
        " --options {params.options:q} --threads {params.threads}"
        " --jobs-per-gpu {resources.jobs_per_gpu} {resources.trackers} {resources.checkpoints} --state {params.state:q} --out {params.out:q}"
