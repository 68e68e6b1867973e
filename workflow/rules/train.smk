# A cell a job. What a killed job leaves lies in state/, which Snakemake does not know and so
# does not delete.


rule train:
    input:
        arguments=rules.corpus.output.arguments,
        texts=cell_texts,
    output:
        epochs=str(CELL.epochs),
        records=str(CELL.records),
        model=str(CELL.model),
        options=str(CELL.options),
        outcome=str(CELL.outcome),
        provenance=str(CELL.provenance),
        seconds=str(CELL.seconds),
    log:
        str(RUN.cell_log(SPACE.wildcard_pattern)),
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
        state=lambda wildcards: str(RUN.state(cell_of(wildcards).name).path),
        out=lambda wildcards, output: folder_of(output.epochs),
    shell:
        "logged {log:q} counterpoint train --arguments {input.arguments:q} --{params.kind} {input.texts:q}"
        " --options {params.options:q} --threads {params.threads}"
        " --jobs-per-gpu {resources.jobs_per_gpu} {resources.trackers} {resources.checkpoints} --state {params.state:q} --out {params.out:q}"
