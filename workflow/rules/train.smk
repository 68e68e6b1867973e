# Cells in batches: a process trains several, because loading costs more than a small cell. What a
# killed job leaves lies in state/, which Snakemake does not know and so does not delete; of a cell's
# results it knows an empty mark alone, for the same reason.

for number, batch in enumerate(BATCHES, start=1):

    rule:
        name:
            f"train_{number}"
        input:
            arguments=rules.corpus.output.arguments,
            texts=batch_texts(batch),
            first=first_stages(batch),
        output:
            [str(RUN.cell(cell.name).mark) for cell in batch],
        log:
            str(RUN.logs / "train" / f"{number}.log"),
        # What takes longest begins first.
        priority: 20 if batch[0].options.encoder.trainable != "none" else 10
        conda:
            ENVIRONMENT
        threads: CONFIG.resources.threads
        resources:
            gpu=1,
            mem_mb=grown(CONFIG.resources.memory_mb),
            runtime=grown(CONFIG.resources.runtime_minutes * len(batch)),
            jobs_per_gpu=CONFIG.resources.jobs_per_gpu,
        params:
            options=batch_options(batch),
            weights=encoder_fingerprint(batch[0].options.encoder),
            version=TRAINING_VERSION,
            # The option's value and not the rule's threads, which --cores would clip.
            threads=CONFIG.resources.threads,
            run=run_folder,
        shell:
            "logged {log:q} counterpoint train --run {params.run:q} $(dirname {output:q})"
            " && touch {output:q}"
